"""Metrics with intervals from a scores table, and paired tests between architectures.

Intervals are 95% percentile bootstrap intervals over groups: images of one author or cluster are drawn together,
because they are not independent. All is vectorised over the resamples and depends on the rows, not on their order.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.label_sets import as_frame, label_matrix
from modeling.metrics import (
    RECALLS,
    average_precision,
    checked,
    hits,
    per_label_all_recall,
    top_k,
    weighted_average_precision,
)
from modeling.tables import COMPARISON, EVALUATION

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
_Row: TypeAlias = dict[str, Any]

SPLIT_ORDER = ("validation", "test")
MEAN_OF_FIVE = "mean5"
TOO_MANY_LABELS = tuple(f"too_many_labels@{k}" for k in (2, 3))
PER_LABEL_RECALL = "all@2"

_FLIPS = 9_999  # random sign changes of the paired test of mean5
_CHUNK = 250  # resamples at a time: bounds memory


@dataclass(frozen=True)
class ScoredImages:
    """The images of one split, sorted by image_id; C labels."""

    image_ids: list[str]
    labels: tuple[str, ...]
    scores: Floats  # (N, C)
    targets: Bools  # (N, C)
    group: NDArray[np.int64]  # (N,), index of the image's group among the sorted group ids

    @property
    def hits(self) -> Bools:
        """Hits of the five recalls in the order of RECALLS: (N, 5)."""
        return np.stack([hits(self.scores, self.targets, name) for name in RECALLS], axis=1)


def scored_images(scores: pd.DataFrame | pa.Table, split: str) -> ScoredImages:
    """The rows of one split of a SCORES table as arrays.

    Raises ModelingError for a split without rows, an image that stands twice, rows with different label lists, a count
    of scores that is not that of labels, or a score that is not a number (by image).
    """
    rows = as_frame(scores)
    rows = rows[rows["split"] == split].sort_values("image_id", kind="stable")
    if rows.empty:
        raise ModelingError(f"the scores have no {split} image: score the model on that split")
    twice = rows["image_id"][rows["image_id"].duplicated()]
    if len(twice):
        raise ModelingError(f"image {twice.iloc[0]} stands twice in the scores: score the model anew")
    labels = tuple(rows["labels"].iloc[0])
    for image_id, names, values in zip(rows["image_id"], rows["labels"], rows["scores"], strict=True):
        if tuple(names) != labels or len(values) != len(labels) or np.isnan(values).any():
            raise ModelingError(
                f"image {image_id} needs one score that is a number for each of {list(labels)}: score the model anew"
            )
    values, targets = checked(np.array(rows["scores"].tolist()), label_matrix(rows["main"], rows["subs"], labels))
    group = np.unique(rows["group_id"].to_numpy(dtype=object).astype(str), return_inverse=True)[1]
    return ScoredImages(rows["image_id"].tolist(), labels, values, targets, group.astype(np.int64))


def evaluate(scores: pd.DataFrame | pa.Table, resamples: int = 1000, seed: int = 0) -> pa.Table:
    """Every metric of a SCORES table with its 95% interval: an EVALUATION table, validation before test.

    For each split: the five recalls, mean5 (their mean), too_many_labels@2 and @3 (share of images with more labels
    than all@2 and all@3 can count), map (mean of the labels' average precisions where defined), and for each label ap
    and all@2 (Table 5). ``images`` is the support: all images, or those that carry the label. A metric of a label
    without images has the value null.
    """
    present = set(as_frame(scores)["split"])
    rows = [row for split in SPLIT_ORDER if split in present for row in _evaluate(scores, split, resamples, seed)]
    if not rows:
        raise ModelingError("the scores have no validation and no test image: score the model on both splits")
    return pa.Table.from_pylist(rows, EVALUATION)


def compare(
    scores: Mapping[str, pd.DataFrame | pa.Table], resamples: int = 1000, seed: int = 0, split: str = "test"
) -> pa.Table:
    """Every pair of architectures on the same images: a COMPARISON table.

    ``scores`` maps architecture to its SCORES table; pairs stand in its order. For each recall, the difference has a
    paired bootstrap interval and an exact McNemar test over images; for mean5 the test is a paired sign-flip test over
    groups. ``p_adjusted`` is Holm's correction over the whole table.

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


def predicted_labels(scores: pd.DataFrame | pa.Table, k: int, split: str = "test") -> pd.DataFrame:
    """The k labels with the highest scores of each image, best first: columns image_id and predicted."""
    images = scored_images(scores, split)
    predicted = [[images.labels[index] for index in row] for row in top_k(images.scores, k)]
    return pd.DataFrame({"image_id": images.image_ids, "predicted": predicted})


def mcnemar(a_only: int, b_only: int) -> float:
    """Exact two-sided McNemar test: p-value of so uneven a split of the images on which the two differ, 0 to 1."""
    differing = a_only + b_only
    tail = sum(math.comb(differing, count) for count in range(min(a_only, b_only) + 1))
    return min(1.0, 2 * tail / (1 << differing))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for many comparisons by Holm's step-down method, in the order given."""
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


def resampled_weights(group: NDArray[np.int64], resamples: int, seed: int) -> Floats:
    """How often each image counts in each bootstrap resample of the groups: ``(B, N)``.

    As many groups are drawn, with replacement, as there are; an image counts as often as its group was drawn.
    """
    groups = int(group.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1.0 / groups), size=resamples)
    return np.asarray(drawn[:, group], dtype=np.float64)


