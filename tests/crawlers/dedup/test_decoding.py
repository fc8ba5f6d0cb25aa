import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from dedup_pictures import photo
from PIL import Image, ImageDraw, ImageFont, ImageOps

from crawlers.dedup.decoding import SMALL_SIDE, UnreadableImageError, content_box, read_small


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_jpeg_is_decoded_at_a_reduced_scale(tmp_path: Path) -> None:
    small = read_small(saved(photo(1, 1080, 1350), tmp_path / "a.jpg"))
    assert SMALL_SIDE <= min(small.picture.size) < 2 * SMALL_SIDE
    assert (small.width, small.height) == (1080, 1350)


def test_formats_of_one_picture_give_nearly_the_same_pixels(tmp_path: Path) -> None:
    jpeg = read_small(saved(photo(1, 1024, 1280), tmp_path / "a.jpg", quality=95)).picture
    png = read_small(saved(photo(1, 1024, 1280), tmp_path / "a.png")).picture
    assert jpeg.size == png.size
    assert np.abs(np.asarray(jpeg).astype(int) - np.asarray(png).astype(int)).mean() < 2


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = photo(2, 200, 300)
    exif = Image.Exif()
    exif[0x0112] = 6  # the stored picture has to be turned by a quarter
    turned = saved(picture.transpose(Image.Transpose.ROTATE_90), tmp_path / "turned.png", exif=exif)
    upright = saved(picture, tmp_path / "upright.png")
    assert read_small(turned).picture.tobytes() == read_small(upright).picture.tobytes()
    assert (read_small(turned).width, read_small(turned).height) == (200, 300)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    picture = photo(3).convert("L").convert(mode)
    if mode == "P":
        path = saved(picture, tmp_path / "a.png", transparency=bytes([0] * 256))
    else:
        picture.putalpha(0)
        path = saved(picture, tmp_path / "a.png")
    luma = np.asarray(read_small(path).picture)[..., 0]
    assert luma.min() == 255


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    grey = np.asarray(photo(4).convert("L"))
    path = saved(Image.fromarray(grey.astype(np.uint16) << 8), tmp_path / "a.png")
    luma = np.asarray(read_small(path).picture)[..., 0]
    assert np.abs(luma.astype(int) - grey.astype(int)).max() <= 1


@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 0, 0), (200, 30, 60)])
def test_bars_and_frames_are_found(ground: tuple[int, int, int]) -> None:
    letterbox = ImageOps.pad(photo(5, 180, 320), (320, 320), color=ground)
    assert content_box(np.asarray(letterbox.convert("YCbCr"))) == (70, 0, 250, 320)
    framed = ImageOps.expand(ImageOps.expand(photo(5, 180, 320), 9, ground), 11, "grey")
    assert content_box(np.asarray(framed.convert("YCbCr"))) == (20, 20, 200, 340)


@pytest.mark.parametrize(
    "picture",
    [photo(6), Image.new("RGB", (200, 300), "red"), ImageOps.expand(photo(6, 20, 30), 200, "white")],
    ids=["no border", "one colour", "a speck"],
)
def test_without_a_border_or_with_hardly_anything_inside_it_the_whole_picture_counts(picture: Image.Image) -> None:
    assert content_box(np.asarray(picture.convert("YCbCr"))) == (0, 0, *picture.size)


def test_a_bordered_copy_never_has_more_content_than_the_picture(tmp_path: Path) -> None:
    for seed in range(10):
        picture = photo(seed, 1000 + 7 * seed, 1300)
        original = read_small(saved(picture, tmp_path / "original.jpg")).content_size
        bordered = read_small(saved(ImageOps.expand(picture, 41, "white"), tmp_path / "bordered.jpg")).content_size
        assert original == picture.size
        assert np.all(np.array(bordered) <= original)
        assert np.all(np.array(bordered) > 0.97 * np.array(original))


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_unreadable_files_give_a_reason_and_one_line(tmp_path: Path) -> None:
    whole = saved(photo(7), tmp_path / "whole.jpg").read_bytes()
    files = {
        "too_many_pixels": (png_header(12_000, 12_000), png_header(30_000, 30_000)),
        "unreadable_image": (whole[: len(whole) // 2], b"<!doctype html><title>gone</title>", b"", png_header(20, 20)),
    }
    for reason, contents in files.items():
        for content in contents:
            path = tmp_path / "bad.jpg"
            path.write_bytes(content)
            with pytest.raises(UnreadableImageError, match=r"bad\.jpg") as caught:
                read_small(path)
            assert caught.value.reason == reason
            assert "\n" not in str(caught.value)
    with pytest.raises(UnreadableImageError, match="crawl its window again") as caught:
        read_small(tmp_path / "nowhere")
    assert caught.value.reason == "missing_file"


def captioned(picture: Image.Image, bar: int, ground: str, at_top: bool, lines: int) -> Image.Image:
    """The picture with a bar of so many pixels, in which lines of text stand."""
    page = Image.new("RGB", (picture.width, picture.height + bar), ground)
    page.paste(picture, (0, bar if at_top else 0))
    size = bar * 0.6 / lines
    for line in range(lines):
        ImageDraw.Draw(page).text(
            (picture.width * 0.04, (0 if at_top else picture.height) + bar * 0.1 + line * size * 1.3),
            "the coat we all waited for #ootd",
            "black" if ground == "white" else "white",
            ImageFont.load_default(size),
        )
    return page


@pytest.mark.parametrize("ground", ["white", "black"])
@pytest.mark.parametrize("at_top", [True, False], ids=["top", "bottom"])
@pytest.mark.parametrize(("share", "lines"), [(0.06, 1), (0.15, 2)])
def test_bars_with_text_are_found(tmp_path: Path, ground: str, at_top: bool, share: float, lines: int) -> None:
    for seed in range(2):
        picture = photo(seed, 1080, 1350)
        bar = round(picture.height * share)
        path = saved(captioned(picture, bar, ground, at_top, lines), tmp_path / "a.jpg", quality=85)
        small = read_small(path)
        scale = small.picture.height / (picture.height + bar)
        left, top, right, bottom = small.content
        assert (left, right) == (0, small.picture.width)
        found = top if at_top else small.picture.height - bottom
        assert abs(found - bar * scale) <= 1.5
        assert (bottom == small.picture.height) if at_top else (top == 0)
        assert small.content_size[1] <= picture.height


def test_a_bar_with_text_has_to_end_in_a_clear_line_and_to_be_narrow() -> None:
    lines = np.full((200, 100, 3), 255, np.uint8)
    text = np.arange(100) % 2 == 0
    text[-1] = True
    lines[5:, text] = np.random.default_rng(0).integers(0, 120, (195, 51, 3), dtype=np.uint8)  # text, to the end
    assert content_box(lines) == (0, 5, 100, 200)
    lines[40] = 255
    assert content_box(lines) == (0, 41, 100, 200)
    lines[40], lines[60] = lines[39], 255  # below a quarter of the height
    assert content_box(lines) == (0, 5, 100, 200)


def test_damaged_files_never_raise_anything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("jpg", "png", "webp", "gif", "tiff", "bmp"):
        whole = saved(photo(8, 60, 80), tmp_path / f"whole.{suffix}").read_bytes()
        for _ in range(30):
            content = bytearray(whole)
            for place in rng.integers(0, len(content), 6):
                content[place] = int(rng.integers(256))
            path = tmp_path / "bad"
            path.write_bytes(bytes(content[: int(rng.integers(10, len(content) + 1))]))
            with contextlib.suppress(UnreadableImageError):
                assert read_small(path).picture.mode == "YCbCr"
