"""Calibration: one temperature per model, thresholds that turn probabilities into labels, and how right they are.

A network's probabilities are often too sure. Temperature scaling (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017, section 4.2) divides every logit by one number T, fitted on the validation split; it keeps the
order of each image's labels, so no recall changes. Here each image-label pair is one binary answer: the probability is
``sigmoid(logit / T)``. Without torch; arrays are image by label, ``(N, C)``.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from modeling.errors import ModelingError
from modeling.scored_images import scored_images, splits_of
from modeling.tables import RELIABILITY

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.05, 20.0
BINS = 15  # of equal width over 0 to 1, as Guo et al. count
NO_THRESHOLD = 0.5  # of a label without positives, of which nothing can be learned


class Reliability(NamedTuple):
    """Answers by bin of probability; each field has one value per bin."""

    edges: Floats  # (bins + 1,): bin m holds edges[m] < probability <= edges[m + 1], the first also 0
    answers: Ints  # (bins,): image-label pairs in the bin
    probability: Floats  # (bins,): their mean probability, NaN in an empty bin
    share: Floats  # (bins,): of them, those whose image carries the label, NaN in an empty bin


def fit_temperature(logits: ArrayLike, targets: ArrayLike) -> float:
    """The temperature T in 0.05 to 20 with the lowest binary cross entropy of ``sigmoid(logits / T)``.

    The loss is convex in 1 / T (it is a logistic regression on one slope), so the root of its derivative, the mean of
    ``logit * (sigmoid(logit / T) - target)``, is the minimum. Without a root inside the bounds the nearer bound is:
    0.05 when every sign is right, 20 when the logits say nothing or worse. Where every temperature is as good, as with
    logits that are all 0, it is 1.

    Takes ``(N, C)`` logits and booleans. Raises ModelingError when the shapes differ, nothing is there, or a logit is
    not finite.
    """
    from scipy.optimize import brentq  # late, as below: the graph is loaded without scipy
    from scipy.special import expit

    values, truth = _answers(logits, targets, "logit")

    def slope(inverse: float) -> float:
        return float(np.mean(values * (expit(values * inverse) - truth)))

    low, high = 1 / HIGHEST_TEMPERATURE, 1 / LOWEST_TEMPERATURE
    if slope(low) == slope(high) == 0:
        return 1.0
    if slope(low) >= 0:
        return HIGHEST_TEMPERATURE
    if slope(high) <= 0:
        return LOWEST_TEMPERATURE
    return float(1 / brentq(slope, low, high, xtol=1e-12))


def calibrated(logits: ArrayLike, temperature: float) -> Floats:
    """Probabilities ``sigmoid(logits / temperature)``, float64, of any shape.

    Raises ModelingError when the temperature is not a positive number.
    """
    from scipy.special import expit

    if not (np.isfinite(temperature) and temperature > 0):
        raise ModelingError(f"temperature must be a positive number, not {temperature}: calibrate the model anew")
    return np.asarray(expit(np.asarray(logits, dtype=np.float64) / temperature))


def f1_thresholds(probabilities: ArrayLike, targets: ArrayLike) -> Floats:
    """The threshold of each label with the highest F1: ``(C,)`` float64; a label is predicted at or above it.

    Thresholds stand midway between neighbouring probabilities (the lowest between 0 and the lowest of them), so that
    the last digit of a probability decides nothing. Of equally good ones the nearest to 0.5, then the higher. A label
    without positives has 0.5.

    Takes ``(N, C)`` probabilities and booleans. Raises ModelingError as ``fit_temperature`` does, or when a probability
    is outside 0 to 1.
    """
    values, truth = _answers(probabilities, targets, "probability")
    _check_range(values)
    return np.array([_best_threshold(*pair) for pair in zip(values.T, truth.T, strict=True)])


def expected_calibration_error(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error over all image-label pairs, 0 to 1 (Guo et al., equation 3).

    The mean over answers of the gap, in their bin, between the mean probability and the share that is true. Raises
    ModelingError as ``f1_thresholds`` does.
    """
    table = reliability(probabilities, targets, bins)
    filled = table.answers > 0
    gaps = np.abs(table.probability[filled] - table.share[filled])
    return float((gaps * table.answers[filled]).sum() / table.answers.sum())


