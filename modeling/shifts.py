"""Two-sample tests that drift is told by: of counts, of numbers one by one, and of vectors."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modeling.following import Floats, Ints

LEAST_EXPECTED = 5.0  # images of a label in either sample, below which the chi-squared distribution is no good guide
TABLES_DRAWN = (999, 99_999)  # tables that a permutation test draws at first, and where they leave less than LARGE
LARGE = 0.05
_FEW = 10  # permutations beyond the observed statistic, below which their share says too little
Matrix = NDArray[np.float32]


class Shift(NamedTuple):
    """Result of one test."""

    statistic: float
    distance: float
    p_value: float


@dataclass(frozen=True)
class SortedColumns:
    """A sample of vectors, each column by size, whose rows stand for more or fewer images."""

    values: Matrix  # (m, C), each column ascending
    below: Floats  # (m + 1, C): share of the weight that the first rows of a column have
    effective: float  # images that a sample without weights would need to be as sure (Kish)


def sorted_columns(values: Matrix, weights: Floats | None = None) -> SortedColumns:
    """Sort each column of ``values`` ``(m, C)``; ``weights`` ``(m,)`` are what each row stands for, 1 without."""
    weights = np.ones(len(values)) if weights is None else weights
    order = np.argsort(values, axis=0)
    cumulative = np.cumsum(weights[order], axis=0)
    below = np.concatenate([np.zeros((1, values.shape[1])), cumulative]) / max(float(weights.sum()), 1e-12)
    return SortedColumns(np.take_along_axis(values, order, axis=0), below, effective_size(weights))


def effective_size(weights: Floats) -> float:
    """Images that a sample with equal weights would need to be as sure: Kish, "Survey Sampling", 1965, section 11.7."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def chi_squared(counts: Ints, reference: Ints | Floats, seed: int = 0) -> Shift:
    """Whether two samples have the same shares of C labels: Pearson's test, and the total variation distance, 0 to 1.

    Takes counts ``(C,)`` of a window and of the reference, each with an image or more; counts of weighted images are
    to be given with their effective size as their sum (Rao and Scott, Journal of the American Statistical Association
    76, 1981, with the mean design effect). Where fewer than 5 images of a label are expected in either sample (Cochran,
    Biometrics 10, 1954), the p-value is that of the permutation test: the share of tables with the same sums, drawn by
    ``seed``, whose statistic is as large (Hope, Journal of the Royal Statistical Society B 30, 1968).
    """
    from scipy.stats import chi2  # late, as below: the graph is loaded without scipy

    distance = 0.5 * float(np.abs(counts / counts.sum() - reference / reference.sum()).sum())
    there = (counts + reference) > 0
    if there.sum() < 2:
        return Shift(0.0, distance, 1.0)
    own, other = counts[there].astype(float), reference[there].astype(float)
    statistic = float(_pearson(own, own + other, own.sum()))
    least = (own + other).min() * min(own.sum(), other.sum()) / (own + other).sum()
    if least >= LEAST_EXPECTED:
        return Shift(statistic, distance, float(chi2.sf(statistic, len(own) - 1)))
    rounded = np.rint(other).astype(np.int64)
    if not rounded.any():
        return Shift(statistic, distance, 1.0)
    whole = counts[there].astype(np.int64) + rounded
    return Shift(statistic, distance, _by_tables(statistic, whole, int(own.sum()), seed))


def _pearson(own: Floats, whole: Floats, images: float) -> Any:
    """Pearson's statistic of samples ``(..., C)`` of so many images out of ``whole`` ``(C,)``."""
    share = images / whole.sum()
    return ((own - share * whole) ** 2 / (share * (1 - share) * whole)).sum(axis=-1)


def _by_tables(statistic: float, whole: Ints, images: int, seed: int) -> float:
    """The share of drawn tables whose statistic is as large; most are drawn where few are."""
    random, p_value = np.random.default_rng(seed), 1.0
    whole = whole[whole > 0]
    for tables in TABLES_DRAWN:
        drawn = random.multivariate_hypergeometric(whole, images, size=tables)
        as_large = _pearson(drawn.astype(np.float64), whole.astype(np.float64), images) >= statistic * (1 - 1e-9)
        p_value = (1 + int(as_large.sum())) / (1 + tables)
        if p_value > LARGE:
            break
    return p_value


