"""All pairs of hashes within a radius, exactly.

For 64 bits by multi-index hashing, or brute force where that is faster (:mod:`crawlers.dedup.multi_index`). For 256
bits every pair is compared, tile by tile: the simplest method up to about 100,000 hashes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crawlers.dedup.multi_index import pieces

TILE = 4096  # hashes; two tiles of 128 KiB stay in the processor's cache

Tile = tuple[int, int]  # row where the left tile starts, row where the right one starts


@dataclass(frozen=True)
class HashPairs:
    """Pairs found: rows of the left and right hashes, and the bits between them."""

    left: npt.NDArray[np.int64]  # (K,)
    right: npt.NDArray[np.int64]  # (K,)
    distance: npt.NDArray[np.int32]  # (K,) bits

    def __len__(self) -> int:
        return len(self.left)


def words(hashes: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Stack N hashes of 32 bytes as ``(N, 4) uint64``, in which only the count of differing bits has a meaning."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 4)


def words64(hashes: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Stack N hashes of 8 bytes as ``(N,) uint64``, in which only the count of differing bits has a meaning."""
    return np.frombuffer(b"".join(hashes), np.uint64)


def near_pairs(
    left: npt.NDArray[np.uint64],
    right: npt.NDArray[np.uint64] | None,
    radius: int,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> HashPairs:
    """Find every pair of ``(N,)`` and ``(M,) uint64`` hashes at most ``radius`` bits apart, sorted by left, then right.

    Recall is 1. With ``right`` None, ``left`` is compared with itself and each pair appears once, the smaller row at
    the left. Memory beyond the search: 36 bytes a pair. ``progress`` gets tiles (done, in all).

    Raises:
        ValueError: if a side has 2 ** 28 hashes or more.
    """
    found = [
        piece.rows[:, 0].astype(np.uint64) << np.uint64(36)
        | piece.rows[:, 1].astype(np.uint64) << np.uint64(8)
        | piece.distance
        for piece in pieces(left, right, radius, threads, progress)
    ]
    pairs = np.concatenate([np.empty(0, np.uint64), *found])
    del found
    pairs.sort()  # left row, right row and distance in one word: sorted without a second array
    return HashPairs(
        (pairs >> np.uint64(36)).astype(np.int64),
        (pairs >> np.uint64(8) & np.uint64((1 << 28) - 1)).astype(np.int64),
        (pairs & np.uint64(255)).astype(np.int32),
    )


def near_pair_pieces(
    left: npt.NDArray[np.uint64],
    right: npt.NDArray[np.uint64] | None,
    radius: int,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[HashPairs]:
    """Find the pairs of :func:`near_pairs` piece by piece, for more of them than memory holds.

    Each piece has 1 to 200,000 pairs, in no order; the order of pieces is always the same. The search waits for the
    reader: memory is 20 bytes a hash, up to 128 MiB, and 1.2 MiB for each of 16 tiles a thread.

    Raises:
        ValueError: if a side has 2 ** 28 hashes or more.
    """
    for piece in pieces(left, right, radius, threads, progress):
        rows = piece.rows.astype(np.int64)
        yield HashPairs(rows[:, 0], rows[:, 1], piece.distance.astype(np.int32))


def pairs_within(
    left: npt.NDArray[np.uint64],
    right: npt.NDArray[np.uint64] | None,
    radius: int,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> HashPairs:
    """Find every pair of ``(N, 4)`` and ``(M, 4) uint64`` hashes at most ``radius`` bits apart (recall 1), sorted.

    With ``right`` None, ``left`` is compared with itself and each pair appears once, the smaller row at the left.
    Memory beyond the result: the pairs of one tile of 4,096 x 4,096 for each thread. ``progress`` gets tiles (done,
    in all).
    """
    tiles = list(_tiles(len(left), None if right is None else len(right)))
    found: list[npt.NDArray[np.int64]] = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        # Compiled code runs without the interpreter lock; map keeps the order of the tiles.
        for done, pairs in enumerate(pool.map(lambda tile: _compare(left, right, radius, tile), tiles), start=1):
            found.append(pairs)
            if progress is not None:
                progress(done, len(tiles))
    everything = np.concatenate(found) if found else np.empty((0, 3), np.int64)
    everything = everything[np.lexsort((everything[:, 1], everything[:, 0]))]
    return HashPairs(everything[:, 0], everything[:, 1], everything[:, 2].astype(np.int32))


def _tiles(rows_left: int, rows_right: int | None) -> Iterator[Tile]:
    for start in range(0, rows_left, TILE):
        for other in range(start if rows_right is None else 0, rows_left if rows_right is None else rows_right, TILE):
            yield start, other


def _compare(
    left: npt.NDArray[np.uint64], right: npt.NDArray[np.uint64] | None, radius: int, tile: Tile
) -> npt.NDArray[np.int64]:
    from crawlers.dedup._hamming import compare_tile  # loads numba

    start, other = tile
    same = right is None and start == other
    rows = left if right is None else right
    pairs = compare_tile(left[start : start + TILE], rows[other : other + TILE], radius, same).astype(np.int64)
    pairs += np.array([start, other, 0])
    return pairs
