"""What was withdrawn stays out of a crawl: by post, author, bytes and looks, under the right key only."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from crawlers.dedup.phash import ImageHashes, hash_image
from crawlers.errors import CrawlError
from crawlers.identity import author_hmac
from crawlers.jobs import CrawlJob
from crawlers.run import crawl
from crawlers.sources import ArchiveSource
from crawlers.tables import WITHDRAWALS
from crawlers.windows import CrawlWindow
from crawlers.withdrawals import Withdrawn, distances, keyed_hash, masked, new_tombstone_id, require_key, words

KEY = b"k" * 32
ENVIRONMENT = {"STYLEGRAPH_HMAC_KEY": KEY.hex()}
WINDOW = CrawlWindow(key="2019-07-01", start=datetime(2019, 7, 1, tzinfo=UTC), end=datetime(2019, 7, 8, tzinfo=UTC))


def drawn(number: int) -> Image.Image:
    """A picture that looks like no other number's."""
    colours = np.random.default_rng(number).integers(0, 256, (10, 8, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((160, 200), Image.Resampling.BICUBIC)


def tombstone(
    kind: str, value: str | None = None, look: ImageHashes | None = None, key: bytes = KEY
) -> dict[str, object]:
    name = new_tombstone_id(key)
    return {
        "tombstone_id": name,
        "kind": kind,
        "keyed_hash": None if value is None else keyed_hash(key, kind, value),
        "masked_phash256": look and masked(key, name, look.phash256, "plain"),
        "masked_trim_phash256": look and masked(key, name, look.trim_phash256, "trim"),
        "request": "r",
        "reason": "asked",
        "requested_at": datetime(2019, 8, 1, tzinfo=UTC),
        "done_at": None,
    }


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Four posts by two people: a picture each."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with (folder / "posts.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image", "created_at", "author"])
        for number, author in enumerate(["ann", "ann", "bob", "bob"]):
            drawn(number).save(folder / f"{number}.png")
            rows.writerow([f"{number}.png", f"2019-07-0{number + 1}T00:00:00Z", author])
    return folder


def crawled(archive: Path, rows: list[dict[str, object]]) -> tuple[dict[str, dict[str, object]], set[str], Path]:
    """Crawl the archive under tombstones; return image rows by post, the posts, and the folder of the tables."""
    out = archive.parent / f"out-{len(list(archive.parent.iterdir()))}"
    out.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=WITHDRAWALS), out / "withdrawals.parquet")
    source = ArchiveSource(name="old", folder=archive, posts=archive / "posts.csv")
    job = CrawlJob(
        window=WINDOW,
        sources=(source,),
        out=out,
        images=out / "images",
        state=out / "state",
        withdrawals=out / "withdrawals.parquet",
    )
    crawl(job, ENVIRONMENT)
    images = {row["post_id"]: row for row in pq.read_table(out / "images.parquet").to_pylist()}
    return images, set(pq.read_table(out / "posts.parquet").column("post_id").to_pylist()), out


def counts(out: Path) -> dict[tuple[str, str], int]:
    return {(row["what"], row["outcome"]): row["count"] for row in pq.read_table(out / "counts.parquet").to_pylist()}


def test_a_withdrawn_post_is_counted_and_nothing_else(archive: Path) -> None:
    images, posts, out = crawled(archive, [tombstone("post", "archive:old:1.png")])
    assert posts == {f"archive:old:{number}.png" for number in (0, 2, 3)} == set(images)
    assert counts(out)["post", "withdrawn"] == 1
    assert len(list((out / "images").glob("??/*"))) == 3


def test_all_posts_of_a_withdrawn_author_stay_out(archive: Path) -> None:
    _, posts, out = crawled(archive, [tombstone("author", author_hmac("ann", "archive:old", KEY))])
    assert posts == {"archive:old:2.png", "archive:old:3.png"}
    assert counts(out)["post", "withdrawn"] == 2