def largest_ks(values: Matrix, reference: SortedColumns) -> tuple[int, Shift]:
    """The column whose distribution moved most by Kolmogorov and Smirnov's two-sample test, and its shift.

    Takes ``(n, C)`` and a sample of C columns. The p-value is asymptotic, with the effective size of a weighted sample,
    and adjusted over the C columns (Holm's step for the smallest one); statistic and distance are the largest gap
    between the two cumulative distributions, 0 to 1.
    """
    from scipy.stats import kstwo

    n, m = len(values), reference.effective
    columns = zip(np.sort(values, axis=0).T, reference.values.T, reference.below.T, strict=True)
    gaps = np.array([_ks_gap(*column) for column in columns])
    column = int(np.argmax(gaps))
    p_value = float(kstwo.sf(gaps[column], max(np.round(n * m / (n + m)), 1)))
    return column, Shift(float(gaps[column]), float(gaps[column]), min(1.0, len(gaps) * p_value))


def _ks_gap(own: NDArray[np.float32], other: NDArray[np.float32], other_below: Floats) -> float:
    both = np.concatenate([own, other])
    own_share = np.searchsorted(own, both, side="right") / len(own)
    return float(np.abs(own_share - other_below[np.searchsorted(other, both, side="right")]).max())


def mean_discrepancy(values: Matrix, reference: Matrix, permutations: int, seed: int) -> Shift:
    """Whether two samples of vectors have one distribution: the maximum mean discrepancy with a permutation test.

    Gretton et al., "A Kernel Two-Sample Test" (Journal of Machine Learning Research 13, 2012): the unbiased squared
    estimate (equation 3) with a Gaussian kernel whose width is the median distance of all vectors (section 8). Takes
    ``(n, D)`` and ``(m, D)``, n and m 2 or more. The p-value is the share of permutations that are as far apart; where
    fewer than 10 are, it is the tail of a gamma distribution with the permutations' mean, variance and skewness
    (Winkler et al., NeuroImage 141, 2016), because a share of 500 permutations can't be small enough for many windows.
    """
    kernel = _kernel(np.concatenate([values, reference]))
    n, random = len(values), np.random.default_rng(seed)
    sides = np.zeros((len(kernel), permutations + 1), dtype=np.float32)
    sides[:n, 0] = 1
    for column in range(1, permutations + 1):
        sides[random.permutation(len(kernel))[:n], column] = 1
    discrepancy = _discrepancies(kernel, sides, n)
    observed, permuted = float(discrepancy[0]), discrepancy[1:]
    beyond = int((permuted >= observed).sum())
    p_value = (beyond + 1) / (permutations + 1) if beyond >= _FEW else _gamma_tail(observed, permuted)
    return Shift(observed, max(observed, 0.0), p_value)


def _kernel(vectors: Matrix) -> Matrix:
    """exp(-d² / (2 median(d)²)) with a zero diagonal; all ones where most vectors are the same."""
    centered = (vectors - vectors.mean(axis=0)).astype(np.float32)
    squares = (centered**2).sum(axis=1)
    distances = np.maximum(squares[:, None] + squares[None] - 2 * centered @ centered.T, 0)
    median = float(np.median(distances[np.triu_indices(len(vectors), 1)]))
    kernel = np.exp(-distances / (2 * median)) if median > 0 else (distances <= 0).astype(np.float32)
    np.fill_diagonal(kernel, 0)
    return np.asarray(kernel, dtype=np.float32)


def _discrepancies(kernel: Matrix, sides: Matrix, n: int) -> Floats:
    """Unbiased squared discrepancy for each column of sides (1: in the first sample of n)."""
    m = len(kernel) - n
    rows = (kernel @ sides).astype(np.float64)
    within = (sides * rows).sum(axis=0)
    across = rows.sum(axis=0) - within
    other = float(kernel.sum(dtype=np.float64)) - within - 2 * across
    return np.asarray(within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m))


def _gamma_tail(observed: float, permuted: Floats) -> float:
    """Share of a Pearson type III distribution with the moments of the permutations that lies beyond the observed."""
    from scipy.stats import pearson3, skew

    spread = float(permuted.std())
    if spread == 0:
        return 1.0
    score = (observed - float(permuted.mean())) / spread
    return float(pearson3.sf(score, float(skew(permuted))))
