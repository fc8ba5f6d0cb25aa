import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pandas as pd
import pytest
from dedup_pictures import image_id, photo
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageOps

from crawlers.dedup import hashing
from crawlers.dedup import phash as hashes_of_files
from crawlers.dedup.hashing import (
    HASH_VERSION,
    HashFailure,
    ImageHashes,
    hash_files,
    hash_image,
    hash_images,
    image_hashes_table,
    is_flat,
    phash,
)
from crawlers.errors import CrawlError
from crawlers.tables import IMAGE_HASHES


def distance(a: bytes, b: bytes) -> int:
    return int(np.bitwise_count(np.frombuffer(a, np.uint8) ^ np.frombuffer(b, np.uint8)).sum())


def hashed(image: Image.Image, path: Path, **options: object) -> ImageHashes:
    image.save(path, **options)
    result = hash_image(path)
    assert isinstance(result, ImageHashes)
    return result


@pytest.mark.parametrize("hash_size", [8, 16])
def test_bits_equal_imagehash_on_photos(hash_size: int) -> None:
    side = 4 * hash_size
    pictures = [photo(seed).convert("L").resize((side, side), Image.Resampling.LANCZOS) for seed in range(40)]
    ours = phash(np.stack([np.asarray(picture) for picture in pictures]), hash_size)
    assert [row.tobytes().hex() for row in ours] == [str(imagehash.phash(picture, hash_size)) for picture in pictures]


@given(arrays(np.uint8, (32, 32)))
@settings(max_examples=60, deadline=None)
def test_bits_equal_imagehash_on_anything(picture: np.ndarray) -> None:
    assert phash(picture[None], 8)[0].tobytes().hex() == str(imagehash.phash(Image.fromarray(picture)))


@given(arrays(np.uint8, (2, 32, 32)))
@settings(max_examples=60, deadline=None)
def test_mirrored_bits_are_those_of_the_mirrored_picture(pictures: np.ndarray) -> None:
    low = hashes_of_files._low_frequencies(pictures, 8)
    assert np.array_equal(hashes_of_files._mirrored_bits(pictures, low, 8), phash(pictures[..., ::-1], 8))


