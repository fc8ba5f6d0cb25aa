"""Rows of ``IMAGE_HASHES`` as arrays, as the index of pairs keeps them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crawlers.errors import CrawlError

VARIANTS = ("", "trim_", "mirror_", "trim_mirror_")  # a variant is trimmed 1, mirrored 2 or both 3: its place here
TRIMMED, MIRRORED = 1, 2
COLUMNS = (
    "image_id",
    "status",
    *(f"{variant}phash{bits}" for bits in (64, 256) for variant in VARIANTS),
    "chroma",
    "trim_chroma",
    "trim_luma",
    "flat",
    "algorithm",
    "version",
)  # of IMAGE_HASHES, those that are read

FLAT = 1  # flags: the picture is flat;
BORDERED, MIRROR_BORDERED = 2, 4  # trimming changes the 256-bit hash of the picture, and of the mirrored one
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd

Uint8 = npt.NDArray[np.uint8]
Table: TypeAlias = pa.Table | pa.RecordBatch


@dataclass(frozen=True)
class Images:
    """N images."""

    ids: Uint8  # (N, 32) sha256
    bits64: npt.NDArray[np.uint64]  # (N, 4) by variant
    bits256: npt.NDArray[np.uint64]  # (N, 4, 4) by variant: four words
    chroma: Uint8  # (N, 2, 2, 8, 8) plain and trimmed: Cb, Cr
    luma: Uint8  # (N, 16, 16) grey, trimmed
    flags: Uint8  # (N,)

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: npt.NDArray[np.integer[Any]]) -> Self:
        """Return some of them."""
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def of(cls, table: Table, version: str) -> "Images":
        """Read the images with status ok, each once.

        Raises:
            CrawlError: if a column is missing, the hashes are of another version, or an ``image_id`` is no sha256.
        """
        if missing := [name for name in COLUMNS if name not in table.schema.names]:
            raise CrawlError(f"image hashes lack the column(s) {', '.join(missing)}")
        table = table.filter(pc.equal(table["status"], "ok"))
        versions = pc.unique(pc.binary_join_element_wise(table["algorithm"], table["version"], " ")).to_pylist()
        if other := sorted(set(versions) - {version}):
            raise CrawlError(f"image hashes are of version {other[0]}, the index is of {version}; hash them again")
        bits64 = [_binary(table, f"{variant}phash64", 8).view("<u8")[:, 0] for variant in VARIANTS]
        bits256 = [_binary(table, f"{variant}phash256", 32).view("<u8") for variant in VARIANTS]
        chroma = [_binary(table, name, 128).reshape(-1, 2, 8, 8) for name in ("chroma", "trim_chroma")]
        flags = np.asarray(table["flat"].to_pylist(), np.bool_) * np.uint8(FLAT)
        for flag, (plain, trimmed) in ((BORDERED, bits256[:2]), (MIRROR_BORDERED, bits256[2:])):
            flags |= (plain != trimmed).any(axis=1) * np.uint8(flag)
        images = cls(
            parse_ids(table["image_id"].to_pylist()),
            np.stack(bits64, axis=1),
            np.stack(bits256, axis=1),
            np.stack(chroma, axis=1),
            _binary(table, "trim_luma", 256).reshape(-1, 16, 16),
            flags,
        )
        _, first = np.unique(images.ids.reshape(-1, 32).view("S32")[:, 0], return_index=True)
        return images.take(np.sort(first))


@dataclass(frozen=True)
class Codes:
    """64-bit hashes to compare, C of them, with their image and variant."""

    bits: npt.NDArray[np.uint64]  # (C,)
    row: npt.NDArray[np.int64]  # (C,)
    variant: Uint8  # (C,)

    def __add__(self, other: "Codes") -> "Codes":
        return Codes(*(np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)))


def codes(bits64: npt.NDArray[np.uint64], flags: Uint8, first: int, mirrored: bool) -> Codes:
    """List what is compared of images ``first, first + 1, ...``, straight or mirrored: plain, and trimmed if bordered.

    Args:
        bits64: ``(N, 4)`` by variant.
        flags: ``(N,)``; flat images are left out.
        first: row of the first image.
        mirrored: mirrored pictures.
    """
    variant = MIRRORED if mirrored else 0
    seen = (flags & FLAT) == 0
    plain = np.flatnonzero(seen)
    bordered = np.flatnonzero(seen & ((flags & (MIRROR_BORDERED if mirrored else BORDERED)) > 0))
    return Codes(
        np.concatenate([bits64[plain, variant], bits64[bordered, variant | TRIMMED]]),
        np.concatenate([plain, bordered]) + first,
        np.repeat(np.array([variant, variant | TRIMMED], np.uint8), [len(plain), len(bordered)]),
    )


def batches(tables: Iterable[Table], size: int) -> Iterator[pa.Table]:
    """Cut and join tables into tables of ``size`` rows; the last one may have fewer."""
    waiting: list[pa.Table] = []
    for table in tables:
        rest = pa.Table.from_batches([table]) if isinstance(table, pa.RecordBatch) else table
        while sum(part.num_rows for part in waiting) + rest.num_rows >= size:
            room = size - sum(part.num_rows for part in waiting)
            yield pa.concat_tables([*waiting, rest.slice(0, room)])
            waiting, rest = [], rest.slice(room)
        if rest.num_rows:
            waiting.append(rest)
    if waiting:
        yield pa.concat_tables(waiting)


def parse_ids(ids: Sequence[str]) -> Uint8:
    """Turn sha256 in hex into ``(N, 32) uint8``.

    Raises:
        CrawlError: if one is not 64 hex digits.
    """
    try:
        values = np.frombuffer(bytes.fromhex("".join(ids)), np.uint8)
        if all(len(image_id) == 64 for image_id in ids):
            return values.reshape(-1, 32)
    except (TypeError, ValueError):
        pass
    raise CrawlError("image ids must be sha256 in 64 hex digits")


def mix(ids: Uint8) -> npt.NDArray[np.uint64]:
    """Make one word of each ``(N, 32)`` id, ``(N,)``; two ids may share it, which is very rare."""
    words = np.ascontiguousarray(ids).view("<u8")
    mixed: npt.NDArray[np.uint64] = ((words[:, 0] * _MIX + words[:, 1]) * _MIX + words[:, 2]) * _MIX + words[:, 3]
    return mixed


def _binary(table: pa.Table, name: str, width: int) -> Uint8:
    """Return a column of ``width`` bytes a row as ``(N, width) uint8``."""
    try:
        column = table[name].cast(pa.binary(width))
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    except pa.ArrowInvalid:
        column = None
    if column is None or column.null_count:
        raise CrawlError(f"column {name} of the image hashes must have {width} bytes in each row")
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    data = np.frombuffer(column.buffers()[1] or b"", np.uint8, len(column) * width, column.offset * width)
    return data.reshape(-1, width)
