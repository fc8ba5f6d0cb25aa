"""64-bit hashes for the tests of the search, and brute force in numpy as an oracle."""

import numpy as np


def centred(seed: int, count: int) -> np.ndarray:
    """Hashes around a few centres, so that every distance occurs, also equal ones."""
    rng = np.random.default_rng(seed)
    centres = rng.integers(0, 2, (max(3, count // 8), 64), np.uint8)
    flips = rng.random((count, 64)) < rng.choice([0, 0.02, 0.1, 0.5], (count, 1))
    return np.packbits(centres[rng.integers(0, len(centres), count)] ^ flips, axis=1).view(np.uint64)[:, 0]


def skewed(seed: int, count: int) -> np.ndarray:
    """Hashes whose bits depend on each other: signs of 64 mixtures of 12 Gaussian values and a little noise."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(12, 64))
    values = rng.normal(size=(count, 12)) @ mixing + rng.normal(scale=0.5, size=(count, 64))
    return np.packbits(values > 0, axis=1).view(np.uint64)[:, 0]


def all_pairs(left: np.ndarray, right: np.ndarray | None, radius: int) -> list[tuple[int, int, int]]:
    """Every pair within the radius, by numpy."""
    other = left if right is None else right
    bits = np.bitwise_count(left[:, None] ^ other[None])
    near = bits <= radius
    if right is None:
        near = np.triu(near, 1)
    return [(int(i), int(j), int(bits[i, j])) for i, j in zip(*np.nonzero(near), strict=True)]
