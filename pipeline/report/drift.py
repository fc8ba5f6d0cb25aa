"""Drift: how far each newer window is from the windows that the champion was trained on."""

from typing import Any

import pandas as pd

from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.sources import window_label

KINDS = {
    "expert_labels": "Experts' labels",
    "predicted_labels": "Predicted labels",
    "scores": "Probabilities",
    "embeddings": "Pictures",
}
TESTS = {
    "chi_squared": "chi-squared test; distance: total variation",
    "kolmogorov_smirnov": "Kolmogorov-Smirnov test of the label that moved most; distance: its statistic",
    "mmd_permutation": "permutation test; distance: squared maximum mean discrepancy",
}
MOST_WINDOWS = 26  # the newest


def drift_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """A row a window and a cell a kind of drift; None where nothing was tested."""
    if data.drift is None:
        return None
    table = data.drift[data.drift["label_set"] == result.name]
    if table.empty:
        return None
    windows = sorted(table["window"].unique())
    kinds = [kind for kind in KINDS if kind in set(table["what"])]
    drifted = sorted(table.loc[table["drifted"], "window"].unique())
    return {
        "kinds": [_kind(table, kind) for kind in kinds],
        "rows": [_row(table[table["window"] == window], window, kinds) for window in windows[-MOST_WINDOWS:]],
        "older": max(0, len(windows) - MOST_WINDOWS),
        "drifted": [window_label(window) for window in drifted],
        "windows": len(windows),
        "model": table["model_version"].iloc[-1],
    }


def _kind(table: pd.DataFrame, kind: str) -> dict[str, Any]:
    first = table[table["what"] == kind].iloc[0]
    return {"name": KINDS[kind], "test": TESTS.get(first["test"], first["test"]), "threshold": first["threshold"]}


def _row(part: pd.DataFrame, window: str, kinds: list[str]) -> dict[str, Any]:
    by_kind = {row["what"]: row for row in part.to_dict("records")}
    return {"window": window, "label": window_label(window), "cells": [by_kind.get(kind) for kind in kinds]}
