"""Tables 3, 4 and 5 of one label set: the run's figures with intervals, and the paper's in columns of their own."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from modeling.metrics import RECALLS
from modeling.published import paper_label_recalls, paper_recalls
from pipeline.report.data import LabelSetResult, ModelResult, ReportData
from pipeline.report.lanes import Lane, lane_plot
from pipeline.report.wording import listed, metric_name, missing

METRICS = (*RECALLS, "mean5")
PLOTTED = ("mean5", *RECALLS)
TABLE_NAMES = {5: "Table 3", 7: "Table 4"}


def figure_of(evaluation: pd.DataFrame | None, metric: str, split: str = "test", label: str | None = None) -> Any:
    """Value, interval, images, spread and seeds of a row of an EVALUATION table; None when it is not there."""
    if evaluation is None:
        return None
    chosen = evaluation["label"].isna() if label is None else evaluation["label"] == label
    rows = evaluation[chosen & (evaluation["metric"] == metric) & (evaluation["split"] == split)]
    if rows.empty or missing(rows["value"].iloc[0]):
        return None
    row = rows.iloc[0]
    return {name: row[name] for name in ("value", "low", "high", "images", "spread", "seeds")}


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
        "seeds": seeds_text(result),
        "only_blind": bool((data.settings.get("evaluation") or {}).get("only_blind")),
        "groups": _groups(result),
        "too_many": _too_many(result),
        "plot": interval_plot(measured),
        "by_label": _by_label(data, result, "all@2"),
        "precision": _by_label(data, result, "ap"),
        "map": [figure_of(model.evaluation, "map") for model in result.models],
        "paper_labels": paper_label_recalls(list(result.labels)),
    }


def interval_plot(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """A lane for each metric with a mark for each architecture; None without figures."""
    lanes = []
    for metric in PLOTTED:
        shown = [row for row in rows if row["figures"][metric]]
        marks = [(row["key"], row["name"], row["figures"][metric]) for row in shown]
        lanes.append(Lane(metric_name(metric), marks, extra={"metric": metric}))
    return lane_plot(lanes)


def chosen_model(result: LabelSetResult) -> ModelResult | None:
    """The model that the validation split would choose by the mean of the five; None when none was evaluated."""
    scored = [(figure_of(model.evaluation, "mean5", "validation"), model) for model in result.models]
    values = [(float(figure["value"]), model) for figure, model in scored if figure]
    return max(values, key=lambda pair: pair[0])[1] if values else None


def seeds_of(model: ModelResult) -> int:
    """How many trainings a model's figures are the mean of; 1 where nothing was measured."""
    figure = figure_of(model.evaluation, "mean5")
    return 1 if figure is None or missing(figure["seeds"]) else int(figure["seeds"])


def seeds_text(result: LabelSetResult) -> str | None:
    """What the figures are the mean of, as ``3 trainings with different seeds``; None with one training each."""
    counts = {seeds_of(model) for model in result.models if model.failure is None}
    if not counts or counts == {1}:
        return None
    return f"{listed([str(number) for number in sorted(counts)], 'or')} trainings with different seeds"


def _mark_best(rows: list[dict[str, Any]], metric: str) -> None:
    values = [row["figures"][metric]["value"] for row in rows if row["figures"][metric]]
    for row in rows:
        figure = row["figures"][metric]
        if figure:
            figure["best"] = len(values) > 1 and figure["value"] == max(values)


def _images(rows: Sequence[dict[str, Any]]) -> int | None:
    return next((int(row["figures"]["any@1"]["images"]) for row in rows if row["figures"]["any@1"]), None)


def judged_images(result: LabelSetResult) -> pd.DataFrame | None:
    """The data set's test rows that models are judged by: those with scores, or all while nothing was scored."""
    if result.data_set is None:
        return None
    test = result.data_set[result.data_set["split"] == "test"]
    scored = [model.scores["image_id"] for model in result.models if model.scores is not None]
    return test[test["image_id"].isin(pd.concat(scored))] if scored else test


def _groups(result: LabelSetResult) -> int | None:
    test = judged_images(result)
    return None if test is None else int(test["group_id"].nunique())


def _too_many(result: LabelSetResult) -> list[dict[str, Any]]:
    """Share of test images that carry more than k labels, which top-k all-recall can never count."""
    test = judged_images(result)
    if test is None or test.empty:
        return []
    sizes = test["subs"].map(len) + 1
    return [{"k": k, "share": float((sizes > k).mean())} for k in (2, 3)]


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
