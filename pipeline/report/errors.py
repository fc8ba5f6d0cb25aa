"""The test images on which a model is most confidently wrong, with what it said and whether others say the same."""

from collections.abc import Sequence
from typing import Any

from modeling.slices import worst_errors
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import chosen_model
from pipeline.report.score_browser import Ranked, files_of
from pipeline.report.thumbnails import Thumbnails

SHOWN = 12  # pictures of one label set


def errors_view(
    data: ReportData, result: LabelSetResult, models: Sequence[Ranked], thumbnails: Thumbnails
) -> dict[str, Any] | None:
    """The worst errors of the model that the validation split would choose; None when it has no scores."""
    model = chosen_model(result)
    by_name = {item.architecture: item for item in models}
    if model is None or model.scores is None or model.architecture not in by_name:
        return None
    chosen = by_name.pop(model.architecture)
    errors = worst_errors(model.scores, most=len(model.scores))
    doubtful = set() if result.suspicious is None else set(result.suspicious["image_id"])
    files = files_of(result)
    cards = [
        _card(row, result, chosen, list(by_name.values()))
        | {"picture": thumbnails.uri(files.get(row["image_id"], row["image_id"]))}
        | {"doubtful": row["image_id"] in doubtful}
        for row in errors.head(SHOWN).to_dict("records")
    ]
    return {
        "key": model.architecture,
        "name": data.display_name(model.architecture),
        "count": len(errors),
        "images": len(chosen.table),
        "doubtful": int(errors["image_id"].isin(doubtful).sum()) if result.suspicious is not None else None,
        "cards": cards,
    }


def _card(row: dict[str, Any], result: LabelSetResult, model: Ranked, others: Sequence[Ranked]) -> dict[str, Any]:
    """One picture: its labels, what the model takes it for, and the probability of what it overlooked."""
    labels = list(result.labels)
    at = model.row_of[row["image_id"]]
    truth = {row["main"], *row["subs"]}
    scored = [other for other in others if row["image_id"] in other.row_of]
    wrong = [other for other in scored if not other.all_recall(len(truth))[other.row_of[row["image_id"]]]]
    said = [_said(label, float(model.scores[at, labels.index(label)]), truth) for label in row["predicted"]]
    overlooked = [label for label in (row["main"], *row["subs"]) if label not in row["predicted"]]
    return {
        "image_id": row["image_id"],
        "main": row["main"],
        "subs": list(row["subs"]),
        "said": said,
        "overlooked": [_said(label, float(model.scores[at, labels.index(label)]), truth) for label in overlooked],
        "others": len(scored),
        "others_wrong": len(wrong),
    }


def _said(label: str, probability: float, truth: set[str]) -> dict[str, Any]:
    return {"label": label, "probability": probability, "true": label in truth}