def test_the_very_bytes_are_never_stored_whoever_posts_them(archive: Path) -> None:
    image_id = crawled(archive, [])[0]["archive:old:0.png"]["image_id"]
    images, posts, out = crawled(archive, [tombstone("image", str(image_id))])
    assert len(posts) == 4
    row = images["archive:old:0.png"]
    assert (row["status"], row["reason"], row["image_id"], row["url"]) == ("failed", "withdrawn", None, "")
    assert not list((out / "images").glob(f"??/{image_id}"))


@pytest.mark.parametrize("how", ["recompressed", "mirrored", "bordered", "smaller"])
def test_a_copy_that_looks_the_same_is_never_stored(archive: Path, how: str) -> None:
    hashes = hash_image(archive / "0.png")
    assert isinstance(hashes, ImageHashes)
    picture = drawn(0)
    match how:
        case "mirrored":
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        case "bordered":
            framed = Image.new("RGB", (220, 260), "white")
            framed.paste(picture, (30, 30))
            picture = framed
        case "smaller":
            picture = picture.resize((120, 150))
    with io.BytesIO() as file:
        picture.save(file, "PNG" if how == "bordered" else "JPEG", quality=60)
        (archive / "0.png").write_bytes(file.getvalue())
    images, _, out = crawled(archive, [tombstone("look", look=hashes)])
    assert {post: row["reason"] for post, row in images.items() if row["reason"]} == {"archive:old:0.png": "withdrawn"}
    assert len(list((out / "images").glob("??/*"))) == 3
    assert not list((out / "images").rglob("look-*"))


def test_an_uniform_picture_looks_like_no_withdrawn_one(archive: Path) -> None:
    hashes = hash_image(archive / "0.png")
    assert isinstance(hashes, ImageHashes)
    Image.new("RGB", (160, 200), "grey").save(archive / "1.png")
    images, _, _ = crawled(archive, [tombstone("look", look=hashes)])
    assert images["archive:old:1.png"]["status"] == "ok"


def test_another_key_is_an_error_and_no_way_around(archive: Path) -> None:
    with pytest.raises(CrawlError, match="is not the key that the withdrawals were made with"):
        crawled(archive, [tombstone("post", "archive:old:1.png", key=b"other key of 32 bytes, or so.....")])


def test_without_a_key_nothing_is_crawled(archive: Path) -> None:
    out = archive.parent / "out"
    out.mkdir()
    table = pa.Table.from_pylist([tombstone("post", "archive:old:1.png")], schema=WITHDRAWALS)
    pq.write_table(table, out / "withdrawals.parquet")
    source = ArchiveSource(name="old", folder=archive, posts=archive / "posts.csv")
    job = CrawlJob(
        window=WINDOW, sources=(source,), out=out, images=out / "images", withdrawals=out / "withdrawals.parquet"
    )
    with pytest.raises(CrawlError, match="STYLEGRAPH_HMAC_KEY is not set"):
        crawl(job, {})


def test_a_look_cannot_be_read_back_and_keeps_its_distances() -> None:
    rng = np.random.default_rng(0)
    look, other = rng.bytes(32), rng.bytes(32)
    name = new_tombstone_id(KEY)
    hidden = masked(KEY, name, look, "plain")
    assert hidden != look
    assert masked(KEY, name, hidden, "plain") == look
    assert masked(b"x" * 32, name, hidden, "plain") != look
    expected = sum((one ^ two).bit_count() for one, two in zip(look, other, strict=True))
    assert distances(words([look]), words([other])).tolist() == [[expected]]


def test_values_of_one_kind_are_not_those_of_another() -> None:
    withdrawn = Withdrawn(KEY, {"post": frozenset({keyed_hash(KEY, "post", "a")})})
    assert withdrawn.has("post", "a")
    assert not withdrawn.has("image", "a")
    assert withdrawn.among("post", ["a", "b", None]) == {"a"}


def test_tombstones_of_one_key_pass_and_those_of_another_do_not() -> None:
    require_key([new_tombstone_id(KEY) for _ in range(5)], KEY)
    with pytest.raises(CrawlError, match="is not the key"):
        require_key([new_tombstone_id(KEY), new_tombstone_id(b"y" * 32)], KEY)
