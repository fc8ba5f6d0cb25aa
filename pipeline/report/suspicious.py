"""Labels that are most likely wrong: pictures with what was given beside what they look like."""

from typing import Any

from modeling.held_out import judged_labels
from pipeline.report.data import LabelSetResult
from pipeline.report.thumbnails import Thumbnails

SHOWN = 24  # pictures of one label set
KINDS = {
    "wrong_main": "main label in doubt",
    "missing_label": "a label may be missing",
    "extra_label": "a label too many",
}


def suspicious_view(result: LabelSetResult, thumbnails: Thumbnails) -> dict[str, Any] | None:
    """The first pictures of the list, how long it is and how it was made; None where no list was made."""
    table = result.suspicious
    if table is None or result.data_set is None:
        return None
    files = dict(zip(result.data_set["image_id"], result.data_set["file_id"], strict=True))
    cards = [
        _card(row) | {"picture": thumbnails.uri(files.get(row["image_id"], row["image_id"]))}
        for row in table.sort_values("rank").head(SHOWN).to_dict("records")
    ]
    kinds = table["kind"].value_counts()
    subs = (sub for given in result.data_set["subs"] for sub in given)
    labels = list(dict.fromkeys([*result.labels, *result.data_set["main"], *subs]))  # the set may have changed since
    judged, _ = judged_labels(result.data_set, labels)
    return {
        "count": len(table),
        "images": len(result.data_set),
        "by": str(table["scores_by"].iloc[0]) if len(table) else None,
        "kinds": [(text, int(kinds[kind])) for kind, text in KINDS.items() if kind in kinds],
        "not_judged": [label for label, enough in zip(labels, judged, strict=True) if not enough],
        "cards": cards,
    }


def _card(row: dict[str, Any]) -> dict[str, Any]:
    """Given and suggested answer as labels with a mark where they differ."""
    given = {row["given_main"], *row["given_subs"]}
    suggested = {row["suggested_main"], *row["suggested_subs"]}
    return {
        "rank": int(row["rank"]),
        "image_id": row["image_id"],
        "split": row["split"],
        "kind": KINDS[row["kind"]],
        "quality": float(row["quality"]),
        "given": _answer(row["given_main"], row["given_subs"], suggested),
        "suggested": _answer(row["suggested_main"], row["suggested_subs"], given),
    }


def _answer(main: str, subs: Any, other: set[str]) -> list[dict[str, Any]]:
    return [{"label": name, "main": name == main, "changed": name not in other} for name in (main, *subs)]
