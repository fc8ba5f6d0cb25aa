"""Compiled Hamming distance over tiles of 256-bit hashes. Imported on first use: numba takes half a second to load."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba.extending import intrinsic

Hashes = npt.NDArray[np.uint64]  # (N, 4): 256 bits a row


def _popcount(typing_context: Any, value: Any) -> Any:
    """Count one-bits with the processor's own instruction (LLVM ctpop)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return value(value), generate


_ones: Any = intrinsic(_popcount)


def _distance_py(a: Hashes, b: Hashes) -> Any:
    return _ones(a[0] ^ b[0]) + _ones(a[1] ^ b[1]) + _ones(a[2] ^ b[2]) + _ones(a[3] ^ b[3])


# A compiled call of its own: inside the double loop below it would not be vectorised.
_distance: Any = numba.njit(_distance_py, nogil=True)


def _compare_py(
    left: Hashes, right: Hashes, radius: int, same: bool, found: npt.NDArray[np.int32], capacity: int
) -> int:
    count = 0
    for i in range(len(left)):
        for j in range(i + 1 if same else 0, len(right)):
            distance = _distance(left[i], right[j])
            if distance <= radius:
                if count < capacity:
                    found[count, 0] = i
                    found[count, 1] = j
                    found[count, 2] = distance
                count += 1
    return count


_compare: Any = numba.njit(_compare_py, nogil=True)


def compare_tile(left: Hashes, right: Hashes, radius: int, same: bool) -> npt.NDArray[np.int32]:
    """Find all ``(i, j, distance)`` within ``radius`` bits between two tiles; with ``same``, only those with i < j.

    Returns ``(K, 3) int32`` in order of i, then j.
    """
    capacity = 4096
    while True:
        found = np.empty((capacity, 3), np.int32)
        count = int(_compare(left, right, radius, same, found, capacity))
        if count <= capacity:
            return found[:count]
        capacity = count
