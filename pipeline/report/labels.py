"""The experts' labels: Table 2, how they came about, and what was set aside or given back."""

from typing import Any

import pandas as pd

from modeling.published import PAPER_IMAGES, TABLE_2
from pipeline.report.annotators import acceptance_view, agreement_view, annotators_view, confusion_view
from pipeline.report.data import ReportData
from pipeline.report.wording import reason_text, web_link

EXAMPLES = 3  # rows quoted for each reason


def labels_view(data: ReportData) -> dict[str, Any]:
    """Every part is empty where the run has no such table."""
    return {
        "table2": _table_2(data.label_frequencies),
        "paper_images": PAPER_IMAGES,
        "total": 0 if data.label_frequencies is None else int(data.label_frequencies["main_images"].sum()),
        "statuses": _counted(data.labels, "status"),
        "answers": _counted(data.labels, "answer"),
        "agreement": agreement_view(data.agreement),
        "confusion": confusion_view(data.confusion),
        "annotators": annotators_view(data.annotators),
        "acceptance": acceptance_view(data.acceptance),
        "quarantined": _quarantined(data.quarantined_annotations),
        "returned": _returned(data.returned),
    }


def _table_2(frequencies: pd.DataFrame | None) -> dict[str, Any]:
    if frequencies is None or frequencies.empty:
        return {"rows": [], "paper": False}
    table = frequencies.sort_values(["rank", "label"])
    most = float(table[["main_share", "sub_share"]].max().max()) or 1.0
    rows = [
        {
            "label": row.label,
            "images": int(row.main_images),
            "main": row.main_share,
            "sub_images": int(row.sub_images),
            "sub": row.sub_share,
            "main_width": 100 * row.main_share / most,
            "sub_width": 100 * row.sub_share / most,
            "paper": TABLE_2.get(row.label),
        }
        for row in table.itertuples()
    ]
    return {"rows": rows, "paper": any(row["paper"] for row in rows)}


def _counted(table: pd.DataFrame | None, column: str) -> list[dict[str, Any]]:
    if table is None:
        return []
    counts = table[column].value_counts()
    total = max(int(counts.sum()), 1)
    order = sorted(counts.index, key=lambda code: (-int(counts[code]), code))
    return [
        {"code": code, "text": reason_text(code), "count": int(counts[code]), "width": 100 * counts[code] / total}
        for code in order
    ]


def _quarantined(quarantined: pd.DataFrame | None) -> list[dict[str, Any]]:
    if quarantined is None:
        return []
    rows = _counted(quarantined, "reason")
    for row in rows:
        part = quarantined[quarantined["reason"] == row["code"]].sort_values("annotation_id").head(EXAMPLES)
        row["examples"] = [
            {"detail": str(example.detail), "task": example.task_id, "link": web_link(example.task_link)}
            for example in part.itertuples()
        ]
    return rows


def _returned(returned: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Tasks given back, by reason and way, most first."""
    if returned is None:
        return []
    ways = returned.sort_values(["returned_at", "task_id"]).groupby(["reason", "way"], sort=True)
    rows = [
        {
            "code": reason,
            "text": reason_text(reason),
            "way": reason_text(way),
            "count": len(part),
            "example": part["detail"].iloc[-1],
        }
        for (reason, way), part in ways
    ]
    return sorted(rows, key=lambda row: -row["count"])
