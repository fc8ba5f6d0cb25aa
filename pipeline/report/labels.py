"""The experts' labels: Table 2, how they came about, how far annotators agree, and what was set aside."""

from typing import Any

import pandas as pd

from modeling.published import PAPER_IMAGES, TABLE_2
from pipeline.report.data import ReportData
from pipeline.report.wording import missing, reason_text

MEASURES = {
    "same_main": ("Same main label", "share of the pairs of answers, 0 to 1"),
    "krippendorff_alpha": ("Krippendorff's alpha, main label", "1: perfect, 0: as by chance"),
    "masi": ("MASI distance, main and sub labels", "0: the same sets, 1: nothing in common"),
    "cohen_kappa": ("Cohen's kappa, main label", "1: perfect, 0: as by chance"),
}
EXAMPLES = 3  # quarantined rows quoted for each reason


def labels_view(data: ReportData) -> dict[str, Any]:
    """Every part is empty where the run has no such table."""
    return {
        "table2": _table_2(data.label_frequencies),
        "paper_images": PAPER_IMAGES,
        "total": 0 if data.label_frequencies is None else int(data.label_frequencies["main_images"].sum()),
        "statuses": _counted(data.labels, "status"),
        "agreement": _agreement(data.agreement),
        "per_label": _per_label(data.agreement),
        "quarantined": _quarantined(data.quarantined_annotations),
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


def _agreement(agreement: pd.DataFrame | None) -> list[dict[str, Any]]:
    if agreement is None:
        return []
    overall = agreement[agreement["label"].isna()]
    rows = []
    for measure, (name, meaning) in MEASURES.items():
        part = overall[overall["measure"] == measure]
        for row in part.sort_values(["annotator_a", "annotator_b"]).itertuples():
            pair = [who for who in (row.annotator_a, row.annotator_b) if not missing(who)]
            rows.append(
                {
                    "name": name,
                    "meaning": meaning,
                    "pair": " and ".join(pair) or "all annotators",
                    "value": None if missing(row.value) else float(row.value),
                    "images": int(row.images),
                }
            )
    return rows


def _per_label(agreement: pd.DataFrame | None) -> list[dict[str, Any]]:
    if agreement is None:
        return []
    part = agreement[agreement["label"].notna() & (agreement["measure"] == "same_main")]
    part = part[part["images"] > 0].sort_values(["images", "label"], ascending=[False, True])
    return [
        {"label": row.label, "value": None if missing(row.value) else float(row.value), "images": int(row.images)}
        for row in part.itertuples()
    ]


def _quarantined(quarantined: pd.DataFrame | None) -> list[dict[str, Any]]:
    if quarantined is None:
        return []
    rows = _counted(quarantined, "reason")
    for row in rows:
        part = quarantined[quarantined["reason"] == row["code"]].sort_values("annotation_id")
        row["examples"] = [str(detail) for detail in part["detail"].head(EXAMPLES)]
    return rows
