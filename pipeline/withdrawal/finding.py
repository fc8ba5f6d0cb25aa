"""From tombstones to what they stand for: posts, pictures, their near-duplicates, and the names that they go by."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crawlers.dedup.pairs import DUPLICATE
from crawlers.dedup.phash import ImageHashes, hash_files
from crawlers.withdrawals import Withdrawn, Words, distances, words
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal.columns import Holds, columns_holding, holds
from pipeline.withdrawal.kept import KeptTable, kept_tables
from pipeline.withdrawal.tombstones import Look

VARIANTS = ("phash256", "trim_phash256", "mirror_phash256", "trim_mirror_phash256")
_STEP = 1_024  # hashes compared with all looks at a time: what is in between stays in the processor's cache
_ROWS = 65_536  # of a table whose ids are looked at together
IdKind = Literal["post", "author", "image"]
_IDS: Mapping[Holds, IdKind] = {
    Holds.POST: "post",
    Holds.AUTHOR: "author",
    Holds.IMAGE: "image",
    Holds.IMAGES: "image",
    Holds.GROUP: "image",
}


@dataclass
class Found:
    """What tombstones stand for, as far as it is still kept.

    Args:
        originals: pictures that were asked for.
        near: near-duplicates of those.
        looks: perceptual hashes by image_id, of the originals and of what is known to be a duplicate of one.
    """

    posts: set[str] = field(default_factory=set)
    authors: set[str] = field(default_factory=set)
    originals: set[str] = field(default_factory=set)
    near: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    tasks: set[str] = field(default_factory=set)
    looks: dict[str, Look] = field(default_factory=dict)

    @property
    def images(self) -> set[str]:
        """All pictures that must leave."""
        return self.originals | self.near


def find(settings: Settings, storage: Storage, withdrawn: Withdrawn) -> Found:
    """Look through all tables, and the stored pictures, for what was withdrawn."""
    tables = list(kept_tables(storage))
    found = Found()
    for table in tables:
        _add_named(storage, table, withdrawn, found)
    found.originals |= withdrawn.among("image", stored_images(storage))
    _follow_posts(storage, tables, found)
    hashes = _Hashes.read(settings, storage, tables)
    _add_lookalikes(storage, found, hashes, withdrawn)
    _add_names(storage, tables, found)
    return found


def _add_named(storage: Storage, table: KeptTable, withdrawn: Withdrawn, found: Found) -> None:
    """Add the posts, authors and pictures of a table for which there is a tombstone."""
    columns = columns_holding(table.name, *_IDS)
    into = {"post": found.posts, "author": found.authors, "image": found.originals}
    for kind, ids in ids_in(table.name, table.read(storage, columns)) if columns else ():
        into[kind] |= withdrawn.among(kind, ids)


def ids_in(name: str, rows: pa.Table) -> Iterator[tuple[IdKind, list[str]]]:
    """Yield the ids of a table, some rows at a time so that never all of them are Python objects.

    Each has its kind; an id in several columns of these rows comes once.
    """
    for batch in rows.to_batches(max_chunksize=_ROWS):
        parts: dict[IdKind, list[pa.Array]] = {}
        for column in batch.schema.names:
            kind = _IDS.get(holds(name, column))
            if kind is not None:
                values = batch.column(column)
                parts.setdefault(kind, []).append(pc.list_flatten(values) if pa.types.is_list(values.type) else values)
        for kind, arrays in parts.items():
            yield kind, pc.unique(pa.chunked_array(arrays)).drop_null().to_pylist()


def distinct(column: pa.ChunkedArray) -> Iterator[str]:
    """Yield the values of a column of text, or of lists of it, each once."""
    flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    yield from (value for value in pc.unique(flat).to_pylist() if value is not None)


def stored_images(storage: Storage) -> Iterator[str]:
    """Yield the ids of all pictures whose bytes are stored, here and in the copies of a remote location."""
    yield from (key.rpartition("/")[2] for key in storage.files("images"))
    if not storage.is_local:
        yield from (path.name for path in (storage.scratch / "images").glob("??/*"))


def _follow_posts(storage: Storage, tables: Iterable[KeptTable], found: Found) -> None:
    """Add the posts of withdrawn authors, and the pictures of all withdrawn posts."""
    tables = list(tables)
    for table in _with_columns(tables, "post_id", "author_hmac"):
        rows = table.read(storage, ["post_id", "author_hmac"])
        found.posts |= set(_where(rows, "author_hmac", found.authors).column("post_id").to_pylist())
    for table in tables:
        images = columns_holding(table.name, Holds.IMAGE, Holds.IMAGES)
        if not images or not columns_holding(table.name, Holds.POST):
            continue
        # of a cluster's row, the post is that of the image itself
        images = [name for name in images if name not in ("canonical_id", "best_image_id")]
        rows = _where(table.read(storage, ["post_id", *images]), "post_id", found.posts)
        for name in images:
            found.originals |= set(distinct(rows.column(name)))


def _add_lookalikes(storage: Storage, found: Found, hashes: "_Hashes", withdrawn: Withdrawn) -> None:
    """Add near-duplicates: by the rule's distance, and those that the table of pairs calls duplicates.

    Of the latter the hashes count, too: a crop, say, is known by its structure alone, and its copies look like it.
    """
    paired: set[str] = set()
    if storage.has_table("similar_pairs"):
        pairs = storage.read_table("similar_pairs", columns=["image_a", "image_b", "band"])
        pairs = pairs.filter(pc.equal(pairs.column("band"), DUPLICATE))
        for name, partner in (("image_a", "image_b"), ("image_b", "image_a")):
            paired |= set(_where(pairs, name, found.originals).column(partner).to_pylist())
    found.looks = hashes.looks(found.originals | paired)
    wanted = [look for one in found.looks.values() for look in (one.plain, one.trim)]
    looks = np.unique(np.concatenate([withdrawn.looks, words(wanted)]), axis=0)
    found.near = (hashes.near(looks, withdrawn.bits) | paired) - found.originals


def _add_names(storage: Storage, tables: Iterable[KeptTable], found: Found) -> None:
    """Add addresses of the posts and pictures, what label files may call them, and their tasks' numbers."""
    images = found.images
    for table in tables:
        if table.name == "posts":
            rows = _where(table.read(storage, ["post_id", "url"]), "post_id", found.posts)
            found.names |= {url for url in rows.column("url").to_pylist() if url}
        elif table.name == "images":
            rows = table.read(storage, ["post_id", "image_id", "url"])
            for column, values in (("image_id", images), ("post_id", found.posts)):
                found.names |= {url for url in _where(rows, column, values).column("url").to_pylist() if url}
        elif "task_id" in columns_holding(table.name, Holds.TASK) and "image_id" in columns_holding(
            table.name, Holds.IMAGE
        ):
            rows = _where(table.read(storage, ["task_id", "image_id"]), "image_id", images)
            found.tasks |= {str(task) for task in rows.column("task_id").to_pylist() if task is not None}


