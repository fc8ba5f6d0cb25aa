"""A collection with authors and reposts, and finding whatever is left of one in all files, byte by byte."""

import csv
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.storage import Storage
from tests.pipeline.small_case import SETTINGS, write_csv

PEOPLE = 12
REPOSTS = {"100.jpg": 1, "101.jpg": 13}  # somebody else posts pictures of person1: the same bytes, and recompressed
SHOWN = 47  # characters of an id that a preview shows
SHORTEST = 12  # characters of an address; fewer may stand by chance in what is compressed
SAMPLE = 64  # bytes from the middle of a picture


@dataclass(frozen=True)
class Traces:
    """What one author leaves behind: ids as text and as bytes, pieces of pictures, addresses."""

    author: str
    posts: frozenset[str]
    images: frozenset[str]
    needles: tuple[bytes, ...]

    @classmethod
    def of(cls, storage: Storage, author: str, windows: list[str]) -> "Traces":
        """Collect them, while they are still there."""
        posts = storage.read_windows("posts", windows).to_pylist()
        theirs = {row["post_id"] for row in posts if row["author_hmac"] == author}
        rows = [row for row in storage.read_windows("images", windows).to_pylist() if row["post_id"] in theirs]
        images = {row["image_id"] for row in rows if row["image_id"]}
        needles = [author.encode(), bytes.fromhex(author), *(post.encode() for post in theirs)]
        needles += [row["url"].encode() for row in rows if len(row["url"]) > SHORTEST]
        for image in images:
            content = storage.read_bytes(storage.image_key(image))
            middle = len(content) // 2
            needles += [image.encode(), image[:SHOWN].encode(), bytes.fromhex(image), content[middle : middle + SAMPLE]]
        return cls(author, frozenset(theirs), frozenset(images), tuple(needles))

    def left(self, folder: Path) -> dict[str, list[bytes]]:
        """Return what is found, by file: in its name, its bytes, and decompressed where it is a table."""
        found: dict[str, list[bytes]] = {}
        for root, _, names in os.walk(folder):
            for name in names:
                path = Path(root) / name
                content = str(path).encode() + b"\0" + path.read_bytes()
                if path.suffix == ".parquet":
                    content += b"\0".join(_values(pq.read_table(path)))
                if here := [needle for needle in self.needles if needle in content]:
                    found[str(path.relative_to(folder))] = here
        return found


def one_model(location: str = "data") -> str:
    """Settings of the small case with one label set, one architecture and nothing that takes long."""
    text = SETTINGS.replace('architectures = ["basic_cnn", "ml_gcn"]', 'architectures = ["basic_cnn"]')
    text = text.replace("run = true", "run = false").replace('location = "data"', f'location = "{location}"')
    return text[: text.index("[label_sets.pair]")] + text[text.index("[tau_sweep]") :]


def with_authors(folder: Path) -> None:
    """Give the posts of a small case authors, and let person5 repost two pictures of person1."""
    with (folder / "posts.csv").open(newline="") as file:
        rows = [[row["image"], row["created_at"], f"person{n % PEOPLE}"] for n, row in enumerate(csv.DictReader(file))]
    photos = folder / "photos"
    shutil.copyfile(photos / "001.jpg", photos / "100.jpg")
    with Image.open(photos / "013.jpg") as picture:
        picture.save(photos / "101.jpg", quality=70)
    rows += [[name, "2019-07-14T12:00:00Z", "person5"] for name in REPOSTS]
    write_csv(folder / "posts.csv", ["image", "created_at", "author"], rows)


def author_of(storage: Storage, post: str, windows: list[str]) -> str:
    """The keyed hash of a post's author."""
    rows = storage.read_windows("posts", windows).to_pylist()
    return next(str(row["author_hmac"]) for row in rows if row["post_id"] == post)


def _values(table: pa.Table) -> Iterator[bytes]:
    for name in table.column_names:
        column = table.column(name)
        while pa.types.is_list(column.type):
            column = pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)
        for value in column.to_pylist():
            if isinstance(value, str | bytes):
                yield value.encode() if isinstance(value, str) else value
