"""Style trends: each style's share window by window, what rises and falls, and which styles meet more or less often."""

from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.charts import Chart, ticks
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.sources import window_label

SOURCES = {"experts": "experts", "model": "champion"}
WIDE = 60  # windows from which charts have no dots
MOST_PAIRS = 12  # changes of co-occurrence in the table
DIRECTIONS = {"rising": "better", "falling": "worse", "steady": ""}


def trends_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """Small multiples, movements and changes of co-occurrence of a label set; None without trends."""
    trends = _of(data.style_trends, result.name)
    if trends is None:
        return None
    main = trends[trends["role"] == "main"]
    windows = sorted(trends["window"].unique())
    labels = [label for label in result.labels if label in set(main["label"])]
    high = 100 * float(main["high"].max()) if len(main) else 100.0
    return {
        "windows": len(windows),
        "first": windows[0],
        "last": windows[-1],
        "sources": [key for key in SOURCES if key in set(main["source"])],
        "charts": [{"label": label, "plot": _chart(main, label, windows, high)} for label in labels],
        "movements": _movements(_of(data.style_movements, result.name)),
        "pairs": _pairs(_of(data.cooccurrence_changes, result.name)),
        "rows": _numbers(main, windows[-1], labels),
    }


def _of(table: pd.DataFrame | None, label_set: str) -> pd.DataFrame | None:
    """A label set's rows; None where there are none."""
    if table is None:
        return None
    part = table[table["label_set"] == label_set]
    return None if part.empty else part


def _chart(main: pd.DataFrame, label: str, windows: list[str], high: float) -> Markup:
    """One style's shares in percent: experts dashed, the champion with its band."""
    marks = ticks(0.0, high)
    chart = Chart(
        f"{label}: share of the images whose main style it is, by window, %", (0, len(windows) - 1), (0, marks[-1])
    )
    chart.y_axis(marks, 0)
    shown = sorted({0, len(windows) // 2, len(windows) - 1})
    chart.x_labels([(place, window_label(windows[place])) for place in shown])
    place = {window: number for number, window in enumerate(windows)}
    for source, css in (("model", "trend-model"), ("experts", "trend-experts")):
        rows = main[(main["label"] == label) & (main["source"] == source)].sort_values("window")
        x = [place[window] for window in rows["window"]]
        low, top, share = (list(100 * rows[name].astype(float)) for name in ("low", "high", "share"))
        if len(x) > 1:
            chart.band(css, x, low, top, f"{SOURCES[source]}: 95% interval")
        chart.line(css, x, share, SOURCES[source])
        if len(windows) <= WIDE:
            for row, across, value in zip(rows.itertuples(), x, share, strict=True):
                chart.circle(f"spot {css}", across, value, 2.4, f"{row.window}, {SOURCES[source]}: {value:.1f}%")
    return chart.svg()


def _movements(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """Movements of main styles, the largest first, those that are more than chance before the others."""
    if table is None:
        return []
    rows = table[table["role"] == "main"].assign(size=table["change"].abs(), open=table["direction"] == "steady")
    return [
        row | {"chip": DIRECTIONS.get(row["direction"], ""), "source": SOURCES.get(row["source"], row["source"])}
        for row in rows.sort_values(["source", "open", "size"], ascending=[False, True, False]).to_dict("records")
    ]


def _pairs(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    if table is None:
        return []
    rows = table.assign(size=table["change"].abs()).sort_values(["p_adjusted", "size"], ascending=[True, False])
    return [
        row | {"source": SOURCES.get(row["source"], row["source"])} for row in rows.head(MOST_PAIRS).to_dict("records")
    ]


def _numbers(main: pd.DataFrame, window: str, labels: list[str]) -> list[dict[str, Any]]:
    """The newest window in numbers."""
    last = main[main["window"] == window]
    rows = []
    for label in labels:
        by_source = {row["source"]: row for row in last[last["label"] == label].to_dict("records")}
        rows.append({"label": label, "cells": [by_source.get(source) for source in SOURCES]})
    return rows
