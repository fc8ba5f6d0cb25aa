"""Top-k recalls, average precision and F1, on arrays.

Scores are ``(N, C)`` floats, targets ``(N, C)`` booleans: image by label, both in the label order of the label set. For
an image, R is the set of its labels (main and sub) and T_k the k labels with the highest scores, ties broken by label
order.

``any_recall``, ``all_recall``, ``too_many_labels``, ``per_label_all_recall`` and ``mean_average_precision`` are the
published metrics in their plain form, for use on their own; ``modeling.evaluate`` works the same out of single hits,
which its intervals need.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from modeling.errors import ModelingError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

RECALLS = ("any@1", "all@2", "any@2", "all@3", "any@3")
"""The five recalls whose mean ranks models, in the order of the published tables."""

MEAN_OF_FIVE = "mean5"


def checked(scores: ArrayLike, targets: ArrayLike) -> tuple[Floats, Bools]:
    """Scores as ``(N, C)`` float64 and targets as ``(N, C)`` bool.

    Raises ModelingError when the shapes differ, there is no image, a score is not a number, or an image has no label.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(targets, dtype=np.bool_)
    if values.ndim != 2 or values.shape != truth.shape:
        raise ModelingError(f"scores {values.shape} and targets {truth.shape} must be one matrix shape, image by label")
    if values.size == 0:
        raise ModelingError("no image to measure: give scores of at least one image and one label")
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise ModelingError(f"row {row} has a score that is not a number: check the training of the model")
    if not truth.any(axis=1).all():
        row = int(np.flatnonzero(~truth.any(axis=1))[0])
        raise ModelingError(f"row {row} has no label: every measured image needs its main label")
    return values, truth


def top_k(scores: ArrayLike, k: int) -> Ints:
    """Label indices of the k highest scores of each image, best first, ties by label order: ``(N, min(k, C))``."""
    if k < 1:
        raise ModelingError(f"k must be at least 1, not {k}")
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, axis=1, kind="stable")
    return order[:, :k].astype(np.int64)


def top_k_mask(scores: ArrayLike, k: int) -> Bools:
    """T_k of each image as ``(N, C)`` bool."""
    chosen = top_k(scores, k)
    mask = np.zeros(np.shape(scores), dtype=np.bool_)
    np.put_along_axis(mask, chosen, True, axis=1)
    return mask


def any_hits(scores: ArrayLike, targets: ArrayLike, k: int) -> Bools:
    """Images with R and T_k not disjoint: ``(N,)`` bool."""
    values, truth = checked(scores, targets)
    return np.asarray((top_k_mask(values, k) & truth).any(axis=1))


def all_hits(scores: ArrayLike, targets: ArrayLike, k: int) -> Bools:
    """Images with R inside T_k: ``(N,)`` bool. An image with more than k labels never counts."""
    values, truth = checked(scores, targets)
    return np.asarray((top_k_mask(values, k) | ~truth).all(axis=1))


def hits(scores: ArrayLike, targets: ArrayLike, recall: str) -> Bools:
    """Hits of one recall by its name, ``any@k`` or ``all@k``: ``(N,)`` bool."""
    kinds: dict[str, Callable[[ArrayLike, ArrayLike, int], Bools]] = {"any": any_hits, "all": all_hits}
    kind, _, k = recall.partition("@")
    if kind not in kinds or not k.isdigit():
        raise ModelingError(f"unknown recall {recall!r}: use any@k or all@k, as any@1")
    return kinds[kind](scores, targets, int(k))


def any_recall(scores: ArrayLike, targets: ArrayLike, k: int) -> float:
    """Top-k any-recall: share of images with at least one of their labels among the k highest scores, 0 to 1."""
    return float(any_hits(scores, targets, k).mean())


def all_recall(scores: ArrayLike, targets: ArrayLike, k: int) -> float:
    """Top-k all-recall: share of images with all of their labels among the k highest scores, 0 to 1."""
    return float(all_hits(scores, targets, k).mean())


def too_many_labels(targets: ArrayLike, k: int) -> float:
    """Share of images with more than k labels, which top-k all-recall can never count, 0 to 1."""
    return float((np.asarray(targets, dtype=np.bool_).sum(axis=1) > k).mean())


def recalls(scores: ArrayLike, targets: ArrayLike) -> dict[str, float]:
    """The five recalls by name, each 0 to 1."""
    return {name: float(hits(scores, targets, name).mean()) for name in RECALLS}


def mean_of_five(scores: ArrayLike, targets: ArrayLike) -> float:
    """Mean of the five recalls, 0 to 1: the one number that ranks models and picks epochs."""
    return float(np.mean(list(recalls(scores, targets).values())))


