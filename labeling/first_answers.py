"""What each annotator said about each image at first, before a colleague or a reviewer could sway them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
import pandas as pd

from labeling.annotations import Labels, Problem, check_labels, natural
from labeling.results import Json, moment, read_result
from labeling.taxonomy import Taxonomy

_FROM_PREDICTION = ("prediction", "prediction-changed")  # where the screen says that a choice comes from


class FirstAnswer(NamedTuple):
    """The first submitted answer of one annotator for one image."""

    image_id: str
    created_at: datetime
    saw_prediction: bool
    labels: Labels | None  # None: it breaks a rule


def first_answers(versions: pd.DataFrame, taxonomy: Sequence[str]) -> list[FirstAnswer]:
    """Return the first answer of each annotator for each image, as it stood when an export first met it.

    Of an answer that was changed later, and of one that was deleted since, it is the first submitted version. Left out
    are answers without a time, without a known annotator, or for an image that is not known any more.

    Args:
        versions: rows of ``ANNOTATION_VERSIONS``, in the order in which they were met.
        taxonomy: the labels that may be given, in their order.
    """
    known = Taxonomy(tuple(taxonomy))
    first: dict[tuple[str, str], tuple[tuple[datetime, tuple[int, str]], Json]] = {}
    submitted = versions[
        (versions["state"] == "submitted") & versions["image_id"].notna() & versions["annotator"].notna()
    ]
    columns = ["annotation_id", "image_id", "annotator", "raw"]
    for annotation_id, image_id, annotator, raw in submitted[columns].itertuples(index=False):
        fields = orjson.loads(raw)
        created_at = moment(fields.get("created_at"))
        if created_at is None:
            continue
        place = created_at, natural(annotation_id)  # the same for all versions of one annotation
        if (image_id, annotator) not in first or place < first[image_id, annotator][0]:
            first[image_id, annotator] = place, fields
    return [
        FirstAnswer(image_id, created_at, _saw_prediction(fields), _labels(fields, known))
        for (image_id, _), ((created_at, _), fields) in first.items()
    ]


def _saw_prediction(fields: Json) -> bool:
    """Return whether the form was filled in by a prediction; the server names none for a draft finished later."""
    if fields.get("parent_prediction") is not None:
        return True
    result = fields.get("result")
    items = result if isinstance(result, list) else []
    return any(isinstance(item, dict) and item.get("origin") in _FROM_PREDICTION for item in items)


def _labels(fields: Json, taxonomy: Taxonomy) -> Labels | None:
    read = read_result(fields.get("result"))
    if isinstance(read, Problem):
        return None
    labels = check_labels(read.mains, read.subs, taxonomy)
    return None if isinstance(labels, Problem) else labels
