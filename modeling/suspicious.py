"""Labels that are most likely wrong, by confident learning on held-out scores.

An image is listed for the one thing in its labels that fits it least: its main label, a sub label too many, or a label
that is missing. What counts as an issue, and how sure a label is, come from cleanlab (Northcutt, Jiang and Chuang:
Confident Learning, JAIR 70, 2021): main labels as classes that exclude each other, every label on its own as yes or no.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modeling.errors import ModelingError
from modeling.held_out import HeldOutScores, head_scores
from modeling.label_sets import label_matrix
from modeling.settings import SuspicionSettings
from modeling.tables import SUSPICIOUS_LABELS
from modeling.training_settings import BackboneSettings, TrainingSettings

WRONG_MAIN, MISSING_LABEL, EXTRA_LABEL = "wrong_main", "missing_label", "extra_label"

Floats = npt.NDArray[np.float64]


def find_suspicious_labels(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    label_set: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    suspicion: SuspicionSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Callable[[int, int], None] | None = None,
) -> pa.Table:
    """Judge every image of a DATA_SET, train, validation and test, and return a SUSPICIOUS_LABELS table.

    Brings torch. The scores are those of linear heads on label-free features, or with ``suspicion.retrain`` of that
    architecture, trained once for each fold. ``progress`` is told steps done, of how many. Labels that too few groups
    of images have are not judged (``held_out.judged_labels``). Raises ModelingError for a picture that can't be read.
    """
    if data_set.empty:
        return SUSPICIOUS_LABELS.empty_table()
    if suspicion.retrain is not None:
        from modeling.retraining import retrained_scores

        scores = retrained_scores(
            data_set, labels, suspicion.retrain, backbone, training, suspicion.folds, image_path, cache_dir, progress
        )
    else:
        from modeling.features import label_free_features

        features = label_free_features(data_set, backbone, training, image_path, cache_dir, progress)
        by = f"linear heads on {features.source}, {suspicion.folds} folds"
        scores = head_scores(features.values, data_set, labels, suspicion.folds, by)
    return suspicious_labels(data_set, labels, scores, label_set, suspicion.most)


def suspicious_labels(
    data_set: pd.DataFrame, labels: Sequence[str], scores: HeldOutScores, label_set: str, most: int
) -> pa.Table:
    """List the images whose labels are most likely wrong: a SUSPICIOUS_LABELS table of at most ``most`` rows.

    ``scores`` belong to the rows of ``data_set`` in their order and must be held out: of heads or networks that never
    saw the image's group. Worst quality first, ties by image_id. Raises ModelingError when shapes do not fit.
    """
    shape = (len(data_set), len(labels))
    if scores.main.shape != shape or scores.labels.shape != shape:
        raise ModelingError(
            f"scores {scores.main.shape} and {scores.labels.shape} must both be {shape}, image by label"
        )
    if data_set.empty:
        return SUSPICIOUS_LABELS.empty_table()
    nothing: list[list[str]] = [[] for _ in range(len(data_set))]
    given_main = label_matrix(data_set["main"], nothing, labels)
    carried = label_matrix(data_set["main"], data_set["subs"], labels)
    qualities = np.where(given_main, _main_qualities(given_main, scores.main), _label_qualities(carried, scores.labels))
    # The main label's own yes or no is not asked: the question there is whether it is the main one.
    doubted = qualities.argmin(axis=1)
    worst = qualities[np.arange(len(data_set)), doubted]
    ids = data_set["image_id"].to_numpy(dtype=str)
    order = [int(row) for row in np.lexsort((ids, worst)) if np.isfinite(worst[row])][:most]
    rows = [
        _row(data_set.iloc[row], labels, int(doubted[row]), scores.main[row], scores.labels[row])
        | {"rank": rank, "label_set": label_set, "quality": float(worst[row]), "scores_by": scores.by}
        for rank, row in enumerate(order, start=1)
    ]
    return pa.Table.from_pylist(rows, SUSPICIOUS_LABELS)


def _main_qualities(given: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Quality of the given main label where it is an issue, infinite elsewhere: (N, 1)."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    result = np.full((len(given), 1), np.inf)
    rows = np.flatnonzero(~np.isnan(scores).any(axis=1))
    columns = np.unique(given[rows].argmax(axis=1))
    if len(columns) < 2:
        return result
    classes = given[np.ix_(rows, columns)].argmax(axis=1)
    probabilities = scores[np.ix_(rows, columns)]
    # One process: cleanlab would fork, which a process with threads must not.
    issues = find_label_issues(classes, probabilities, n_jobs=1) & (probabilities.argmax(axis=1) != classes)
    result[rows, 0] = np.where(issues, get_label_quality_scores(classes, probabilities), np.inf)
    return result


def _label_qualities(carried: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Quality of each label's yes or no where it is an issue, infinite elsewhere: (N, C)."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    result = np.full(carried.shape, np.inf)
    for column in range(carried.shape[1]):
        rows = np.flatnonzero(~np.isnan(scores[:, column]))
        answers = carried[rows, column].astype(np.int64)
        if len(np.unique(answers)) < 2:
            continue
        probabilities = np.stack([1 - scores[rows, column], scores[rows, column]], axis=1)
        # Confident learning's thresholds would hide every missing sub label: they are means over all images that
        # carry the label, and those that have it as main label show it more clearly.
        issues = find_label_issues(answers, probabilities, filter_by="predicted_neq_given", n_jobs=1)
        result[rows, column] = np.where(issues, get_label_quality_scores(answers, probabilities), np.inf)
    return result


def _row(
    image: pd.Series, labels: Sequence[str], doubted: int, main_scores: Floats, label_scores: Floats
) -> dict[str, Any]:
    """What is in doubt about one image, and its labels with that one thing put right."""
    label, main, subs = labels[doubted], str(image["main"]), set(image["subs"])
    kind, suggested_main, suggested_subs, scores = MISSING_LABEL, main, subs | {label}, label_scores
    if label == main:
        suggested_main, scores = labels[int(main_scores.argmax())], main_scores
        still_there = label_scores[doubted] > 0.5  # not the main label, but seen all the same; false for NaN
        kind, suggested_subs = WRONG_MAIN, (subs | {main} if still_there else subs) - {suggested_main}
    elif label in subs:
        kind, suggested_subs = EXTRA_LABEL, subs - {label}
    return {
        "image_id": image["image_id"],
        "split": image["split"],
        "kind": kind,
        "label": label,
        "given_main": main,
        "given_subs": [name for name in labels if name in subs],
        "suggested_main": suggested_main,
        "suggested_subs": [name for name in labels if name in suggested_subs],
        "probability": float(scores[doubted]),
    }
