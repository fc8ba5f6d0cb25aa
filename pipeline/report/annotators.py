"""How far the annotators agree, where they differ, and how each of them works."""

from typing import Any

import numpy as np
import pandas as pd

from labeling.figures import short_names
from pipeline.report.sources import window_label
from pipeline.report.wording import NOTHING, duration, figure, missing, p_value, percent, reason_text

MEASURES = {
    "same_main": ("Same main label", "share of the pairs of answers"),
    "cohen_kappa": ("Cohen's kappa, main label", "1: perfect, 0: as by chance"),
    "krippendorff_alpha": ("Krippendorff's alpha, main label", "1: perfect, 0: as by chance"),
    "krippendorff_alpha_masi": ("Krippendorff's alpha, main and sub labels", "1: perfect, 0: as by chance"),
    "masi": ("MASI distance, main and sub labels", "0: the same sets, 1: nothing in common"),
}
BY_WINDOW = ("krippendorff_alpha", "krippendorff_alpha_masi", "same_main")
RELIABLE, TENTATIVE = 0.8, 0.667  # Krippendorff, Content Analysis (2004), section 11.4
MOST_IN_MAP = 16  # annotators; of more, only the pairs that agree least are listed
LEAST_AGREEING = 12
MOST_CONFUSED = 5
SURE = 0.05  # p-value of a drift

View = dict[str, Any]


def agreement_view(agreement: pd.DataFrame | None) -> View:
    """Agreement over all, by window, by pair of annotators and by label; parts are empty where nothing is known."""
    if agreement is None:
        return {"overall": [], "reading": None, "windows": [], "plot": None, "pairs": None, "labels": []}
    windows, pairs = agreement["window"].notna(), agreement["annotator_a"].notna()
    labels = agreement["label"].notna()
    overall = agreement[~windows & ~pairs & ~labels & (agreement["images"] > 0)].set_index("measure")
    by_window = _windows(agreement[windows])
    return {
        "overall": [
            _measured(overall.loc[measure]) | {"name": name, "meaning": meaning}
            for measure, (name, meaning) in MEASURES.items()
            if measure in overall.index
        ],
        "reading": _reading(overall),
        "windows": by_window,
        "plot": _plot(by_window),
        "pairs": _pairs(agreement[pairs & (agreement["measure"] == "cohen_kappa")]),
        "labels": _labels(agreement[labels]),
    }


def confusion_view(confusion: pd.DataFrame | None) -> View | None:
    """Labels that two people gave to one image, as a heat map, and the pairs of labels most often taken for another."""
    if confusion is None:
        return None
    used = confusion.groupby("label_a", sort=False)["pairs"].sum()
    labels = [str(label) for label, pairs in used.items() if pairs > 0]
    if not labels:
        return None
    cells = {(row.label_a, row.label_b): row for row in confusion.itertuples()}
    rows = [
        {
            "label": _label(a),
            "pairs": int(used[a]),
            "cells": [_heat_cell(cells[a, b].share, f"{_label(a)} and {_label(b)}", cells[a, b].pairs) for b in labels],
        }
        for a in labels
    ]
    apart = confusion[(confusion["label_a"] < confusion["label_b"]) & (confusion["pairs"] > 0)]
    worst = apart.sort_values(["pairs", "label_a", "label_b"], ascending=[False, True, True]).head(MOST_CONFUSED)
    most = [
        {"labels": f"{_label(row.label_a)} and {_label(row.label_b)}", "pairs": row.pairs} for row in worst.itertuples()
    ]
    return {"labels": [_label(label) for label in labels], "rows": rows, "most": most}


def annotators_view(annotators: pd.DataFrame | None) -> list[View]:
    """A row for each annotator over all the time, with a note where the agreement with the others changed."""
    if annotators is None:
        return []
    names = short_names(annotators["annotator"])
    kappas = annotators[annotators["week"].notna()].set_index(["annotator", "week"])["kappa"]
    return [
        {
            "name": names[row.annotator],
            "whole_name": row.annotator,
            "answers": row.answers,
            "skipped": row.skipped,
            "median": duration(row.lead_time_median),
            "p90": duration(row.lead_time_p90),
            "reviewed": row.reviewed,
            "accepted": row.accepted_share,
            "kappa": figure(row.kappa),
            "compared": row.compared,
            "note": _drift_note(row, kappas),
            "drifts": not missing(row.drift_p) and row.drift_p < SURE,
        }
        for row in annotators[annotators["week"].isna()].sort_values("annotator").itertuples()
    ]


def acceptance_view(acceptance: pd.DataFrame | None) -> View:
    """How experts took each model's answers: those they saw, and those kept from them for comparison."""
    if acceptance is None or acceptance.empty:
        return {"overall": [], "labels": []}
    table = acceptance[acceptance["answers"] > 0].sort_values(["model_version", "label", "blind"], na_position="first")
    return {
        "overall": [_accepted(row) for row in table[table["label"].isna()].itertuples()],
        "labels": [_accepted(row) | {"label": row.label} for row in table[table["label"].notna()].itertuples()],
    }


def _accepted(row: Any) -> View:
    shares = {name: getattr(row, name) / row.answers for name in ("accepted", "changed", "rejected")}
    return {"model": row.model_version, "blind": bool(row.blind), "answers": row.answers, **shares}


def _measured(row: Any) -> View:
    known = not (missing(row["low"]) or missing(row["high"]))
    return {
        "value": figure(row["value"]),
        "interval": f"{figure(row['low'])} to {figure(row['high'])}" if known else NOTHING,
        "images": int(row["images"]),
    }


