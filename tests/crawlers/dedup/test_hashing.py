from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import pytest
from dedup_pictures import image_id, photo
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image

from crawlers.dedup import hashing
from crawlers.dedup.hashing import HashFailure, ImageHashes, hash_image, hash_images, image_hashes_table, is_flat, phash
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


def test_progress_is_told_and_the_order_is_kept(tmp_path: Path) -> None:
    images = files(tmp_path, 5)[::-1]
    told: list[tuple[int, int]] = []
    results = hash_images(images, progress=lambda done, total: told.append((done, total)))
    assert told == [(number, 5) for number in range(1, 6)]
    assert results == [(name, hash_image(path)) for name, path in images]


def test_a_pool_of_processes_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*files(tmp_path, 20), (image_id(99), tmp_path / "missing.jpg")]
    alone = hash_images(images, processes=1)
    monkeypatch.setattr(hashing, "_POOL_FROM", 1)
    assert hash_images(images, processes=2) == alone


def test_a_worker_that_dies_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(path: Path) -> ImageHashes:
        raise BrokenProcessPool

    monkeypatch.setattr(hashing, "hash_image", killed)
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
