import contextlib
import hashlib
import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crawlers.images import ImageRefusedError, inspect_image, keep_image
from crawlers.jobs import CrawlLimits
from crawlers.storage import ImageStore, incoming_folder, remove_leftovers, replacing, write_bytes

LIMITS = CrawlLimits()
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 40, 3), dtype=np.uint8))


def encoded(kind: str, picture: Image.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def animation(kind: str) -> bytes:
    return encoded(kind, save_all=True, append_images=[Image.new("RGB", PICTURE.size)])


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def refusal(data: bytes | Path, limits: CrawlLimits = LIMITS) -> str:
    with pytest.raises(ImageRefusedError) as caught:
        inspect_image(data, limits)
    assert "\n" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_the_four_formats_are_taken_with_their_size(kind: str) -> None:
    assert inspect_image(encoded(kind), LIMITS) == (kind, 40, 60)


def test_a_camera_file_with_a_second_picture_is_a_jpeg() -> None:
    assert inspect_image(animation("MPO"), LIMITS) == ("JPEG", 40, 60)


def test_the_size_is_the_stored_one_whatever_the_rotation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert inspect_image(encoded("JPEG", exif=exif), LIMITS) == ("JPEG", 40, 60)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_animations_are_refused(kind: str) -> None:
    assert refusal(animation(kind)) == "animated"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_cut_files_are_truncated(kind: str, share: float) -> None:
    data = encoded(kind)
    assert refusal(data[: int(len(data) * share)]) == "truncated"


def test_scrambled_files_are_undecodable() -> None:
    data = bytearray(encoded("PNG"))
    data[200:400] = bytes(200)
    assert refusal(bytes(data)) == "undecodable"


@pytest.mark.parametrize(
    "data", [b"", b"<!DOCTYPE html><html></html>", b'<svg xmlns="x"/>', b"%PDF-1.4", encoded("BMP"), b"\xff\xd8\xff"]
)
def test_other_files_are_not_images(data: bytes) -> None:
    assert refusal(data) == "not_an_image"


def test_pixel_bombs_are_refused_before_they_are_decoded() -> None:
    started = time.perf_counter()
    assert refusal(png_header(30_000, 30_000)) == "too_many_pixels"
    assert refusal(png_header(12_000, 12_000)) == "too_many_pixels"
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0"}])
def test_the_size_of_every_kind_of_webp_is_read_before_it_is_opened(options: dict[str, Any]) -> None:
    data = encoded("WEBP", **options)
    assert inspect_image(data, CrawlLimits(max_pixels=2_400)) == ("WEBP", 40, 60)
    assert refusal(data, CrawlLimits(max_pixels=2_399)) == "too_many_pixels"


def test_too_many_bytes_are_refused() -> None:
    assert refusal(encoded("PNG"), CrawlLimits(max_bytes=100)) == "too_large"


def test_original_bytes_are_kept_under_their_hash_and_bad_ones_not_at_all(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    data = encoded("JPEG")
    facts = keep_image(data, LIMITS, store)
    again = keep_image(data, LIMITS, store)
    assert facts == again
    assert store.path(facts.image_id) == tmp_path / facts.image_id[:2] / facts.image_id
    assert store.path(facts.image_id).read_bytes() == data
    with pytest.raises(ImageRefusedError):
        keep_image(data[:-100], LIMITS, store)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [store.path(facts.image_id)]


def test_a_picture_in_a_file_is_inspected_and_moved_into_the_store(tmp_path: Path) -> None:
    data = encoded("PNG")
    sha256 = hashlib.sha256(data).hexdigest()
    store = ImageStore(tmp_path / "images")
    for _ in range(2):  # the second time it is there already
        part = tmp_path / "1.part"
        part.write_bytes(data)
        assert inspect_image(part, LIMITS) == ("PNG", 40, 60)
        facts = keep_image(part, LIMITS, store, sha256)
        assert (facts.image_id, facts.bytes) == (sha256, len(data))
        assert store.path(sha256).read_bytes() == data
    with pytest.raises(ValueError, match="sha256 of a file must be given"):
        keep_image(part, LIMITS, store)
    part.write_bytes(data[:-200])
    with pytest.raises(ImageRefusedError) as caught:
        keep_image(part, LIMITS, store, "ab" * 32)
    assert caught.value.reason == "truncated"
    part.write_bytes(data)
    assert refusal(part, CrawlLimits(max_bytes=len(data) - 1)) == "too_large"
    assert [path for path in (tmp_path / "images").rglob("*") if path.is_file()] == [store.path(sha256)]


def test_a_file_of_another_size_in_the_store_is_written_anew(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    image_id = store.put(b"whole")
    store.path(image_id).write_bytes(b"cut")
    assert not store.holds(image_id, 5)
    store.put(b"whole")
    assert store.holds(image_id, 5)
    assert store.path(image_id).read_bytes() == b"whole"


def test_files_on_their_way_lie_in_a_folder_of_their_window_which_goes_with_the_crawl(tmp_path: Path) -> None:
    with incoming_folder(tmp_path, "w") as folder:
        (folder / "1.part").touch()
        assert folder.name.startswith(".incoming-")
        with incoming_folder(tmp_path, "v") as other:
            assert other != folder
        assert ImageStore(tmp_path, folder).put(b"x") == hashlib.sha256(b"x").hexdigest()
        assert [path.name for path in folder.iterdir()] == ["1.part"]
    folder.mkdir()
    (folder / "2.part").touch()  # as after a kill
    with incoming_folder(tmp_path, "w") as again:
        assert list(again.iterdir()) == []
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "table.parquet"
    write_bytes(path, b"old")
    with pytest.raises(TypeError):
        write_bytes(path, "text")  # type: ignore[arg-type]
    with contextlib.suppress(KeyError), replacing(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_what_a_killed_process_left_beside_a_file_is_removed_and_nothing_else(tmp_path: Path) -> None:
    names = (".posts.parquet-abc.part", ".images.parquet-abc.part", "posts.parquet", ".posts.parquet-abc")
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "posts.parquet")
    assert {path.name for path in tmp_path.iterdir()} == set(names[1:])


def test_a_process_killed_while_writing_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = (b"a" * 200_000, b"b" * 200_000)
    write_bytes(path, contents[0])
    code = (
        "import sys, pathlib; from crawlers.storage import write_bytes\n"
        "path = pathlib.Path(sys.argv[1]); print('ready', flush=True)\n"
        "while True:\n"
        "    for c in (b'b', b'a'): write_bytes(path, c * 200_000)\n"
    )
    for wait in (0.0, 0.013, 0.03):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.kill()
        process.wait()
        process.stdout.close()
        assert path.read_bytes() in contents
