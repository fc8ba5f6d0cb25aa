"""Metrics with intervals from a scores table, and paired tests between architectures.

A SCORES table may hold several seeds of one model: each metric is measured for each seed, and its value is their mean.
Intervals are 95% percentile bootstrap intervals of that mean over groups of images; they say how far other images would
move it, while ``spread`` says how far another seed would. All is vectorised over the resamples and depends on the rows,
not on their order.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from modeling.calibration import calibrated, expected_calibration_error, f1_thresholds
from modeling.errors import ModelingError
from modeling.metrics import (
    MEAN_OF_FIVE,
    RECALLS,
    all_hits,
    average_precision,
    f1_of_counts,
    f1_scores,
    weighted_average_precision,
)
from modeling.paired_tests import holm, mcnemar, sign_flip
from modeling.resampling import Floats, GroupBootstrap, interval, quantiles
from modeling.scored_images import ScoredImages, mean_over_seeds, scored_images, splits_of
from modeling.tables import COMPARISON, EVALUATION

__all__ = ["compare", "evaluate", "mean_over_seeds"]

PER_LABEL_RECALL = "all@2"

_Row: TypeAlias = dict[str, Any]
# metric, label, by seed (S,), resampled (B,) or none, support
_Measured: TypeAlias = tuple[str, str | None, Floats, Floats | None, int]


def evaluate(scores: pd.DataFrame | pa.Table, resamples: int = 1000, seed: int = 0) -> pa.Table:
    """Every metric of a SCORES table with its 95% interval: an EVALUATION table, validation before test.

    For each split: the five recalls, mean5 (their mean), too_many_labels@2 and @3 (share of images with more labels
    than all@2 and all@3 can count), map (mean of the labels' average precisions where defined), ece and ece_raw
    (expected calibration error after and before temperature scaling), and for each label ap and all@2 (Table 5). For
    the test split also cf1 and of1, with thresholds fitted on the validation rows of the same seed, which the resamples
    leave as they are; without validation rows they are left out. ``images`` is the support: all images, or those that
    carry the label. A metric of a label without images has the value null.

    There is no interval (null) of ece and ece_raw: a resample repeats answers, which makes every bin's gap between
    probability and share more uneven, so percentiles of resamples lie above the error that they should hold. Nor is
    there one where every image hits or every one misses.

    Raises ModelingError as ``scored_images`` does, and when the splits were scored with different seeds or labels.
    """
    images = {split: scored_images(scores, split) for split in splits_of(scores)}
    if not images:
        raise ModelingError("the scores have no validation and no test image: score the model on both splits")
    rows: list[_Row] = []
    for split, found in images.items():
        bootstrap = GroupBootstrap(found.group, resamples, seed)
        fitted_on = images.get("validation") if split == "test" else None
        rows += [_row(split, *measured) for measured in _measures(found, bootstrap, fitted_on)]
    return pa.Table.from_pylist(rows, EVALUATION)


def compare(
    scores: Mapping[str, pd.DataFrame | pa.Table], resamples: int = 1000, seed: int = 0, split: str = "test"
) -> pa.Table:
    """Every pair of architectures on the same images: a COMPARISON table.

    ``scores`` maps architecture to its SCORES table, each with as many seeds as it has; pairs stand in its order.
    Values and differences are means over the seeds, with a paired bootstrap interval. Each recall has an exact McNemar
    test over images, where an image counts as right when most (more than half) of the architecture's seeds are right.
    As many seeds of each architecture vote, the first ones: three that are right on 70% of the images have a majority
    on 78%, so a vote of three against one would find a difference where there is none. mean5 has a paired sign-flip
    test over groups of the mean over seeds. ``p_adjusted`` is Holm's correction over the whole table.

    Raises ModelingError when two architectures were not scored on the same images and labels.
    """
    images = {name: scored_images(table, split) for name, table in scores.items()}
    for (first, a), (second, b) in itertools.pairwise(images.items()):
        if a.image_ids != b.image_ids or a.labels != b.labels or not np.array_equal(a.targets, b.targets):
            raise ModelingError(
                f"{first} and {second} were not scored on the same images and labels: score both on one data set"
            )
    rows = [
        row
        for (first, a), (second, b) in itertools.combinations(images.items(), 2)
        for row in _compare(first, a, second, b, resamples, seed)
    ]
    for row, adjusted in zip(rows, holm([row["p_value"] for row in rows]), strict=True):
        row["p_adjusted"] = adjusted
    return pa.Table.from_pylist(rows, COMPARISON)


def _measures(images: ScoredImages, bootstrap: GroupBootstrap, fitted_on: ScoredImages | None) -> Iterator[_Measured]:
    precisions, resampled_precisions = _average_precisions(images, bootstrap)
    yield from _recalls(images, bootstrap)
    resampled_means = _mean_of_defined(resampled_precisions).mean(axis=0)
    yield "map", None, _mean_of_defined(precisions), resampled_means, len(images.image_ids)
    if fitted_on is not None:
        yield from _f1(images, bootstrap, fitted_on)
    yield from _calibration_errors(images)
    right = np.stack([all_hits(logits, images.targets, 2) for logits in images.logits])  # (S, N)
    for index, label in enumerate(images.labels):
        carried = images.targets[:, index]
        support = int(carried.sum())
        yield "ap", label, precisions[:, index], resampled_precisions[:, :, index].mean(axis=0), support
        by_seed = right[:, carried].mean(axis=1) if support else np.full(len(right), np.nan)
        yield PER_LABEL_RECALL, label, by_seed, bootstrap.shares(right.mean(axis=0), carried), support


def _recalls(images: ScoredImages, bootstrap: GroupBootstrap) -> Iterator[_Measured]:
    """The five recalls, their mean, and the shares of images that all-recall can never count."""
    count, by_seed = len(images.image_ids), images.hits.mean(axis=1)  # (S, 5)
    resampled = bootstrap.shares(images.hits.mean(axis=0))  # (B, 5)
    for index, name in enumerate(RECALLS):
        yield name, None, by_seed[:, index], resampled[:, index], count
    yield MEAN_OF_FIVE, None, by_seed.mean(axis=1), resampled.mean(axis=1), count
    for k in (2, 3):
        beyond = images.targets.sum(axis=1) > k
        by_model = np.full(len(images.seeds), beyond.mean())  # the same for every seed
        yield f"too_many_labels@{k}", None, by_model, bootstrap.shares(beyond), count


def _average_precisions(images: ScoredImages, bootstrap: GroupBootstrap) -> tuple[Floats, Floats]:
    """Average precision of each label: ``(S, C)``, and resampled ``(S, B, C)``."""
    points = np.stack([average_precision(logits, images.targets) for logits in images.logits])
    chunks = [
        [
            [weighted_average_precision(*pair, weights) for pair in zip(logits.T, images.targets.T, strict=True)]
            for logits in images.logits
        ]
        for weights in bootstrap.weights()
    ]
    return points, np.concatenate([np.array(chunk).swapaxes(1, 2) for chunk in chunks], axis=1)


def _f1(images: ScoredImages, bootstrap: GroupBootstrap, fitted_on: ScoredImages) -> Iterator[_Measured]:
    """CF1 and OF1, each seed with the thresholds of its own validation rows."""
    if fitted_on.seeds != images.seeds or fitted_on.labels != images.labels:
        raise ModelingError(
            "the validation and the test images were not scored with the same seeds and labels: score the model anew"
        )
    carried, by_seed, resampled = images.targets, [], []
    for probabilities, fitted in zip(images.probabilities, fitted_on.probabilities, strict=True):
        predicted = probabilities >= f1_thresholds(fitted, fitted_on.targets)
        by_seed.append(f1_scores(predicted, carried))
        counts = bootstrap.sums(np.hstack([predicted & carried, predicted, carried]))
        resampled.append(f1_of_counts(*np.split(counts, 3, axis=1)))
    for name, points, again in zip(("cf1", "of1"), np.array(by_seed).T, np.mean(resampled, axis=0), strict=True):
        yield name, None, points, again, len(images.image_ids)


def _calibration_errors(images: ScoredImages) -> Iterator[_Measured]:
    """Expected calibration error after and before temperature scaling, without resamples."""
    for name, answers in (("ece", images.probabilities), ("ece_raw", calibrated(images.logits, 1.0))):
        by_seed = np.array([expected_calibration_error(values, images.targets) for values in answers])
        yield name, None, by_seed, None, len(images.image_ids)


def _compare(first: str, a: ScoredImages, second: str, b: ScoredImages, resamples: int, seed: int) -> Iterator[_Row]:
    names = {"architecture_a": first, "architecture_b": second}
    values_a, values_b = (images.hits.mean(axis=(0, 1)) for images in (a, b))
    resampled = GroupBootstrap(a.group, resamples, seed).shares(b.hits.mean(axis=0) - a.hits.mean(axis=0))  # (B, 5)
    votes = min(len(a.seeds), len(b.seeds))
    most_a, most_b = (2 * images.hits[:votes].sum(axis=0) > votes for images in (a, b))  # (N, 5)
    for index, name in enumerate(RECALLS):
        right_a, right_b = most_a[:, index], most_b[:, index]
        a_only, b_only = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        row = _difference(float(values_a[index]), float(values_b[index]), resampled[:, index])
        row |= {"a_only": a_only, "b_only": b_only}
        yield {"metric": name, **names, **row, "p_value": mcnemar(a_only, b_only)}
    # Sums over seeds and recalls, brought to the same number of seeds: whole numbers, so that no order of sums matters.
    sum_a, sum_b = (images.hits.sum(axis=(0, 2)).astype(np.int64) for images in (a, b))
    gain = sum_b * len(a.seeds) - sum_a * len(b.seeds)
    row = _difference(float(values_a.mean()), float(values_b.mean()), resampled.mean(axis=1))
    row |= {"a_only": int((gain < 0).sum()), "b_only": int((gain > 0).sum())}
    yield {"metric": MEAN_OF_FIVE, **names, **row, "p_value": sign_flip(gain, a.group, seed)}


def _difference(value_a: float, value_b: float, resampled: Floats) -> _Row:
    low, high = quantiles(resampled)
    return {"value_a": value_a, "value_b": value_b, "difference": value_b - value_a, "low": low, "high": high}


def _mean_of_defined(values: Floats) -> Floats:
    """Mean over the last axis of what is defined, NaN where nothing is."""
    defined = ~np.isnan(values)
    counts = defined.sum(axis=-1)
    sums = np.where(defined, values, 0).sum(axis=-1)
    return np.asarray(np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0))


def _row(split: str, metric: str, label: str | None, by_seed: Floats, resampled: Floats | None, images: int) -> _Row:
    low, high = (None, None) if resampled is None else interval(resampled)
    value, spread = _mean_and_spread(by_seed)
    return {
        "split": split,
        "metric": metric,
        "label": label,
        "value": value,
        "low": low,
        "high": high,
        "spread": spread,
        "seeds": len(by_seed),
        "images": images,
    }


def _mean_and_spread(by_seed: Floats) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation of the seeds' values, null where undefined."""
    if np.isnan(by_seed).any():
        return None, None
    if len(by_seed) == 1:
        return float(by_seed[0]), None
    if (by_seed == by_seed[0]).all():  # the mean of equal numbers may differ from them in the last digit
        return float(by_seed[0]), 0.0
    return float(by_seed.mean()), float(by_seed.std(ddof=1))
