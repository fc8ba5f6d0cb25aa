"""A SCORES table as arrays: the images of one split with the answers of one or several seeds of a model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.label_sets import as_frame, label_matrix
from modeling.metrics import RECALLS, checked, hits

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SPLIT_ORDER = ("validation", "test")


@dataclass(frozen=True)
class ScoredImages:
    """The images of one split, sorted by image_id, as S seeds see them; C labels."""

    image_ids: list[str]
    labels: tuple[str, ...]
    seeds: tuple[int, ...]  # ascending
    probabilities: Floats  # (S, N, C), calibrated
    logits: Floats  # (S, N, C)
    targets: Bools  # (N, C)
    group: NDArray[np.int64]  # (N,), index of the image's group among the sorted group ids

    @cached_property
    def hits(self) -> Bools:
        """Hits of the five recalls in the order of RECALLS: (S, N, 5).

        Labels are ranked by logits: calibration keeps their order, but two sure probabilities may both be 1.0.
        """
        found = [[hits(logits, self.targets, name) for name in RECALLS] for logits in self.logits]
        return np.array(found).swapaxes(1, 2)

    @property
    def mean_probabilities(self) -> Floats:
        """Mean of the seeds' probabilities: (N, C)."""
        return np.asarray(self.probabilities.mean(axis=0))


def splits_of(scores: pd.DataFrame | pa.Table) -> list[str]:
    """The splits that a SCORES table has rows of: validation, then test."""
    present = set(as_frame(scores)["split"])
    return [split for split in SPLIT_ORDER if split in present]


def scored_images(scores: pd.DataFrame | pa.Table, split: str) -> ScoredImages:
    """The rows of one split of a SCORES table as arrays, whatever their order.

    Raises ModelingError for a split without rows, an image that stands twice for one seed, rows with different label
    lists, a count of scores or logits that is not that of labels, one that is not a finite number, or seeds that were
    not scored on the same images with the same labels and groups (by image).
    """
    rows = _rows_of(scores, split)
    labels = _label_list(rows)
    seeds = tuple(int(seed) for seed in rows["seed"].unique())
    first = rows[rows["seed"] == seeds[0]]
    for seed in seeds[1:]:
        _check_same_images(first, rows[rows["seed"] == seed])
    shape = len(seeds), len(first), len(labels)
    targets = label_matrix(first["main"], first["subs"], labels)
    checked(np.zeros(targets.shape), targets)
    group = np.unique(first["group_id"].to_numpy(dtype=object).astype(str), return_inverse=True)[1]
    return ScoredImages(
        first["image_id"].tolist(),
        labels,
        seeds,
        _stacked(rows["scores"]).reshape(shape),
        _stacked(rows["logits"]).reshape(shape),
        targets,
        group.astype(np.int64),
    )


def mean_over_seeds(scores: pd.DataFrame | pa.Table) -> pd.DataFrame:
    """One row an image of a SCORES table, its ``scores`` the mean of the seeds' probabilities ``(C,) float64``.

    The columns are those of SCORES without seed and logits; validation images stand before test images, each by
    image_id. Raises ModelingError as ``scored_images`` does; a table without rows gives one.
    """
    parts = []
    for split in splits_of(scores):
        images, rows = scored_images(scores, split), _rows_of(scores, split)
        first = rows[rows["seed"] == images.seeds[0]].drop(columns=["seed", "logits"])
        parts.append(first.assign(scores=list(images.mean_probabilities)))
    if not parts:
        return as_frame(scores).iloc[:0].drop(columns=["seed", "logits"])
    return pd.concat(parts, ignore_index=True)


def _rows_of(scores: pd.DataFrame | pa.Table, split: str) -> pd.DataFrame:
    rows = as_frame(scores)
    rows = rows[rows["split"] == split].sort_values(["seed", "image_id"], kind="stable")
    if rows.empty:
        raise ModelingError(f"the scores have no {split} image: score the model on that split")
    twice = rows[rows.duplicated(["seed", "image_id"])]
    if len(twice):
        image_id, seed = twice.iloc[0][["image_id", "seed"]]
        raise ModelingError(f"image {image_id} stands twice in the scores of seed {seed}: score the model anew")
    return rows


def _label_list(rows: pd.DataFrame) -> tuple[str, ...]:
    labels = tuple(rows["labels"].iloc[0])
    columns = (rows[name] for name in ("image_id", "labels", "scores", "logits"))
    for image_id, names, *numbers in zip(*columns, strict=True):
        if tuple(names) != labels or not all(_finite(values, len(labels)) for values in numbers):
            raise ModelingError(
                f"image {image_id} needs one score and one logit that is a number for each of {list(labels)}: "
                "score the model anew"
            )
    return labels


def _finite(values: NDArray[np.float32], count: int) -> bool:
    return len(values) == count and bool(np.isfinite(values).all())


def _stacked(column: pd.Series) -> Floats:
    return np.array([np.asarray(values, dtype=np.float64) for values in column])


def _check_same_images(first: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise for an image that only one of two seeds has, or that stands with other labels or another group."""
    seeds = f"seeds {first['seed'].iloc[0]} and {other['seed'].iloc[0]}"
    alone = sorted(set(first["image_id"]) ^ set(other["image_id"]))
    if alone:
        raise ModelingError(f"image {alone[0]} was scored with one of the {seeds} only: score both on one data set")
    for image_id, one, another in zip(first["image_id"], _truths(first), _truths(other), strict=True):
        if one != another:
            raise ModelingError(
                f"image {image_id} has other labels or another group with one of the {seeds}: score both on one data "
                "set"
            )


def _truths(rows: pd.DataFrame) -> list[tuple[str, list[str], str]]:
    columns = zip(rows["main"], rows["subs"], rows["group_id"], strict=True)
    return [(main, sorted(subs), group) for main, subs, group in columns]