def reliability(probabilities: ArrayLike, targets: ArrayLike, bins: int = BINS) -> Reliability:
    """Mean probability and share of true answers in each of ``bins`` bins of equal width.

    Raises ModelingError as ``f1_thresholds`` does.
    """
    values, truth = _answers(probabilities, targets, "probability")
    place, edges = bin_of(values.ravel(), bins)
    answers = np.bincount(place, minlength=bins)
    sums = np.bincount(place, weights=values.ravel(), minlength=bins)
    true = np.bincount(place, weights=truth.ravel(), minlength=bins)
    empty = np.full(bins, np.nan)
    mean = np.divide(sums, answers, out=empty.copy(), where=answers > 0)
    share = np.divide(true, answers, out=empty, where=answers > 0)
    return Reliability(edges, answers.astype(np.int64), mean, share)


def reliability_table(scores: pd.DataFrame | pa.Table) -> pa.Table:
    """Reliability of a SCORES table before and after calibration: a RELIABILITY table of 15 bins for each.

    Validation, where the temperature was fitted, stands before test, and before calibration before after. The answers
    of all seeds are counted together. Raises ModelingError as ``scored_images`` does; a table without rows gives one.
    """
    rows: list[dict[str, Any]] = []
    for split in splits_of(scores):
        images = scored_images(scores, split)
        targets = np.broadcast_to(images.targets, images.logits.shape).reshape(-1, len(images.labels))
        for after, values in ((False, calibrated(images.logits, 1.0)), (True, images.probabilities)):
            edges, *columns = reliability(values.reshape(targets.shape), targets)
            rows += [
                {
                    "split": split,
                    "calibrated": after,
                    "low": float(low),
                    "high": float(high),
                    "answers": int(answers),
                    "probability": float(probability) if answers else None,
                    "share": float(share) if answers else None,
                }
                for low, high, answers, probability, share in zip(edges[:-1], edges[1:], *columns, strict=True)
            ]
    return pa.Table.from_pylist(rows, RELIABILITY)


def bin_of(probabilities: Floats, bins: int = BINS) -> tuple[Ints, Floats]:
    """The bin of each probability, same shape, and the ``(bins + 1,)`` edges of the bins.

    Raises ModelingError when a probability is outside 0 to 1.
    """
    _check_range(probabilities)
    edges = np.arange(bins + 1) / bins
    return np.maximum(np.searchsorted(edges, probabilities, side="left") - 1, 0).astype(np.int64), edges


def _best_threshold(values: Floats, positive: Bools) -> float:
    if not positive.any():
        return NO_THRESHOLD
    order = np.argsort(-values, kind="stable")
    ordered = values[order]
    ends = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # last image predicted, threshold by threshold
    right = np.cumsum(positive[order])[ends]
    f1 = 2 * right / (ends + 1 + positive.sum())
    upper, lower = ordered[ends], np.append(ordered[ends[1:]], 0.0)
    middle = (upper + lower) / 2
    thresholds = np.where(middle > lower, middle, upper)  # nothing lies between neighbouring floats
    best = np.flatnonzero(f1 == f1.max())
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - NO_THRESHOLD))]])


def _check_range(probabilities: Floats) -> None:
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ModelingError("a probability is outside 0 to 1: give probabilities, not logits")


def _answers(values: ArrayLike, targets: ArrayLike, what: str) -> tuple[Floats, Bools]:
    numbers = np.asarray(values, dtype=np.float64)
    truth = np.asarray(targets, dtype=np.bool_)
    if numbers.ndim != 2 or numbers.shape != truth.shape:
        raise ModelingError(
            f"{what} matrix {numbers.shape} and targets {truth.shape} must have one shape, image by label"
        )
    if numbers.size == 0:
        raise ModelingError("no image to calibrate on: the validation split needs at least one image")
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise ModelingError(f"row {row} has a {what} that is not finite: check the training of the model")
    return numbers, truth