def per_label_all_recall(scores: ArrayLike, targets: ArrayLike, k: int = 2) -> tuple[Floats, Ints]:
    """Top-k all-recall over the images that carry each label (Table 5), and how many these are.

    Returns ``(C,)`` float64, NaN for a label without images, and ``(C,)`` int64.
    """
    values, truth = checked(scores, targets)
    support = truth.sum(axis=0).astype(np.int64)
    right = (all_hits(values, truth, k)[:, None] & truth).sum(axis=0)
    shares = np.full(support.shape, np.nan)
    np.divide(right, support, out=shares, where=support > 0)
    return shares, support


def average_precision(scores: ArrayLike, targets: ArrayLike) -> Floats:
    """Average precision of each label: ``(C,)`` float64, NaN (undefined, not 0) for a label without positives.

    The sum over thresholds of precision times the step in recall; images with equal scores share one threshold, so the
    result does not depend on the order of the images.
    """
    values, truth = checked(scores, targets)
    weights = np.ones((len(values), 1))
    return np.array([weighted_average_precision(values[:, c], truth[:, c], weights)[0] for c in range(values.shape[1])])


def weighted_average_precision(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """Average precision of one label under many weightings of the images, as bootstrap resamples need it.

    Takes scores ``(N,)``, positives ``(N,)``, weights ``(N, B)``; returns ``(B,)``, NaN where no positive has weight.
    """
    result = np.full(weights.shape[1], np.nan)
    if not positive.any():
        return result
    order = np.argsort(-scores, kind="stable")
    hit = positive[order]
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # last image of each threshold
    hits_above = np.cumsum(hit)[ends]
    rising = np.diff(hits_above, prepend=0) > 0  # recall steps nowhere else
    ends, hits_above = ends[rising], hits_above[rising]
    steps = np.add.reduceat(weights[order[hit]], np.append(0, hits_above[:-1]), axis=0)
    seen = np.cumsum(np.add.reduceat(weights[order[: ends[-1] + 1]], np.append(0, ends[:-1] + 1), axis=0), axis=0)
    found = np.cumsum(steps, axis=0)
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    np.divide((precision * steps).sum(axis=0), found[-1], out=result, where=found[-1] > 0)
    return result


def mean_average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """Mean of the labels' average precisions where they are defined, 0 to 1; NaN when none is."""
    defined = average_precision(scores, targets)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else float("nan")


def f1_scores(predicted: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """CF1 and OF1 of predicted label sets, each 0 to 1 (ML-GCN, Chen et al., CVPR 2019, section 4.1).

    Takes two ``(N, C)`` boolean matrices. Raises ModelingError as ``checked`` does. See ``f1_of_counts``.
    """
    chosen, truth = checked(predicted, targets)
    right, carried = (chosen * truth).sum(axis=0), truth.sum(axis=0)
    class_f1, overall_f1 = f1_of_counts(right, chosen.sum(axis=0), carried)
    return float(class_f1), float(overall_f1)


def f1_of_counts(right: ArrayLike, predicted: ArrayLike, carried: ArrayLike) -> tuple[Floats, Floats]:
    """CF1 and OF1 from each label's images: ``(..., C)`` counts, and ``(...,)`` values.

    Of a label, N^c images are predicted rightly, N^p are predicted and N^g carry it. OP = sum N^c / sum N^p,
    OR = sum N^c / sum N^g, CP and CR are the means over the labels of N^c / N^p and N^c / N^g, and CF1 and OF1 are
    the harmonic means of each pair. A label that is never predicted has found nothing: it counts in CP as 0. A label
    without images has no recall: it is left out of CP and CR (NaN when no label has images), not counted as 0.
    """
    correct, chosen, truth = (np.asarray(counts, dtype=np.float64) for counts in (right, predicted, carried))
    known = truth > 0
    found = np.divide(correct, truth, out=np.zeros_like(correct), where=known)
    sure = np.divide(correct, chosen, out=np.zeros_like(correct), where=known & (chosen > 0))
    recall, precision = (_ratio(values.sum(axis=-1), known.sum(axis=-1)) for values in (found, sure))
    class_f1 = _ratio(2 * precision * recall, precision + recall, empty=0.0)
    overall_f1 = _ratio(2 * correct.sum(axis=-1), chosen.sum(axis=-1) + truth.sum(axis=-1))
    return np.where(known.any(axis=-1), class_f1, np.nan), overall_f1


def _ratio(above: Floats, below: ArrayLike, empty: float = float("nan")) -> Floats:
    whole = np.asarray(below, dtype=np.float64)
    return np.asarray(np.divide(above, whole, out=np.full(np.shape(above), empty), where=whole > 0))
