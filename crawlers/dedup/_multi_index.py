"""Compiled parts of multi-index hashing. Imported on first use: numba takes half a second to load, and compiles.

Hashes are ``uint64`` after the permutation of bits. A band is a run of ``width`` bits from ``shift`` on; the value of
those bits is the hash's key, and hashes of equal key form a bucket.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from crawlers.dedup._hamming import _ones

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int32]
Bits = npt.NDArray[np.uint8]

_BLOCK = 64  # hashes looked at together; found must have room for as many pairs


def _permute_py(hashes: Hashes, table: npt.NDArray[np.uint64], out: Hashes) -> None:
    for row in range(len(hashes)):
        value, moved = hashes[row], np.uint64(0)
        for byte in range(8):
            moved |= table[byte, (value >> np.uint64(8 * byte)) & np.uint64(255)]
        out[row] = moved


permute: Any = numba.njit(_permute_py, nogil=True)


def _sort_by_band_py(hashes: Hashes, shift: Any, mask: Any, starts: Rows, out: Hashes, rows: Rows) -> None:
    """Counting sort by key: ``starts[key]`` is then the place of the first hash with that key (one more than keys)."""
    starts[:] = 0
    for row in range(len(hashes)):
        starts[((hashes[row] >> shift) & mask) + np.uint64(1)] += 1
    for key in range(1, len(starts)):
        starts[key] += starts[key - 1]
    # starts[key] walks through its bucket, and ends where the next one starts; moving all by one restores them.
    for row in range(len(hashes)):
        key = (hashes[row] >> shift) & mask
        place = starts[key]
        out[place] = hashes[row]
        rows[place] = row
        starts[key] = place + 1
    for key in range(len(starts) - 1, 0, -1):
        starts[key] = starts[key - 1]
    starts[0] = 0


sort_by_band: Any = numba.njit(_sort_by_band_py, nogil=True)


def _count_within_py(value: Any, hashes: Hashes, low: Any, high: Any, radius: Any) -> Any:
    count = np.uint64(0)
    for place in range(np.uint64(low), np.uint64(high)):
        count += np.uint64(_ones(value ^ hashes[place]) <= radius)
    return count


# A compiled call of its own: inside the loops below it would not be vectorised.
_count_within: Any = numba.njit(_count_within_py, nogil=True)


def _scan_py(
    value: Any,
    row: Any,
    hashes: Hashes,
    rows: Rows,
    low: Any,
    high: Any,
    radius: Any,
    seen_masks: Hashes,
    seen_radii: Hashes,
    found: Rows,
    distances: Bits,
    count: Any,
) -> Any:
    """Note the hashes within the radius of ``value``, except those that an earlier band has seen."""
    for other in range(np.uint64(low), np.uint64(high)):
        difference = value ^ hashes[other]
        distance = _ones(difference)
        if distance <= radius:
            new = True
            for band in range(len(seen_masks)):
                if _ones(difference & seen_masks[band]) <= seen_radii[band]:
                    new = False
                    break
            if new:
                found[count, 0] = row
                found[count, 1] = rows[other]
                distances[count] = distance
                count += 1
    return count


_scan: Any = numba.njit(_scan_py, nogil=True)


def _join_tile_py(
    left: Hashes,
    left_rows: Rows,
    left_starts: Rows,
    right: Hashes,
    right_rows: Rows,
    right_starts: Rows,
    same: bool,
    shift: Any,
    mask: Any,
    flips: Hashes,
    radius: Any,
    seen_masks: Hashes,
    seen_radii: Hashes,
    state: npt.NDArray[np.int64],
    found: Rows,
    distances: Bits,
) -> Any:
    """Compare the left places of a tile with the buckets of the right whose key differs by one of ``flips``.

    ``state`` is (flip, first left place, left place, right place or -1) to start from, and where the tile ends; it is
    set to where to go on when ``found`` is full, or to flip -1 at the end. Returns the number of pairs found.
    """
    count = 0
    first, place, resume, end = state[1], state[2], state[3], state[4]
    for flip in range(state[0], len(flips)):
        while place < end:
            key = (left[place] >> shift) & mask
            partner = key ^ flips[flip]
            bucket_end = min(end, np.int64(left_starts[key + np.uint64(1)]))  # a tile may begin and end in a bucket
            low, high = np.int64(right_starts[partner]), np.int64(right_starts[partner + np.uint64(1)])
            if low == high or (same and partner < key):  # with itself each pair of buckets is met once
                place = bucket_end
                continue
            inside = same and partner == key
            while place < bucket_end:
                other = place + 1 if inside else low
                if resume >= 0:
                    other = resume
                    resume = -1
                while other < high:
                    until = min(high, other + _BLOCK)
                    if _count_within(left[place], right, other, until, radius) > 0:
                        if count + until - other > len(distances):
                            state[0], state[2], state[3] = flip, place, other
                            return count
                        count = _scan(
                            left[place],
                            left_rows[place],
                            right,
                            right_rows,
                            other,
                            until,
                            radius,
                            seen_masks,
                            seen_radii,
                            found,
                            distances,
                            count,
                        )
                    other = until
                place += 1
        place = first
    state[0] = -1
    return count


join_tile: Any = numba.njit(_join_tile_py, nogil=True)
