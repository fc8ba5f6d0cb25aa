import io
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from PIL import Image

from modeling.errors import ModelingError
from modeling.images import cached_array, cached_images, load_image, reference_of


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


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_16_bit_greyscale_is_scaled_not_clipped(tmp_path: Path, mode: str):
    """v / 257 rounded: 0, 257 * 100 + 100, 257 * 100 + 140 and 65535 are 0, 100, 101 and 255."""
    values = np.array([[0, 25800, 25840, 65535]]).repeat(40, 0).repeat(10, 1)
    kinds = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}
    path = tmp_path / "grey.tiff"
    Image.frombytes(mode, (40, 40), values.astype(kinds[mode]).tobytes()).save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    pixels = load_image(path, (40, 40))
    assert pixels[5, 5::10].tolist() == [[0] * 3, [100] * 3, [101] * 3, [255] * 3]


def test_a_transparent_value_of_16_bit_greyscale_becomes_white(tmp_path: Path):
    path = tmp_path / "grey.png"
    values = np.full((40, 40), 25700, dtype=np.uint16)
    values[:, 20:] = 25701
    Image.fromarray(values).save(path, transparency=25701)
    pixels = load_image(path, (40, 40))
    assert pixels[:, :18].tolist() == np.full((40, 18, 3), 100).tolist()
    assert pixels[:, 22:].min() == 255


def test_a_picture_of_too_many_pixels_is_refused_and_a_large_one_is_read_quietly(tmp_path: Path):
    """In a process of its own, with Python's own filters: Pillow warns from 89 million pixels on."""
    for name, height in (("large", 9_200), ("larger", 10_001)):
        Image.new("L", (10_000, height), 99).save(tmp_path / f"{name}.jpg")
    code = """if True:
        from pathlib import Path
        from modeling.images import ModelingError, load_image
        print(load_image(Path("large.jpg"), (32, 32)).max())
        try:
            load_image(Path("larger.jpg"), (32, 32))
        except ModelingError as error:
            print(error)
    """
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    expected = (
        "99\nimage larger.jpg can't be read: 10000 x 10001 pixels are more than the limit of 100,000,000; "
        "leave it out or replace it\n"
    )
    assert (result.stdout, result.stderr) == (expected, "")


def test_an_image_that_can_not_be_decoded_is_said(tmp_path: Path, halves: Path):
    content = bytearray(halves.read_bytes())
    content[45:] = content[45:60]
    with (
        Image.open(io.BytesIO(content)) as image,
        pytest.raises(ModelingError, match="image of 80 x 40 pixels in memory can't be read"),
    ):
        load_image(image, (32, 32))
    with Image.open(halves) as image:
        pass
    with pytest.raises(ModelingError, match=r"halves\.png can't be read: AssertionError"):
        load_image(image, (32, 32))


def test_broken_exif_is_said(tmp_path: Path):
    """A rotation, and a resolution that is text (type 2) and no number: Pillow fails with a TypeError."""
    entries = struct.pack("<HHIIHHI4s", 0x0112, 3, 1, 6, 0x011A, 2, 2, b"a")
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)
    Image.new("RGB", (40, 40)).save(tmp_path / "exif.jpg", exif=exif)
    with pytest.raises(ModelingError, match=r"exif\.jpg can't be read: bad operand"):
        load_image(tmp_path / "exif.jpg", (32, 32))


def test_a_name_that_is_no_utf8_is_said_in_backslashes(tmp_path: Path):
    with pytest.raises(ModelingError, match=r"image .*/\\xff\.png can't be read"):
        load_image(tmp_path / os.fsdecode(b"\xff.png"), (32, 32))


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


def test_a_broken_avif_is_named(tmp_path: Path, halves: Path):
    """Its container is whole and its colours are not: Pillow says so with a RuntimeError."""
    path = tmp_path / "broken.avif"
    with Image.open(halves) as image:
        image.save(path)
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(ModelingError, match=r"broken\.avif can't be read: Failed to decode"):
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


def test_many_pictures_keep_their_order_and_are_told_as_they_come(tmp_path: Path):
    files = {}
    for number in range(150):
        files[str(number)] = tmp_path / f"{number}.png"
        Image.new("RGB", (40, 40), (number, 0, 0)).save(files[str(number)])
    told: list[tuple[int, int]] = []
    pictures = cached_images(
        list(files), files.__getitem__, (32, 32), "stretch", tmp_path / "cache", lambda *done: told.append(done)
    )
    assert pictures[:, 0, 0, 0].tolist() == list(range(150))
    assert told == [(64, 150), (128, 150), (150, 150)]


def test_decoding_stays_a_few_pictures_ahead(tmp_path: Path, halves: Path):
    """Memory does not grow with the number of pictures: a bad one stops the rest from being read."""
    opened: list[str] = []

    def image_path(image_id: str) -> Path:
        opened.append(image_id)
        return tmp_path / "missing.png" if image_id == "0" else halves

    with pytest.raises(ModelingError, match=r"missing\.png"):
        cached_images([str(n) for n in range(5000)], image_path, (32, 32), "stretch", tmp_path / "cache")
    assert len(opened) <= 4 * len(os.sched_getaffinity(0)) + 1


