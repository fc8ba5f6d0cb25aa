"""Bootstrap over groups of images: 95% percentile intervals of what is measured on them.

Images of one author or cluster are drawn together, because they are not independent (cluster bootstrap; Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CHUNK = 250  # resamples at a time: bounds memory
_ROUNDING = 1e-12  # by which equal shares may differ


class GroupBootstrap:
    """B resamples of the groups of N images: as many groups are drawn, with replacement, as there are.

    ``group`` is ``(N,)``: the index of each image's group, every one from 0 on. Depends on group sizes and seed alone.
    """

    def __init__(self, group: Ints, resamples: int, seed: int) -> None:
        self._group = group
        self._groups = int(group.max()) + 1
        shares, random = np.full(self._groups, 1.0 / self._groups), np.random.default_rng(seed)
        self._drawn = np.concatenate(  # (B, groups): how often each group was drawn
            [
                random.multinomial(self._groups, shares, size=min(_CHUNK, resamples - at)).astype(np.int32)
                for at in range(0, resamples, _CHUNK)
            ]
        )

    def weights(self) -> Iterator[Floats]:
        """How often each image counts in each resample, some resamples at a time: ``(N, b)``, B columns in all."""
        for at in range(0, len(self._drawn), _CHUNK):
            yield self._drawn[at : at + _CHUNK].T.astype(np.float64)[self._group]

    def sums(self, values: NDArray[np.generic]) -> Floats:
        """Sum over the images of each resample: ``(N,)`` values give ``(B,)``, ``(N, K)`` give ``(B, K)``."""
        by_group = np.zeros((self._groups, *values.shape[1:]))
        np.add.at(by_group, self._group, values.astype(np.float64))
        parts = range(0, len(self._drawn), _CHUNK)
        return np.concatenate([self._drawn[at : at + _CHUNK].astype(np.float64) @ by_group for at in parts])

    def shares(self, values: NDArray[np.generic], among: NDArray[np.bool_] | None = None) -> Floats:
        """Mean over the images of each resample, or over those ``among`` them: NaN where a resample has none.

        ``(N,)`` values give ``(B,)``, ``(N, K)`` give ``(B, K)``; ``among`` is ``(N,)``.
        """
        counted = np.ones(len(values), dtype=np.bool_) if among is None else among
        kept = values * counted.reshape(-1, *[1] * (values.ndim - 1))
        totals = self.sums(counted).reshape(-1, *[1] * (values.ndim - 1))
        sums = self.sums(kept)
        return np.asarray(np.divide(sums, totals, out=np.full(sums.shape, np.nan), where=totals > 0))


def quantiles(resampled: Floats) -> tuple[float, float]:
    """The 2.5% and 97.5% quantiles of resamples."""
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The 2.5% and 97.5% quantiles of the resamples where a metric is defined.

    Null when it never is, and when all resamples are equal, as where every image hits or every one misses: then they
    say nothing of other images, and an interval without width would claim certainty.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size or np.ptp(defined) < _ROUNDING:
        return None, None
    return quantiles(defined)