@pytest.mark.parametrize("hash_size", [8, 16])
def test_mirrored_bits_come_from_signs_on_photos(hash_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    side = 4 * hash_size
    pictures = np.stack([np.asarray(photo(seed).convert("L").resize((side, side))) for seed in range(40)])
    wanted = phash(pictures[..., ::-1], hash_size)
    low = hashes_of_files._low_frequencies(pictures, hash_size)
    monkeypatch.setattr(hashes_of_files, "phash", None)  # a second transform is not needed
    assert np.array_equal(hashes_of_files._mirrored_bits(pictures, low, hash_size), wanted)


def test_all_hashes_of_a_file_are_those_of_imagehash(tmp_path: Path) -> None:
    """A file of 64 x 64 is hashed as it is: nothing is scaled beforehand."""
    for seed in range(10):
        file = photo(seed).resize((64, 64))
        result = hashed(file, tmp_path / "a.png")
        picture = file.convert("YCbCr").getchannel(0)
        turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert result.phash64.hex() == str(imagehash.phash(picture))
        assert result.phash256.hex() == str(imagehash.phash(picture, 16))
        assert result.mirror_phash256.hex() == str(imagehash.phash(turned, 16))
        small = picture.resize((32, 32), Image.Resampling.LANCZOS).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        assert result.mirror_phash64.hex() == str(imagehash.phash(small))
        assert result.trim_luma == picture.reduce(4).tobytes()
        assert (result.trim_phash64, result.trim_mirror_phash256) == (result.phash64, result.mirror_phash256)


def test_a_stack_of_files_gives_what_each_file_gives(tmp_path: Path) -> None:
    pictures = [photo(1), smooth(FLAT["black"]), ImageOps.expand(photo(2), 20, "white"), photo(3, 60, 50)]
    paths = [tmp_path / f"{number}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    paths.insert(2, tmp_path / "missing")
    assert hash_files(paths) == [hash_image(path) for path in paths]
    assert hash_files([]) == []


def test_a_bordered_copy_is_trimmed_to_the_picture(tmp_path: Path) -> None:
    for seed in range(5):
        original = hashed(photo(seed, 480, 640), tmp_path / "a.jpg", quality=90)
        bordered = hashed(ImageOps.expand(photo(seed, 480, 640), 24, "white"), tmp_path / "b.jpg", quality=90)
        assert distance(original.phash256, bordered.trim_phash256) <= 16
        assert distance(original.mirror_phash256, bordered.trim_mirror_phash256) <= 16
        assert distance(original.phash256, bordered.phash256) > 40


def test_what_is_kept_of_a_file_is_small(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    ImageOps.expand(photo(1, 1080, 1350), 100, "white").save(path)
    assert len(pickle.dumps(hashes_of_files._read(path))) < 13_000  # whole and without border


def test_the_scaled_decode_stays_close_to_the_full_one(tmp_path: Path) -> None:
    for seed in range(8):
        path = tmp_path / "a.jpg"
        ours = hashed(photo(seed, 1080, 1350), path, quality=85)
        with Image.open(path) as full:
            assert distance(ours.phash64, bytes.fromhex(str(imagehash.phash(full)))) <= 4
            assert distance(ours.phash256, bytes.fromhex(str(imagehash.phash(full, 16)))) <= 8


def test_the_mirrored_hash_is_the_hash_of_the_mirrored_picture(tmp_path: Path) -> None:
    picture = photo(1)
    one = hashed(picture, tmp_path / "a.png")
    other = hashed(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), tmp_path / "b.png")
    assert distance(one.mirror_phash256, other.phash256) <= 4
    assert distance(one.phash256, other.mirror_phash256) <= 4
    assert distance(one.phash256, other.phash256) > 80


def test_a_file_that_is_no_image_is_a_failure_and_no_exception(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<html></html>")
    failure = hash_image(path)
    assert isinstance(failure, HashFailure)
    assert failure.reason == "unreadable_image"


def smooth(gradient: np.ndarray) -> Image.Image:
    return Image.fromarray(np.repeat(gradient.astype(np.uint8)[..., None], 3, axis=2))


FLAT = {
    "black": np.zeros((300, 200)),
    "white": np.full((300, 200), 255.0),
    "gradient down": np.linspace(0, 255, 300)[:, None].repeat(200, 1),
    "gradient across": np.linspace(255, 0, 200)[None].repeat(300, 0),
    "diagonal": np.linspace(0, 127, 300)[:, None] + np.linspace(0, 128, 200)[None],
    "noise": 128 + np.random.default_rng(0).normal(0, 5, (300, 200)),
}


@pytest.mark.parametrize("name", FLAT)
def test_flat_pictures_and_gradients_are_marked(tmp_path: Path, name: str) -> None:
    result = hashed(smooth(FLAT[name]), tmp_path / "a.jpg", quality=70)
    assert result.flat
    assert result.trim_phash256 == result.phash256


def test_photos_are_not_flat_even_when_pale(tmp_path: Path) -> None:
    for seed in range(10):
        assert not hashed(photo(seed), tmp_path / "a.jpg").flat
        pale = Image.fromarray((220 + np.asarray(photo(seed)) * 0.12).astype(np.uint8))
        assert not is_flat(np.asarray(pale.convert("L").resize((64, 64))))


def files(folder: Path, count: int) -> list[tuple[str, Path]]:
    images = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        photo(number, 120, 160).save(path)
        images.append((image_id(number), path))
    return images


def test_progress_is_told_and_the_order_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "_CHUNK", 2)
    images = files(tmp_path, 5)[::-1]
    told: list[tuple[int, int]] = []
    results = hash_images(images, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]
    assert results == [(name, hash_image(path)) for name, path in images]


def test_a_pool_of_processes_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*files(tmp_path, 20), (image_id(99), tmp_path / "missing.jpg"), *files(tmp_path, 10)]
    (tmp_path / "5.jpg").write_bytes((tmp_path / "5.jpg").read_bytes()[:700])
    alone = hash_images(images, processes=1)
    assert [result.reason for _, result in alone if isinstance(result, HashFailure)] == [
        "unreadable_image",
        "missing_file",
        "unreadable_image",
    ]
    monkeypatch.setattr(hashing, "_POOL_FROM", 1)
    monkeypatch.setattr(hashing, "_CHUNK", 4)
    told: list[tuple[int, int]] = []
    assert hash_images(images, processes=2, progress=lambda *done: told.append(done)) == alone
    assert told == [(min(done, 31), 31) for done in range(4, 33, 4)]


class FakePool:
    """Computes at once, and counts the results that nobody has taken yet."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.waiting = self.most = 0
        self.ended = False

    def submit(self, function: Any, paths: Sequence[Path]) -> Future[Any]:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future: Future[Any] = Future()
        future.set_result([HashFailure("missing_file", str(path)) for path in paths])
        return future

    def shutdown(self, *, cancel_futures: bool) -> None:
        self.ended = cancel_futures


def test_only_a_few_chunks_are_handed_out_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = FakePool()
    monkeypatch.setattr(hashing, "ProcessPoolExecutor", lambda *arguments, **options: pool)
    paths = [Path(str(number)) for number in range(10_000)]
    seen: list[str] = []
    for chunk in hashing._hash_all(paths, 2):
        pool.waiting -= 1
        seen += [result.detail for result in chunk if isinstance(result, HashFailure)]
    assert seen == [str(path) for path in paths]
    assert pool.most <= 2 * hashing._AHEAD
    assert pool.ended


def test_an_interrupt_ends_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = FakePool()
    monkeypatch.setattr(hashing, "ProcessPoolExecutor", lambda *arguments, **options: pool)

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hash_images([(image_id(number), Path("none")) for number in range(6_000)], progress=interrupt)
    assert pool.ended


SCRIPT = """
import multiprocessing, sys, time
from pathlib import Path
from crawlers.dedup import hashing

def tell(done, total):
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    hashing._POOL_FROM = 1
    hashing.hash_images([(str(number), Path(sys.argv[1])) for number in range(200)], 2, tell)
"""


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_workers_ignore_an_interrupt_and_end_with_their_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (_, picture), *_ = files(tmp_path, 1)
    environment = {**os.environ, "PYTHONPATH": str(Path(hashing.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(script), str(picture)], env=environment, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(workers) == 2
        for pid in workers:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.3)
        assert all(runs(pid) for pid in workers)
        parent.kill()
    end = time.monotonic() + 20
    while any(runs(pid) for pid in workers) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(runs(pid) for pid in workers)


def test_a_worker_that_dies_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(paths: Sequence[Path]) -> list[ImageHashes]:
        raise BrokenProcessPool

    monkeypatch.setattr(hashing, "hash_files", killed)
    with pytest.raises(CrawlError, match="a hashing process died after 0 of 3 images; free memory"):
        hash_images(files(tmp_path, 3))


def rows(*images: tuple[str, str, str | None, str | None], window: str = "2019-07-01") -> pd.DataFrame:
    frame = pd.DataFrame(images, columns=["image_id", "post_id", "created_at", "author_hmac"])
    return frame.assign(window=window, created_at=pd.to_datetime(frame["created_at"], utc=True))


def test_the_table_has_each_image_once_with_its_earliest_post(tmp_path: Path) -> None:
    paths = dict(files(tmp_path, 2))
    first, second = sorted(paths)
    frame = rows(
        (second, "m:3", None, None),
        (first, "m:9", "2019-07-05", "later"),
        (first, "m:7", "2019-07-03", "earlier"),
        (first, "m:7", "2019-07-03", "earlier"),  # twice in one post
        (first, "m:1", None, "undated"),
        (image_id(50), "m:5", "2019-07-04", "broken"),
    )
    paths[image_id(50)] = tmp_path / "gone"
    table = image_hashes_table(frame, paths.__getitem__)
    assert table.schema.equals(IMAGE_HASHES)
    assert table.column("image_id").to_pylist() == [first, second, image_id(50)]
    assert table.column("post_id").to_pylist() == ["m:7", "m:3", "m:5"]
    assert table.column("author_hmac").to_pylist() == ["earlier", None, "broken"]
    assert table.column("posts").to_pylist() == [3, 1, 1]
    assert table.column("status").to_pylist() == ["ok", "ok", "failed"]
    assert table.column("reason").to_pylist() == [None, None, "missing_file"]
    assert table.column("phash256").to_pylist()[2] is None
    assert table.equals(image_hashes_table(frame[::-1], paths.__getitem__))


def test_a_window_without_images_gives_an_empty_table() -> None:
    table = image_hashes_table(rows(), Path)
    assert table.schema.equals(IMAGE_HASHES)
    assert table.num_rows == 0


def test_wrong_rows_are_refused(tmp_path: Path) -> None:
    frame = pd.concat([rows(("a", "p", None, None)), rows(("b", "p", None, None), window="2019-07-08")])
    with pytest.raises(CrawlError, match="one window at a time"):
        image_hashes_table(frame, Path)
    with pytest.raises(CrawlError, match=r"lack the column.*created_at, author_hmac"):
        image_hashes_table(frame[["image_id", "window", "post_id"]], Path)


def window_of(paths: dict[str, Path], window: str = "2019-07-01") -> pd.DataFrame:
    return rows(*((name, f"m:{name[-3:]}", "2019-07-04", None) for name in paths), window=window)


def test_known_hashes_are_taken_and_only_new_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = dict(files(tmp_path, 4))
    names = sorted(paths)
    paths[names[1]].rename(tmp_path / "away")
    earlier = image_hashes_table(window_of({name: paths[name] for name in names[:2]}), paths.__getitem__).to_pandas()
    assert earlier["status"].tolist() == ["ok", "failed"]
    (tmp_path / "away").rename(paths[names[1]])
    fresh = image_hashes_table(window_of(paths, "2019-07-08"), paths.__getitem__)
    read: list[Path] = []
    monkeypatch.setattr(hashing, "hash_files", lambda chunk: read.extend(chunk) or hash_files(chunk))
    told: list[tuple[int, int]] = []
    again = image_hashes_table(
        window_of(paths, "2019-07-08"), paths.__getitem__, 2, lambda *done: told.append(done), earlier
    )
    assert again.equals(fresh)
    assert read == [paths[name] for name in names[1:]]
    assert told == [(1, 4), (4, 4)]
    assert image_hashes_table(window_of(paths, "2019-07-08"), paths.__getitem__, known=again.to_pandas()).equals(fresh)
    assert len(read) == 3


@pytest.mark.parametrize(
    "change",
    [
        {"version": "0"},
        {"algorithm": "other"},
        {"status": "failed", "reason": "unreadable_image"},
        {"image_id": image_id(77)},
        None,
    ],
    ids=["other version", "other algorithm", "failed", "other image", "without a column"],
)
def test_hashes_of_another_kind_are_not_taken(tmp_path: Path, change: dict[str, str] | None) -> None:
    paths = dict(files(tmp_path, 1))
    fresh = image_hashes_table(window_of(paths), paths.__getitem__)
    known = fresh.to_pandas().assign(width=7)
    assert known["version"].tolist() == [HASH_VERSION]
    known = known.drop(columns="chroma") if change is None else known.assign(**change)
    assert image_hashes_table(window_of(paths), paths.__getitem__, known=known).equals(fresh)


def test_a_known_image_needs_no_file(tmp_path: Path) -> None:
    paths = dict(files(tmp_path, 3))
    fresh = image_hashes_table(window_of(paths), paths.__getitem__)
    for path in paths.values():
        path.unlink()
    assert image_hashes_table(window_of(paths), paths.__getitem__, known=fresh.to_pandas()).equals(fresh)
    assert (
        image_hashes_table(window_of(paths), paths.__getitem__, known=fresh.to_pandas()[:0])
        .column("reason")
        .to_pylist()
        == ["missing_file"] * 3
    )
