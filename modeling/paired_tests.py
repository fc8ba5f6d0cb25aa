"""Tests of whether two models differ on the same images, and their correction for many comparisons."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_FLIPS = 9_999  # random sign changes
_CHUNK = 250  # sign changes at a time: bounds memory


def mcnemar(a_only: int, b_only: int) -> float:
    """Exact two-sided McNemar test: p-value of so uneven a split of the images on which the two differ, 0 to 1.

    McNemar, Psychometrika 12, 1947; exact: the binomial distribution with 1/2 instead of chi-square.
    """
    differing = a_only + b_only
    tail = sum(math.comb(differing, count) for count in range(min(a_only, b_only) + 1))
    return min(1.0, 2 * tail / (1 << differing))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for many comparisons by Holm's step-down method, in the order given.

    Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def sign_flip(steps: NDArray[np.int64], group: NDArray[np.int64], seed: int) -> float:
    """Two-sided paired randomisation test over groups: p-value of so large a sum of steps when coins gave the signs.

    ``steps`` and ``group`` are ``(N,)``: the difference between two models on each image, and the image's group. If the
    models were equal, each group's sum could as well have the other sign. 9,999 random sign changes.
    """
    sums = np.bincount(group, weights=steps).astype(np.int64)
    sums = sums[sums != 0]
    coins = np.random.default_rng(seed)
    extreme = 1  # the observed signs themselves
    for at in range(0, _FLIPS, _CHUNK):
        signs = coins.integers(0, 2, size=(min(_CHUNK, _FLIPS - at), len(sums))) * 2 - 1
        extreme += int((np.abs(signs @ sums) >= abs(int(sums.sum()))).sum())
    return extreme / (_FLIPS + 1)
