"""What a model would answer for each image, as rows of ``PRE_ANNOTATIONS``. Nothing here asks a server."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from labeling.config import MAIN, SUBS
from labeling.errors import LabelingError
from labeling.studio.queue import is_blind
from labeling.tables import PRE_ANNOTATIONS

Thresholds = float | Sequence[float]


def pre_annotations(
    image_ids: Sequence[str],
    labels: Sequence[str],
    probabilities: npt.NDArray[np.floating[Any]],
    task_ids: Mapping[str, int],
    *,
    model_version: str,
    blind_share: float,
    predicted_at: datetime,
    thresholds: Thresholds = 0.5,
) -> pa.Table:
    """Turn the probabilities of a multi-label model into one row for each image, sorted by ``image_id``.

    The main label is the most probable one (of equals the first), whatever its threshold; sub labels are the others
    at or above theirs, in the order of ``labels``; the score is the probability of the main label.

    Args:
        image_ids: N distinct images.
        labels: C distinct labels.
        probabilities: ``(N, C)`` float, each from 0 to 1.
        task_ids: from image to task in Label Studio; an image that is not queued yet is not in it.
        model_version: what the server and the experts know the model by.
        blind_share: share of the images, by hash, that never show a prediction, 0 to 1.
        predicted_at: with a time zone.
        thresholds: probability from which a label is sub: one for all, or C.

    Raises:
        LabelingError: if shapes do not fit, an id or a label comes twice, a probability is not from 0 to 1, or the
            version is blank or has a comma.
    """
    values = np.asarray(probabilities, np.float64)
    limits = _limits(thresholds, len(labels))
    _check(image_ids, labels, values, model_version)
    mains = values.argmax(axis=1) if len(values) else np.zeros(0, np.intp)
    is_sub = values >= limits
    is_sub[np.arange(len(values)), mains] = False
    columns: dict[str, list[Any]] = {
        "image_id": list(image_ids),
        "task_id": [task_ids.get(image_id) for image_id in image_ids],
        "model_version": [model_version] * len(values),
        "main": [labels[place] for place in mains],
        "subs": [[labels[place] for place in np.flatnonzero(row)] for row in is_sub],
        "score": values[np.arange(len(values)), mains].tolist(),
        "blind": [is_blind(image_id, blind_share) for image_id in image_ids],
        "predicted_at": [predicted_at] * len(values),
    }
    return pa.table(columns, schema=PRE_ANNOTATIONS).sort_by("image_id")


def with_history(previous: pa.Table, current: pa.Table) -> pa.Table:
    """Join earlier ``PRE_ANNOTATIONS`` with the current ones, sorted by image and time.

    Every row that once stood before experts, or was kept from them on purpose, stays: answers of that time are
    compared with it. A current row that says the same as the latest of its image keeps the time of that one.
    """
    kept = [row for row in previous.to_pylist() if row["task_id"] is not None]
    latest = {row["image_id"]: row for row in sorted(kept, key=_moment)}
    rows = kept
    for row in current.to_pylist():
        known = latest.get(row["image_id"])
        if known is None or {**row, "predicted_at": None} != {**known, "predicted_at": None}:
            rows.append(row)
    return pa.Table.from_pylist(sorted(rows, key=_moment), schema=PRE_ANNOTATIONS)


def import_body(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of ``PRE_ANNOTATIONS`` as the server imports it; the labelling screen shows it ticked."""
    result = [_choices(MAIN, [row["main"]])]
    if row["subs"]:
        result.append(_choices(SUBS, row["subs"]))
    return {
        "task": row["task_id"],
        "model_version": row["model_version"],
        "score": row["score"],
        "result": result,
    }


def _choices(control: str, labels: Sequence[str]) -> dict[str, Any]:
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(labels)}}


def _moment(row: Mapping[str, Any]) -> tuple[str, datetime]:
    return row["image_id"], row["predicted_at"]


def _limits(thresholds: Thresholds, labels: int) -> npt.NDArray[np.float64]:
    limits = np.asarray(thresholds, np.float64)
    if limits.shape not in ((), (labels,)):
        raise LabelingError(f"{limits.size} thresholds for {labels} labels: give one for all, or one for each label")
    return limits


def _check(
    image_ids: Sequence[str], labels: Sequence[str], values: npt.NDArray[np.float64], model_version: str
) -> None:
    if values.shape != (len(image_ids), len(labels)) or not labels:
        raise LabelingError(
            f"probabilities have the shape {values.shape}: {len(image_ids)} images by {len(labels)} labels are needed"
        )
    if len(set(image_ids)) != len(image_ids) or len(set(labels)) != len(labels):
        raise LabelingError("an image or a label is there twice: give each once")
    if not ((values >= 0) & (values <= 1)).all():  # also false for NaN
        raise LabelingError("a probability is not between 0 and 1: apply the sigmoid to the model's outputs first")
    if not model_version.strip() or "," in model_version:
        raise LabelingError(f"model version {model_version!r} must not be blank or have a comma: the server lists them")
