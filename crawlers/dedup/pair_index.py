"""Candidate pairs among the images of all windows, kept on disk and extended window by window.

A folder holds flat files that only grow, and a manifest that alone says how much of them counts. A batch of images is
compared with everything before it, its images and pairs are appended, and then the manifest is replaced: after a crash
at any moment the index opens at the last complete batch, and what lies behind it is cut off by the next one.
"""

import fcntl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from crawlers.dedup.candidates import RECORD, Candidates
from crawlers.dedup.flat_files import FlatFile
from crawlers.dedup.index_images import (
    MIRRORED,
    TRIMMED,
    VARIANTS,
    Codes,
    Images,
    Table,
    Uint8,
    batches,
    codes,
    mix,
    parse_ids,
)
from crawlers.dedup.search import near_pair_pieces
from crawlers.errors import CrawlError
from crawlers.storage import remove_leftovers, write_bytes

BATCH = 100_000  # images added at a time: what a crash can cost
PART = 500_000  # images that a batch is compared with at a time
PIECE = 1 << 20  # pairs read at a time

Progress = Callable[[int, int], None]
Int64 = npt.NDArray[np.int64]


class _Manifest(BaseModel):
    """What counts in the files, and what it was computed with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    hashes: str
    radius: int
    keep_bits: int
    images: int = Field(default=0, ge=0)
    pairs: int = Field(default=0, ge=0)

    def same_kind(self, other: "_Manifest") -> bool:
        return self.model_copy(update={"images": other.images, "pairs": other.pairs}) == other


class PairIndex:
    """Images by id, their hashes, and every pair of them that may be near-duplicates.

    Two images are candidates in two of their variants, one of them straight, whose 64-bit hashes are at most
    ``radius`` bits apart and whose 256-bit hashes at most ``keep_bits``. A variant without border counts only where
    removing the border changes the 256-bit hash. Flat images are stored, and are in no pair. The set of pairs does not
    depend on the order in which images are added.

    Args:
        folder: where the files are; made when something is added.
        version: of the hashes, "algorithm version" as in ``IMAGE_HASHES``.
        radius: bits of 64.
        keep_bits: bits of 256 beyond which a pair is not kept; 256 keeps all.
        threads: threads that compare hashes.

    An index of another version, radius or ``keep_bits`` that lies in the folder counts as empty, and is replaced when
    something is added. Memory: 16 bytes an image, and while adding about 250 MB.

    Raises:
        CrawlError: if the files in the folder are damaged.
    """

    def __init__(self, folder: Path, version: str, radius: int, keep_bits: int = 256, threads: int = 2) -> None:
        self._folder, self._threads = folder, threads
        self._manifest_path = folder / "manifest.json"
        self._ids = FlatFile(folder / "ids.bin", np.dtype("u1"), (32,))
        self._bits64 = FlatFile(folder / "bits64.bin", np.dtype("<u8"), (4,))  # by variant
        self._bits256 = FlatFile(folder / "bits256.bin", np.dtype("<u8"), (4, 4))  # by variant: four words
        self._chroma = FlatFile(folder / "chroma.bin", np.dtype("u1"), (2, 2, 8, 8))  # plain, trimmed: Cb, Cr
        self._luma = FlatFile(folder / "luma.bin", np.dtype("u1"), (16, 16))  # grey, without border
        self._flags = FlatFile(folder / "flags.bin", np.dtype("u1"), ())
        self._pairs = FlatFile(folder / "pairs.bin", RECORD, ())
        self._manifest = _Manifest(hashes=version, radius=radius, keep_bits=keep_bits)
        self._on_disk = self._read_manifest()
        if self._on_disk is not None and self._on_disk.same_kind(self._manifest):
            self._manifest = self._on_disk
            self._check_sizes()
        keys = np.concatenate([np.empty(0, np.uint64), *(mix(ids) for ids in self._ids.parts(len(self), PART))])
        self._order: Int64 = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]

    def __len__(self) -> int:
        """Images, flat ones too."""
        return self._manifest.images

    def add(self, hashes: pa.Table | Iterable[Table], progress: Progress | None = None) -> int:
        """Add the images that are not known yet, and find their pairs with all others; returns how many were new.

        Args:
            hashes: rows of ``IMAGE_HASHES``, also in parts; ``index_images.COLUMNS`` of them are read. Rows with a
                status other than ok are passed over.
            progress: called with (images done, images in all as far as known).

        Raises:
            CrawlError: if a column is missing, the hashes are of another version, an ``image_id`` is no sha256, or
                another process is adding.
        """
        tables: Iterable[Table] = [hashes] if isinstance(hashes, pa.Table) else hashes
        total, done, before = getattr(hashes, "num_rows", 0), 0, len(self)
        with self._writing():
            for batch in batches(tables, BATCH):
                images = Images.of(batch, self._manifest.hashes)
                images = images.take(np.flatnonzero(self._find(images.ids) < 0))

                def told(share: float, start: int = done, size: int = batch.num_rows) -> None:
                    if progress is not None:
                        reached = start + int(share * size)
                        progress(reached, max(total, start + size))

                if len(images):
                    self._append(images, told)
                told(1.0)
                done += batch.num_rows
        return len(self) - before

    def rows(self, ids: Sequence[str]) -> Int64:
        """Find the rows of images by id: ``(N,)``, -1 for one that was not added.

        Raises:
            CrawlError: if an id is no sha256 in hex.
        """
        steps = range(0, len(ids), BATCH)
        return np.concatenate(
            [np.empty(0, np.int64), *(self._find(parse_ids(ids[start : start + BATCH])) for start in steps)]
        )

    def ids(self, rows: Int64) -> list[str]:
        """Return the ids of images by row."""
        return [row.tobytes().hex() for row in self._ids.gather(rows)]

    def pieces(self, ids: Sequence[str] | None = None) -> Iterator[Candidates]:
        """Read the pairs among these images (None: all), at most about a million at a time.

        Raises:
            CrawlError: if an image was not added.
        """
        wanted = None
        if ids is not None:
            rows = self.rows(ids)
            if len(unknown := np.flatnonzero(rows < 0)):
                raise CrawlError(
                    f"{len(unknown)} images are not in the index {self._folder}, {ids[unknown[0]]} for one; add them"
                )
            wanted = np.zeros(len(self), np.bool_)
            wanted[rows] = True
        for records in self._pairs.parts(self._manifest.pairs, PIECE):
            if wanted is not None:
                records = records[wanted[records["a"]] & wanted[records["b"]]]
            if len(records):
                yield Candidates.of(records)

    def pairs(self, ids: Sequence[str] | None = None) -> Candidates:
        """Return the pairs among these images (None: all) at once; memory: 60 bytes a pair.

        Raises:
            CrawlError: if an image was not added.
        """
        return Candidates.joined(list(self.pieces(ids)))

    def bits256(self, rows: Int64, variants: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint64]:
        """Return the 256-bit hashes of images in these variants, ``(K, 4)``."""
        return self._bits256.each((4,)).gather(rows * len(VARIANTS) + variants)

    def bits64(self, rows: Int64, variants: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.uint64]:
        """Return the 64-bit hashes of images in these variants, ``(K,)``."""
        return self._bits64.each(()).gather(rows * len(VARIANTS) + variants)

    def chroma(self, rows: Int64, variants: npt.NDArray[np.integer[Any]]) -> Uint8:
        """Return the Cb and Cr thumbnails of images in these variants, mirrored where they are: ``(K, 2, 8, 8)``."""
        chosen = self._chroma.each((2, 8, 8)).gather(rows * 2 + (variants & TRIMMED))
        return np.where(((variants & MIRRORED) > 0)[:, None, None, None], chosen[..., ::-1], chosen)

    def luma(self, rows: Int64, mirrored: npt.NDArray[np.bool_]) -> Uint8:
        """Return the grey thumbnails of images without their borders, mirrored where asked: ``(K, 16, 16)``."""
        chosen = self._luma.gather(rows)
        return np.where(mirrored[:, None, None], chosen[..., ::-1], chosen)

    def _read_manifest(self) -> _Manifest | None:
        try:
            text = self._manifest_path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return _Manifest.model_validate_json(text)
        except ValidationError:
            raise self._damaged("its manifest.json cannot be read") from None

    def _check_sizes(self) -> None:
        for file in (self._ids, self._bits64, self._bits256, self._chroma, self._luma, self._flags):
            if not file.holds(len(self)):
                raise self._damaged(f"{file.path.name} is too short")
        if not self._pairs.holds(self._manifest.pairs):
            raise self._damaged(f"{self._pairs.path.name} is too short")

    def _damaged(self, what: str) -> CrawlError:
        return CrawlError(f"the index of near-duplicates is damaged: {what}; delete the folder {self._folder}")

    def _write_manifest(self, manifest: _Manifest) -> None:
        write_bytes(self._manifest_path, manifest.model_dump_json().encode())
        self._manifest = self._on_disk = manifest

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other processes from adding."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CrawlError(f"another process is adding to the index {self._folder}; wait until it ends") from None
            remove_leftovers(self._manifest_path)
            if self._read_manifest() != self._on_disk:
                raise CrawlError(f"another process has changed the index {self._folder}; open it again")
            yield

    def _find(self, ids: Uint8) -> Int64:
        """Find the rows of ``(N, 32)`` ids: ``(N,)``, -1 for one that is unknown."""
        found = np.full(len(ids), -1)
        keys = mix(ids)
        place = np.searchsorted(self._keys, keys)
        open_ = np.arange(len(ids))
        while len(open_):
            open_ = open_[place[open_] < len(self._keys)]
            open_ = open_[self._keys[place[open_]] == keys[open_]]
            rows = self._order[place[open_]]
            same = (self._ids.gather(rows) == ids[open_]).all(axis=1)
            found[open_[same]] = rows[same]
            open_ = open_[~same]
            place[open_] += 1  # another id with the same key
        return found

    def _append(self, images: Images, told: Callable[[float], None]) -> None:
        """Append new images and their pairs: files first, then the manifest.

        An index that starts afresh says so before it overwrites the files of the one before.
        """
        if self._on_disk != self._manifest:
            self._write_manifest(self._manifest)
        first = len(self)
        for file, values in (
            (self._ids, images.ids),
            (self._bits64, images.bits64),
            (self._bits256, images.bits256),
            (self._chroma, images.chroma),
            (self._luma, images.luma),
            (self._flags, images.flags),
        ):
            file.append(first, values)
            file.sync()
        pairs = self._manifest.pairs
        self._pairs.append(pairs, np.empty(0, RECORD))
        for records in self._search(images, told):
            self._pairs.append(pairs, records)
            pairs += len(records)
        self._pairs.sync()
        self._write_manifest(self._manifest.model_copy(update={"images": first + len(images), "pairs": pairs}))
        keys = mix(images.ids)
        order = np.argsort(keys, kind="stable")
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._order = np.insert(self._order, places, order + first)

    def _search(self, images: Images, told: Callable[[float], None]) -> Iterator[npt.NDArray[Any]]:
        """Compare new images with each other and with all before; yields records.

        Straight with straight, and straight with mirrored both ways: hashes of mirrored pictures are not exactly the
        mirrored hashes.
        """
        first = len(self)
        straight, mirrored = (codes(images.bits64, images.flags, first, turned) for turned in (False, True))
        yield from self._compare(straight, None)
        yield from self._compare(straight, mirrored)
        for start in range(0, first, PART):
            told(start / first)
            end = min(first, start + PART)
            bits64, flags = self._bits64.read(start, end), self._flags.read(start, end)
            known, known_mirrored = (codes(bits64, flags, start, turned) for turned in (False, True))
            yield from self._compare(straight, known + known_mirrored)
            yield from self._compare(mirrored, known)

    def _compare(self, left: Codes, right: Codes | None) -> Iterator[npt.NDArray[Any]]:
        """Find pairs and look at their 256 bits; an image is no pair with itself."""
        other = left if right is None else right
        for piece in near_pair_pieces(
            left.bits, None if right is None else right.bits, self._manifest.radius, self._threads
        ):
            records = np.empty(len(piece), RECORD)
            row, other_row = left.row[piece.left], other.row[piece.right]
            variant, other_variant = left.variant[piece.left], other.variant[piece.right]
            turned = other_row < row
            records["a"], records["b"] = np.minimum(row, other_row), np.maximum(row, other_row)
            records["variant_a"] = np.where(turned, other_variant, variant)
            records["variant_b"] = np.where(turned, variant, other_variant)
            records["distance64"] = piece.distance
            records = records[records["a"] != records["b"]]
            a, b = (self.bits256(records[image].astype(np.int64), records[f"variant_{image}"]) for image in ("a", "b"))
            records["distance256"] = np.bitwise_count(a ^ b).sum(axis=1)
            yield records[records["distance256"] <= self._manifest.keep_bits]
