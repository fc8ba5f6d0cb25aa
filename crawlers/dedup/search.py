"""All pairs of 256-bit hashes within a radius.

Every pair is compared, tile by tile: exact, and the simplest method up to about 100,000 hashes. A method for larger
collections goes behind the same function.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

TILE = 4096  # hashes; two tiles of 128 KiB stay in the processor's cache

Tile = tuple[int, int]  # row where the left tile starts, row where the right one starts


@dataclass(frozen=True)
class HashPairs:
    """Pairs found: rows of the left and right hashes, and the bits between them, sorted by left, then right."""

    left: npt.NDArray[np.int64]  # (K,)
    right: npt.NDArray[np.int64]  # (K,)
    distance: npt.NDArray[np.int32]  # (K,) bits

    def __len__(self) -> int:
        return len(self.left)


def words(hashes: Iterable[bytes]) -> npt.NDArray[np.uint64]:
    """Stack N hashes of 32 bytes as ``(N, 4) uint64``, in which only the count of differing bits has a meaning."""
    return np.frombuffer(b"".join(hashes), np.uint64).reshape(-1, 4)


def pairs_within(
    left: npt.NDArray[np.uint64],
    right: npt.NDArray[np.uint64] | None,
    radius: int,
    threads: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> HashPairs:
    """Find every pair of ``(N, 4)`` and ``(M, 4) uint64`` hashes at most ``radius`` bits apart (recall 1).

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
