"""Top-k recalls and average precision, on arrays.

Scores are ``(N, C)`` floats, targets ``(N, C)`` booleans: image by label, both in the label order of the label set. For
an image, R is the set of its labels (main and sub) and T_k the k labels with the highest scores, ties broken by label
order.
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
    weights = np.ones((1, len(values)))
    return np.array([weighted_average_precision(values[:, c], truth[:, c], weights)[0] for c in range(values.shape[1])])


def weighted_average_precision(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    """Average precision of one label under many weightings of the images, as bootstrap resamples need it.

    Takes scores ``(N,)``, positives ``(N,)``, weights ``(B, N)``; returns ``(B,)``, NaN where no positive has weight.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # last image of each threshold
    found = np.cumsum(weights[:, order] * positive[order], axis=1)[:, ends]
    seen = np.cumsum(weights[:, order], axis=1)[:, ends]
    precision = np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
    steps = np.diff(found, axis=1, prepend=0.0)
    total = found[:, -1]
    result = np.full(len(weights), np.nan)
    np.divide((precision * steps).sum(axis=1), total, out=result, where=total > 0)
    return result


def mean_average_precision(scores: ArrayLike, targets: ArrayLike) -> float:
    """Mean of the labels' average precisions where they are defined, 0 to 1; NaN when none is."""
    defined = average_precision(scores, targets)
    defined = defined[~np.isnan(defined)]
    return float(defined.mean()) if defined.size else float("nan")
