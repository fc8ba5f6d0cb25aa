"""Where a model is good and where it is not: its recalls by slice of the images, and its worst errors."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.metrics import MEAN_OF_FIVE, RECALLS, top_k
from modeling.resampling import GroupBootstrap, interval
from modeling.scored_images import Bools, Floats, ScoredImages, mean_over_seeds, scored_images, splits_of
from modeling.tables import SLICES

FACTS = ("window", "source", "blind")
DIMENSIONS = ("window", "source", "labels", "main_only", "blind")

_MANY_LABELS = 3  # images with so many labels or more are one slice
_LEAST = 1e-7  # probability below which a loss no longer grows: float32 scores may be 0


def slices(scores: pd.DataFrame | pa.Table, facts: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pa.Table:
    """The five recalls and their mean by slice of the images, with 95% intervals over groups: a SLICES table.

    ``facts`` is indexed by image_id, once each, with any of the columns window, source and blind (other columns are
    ignored); an image whose fact is null is in no slice of that column. The other dimensions come from the scores:
    labels (how many the image has: 1, 2, 3+) and main_only (yes: it has no sub label). Truth values are the slices yes
    and no. A slice without images is absent; one whose images are all of one group, all hit or all missed has no
    interval (null).

    Raises ModelingError as ``scored_images`` does, when an image is not in ``facts``, or stands there twice.
    """
    rows: list[dict[str, Any]] = []
    for split in splits_of(scores):
        images = scored_images(scores, split)
        bootstrap = GroupBootstrap(images.group, resamples, seed)
        for dimension, column in _dimensions(images, facts):
            for name, inside in _members(column):
                keys = {"split": split, "dimension": dimension, "slice": name, "images": int(inside.sum())}
                rows += [keys | measured for measured in _recalls(images, inside, bootstrap)]
    return pa.Table.from_pylist(rows, SLICES)


def worst_errors(scores: pd.DataFrame | pa.Table, split: str = "test", most: int = 24) -> pd.DataFrame:
    """The images on which the model is most confidently wrong, the worst first; probabilities are means over the seeds.

    An image is wrong when a label that it lacks is more probable than one that it has (then its most probable labels,
    as many as it has, are not its own). Wrong images are ordered by ``loss``, the mean binary cross entropy over the
    labels, which grows with every true label that got a low probability and every wrong one that got a high one; equal
    ones by image_id.

    Returns the columns image_id, main, subs, predicted (most probable labels, as many as the image has, best first),
    true_label and true_probability (of its labels, the least probable), wrong_label and wrong_probability (of the
    others, the most probable; ties by label order), loss. Raises ModelingError as ``scored_images`` does.
    """
    rows = mean_over_seeds(scores)
    rows = rows[rows["split"] == split]
    images = scored_images(scores, split)
    probabilities, targets = images.mean_probabilities, images.targets
    least = np.where(targets, probabilities, np.inf).argmin(axis=1)
    highest = np.where(targets, -np.inf, probabilities).argmax(axis=1)
    at = np.arange(len(targets))
    predicted = top_k(probabilities, len(images.labels))
    table = pd.DataFrame(
        {
            "image_id": images.image_ids,
            "main": rows["main"].to_numpy(),
            "subs": [list(subs) for subs in rows["subs"]],
            "predicted": [
                [images.labels[label] for label in row[:count]]
                for row, count in zip(predicted, targets.sum(axis=1), strict=True)
            ],
            "true_label": [images.labels[label] for label in least],
            "true_probability": probabilities[at, least],
            "wrong_label": [images.labels[label] for label in highest],
            "wrong_probability": probabilities[at, highest],
            "loss": _losses(probabilities, targets),
        }
    )
    some_absent = ~targets.all(axis=1)
    table = table[some_absent].query("wrong_probability > true_probability")
    table = table.sort_values(["loss", "image_id"], ascending=[False, True], kind="stable")
    return table.head(most).reset_index(drop=True)


def _dimensions(images: ScoredImages, facts: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Each dimension with the slice of every image as text, null where unknown, in the order of DIMENSIONS."""
    twice = facts.index[facts.index.duplicated()]
    if len(twice):
        raise ModelingError(f"image {twice[0]} stands twice in the facts: give each image one row")
    missing = sorted(set(images.image_ids) - set(facts.index))
    if missing:
        raise ModelingError(f"image {missing[0]} has no facts: give every scored image a row, with null where unknown")
    known = facts.loc[images.image_ids, [name for name in FACTS if name in facts.columns]]
    counts = pd.Series(images.targets.sum(axis=1))
    found = {name: known[name] for name in known.columns}
    found["labels"] = counts.map(lambda count: str(count) if count < _MANY_LABELS else f"{_MANY_LABELS}+")
    found["main_only"] = counts == 1
    for name in DIMENSIONS:
        if name in found:
            yield name, found[name].reset_index(drop=True)


def _members(column: pd.Series) -> Iterator[tuple[str, Bools]]:
    """The slices of one dimension, in the order of their text (yes before no), with the images in each: (N,) bool."""
    known = column.notna().to_numpy()
    text = np.array([_text(value) for value in column], dtype=object)
    for name in sorted(set(text[known]), key=lambda name: (name != "yes", name)):
        yield name, np.asarray((text == name) & known, dtype=np.bool_)


def _text(value: object) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return str(value)


def _recalls(images: ScoredImages, inside: Bools, bootstrap: GroupBootstrap) -> Iterator[dict[str, Any]]:
    """The five recalls and their mean over some of the images."""
    hits = images.hits.mean(axis=0)  # (N, 5), over the seeds
    values = np.column_stack([hits, hits.mean(axis=1)])
    resampled = bootstrap.shares(values, inside)
    for index, metric in enumerate((*RECALLS, MEAN_OF_FIVE)):
        low, high = interval(resampled[:, index])
        yield {"metric": metric, "value": float(values[inside, index].mean()), "low": low, "high": high}


def _losses(probabilities: Floats, targets: Bools) -> NDArray[np.float64]:
    right = np.where(targets, probabilities, 1 - probabilities)
    return np.asarray(-np.log(np.clip(right, _LEAST, 1)).mean(axis=1))
