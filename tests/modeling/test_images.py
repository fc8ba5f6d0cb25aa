from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modeling.errors import ModelingError
from modeling.images import cached_images, load_image


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A picture 80 wide and 40 high, black on the left, white on the right."""
    pixels = np.zeros((40, 80, 3), dtype=np.uint8)
    pixels[:, 40:] = 255
    path = tmp_path / "halves.png"
    Image.fromarray(pixels).save(path)
    return path


def test_stretch_pad_and_crop(halves: Path):
    stretched = load_image(halves, (64, 32), "stretch")
    assert stretched.shape == (64, 32, 3)
    assert stretched[:, :14].max() == 0
    assert stretched[:, 18:].min() == 255

    padded = load_image(halves, (80, 80), "pad")
    assert padded[:18].min() == 255
    assert padded[62:].min() == 255
    assert padded[24:56, :36].max() == 0

    cropped = load_image(halves, (40, 40), "crop")
    assert cropped[:, :18].max() == 0
    assert cropped[:, 22:].min() == 255


def test_exif_rotation_is_applied(tmp_path: Path, halves: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    path = tmp_path / "turned.jpg"
    with Image.open(halves) as image:
        image.save(path, exif=exif, quality=95)
    turned = load_image(path, (80, 40))
    assert turned[:30].mean() < 10
    assert turned[50:].mean() > 245


def test_transparent_pixels_become_white(tmp_path: Path):
    path = tmp_path / "clear.png"
    Image.new("RGBA", (40, 40), (0, 0, 0, 0)).save(path)
    assert load_image(path, (32, 32)).min() == 255
    palette = Image.new("P", (40, 40), 0)
    palette.info["transparency"] = 0
    palette.save(tmp_path / "palette.png", transparency=0)
    assert load_image(tmp_path / "palette.png", (32, 32)).min() == 255


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "1", "I;16"])
def test_other_modes_are_read_as_rgb(tmp_path: Path, mode: str):
    image = Image.new("L", (40, 40), 255)
    path = tmp_path / ("picture.jpg" if mode == "CMYK" else "picture.png")
    (Image.new("I;16", (40, 40), 65535) if mode == "I;16" else image.convert(mode)).save(path)
    pixels = load_image(path, (32, 32))
    assert pixels.shape == (32, 32, 3)
    assert pixels.min() >= 250


def test_a_reduced_jpeg_looks_like_the_whole_one(tmp_path: Path):
    ramp = np.tile(np.linspace(0, 255, 1600, dtype=np.uint8)[None, :, None], (1200, 1, 3))
    path = tmp_path / "ramp.jpg"
    Image.fromarray(ramp).save(path, quality=95)
    whole = np.asarray(Image.fromarray(ramp).resize((64, 48), Image.Resampling.BICUBIC), dtype=int)
    assert abs(load_image(path, (48, 64)).astype(int) - whole).max() <= 4


@pytest.mark.parametrize("content", [b"", b"<html>not a picture</html>"])
def test_a_file_that_is_no_picture_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "page.jpg"
    path.write_bytes(content)
    with pytest.raises(ModelingError, match=r"page\.jpg can't be read"):
        load_image(path, (32, 32))


def test_a_truncated_picture_is_named(tmp_path: Path, halves: Path):
    path = tmp_path / "half.png"
    path.write_bytes(halves.read_bytes()[:60])
    with pytest.raises(ModelingError, match=r"half\.png can't be read"):
        load_image(path, (32, 32))


def test_the_cache_is_made_once_and_read_again(tmp_path: Path, halves: Path):
    opened: list[str] = []
    told: list[tuple[int, int]] = []

    def image_path(image_id: str) -> Path:
        opened.append(image_id)
        return halves

    def cached(size: tuple[int, int]) -> np.ndarray:
        ids = ["a", "b", "c"]
        return cached_images(ids, image_path, size, "stretch", tmp_path / "cache", lambda *done: told.append(done))

    first = cached((32, 48))
    assert first.shape == (3, 32, 48, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first[1], load_image(halves, (32, 48)))
    assert sorted(opened) == ["a", "b", "c"]
    assert told == [(3, 3)]
    assert np.array_equal(cached((32, 48)), first)
    assert len(opened) == 3
    assert cached((48, 32)).shape == (3, 48, 32, 3)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_failure_leaves_nothing_in_the_cache(tmp_path: Path, halves: Path):
    files = {"good": halves, "bad": tmp_path / "missing.jpg"}
    with pytest.raises(ModelingError, match=r"missing\.jpg"):
        cached_images(list(files), files.__getitem__, (32, 32), "stretch", tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
