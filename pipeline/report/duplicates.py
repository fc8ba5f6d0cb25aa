"""Near-duplicates: counts by window and way of matching, distances, and pairs to look at side by side."""

from typing import Any

import pandas as pd

from pipeline.report.data import ReportData
from pipeline.report.sources import window_label
from pipeline.report.thumbnails import Thumbnails
from pipeline.report.wording import missing, reason_text

SHOWN_DUPLICATES = 12
SHOWN_REVIEW = 6
SHOWN_CLOSEST = 6
STEP = 8  # bits of 256
BINS = range(0, 72, STEP)


def duplicates_view(data: ReportData, thumbnails: Thumbnails) -> dict[str, Any] | None:
    """None where no unique images were computed."""
    unique = data.unique_images
    if unique is None:
        return None
    aside = unique[~unique["kept"]]
    return {
        "files": len(unique),
        "kept": int(unique["kept"].sum()),
        "aside": len(aside),
        "repeats": int((unique["posts"] - 1).clip(lower=0).sum()),
        "largest": int(unique["cluster_size"].max()) if len(unique) else 0,
        "via": [
            {"text": reason_text(via), "count": int(number)}
            for via, number in aside["via"].fillna("").value_counts().sort_index().items()
        ],
        "windows": _windows(unique),
        "distances": _distances(data.similar_pairs),
        "review": 0 if data.similar_pairs is None else int((data.similar_pairs["band"] == "review").sum()),
        "pairs": _duplicate_pairs(aside, thumbnails),
        "review_pairs": _closest_pairs(data.similar_pairs, "review", SHOWN_REVIEW, thumbnails),
        "closest_pairs": _closest_pairs(data.similar_pairs, "distinct", SHOWN_CLOSEST, thumbnails),
        "rules": sorted(set(unique["rule_version"])),
        "hashes": sorted(set(unique["hash_version"])),
    }


def _windows(unique: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for key, part in unique.groupby("window", sort=True):
        aside = part[~part["kept"]]
        rows.append(
            {
                "label": window_label(str(key)),
                "key": key,
                "files": len(part),
                "kept": int(part["kept"].sum()),
                "aside": len(aside),
                "trim": int(aside["via"].fillna("").str.contains("trim").sum()),
                "mirror": int(aside["via"].fillna("").str.contains("mirror").sum()),
                "repeats": int((part["posts"] - 1).clip(lower=0).sum()),
            }
        )
    return rows


def _distances(pairs: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Pairs by the distance of their 256-bit hashes, in steps of 8 bits."""
    if pairs is None:
        return []
    pairs = pairs[pairs["band"] != "distinct"]
    if pairs.empty:
        return []
    steps = (pairs["distance256"] // STEP * STEP).clip(upper=BINS[-1])
    rows = []
    for start in BINS:
        part = pairs[steps == start]
        rows.append(
            {
                "start": start,
                "duplicate": int((part["band"] == "duplicate").sum()),
                "review": int((part["band"] != "duplicate").sum()),
            }
        )
    most = max(row["duplicate"] + row["review"] for row in rows) or 1
    for row in rows:
        row["duplicate_height"] = 100 * row["duplicate"] / most
        row["review_height"] = 100 * row["review"] / most
    return rows


def _duplicate_pairs(aside: pd.DataFrame, thumbnails: Thumbnails) -> list[dict[str, Any]]:
    """The least alike of each way of matching in turn: where a wrong match would show first."""
    rows = aside.assign(via=aside["via"].fillna("")).sort_values(
        ["via", "distance256", "image_id"], ascending=[True, False, True]
    )
    rows = rows.assign(turn=rows.groupby("via").cumcount()).sort_values(["turn", "via"], kind="stable")
    shown = []
    for row in rows.head(SHOWN_DUPLICATES).itertuples():
        shown.append(
            {
                "first": thumbnails.uri(row.canonical_id),
                "second": thumbnails.uri(row.image_id),
                "first_id": row.canonical_id,
                "second_id": row.image_id,
                "via": reason_text(row.via),
                "bits": None if missing(row.distance256) else int(row.distance256),
                "reason": None if missing(row.reason) else row.reason,
            }
        )
    return shown


def _closest_pairs(pairs: pd.DataFrame | None, band: str, shown: int, thumbnails: Thumbnails) -> list[dict[str, Any]]:
    """The most alike pairs of a band: for review, near enough to ask a person; distinct, the nearest that are kept."""
    if pairs is None:
        return []
    rows = pairs[pairs["band"] == band].sort_values(["distance256", "image_a", "image_b"])
    return [
        {
            "first": thumbnails.uri(row.image_a),
            "second": thumbnails.uri(row.image_b),
            "first_id": row.image_a,
            "second_id": row.image_b,
            "via": reason_text(row.via),
            "bits": int(row.distance256),
            "reason": None,
        }
        for row in rows.head(shown).itertuples()
    ]
