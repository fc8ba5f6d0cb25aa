"""Calibration: how far probabilities are from the truth before and after scaling, and the decisions made by them."""

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from pipeline.report.charts import Chart
from pipeline.report.data import LabelSetResult, ModelResult, ReportData
from pipeline.report.results import chosen_model, figure_of
from pipeline.report.wording import figure, missing, percent

SIDE = 236  # height of the plot in units of the drawing; with the axes it is about square
AXIS = (0.0, 0.25, 0.5, 0.75, 1.0)
LARGEST, SMALLEST = 6.0, 1.4  # radius of a dot by the answers in its bin
FEW = 10  # answers; a bin of fewer has a dot, and the line goes past it
RIGHT_ENOUGH = 0.05  # a temperature so near 1 changes next to nothing
DECISIONS = ("map", "cf1", "of1")


def calibration_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """Reliability plots, temperatures, calibration errors and CF1/OF1; None where none of them was measured."""
    rows = [_row(data, model) for model in result.models if model.failure is None]
    rows = [row for row in rows if row["error"] or row["plot"] or any(row["decisions"].values())]
    if not rows:
        return None
    for metric in DECISIONS:
        _mark(rows, "decisions", metric, max)
    return {
        "rows": rows,
        "decisions": any(row["decisions"][metric] for row in rows for metric in ("cf1", "of1")),
        "sentence": _sentence(data, result),
    }


def _row(data: ReportData, model: ModelResult) -> dict[str, Any]:
    name = data.display_name(model.architecture)
    table = _test_rows(model.reliability)
    temperature, low, high = _temperature(model)
    return {
        "key": model.architecture,
        "name": name,
        "temperature": temperature,
        "range": None if low == high else f"{figure(low)}–{figure(high)}",
        "was": _was(temperature),
        "raw": figure_of(model.evaluation, "ece_raw"),
        "error": figure_of(model.evaluation, "ece"),
        "decisions": {metric: figure_of(model.evaluation, metric) for metric in DECISIONS},
        "plot": None if table is None else _plot(table, model.architecture, name),
        "bins": [] if table is None else _bins(table),
    }


def _test_rows(reliability: pd.DataFrame | None) -> pd.DataFrame | None:
    """The bins on the test split, which the temperature was not fitted on."""
    if reliability is None or reliability.empty:
        return None
    table = reliability[reliability["split"] == "test"].sort_values("low")
    return None if table.empty or not table["answers"].sum() else table


def _temperature(model: ModelResult) -> tuple[float | None, float | None, float | None]:
    """Mean, lowest and highest temperature of the trainings."""
    if model.seed_runs is not None and len(model.seed_runs):
        values = model.seed_runs["temperature"].astype(float)
        return float(values.mean()), float(values.min()), float(values.max())
    value: Any = (model.card.get("calibration") or {}).get("temperature")
    return (None, None, None) if missing(value) else (float(value), float(value), float(value))


def _was(temperature: float | None) -> str | None:
    """What a temperature says of the probabilities before scaling."""
    if temperature is None:
        return None
    if abs(temperature - 1) <= RIGHT_ENOUGH:
        return "about right"
    return "too sure" if temperature > 1 else "too cautious"


def _sentence(data: ReportData, result: LabelSetResult) -> str | None:
    """What the figures mean for the model that the validation split would choose."""
    model = chosen_model(result)
    if model is None:
        return None
    raw, error = (figure_of(model.evaluation, metric) for metric in ("ece_raw", "ece"))
    if raw is None or error is None:
        return None
    before, after = percent(raw["value"]), percent(error["value"])
    name, temperature = data.display_name(model.architecture), _temperature(model)[0]
    was = f" (T = {figure(temperature)}: it was {_was(temperature)})" if temperature is not None else ""
    if error["value"] < raw["value"]:
        moved = f"brings that down to {after}"
    elif error["value"] > raw["value"]:
        moved = f"makes it {after}, no better on images that the temperature was not fitted on"
    else:
        moved = "leaves that as it is"
    return (
        f"{name}, the best on the validation split, gave probabilities with an expected calibration error of {before} "
        f"points over the test images; temperature scaling{was} {moved}."
    )


def _plot(table: pd.DataFrame, key: str, name: str) -> Markup:
    """Share that is true by probability: hollow before scaling, filled after it; a dot's area is its answers."""
    title = f"{name}: share of the answers that are true by their probability, in %, before and after scaling"
    chart = Chart(title, (0, 100), (0, 100), height=SIDE)
    chart.y_axis([100 * value for value in AXIS], 0)
    chart.x_axis([100 * value for value in AXIS])
    chart.line("ideal", [0, 100], [0, 100], "where probability and share are equal")
    most = float(table["answers"].max())
    for after, line, dot in ((False, "quiet", "hollow"), (True, f"a-{key}", f"spot a-{key}")):
        part = table[(table["calibrated"] == after) & (table["answers"] > 0)]
        x, y = (100 * part[column].to_numpy(dtype=float) for column in ("probability", "share"))
        sure = part["answers"].to_numpy() >= FEW
        chart.line(line, list(x[sure]), list(y[sure]), "after scaling" if after else "before scaling")
        for across, up, answers in zip(x, y, part["answers"], strict=True):
            radius = max(LARGEST * float(np.sqrt(answers / most)), SMALLEST)
            chart.circle(dot, across, up, radius, f"{across:.0f}% said, {up:.0f}% true: {int(answers):,} answers")
    return chart.svg()


def _bins(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The bins that hold answers, with both sides."""
    sides = {after: table[table["calibrated"] == after].set_index("low") for after in (False, True)}
    rows = []
    for low, high in table[["low", "high"]].drop_duplicates().itertuples(index=False):
        cells = [side.loc[low].to_dict() if low in side.index else None for side in sides.values()]
        if any(cell and cell["answers"] for cell in cells):
            rows.append({"bin": f"{100 * low:.0f}–{100 * high:.0f}", "cells": cells})
    return rows


def _mark(rows: list[dict[str, Any]], group: str, metric: str, best: Any) -> None:
    values = [row[group][metric]["value"] for row in rows if row[group][metric]]
    for row in rows:
        if row[group][metric]:
            row[group][metric]["best"] = len(values) > 1 and row[group][metric]["value"] == best(values)