def _with_columns(tables: Iterable[KeptTable], *columns: str) -> Iterator[KeptTable]:
    for table in tables:
        if set(columns) <= set(columns_holding(table.name, *Holds)):
            yield table


def _where(table: pa.Table, column: str, values: Collection[str]) -> pa.Table:
    """Return the rows whose column has one of the values."""
    return table.filter(pc.is_in(table.column(column), pa.array(sorted(values), pa.string())))


@dataclass(frozen=True)
class _Hashes:
    """Perceptual hashes of all pictures that have any; flat ones, whose hashes mean nothing, are left out."""

    ids: pa.ChunkedArray  # (N,) of text
    bits: Mapping[str, Words]  # by variant: (N, 4)

    @classmethod
    def read(cls, settings: Settings, storage: Storage, tables: Iterable[KeptTable]) -> "_Hashes":
        """Read the tables of hashes; pictures that were crawled and not hashed yet are hashed now."""
        known: list[pa.Table] = []
        listed: list[pa.ChunkedArray] = []
        crawled: list[pa.ChunkedArray] = []
        for table in tables:
            if table.name == "images":
                crawled.append(table.read(storage, ["image_id"]).column("image_id"))
            if table.name == "image_hashes":
                rows = table.read(storage, ["image_id", "status", "flat", *VARIANTS])
                listed.append(rows.column("image_id"))
                if set(VARIANTS) <= set(rows.column_names):
                    good = pc.and_(pc.equal(rows.column("status"), "ok"), pc.invert(rows.column("flat")))
                    known.append(rows.filter(good).select(["image_id", *VARIANTS]))
        every = _joined(crawled)
        known.append(_hashed_now(storage, sorted(distinct(every.filter(pc.invert(pc.is_in(every, _joined(listed))))))))
        joined = pa.concat_tables([part.cast(_HASHES) for part in known])
        return cls(joined.column("image_id"), {name: _words_of(joined.column(name)) for name in VARIANTS})

    def looks(self, images: Collection[str]) -> dict[str, Look]:
        """Return the hashes of these pictures, by image_id; a picture of several windows has one."""
        rows = np.flatnonzero(pc.is_in(self.ids, pa.array(sorted(images), pa.string())).to_numpy())
        plain, trim = self.bits["phash256"], self.bits["trim_phash256"]
        return {self.ids[row].as_py(): Look(plain[row].tobytes(), trim[row].tobytes()) for row in rows}

    def near(self, looks: Words, bits: int) -> set[str]:
        """Return the pictures of which a variant is at most so many bits from one of the looks."""
        close = np.zeros(len(self.ids), bool)
        for variant in VARIANTS:
            for start in range(0, len(close), _STEP):
                part = self.bits[variant][start : start + _STEP]
                for block in range(0, len(looks), 64):
                    close[start : start + _STEP] |= (distances(part, looks[block : block + 64]) <= bits).any(axis=1)
        return set(self.ids.filter(pa.array(close)).to_pylist())


_HASHES = pa.schema([pa.field("image_id", pa.string()), *(pa.field(name, pa.binary(32)) for name in VARIANTS)])


def _joined(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())


def _words_of(column: pa.ChunkedArray) -> Words:
    """Return the hashes of a column without nulls, ``(N, 4) uint64``, with no Python object for each."""
    return np.concatenate([words([]), *(_words_of_chunk(chunk) for chunk in column.chunks if len(chunk))])


def _words_of_chunk(chunk: pa.FixedSizeBinaryArray) -> Words:
    content: npt.NDArray[np.uint64] = np.frombuffer(chunk.buffers()[1], np.uint64)
    return content.reshape(-1, 4)[chunk.offset : chunk.offset + len(chunk)]


def _hashed_now(storage: Storage, images: list[str]) -> pa.Table:
    rows = []
    for image_id in images:
        if not storage.exists(storage.image_key(image_id)):
            continue
        (hashes,) = hash_files([storage.image_path(image_id)])
        if isinstance(hashes, ImageHashes) and not hashes.flat:
            rows.append({"image_id": image_id, **{name: getattr(hashes, name) for name in VARIANTS}})
    return pa.Table.from_pylist(rows, schema=_HASHES)
