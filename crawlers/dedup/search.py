"""All pairs of 64-bit hashes within a radius, exactly.

By multi-index hashing, or brute force where that is faster (:mod:`crawlers.dedup.multi_index`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crawlers.dedup.multi_index import pieces


@dataclass(frozen=True)
class HashPairs:
    """Pairs found: rows of the left and right hashes, and the bits between them."""

    left: npt.NDArray[np.int64]  # (K,)
    right: npt.NDArray[np.int64]  # (K,)
    distance: npt.NDArray[np.int32]  # (K,) bits

    def __len__(self) -> int:
        return len(self.left)


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