def _reading(overall: pd.DataFrame) -> str | None:
    """What alpha means, in two sentences."""
    known = {measure: float(value) for measure, value in overall["value"].items() if not missing(value)}
    if "krippendorff_alpha" not in known:
        return None
    alpha = known["krippendorff_alpha"]
    if alpha >= RELIABLE:
        judged = f"at least {RELIABLE:g}, from which on Krippendorff calls labels reliable"
    elif alpha >= TENTATIVE:
        judged = f"between {TENTATIVE:g} and {RELIABLE:g}, which Krippendorff takes as good for tentative conclusions"
    else:
        judged = f"below {TENTATIVE:g}, the least that Krippendorff takes as good for tentative conclusions"
    text = f"Alpha of the main label is {figure(alpha)}: {judged}."
    if known.get("cohen_kappa", 1.0) < 1.0:
        same, kappa = known["same_main"], known["cohen_kappa"]
        by_chance = max((same - kappa) / (1 - kappa), 0.0)
        text += f" Two answers for one image have the same main label in {percent(same, 0)}% of the cases"
        text += f"; by chance it would be {percent(by_chance, 0)}%."
    return text


def _windows(rows: pd.DataFrame) -> list[View]:
    found = []
    for window, part in rows.groupby("window", sort=True):
        measures = part.set_index("measure")
        cells = {measure: measures.loc[measure] for measure in BY_WINDOW}
        found.append(
            {
                "label": window_label(str(window)),
                "images": int(cells["same_main"]["images"]),
                "cells": [_measured(cell) for cell in cells.values()],
                "alpha": cells["krippendorff_alpha"],
            }
        )
    return found


def _plot(windows: list[View]) -> View | None:
    """Positions of alpha by window in percent of an axis that holds all intervals; None with fewer than two windows."""
    known = [window for window in windows if not missing(window["alpha"]["value"])]
    if len(known) < 2:
        return None
    ends = [float(window["alpha"][name]) for window in known for name in ("value", "low", "high")]
    low, high = np.floor(np.nanmin(ends) * 10) / 10, np.ceil(np.nanmax(ends) * 10) / 10

    def at(value: float) -> float:
        return round(100 * (value - low) / max(high - low, 0.1), 2)

    lanes = []
    for window in known:
        alpha = window["alpha"]
        bounded = not (missing(alpha["low"]) or missing(alpha["high"]))
        left, right = (at(alpha["low"]), at(alpha["high"])) if bounded else (at(alpha["value"]),) * 2
        lanes.append({"name": window["label"], "at": at(alpha["value"]), "left": left, "width": round(right - left, 2)})
    steps = np.round(np.arange(low, high + 0.05, 0.1 if high - low < 0.75 else 0.2), 3)
    ticks = [{"at": at(step), "text": figure(step, 1)} for step in steps if step <= high + 1e-9]
    return {"lanes": lanes, "ticks": ticks}


def _pairs(rows: pd.DataFrame) -> View | None:
    """Kappa of each pair of annotators as a heat map, or the pairs that agree least; None with fewer than two pairs."""
    if len(rows) < 2:
        return None
    names = short_names([*rows["annotator_a"], *rows["annotator_b"]])
    if len(names) > MOST_IN_MAP:
        least = rows.sort_values(["value", "annotator_a", "annotator_b"]).head(LEAST_AGREEING)
        listed = [
            _measured(row) | {"a": names[row["annotator_a"]], "b": names[row["annotator_b"]]}
            for _, row in least.iterrows()
        ]
        return {"names": [], "rows": [], "least": listed}
    known = {}
    for row in rows.itertuples():
        known[row.annotator_a, row.annotator_b] = known[row.annotator_b, row.annotator_a] = row
    table = [
        {"name": names[a], "cells": [_pair_cell(known.get((a, b)), names[b], a == b) for b in sorted(names)]}
        for a in sorted(names)
    ]
    return {"names": [names[name] for name in sorted(names)], "rows": table, "least": []}


def _pair_cell(row: Any, column: str, same: bool) -> View:
    value = np.nan if row is None or missing(row.value) else float(row.value)
    return {
        "text": "" if same else figure(value),
        "images": None if row is None else int(row.images),
        "shade": 0 if np.isnan(value) else round(100 * max(value, 0.0), 1),
        "column": column,
        "diagonal": same,
    }


def _heat_cell(share: float, title: str, pairs: int) -> View:
    return {
        "text": percent(share, 0) if share > 0.0051 else "",
        "shade": round(100 * share, 1),
        "title": f"{title}: {pairs:,} pairs of answers",
    }


def _labels(rows: pd.DataFrame) -> list[View]:
    """Labels with the images that someone gave them, most images first."""
    values = rows.pivot(index="label", columns="measure", values="value")
    images = rows.drop_duplicates("label").set_index("label")["images"]
    order = sorted(images.index, key=lambda label: (-int(images[label]), label))
    return [
        {
            "label": _label(label),
            "same": None if missing(values.loc[label, "same_main"]) else float(values.loc[label, "same_main"]),
            "kappa": figure(values.loc[label].get("cohen_kappa")),
            "images": int(images[label]),
        }
        for label in order
    ]


def _drift_note(row: Any, kappas: pd.Series) -> str:
    if missing(row.drift_p):
        return "too few answers to judge"
    if row.drift_p >= SURE:
        return f"no clear change (p = {p_value(row.drift_p)})"
    now = float(kappas[row.annotator, row.drift_week])
    word = "less" if row.drift < 0 else "more"
    sure = p_value(row.drift_p)
    return (
        f"agrees {word} in {row.drift_week}: kappa {figure(now)}, before {figure(now - row.drift)} "
        f"(p {sure if sure.startswith('<') else '= ' + sure})"
    )


def _label(label: str) -> str:
    return reason_text(label) if label == "not_fashion" else label
