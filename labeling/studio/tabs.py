"""The tabs of a project's data manager: what is to label, what is to review, what came back."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from labeling.config import ATTENTION, CONFLICT_MARK, CORRECT_MARK, SUSPICIOUS_MARK
from labeling.styles import Language

_SHOWN = ("id", "total_annotations", "annotators", "data.image", f"data.{ATTENTION}")
_COLUMNS = (  # of Label Studio 1.23; those of the data come last, in the order of the screen
    *("id", "inner_id", "completed_at", "total_annotations", "cancelled_annotations", "total_predictions"),
    *("annotators", "annotations_results", "annotations_ids", "predictions_score", "predictions_model_versions"),
    *("predictions_results", "file_upload", "storage_filename", "created_at", "updated_at", "updated_by"),
    *("avg_lead_time", "draft_exists", "data.image", "data.created_at", "data.hashtags", "data.alt_text"),
    *("data.image_id", "data.window", f"data.{ATTENTION}"),
)


class Tab(NamedTuple):
    """A tab as the server stores it."""

    title: str
    data: dict[str, Any]


# A tab is 150 pixels wide: "Review: doubts" just fits.
_TITLES: Mapping[Language, tuple[str, str, str, str, str]] = MappingProxyType(
    {
        "en": ("To label", "Review: conflicts", "Review: doubts", "Came back", "All"),
        "ko": ("라벨링할 사진", "검수: 불일치", "검수: 의심", "돌아온 사진", "전체"),
    }
)


def project_tabs(language: Language) -> list[Tab]:
    """Return the tabs of a project, the one that opens by default first."""
    to_label, conflicts, suspicious, came_back, everything = _TITLES[language]
    return [
        _tab(to_label, [_condition("completed_at", "empty", "Datetime", True)], also=("data.hashtags",)),
        _tab(conflicts, [_begins_with(CONFLICT_MARK)]),
        _tab(suspicious, [_begins_with(SUSPICIOUS_MARK)]),
        _tab(came_back, [_begins_with(mark) for mark in (CONFLICT_MARK, SUSPICIOUS_MARK, CORRECT_MARK)]),
        _tab(everything, [], also=("completed_at", "cancelled_annotations", "total_predictions", "data.window")),
    ]


def missing_tabs(wanted: Iterable[Tab], views: Iterable[Mapping[str, Any]]) -> list[Tab]:
    """Return the wanted tabs whose title no view of the project has; what people changed in theirs does not matter."""
    titles = {view["data"].get("title") for view in views}
    return [tab for tab in wanted if tab.title not in titles]


def _tab(title: str, conditions: list[dict[str, Any]], also: tuple[str, ...] = ()) -> Tab:
    shown = {*_SHOWN, *also}
    return Tab(
        title,
        {
            "title": title,
            "type": "list",
            "target": "tasks",
            "hiddenColumns": {
                "explore": [f"tasks:{column}" for column in _COLUMNS if column not in shown],
                "labeling": [f"tasks:{column}" for column in _COLUMNS if column != "data.image"],
            },
            "columnsWidth": {f"tasks:data.{ATTENTION}": 420},
            "filters": {"conjunction": "or" if len(conditions) > 1 else "and", "items": conditions},
        },
    )


def _begins_with(mark: str) -> dict[str, Any]:
    # The type is what the server gives to a field that no tag of the labeling config shows as an object.
    return _condition(f"data.{ATTENTION}", "contains", "Unknown", mark)


def _condition(column: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}
