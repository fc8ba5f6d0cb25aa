"""Tables 3, 4 and 5 of one label set: the run's figures with intervals, and the paper's in columns of their own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from modeling.metrics import RECALLS
from modeling.published import paper_label_recalls, paper_recalls
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.wording import metric_name, missing

METRICS = (*RECALLS, "mean5")
PLOTTED = ("mean5", *RECALLS)
TABLE_NAMES = {5: "Table 3", 7: "Table 4"}


def figure_of(evaluation: pd.DataFrame | None, metric: str, split: str = "test", label: str | None = None) -> Any:
    """The row of an EVALUATION table as a dict (value, low, high, images); None when it is not there."""
    if evaluation is None:
        return None
    chosen = evaluation["label"].isna() if label is None else evaluation["label"] == label
    rows = evaluation[chosen & (evaluation["metric"] == metric) & (evaluation["split"] == split)]
    if rows.empty or missing(rows["value"].iloc[0]):
        return None
    row = rows.iloc[0]
    return {name: row[name] for name in ("value", "low", "high", "images")}


def results_view(data: ReportData, result: LabelSetResult) -> dict[str, Any]:
    """Rows by architecture, the interval chart, Table 5 and average precision by label."""
    paper = paper_recalls(list(result.labels))
    rows = []
    for model in result.models:
        figures = {metric: figure_of(model.evaluation, metric) for metric in METRICS}
        rows.append(
            {
                "key": model.architecture,
                "name": data.display_name(model.architecture),
                "failure": model.failure or (None if any(figures.values()) else "no evaluation"),
                "figures": figures,
                "validation": figure_of(model.evaluation, "mean5", "validation"),
                "paper": paper.get(model.architecture, {}),
            }
        )
    measured = [row for row in rows if row["failure"] is None]
    for metric in METRICS:
        _mark_best(measured, metric)
    return {
        "table": TABLE_NAMES.get(len(result.labels), "Recalls"),
        "metrics": [{"key": key, "name": metric_name(key)} for key in METRICS],
        "recalls": [{"key": key, "name": metric_name(key)} for key in RECALLS],
        "rows": rows,
        "paper": bool(paper),
        "images": _images(measured),
        "groups": _groups(result),
        "too_many": _too_many(result),
        "plot": interval_plot(measured),
        "by_label": _by_label(data, result, "all@2"),
        "precision": _by_label(data, result, "ap"),
        "map": [figure_of(model.evaluation, "map") for model in result.models],
        "paper_labels": paper_label_recalls(list(result.labels)),
    }


def interval_plot(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Positions in percent of the axis for each metric and architecture; None without figures."""
    found = [row["figures"][metric] for row in rows for metric in PLOTTED if row["figures"][metric]]
    if not found:
        return None
    ends = [float(figure[name]) for figure in found for name in ("value", "low", "high") if not missing(figure[name])]
    low = np.floor(min(ends) * 10) / 10
    high = np.ceil(max(ends) * 10) / 10
    span = max(high - low, 0.1)

    def at(value: Any) -> float:
        return round(100 * (float(value) - low) / span, 2)

    lanes = []
    for metric in PLOTTED:
        marks = []
        for row in rows:
            figure = row["figures"][metric]
            if figure is None:
                continue
            left = at(figure["value"] if missing(figure["low"]) else figure["low"])
            right = at(figure["value"] if missing(figure["high"]) else figure["high"])
            marks.append(
                {"key": row["key"], "name": row["name"], "figure": figure, "at": at(figure["value"])}
                | {"left": left, "width": round(right - left, 2)}
            )
        lanes.append({"metric": metric, "name": metric_name(metric), "marks": marks})
    steps = np.round(np.arange(low, high + 0.05, 0.1 if span > 0.25 else 0.05), 3)
    return {"lanes": lanes, "ticks": [{"at": at(step), "text": f"{100 * step:.0f}"} for step in steps if step <= high]}


def _mark_best(rows: list[dict[str, Any]], metric: str) -> None:
    values = [row["figures"][metric]["value"] for row in rows if row["figures"][metric]]
    for row in rows:
        figure = row["figures"][metric]
        if figure:
            figure["best"] = len(values) > 1 and figure["value"] == max(values)


def _images(rows: Sequence[dict[str, Any]]) -> int | None:
    return next((int(row["figures"]["any@1"]["images"]) for row in rows if row["figures"]["any@1"]), None)


def _groups(result: LabelSetResult) -> int | None:
    if result.data_set is None:
        return None
    return int(result.data_set.loc[result.data_set["split"] == "test", "group_id"].nunique())


def _too_many(result: LabelSetResult) -> list[dict[str, Any]]:
    """Share of test images that carry more than k labels, which top-k all-recall can never count."""
    if result.data_set is None:
        return []
    test = result.data_set[result.data_set["split"] == "test"]
    sizes = test["subs"].map(len) + 1
    return [{"k": k, "share": float((sizes > k).mean())} for k in (2, 3)] if len(test) else []


def _by_label(data: ReportData, result: LabelSetResult, metric: str) -> list[dict[str, Any]]:
    """The architectures' figures of one metric by label, the label with most test images first."""
    rows = []
    for label in result.labels:
        figures = [(model, figure_of(model.evaluation, metric, label=label)) for model in result.models]
        if not any(figure for _, figure in figures):
            continue
        values = [figure["value"] for _, figure in figures if figure]
        cells = [
            {"key": model.architecture, "figure": figure, "best": bool(figure) and figure["value"] == max(values)}
            for model, figure in figures
        ]
        support = max(int(figure["images"]) for _, figure in figures if figure)
        rows.append({"label": label, "support": support, "cells": cells})
    return sorted(rows, key=lambda row: (-row["support"], row["label"]))