def array_of(path: Path, values: np.ndarray) -> np.ndarray:
    return cached_array(path, values.shape, values.dtype, lambda: np.split(values, len(values)))


def test_a_memory_map_is_pickled_as_the_name_of_its_file(tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(50, 100, 2)).astype(np.float16)
    kept = array_of(tmp_path / "values.raw", values)
    sent = pickle.dumps(reference_of(kept))
    assert len(sent) < 500
    again = pickle.loads(sent).open()  # noqa: S301
    assert isinstance(again, np.memmap)
    assert np.array_equal(again, values)


def test_a_part_of_a_map_and_an_array_in_memory_are_sent_whole(tmp_path: Path):
    values = np.arange(60).reshape(10, 6)
    kept = array_of(tmp_path / "values.raw", values)
    for array in (kept[3:], kept[:5], kept.reshape(6, 10), values):
        again = pickle.loads(pickle.dumps(reference_of(array))).open()  # noqa: S301
        assert np.array_equal(again, array)


def test_rows_that_do_not_add_up_leave_nothing(tmp_path: Path):
    with pytest.raises(ModelingError, match="2 of 3 rows"):
        cached_array(tmp_path / "few.raw", (3, 4), np.dtype(np.uint8), lambda: [np.zeros((2, 4), np.uint8)])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_before_it_is_full(tmp_path: Path):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(ModelingError, match=r"needs .* GB more .* lower training\.image_size or training\.views"):
        cached_array(tmp_path / "large.raw", (2, free), np.dtype(np.uint8), list)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_make_the_file_once(tmp_path: Path):
    made: list[int] = []
    values = np.arange(40, dtype=np.int64).reshape(20, 2)

    def batches() -> Iterator[np.ndarray]:
        made.append(1)
        for row in values:
            time.sleep(0.005)
            yield row[None]

    def make() -> None:
        results.append(cached_array(tmp_path / "slow.raw", values.shape, values.dtype, batches))

    results: list[np.ndarray] = []
    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
    assert len(results) == 4
    assert all(np.array_equal(result, values) for result in results)
    assert [path.name for path in tmp_path.iterdir()] == ["slow.raw"]


def test_when_the_first_fails_the_second_takes_over(tmp_path: Path):
    started = threading.Event()

    def failing() -> Iterator[np.ndarray]:
        yield np.zeros((1, 2))
        started.set()
        time.sleep(0.1)
        raise ModelingError("no")

    def first() -> None:
        with pytest.raises(ModelingError, match="no"):
            cached_array(tmp_path / "file.raw", (3, 2), np.dtype(np.float64), failing)

    thread = threading.Thread(target=first)
    thread.start()
    started.wait()
    assert np.array_equal(array_of(tmp_path / "file.raw", np.ones((3, 2))), np.ones((3, 2)))
    thread.join()
    assert [path.name for path in tmp_path.iterdir()] == ["file.raw"]


def test_who_comes_just_after_the_file_was_made_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The file appears between the look for it and the opening of ``.part``."""
    path = tmp_path / "file.raw"
    open_file = Path.open
    waiting = True

    def opened(self: Path, mode: str = "r") -> IO[Any]:
        nonlocal waiting
        if self.suffix == ".part" and waiting:
            waiting = False
            array_of(path, np.ones((3, 2)))
        return open_file(self, mode)

    monkeypatch.setattr(Path, "open", opened)
    assert np.array_equal(array_of(path, np.zeros((3, 2))), np.ones((3, 2)))
    assert [file.name for file in tmp_path.iterdir()] == ["file.raw"]


def test_what_another_process_writes_next_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Once the file has its name, a ``.part`` is another process's."""
    replace = Path.replace

    def replaced(self: Path, target: Path) -> Path:
        result = replace(self, target)
        self.write_bytes(b"of another process")
        return result

    monkeypatch.setattr(Path, "replace", replaced)
    array_of(tmp_path / "file.raw", np.ones((3, 2)))
    assert (tmp_path / "file.raw.part").read_bytes() == b"of another process"


def test_a_killed_process_leaves_no_file_and_its_rest_is_written_over(tmp_path: Path):
    code = """if True:
        import sys, time
        from pathlib import Path
        import numpy as np
        from modeling.images import cached_array
        def batches():
            yield np.full((2, 3), 9.0)
            sys.stdout.write("half" + chr(10))
            sys.stdout.flush()
            time.sleep(60)
        cached_array(Path(sys.argv[1]), (4, 3), np.dtype(np.float64), batches)
    """
    path = tmp_path / "file.raw"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    assert not path.exists()
    assert np.array_equal(array_of(path, np.ones((4, 3))), np.ones((4, 3)))
    assert [file.name for file in tmp_path.iterdir()] == ["file.raw"]