def _evaluate(scores: pd.DataFrame | pa.Table, split: str, resamples: int, seed: int) -> list[_Row]:
    images = scored_images(scores, split)
    weights = resampled_weights(images.group, resamples, seed)
    return _over_all_images(images, weights, split) + _precisions_and_labels(images, weights, split)


def _over_all_images(images: ScoredImages, weights: Floats, split: str) -> list[_Row]:
    """The five recalls, their mean, and the shares of images that all-recall can never count."""
    count, carried = len(images.image_ids), images.targets.sum(axis=1)
    values = [float(column.mean()) for column in images.hits.T]
    resampled = [_share(column, weights) for column in images.hits.T]
    rows = [
        _row(split, name, None, value, again, count)
        for name, value, again in zip(RECALLS, values, resampled, strict=True)
    ]
    rows.append(_row(split, MEAN_OF_FIVE, None, float(np.mean(values)), np.mean(resampled, axis=0), count))
    for name in TOO_MANY_LABELS:
        beyond = carried > int(name.partition("@")[2])
        rows.append(_row(split, name, None, float(beyond.mean()), _share(beyond, weights), count))
    return rows


def _precisions_and_labels(images: ScoredImages, weights: Floats, split: str) -> list[_Row]:
    """Mean average precision, then average precision and all@2 of each label."""
    points = average_precision(images.scores, images.targets)
    resampled = np.array([_in_chunks(*pair, weights) for pair in zip(images.scores.T, images.targets.T, strict=True)])
    means = np.array([_mean_of_defined(column) for column in resampled.T])
    rows = [_row(split, "map", None, _mean_of_defined(points), means, len(images.image_ids))]
    right = hits(images.scores, images.targets, PER_LABEL_RECALL)
    recalls, supports = per_label_all_recall(images.scores, images.targets, int(PER_LABEL_RECALL.partition("@")[2]))
    for index, label in enumerate(images.labels):
        mask, support = images.targets[:, index], int(supports[index])
        rows.append(_row(split, "ap", label, float(points[index]), resampled[index], support))
        share = _share(right[mask], weights[:, mask])
        rows.append(_row(split, PER_LABEL_RECALL, label, float(recalls[index]), share, support))
    return rows


def _compare(first: str, a: ScoredImages, second: str, b: ScoredImages, resamples: int, seed: int) -> list[_Row]:
    weights = resampled_weights(a.group, resamples, seed)
    names = {"architecture_a": first, "architecture_b": second}
    steps = b.hits.astype(np.int64) - a.hits  # (N, 5): 1 where only b is right, -1 where only a is
    resampled = [_share(column, weights) for column in steps.T]
    rows: list[_Row] = []
    for index, name in enumerate(RECALLS):
        a_only, b_only = int((steps[:, index] < 0).sum()), int((steps[:, index] > 0).sum())
        values = float(a.hits[:, index].mean()), float(b.hits[:, index].mean())
        row = _difference(*values, resampled[index]) | {"a_only": a_only, "b_only": b_only}
        rows.append({"metric": name, **names, **row, "p_value": mcnemar(a_only, b_only)})
    gain = steps.sum(axis=1)
    row = _difference(float(a.hits.mean(axis=0).mean()), float(b.hits.mean(axis=0).mean()), np.mean(resampled, axis=0))
    row |= {"a_only": int((gain < 0).sum()), "b_only": int((gain > 0).sum())}
    rows.append({"metric": MEAN_OF_FIVE, **names, **row, "p_value": sign_flip(gain, a.group, seed)})
    return rows


def _difference(value_a: float, value_b: float, resampled: Floats) -> _Row:
    low, high = _interval(resampled)
    return {"value_a": value_a, "value_b": value_b, "difference": value_b - value_a, "low": low, "high": high}


def _share(values: NDArray[np.generic], weights: Floats) -> Floats:
    """Weighted mean of the values in each resample: ``(B,)``, NaN where no image has weight."""
    total = weights.sum(axis=1)
    result = np.full(len(weights), np.nan)
    np.divide(weights @ values.astype(np.float64), total, out=result, where=total > 0)
    return result


def _in_chunks(scores: Floats, positive: Bools, weights: Floats) -> Floats:
    parts = range(0, len(weights), _CHUNK)
    return np.concatenate([weighted_average_precision(scores, positive, weights[at : at + _CHUNK]) for at in parts])


def _mean_of_defined(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _interval(resampled: Floats) -> tuple[float | None, float | None]:
    """The 2.5% and 97.5% quantiles of the resamples where the metric is defined; null when it never is."""
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return None, None
    low, high = np.quantile(defined, [0.025, 0.975])
    return float(low), float(high)


def _row(split: str, metric: str, label: str | None, value: float, resampled: Floats, images: int) -> _Row:
    low, high = _interval(resampled)
    known = None if math.isnan(value) else value
    return {
        "split": split,
        "metric": metric,
        "label": label,
        "value": known,
        "low": low,
        "high": high,
        "images": images,
    }
