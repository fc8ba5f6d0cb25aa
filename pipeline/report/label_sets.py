"""One label set: its splits, its graph (Figure 6) and how its models were trained."""

from typing import Any

import numpy as np
import pandas as pd

from modeling.correlation import LabelGraph, graph_from_table, graph_health
from pipeline.report.charts import Line, line_chart
from pipeline.report.data import LabelSetResult, ReportData

SPLITS = ("train", "validation", "test")
MATRICES = (
    ("conditional", "P", "of the train images with the row's label, the share that also has the column's"),
    ("reweighted", "A′", "after thresholding at τ and re-weighting (equation 2)"),
    ("normalized", "Â", "normalised: what the graph network multiplies by"),
)


def splits_view(result: LabelSetResult) -> dict[str, Any] | None:
    """Images, groups and label shares by split; None without a data set."""
    table = result.data_set
    if table is None or table.empty:
        return None
    totals = [
        {
            "split": split,
            "images": int((table["split"] == split).sum()),
            "share": float((table["split"] == split).mean()),
            "groups": int(table.loc[table["split"] == split, "group_id"].nunique()),
        }
        for split in SPLITS
    ]
    sizes = table["subs"].map(len)
    return {
        "images": len(table),
        "groups": int(table["group_id"].nunique()),
        "several": float((sizes > 0).mean()),
        "labels_per_image": float(sizes.mean() + 1),
        "totals": totals,
        "rows": _balance(result),
    }


def _balance(result: LabelSetResult) -> list[dict[str, Any]]:
    balance = result.split_balance
    if balance is None:
        return []
    rows = []
    for label in (None, *result.labels):
        part = balance[balance["label"].isna() if label is None else balance["label"] == label]
        by_split = {row.split: row for row in part.itertuples()}
        cells = [by_split.get(split) for split in SPLITS]
        if not any(cells):
            continue
        off = max((abs(cell.share - cell.target) for cell in cells if cell), default=0.0)
        rows.append({"label": label, "cells": cells, "images": sum(int(c.images) for c in cells if c), "off": off})
    return rows


def graph_view(result: LabelSetResult) -> dict[str, Any] | None:
    """Figure 6 with the numbers, and the graph's health; None without a correlation matrix."""
    if result.correlation is None or result.correlation.empty:
        return None
    graph = graph_from_table(result.correlation)
    return {
        "labels": graph.labels,
        "images": [int(number) for number in graph.images],
        "matrices": [_matrix(graph, key, name, meaning) for key, name, meaning in MATRICES],
        "form": graph.settings.form,
        "tau": graph.settings.tau,
        "p": graph.settings.p,
        "possible": len(graph.labels) * (len(graph.labels) - 1),
        **graph_health(graph),
    }


def _matrix(graph: LabelGraph, key: str, name: str, meaning: str) -> dict[str, Any]:
    matrix = getattr(graph, key)
    top = 1.0 if key == "conditional" else max(float(matrix.max()), 1e-9)
    size = range(len(graph.labels))
    rows = [
        {
            "label": graph.labels[row],
            "cells": [
                {
                    "value": float(matrix[row, column]),
                    "shade": round(100 * max(float(matrix[row, column]), 0.0) / top, 1),
                    "edge": bool(graph.binary[row, column]) and row != column,
                    "both": int(graph.both[row, column]),
                    "column": graph.labels[column],
                    "blank": row == column and key == "conditional",
                }
                for column in size
            ],
        }
        for row in size
    ]
    return {"key": key, "name": name, "meaning": meaning, "rows": rows}


def training_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """A loss chart for each architecture on one scale, the validation scores of all in one, and the numbers."""
    curves = [(model, model.curves) for model in result.models if model.curves is not None and len(model.curves)]
    if not curves:
        return None
    every = pd.concat([table for _, table in curves])
    last = int(every["epoch"].max())
    losses = every[["train_loss", "validation_loss"]].to_numpy(dtype=float)
    scores = every["validation_score"].to_numpy(dtype=float)
    charts, rows, lines = [], [], []
    for model, table in curves:
        name = data.display_name(model.architecture)
        kept = table[table["best"]]
        best = float(kept["epoch"].iloc[0]) if len(kept) else None
        epochs = table["epoch"].astype(float).tolist()
        pair = [
            Line("train", "quiet", epochs, table["train_loss"].tolist()),
            Line("validation", f"a-{model.architecture}", epochs, table["validation_loss"].tolist(), best),
        ]
        title = f"{name}, {result.name}: train and validation loss by epoch"
        chart = line_chart(pair, title, 0.0, float(np.nanmax(losses)), last, 2)
        charts.append({"name": name, "key": model.architecture, "svg": chart})
        score = [100 * float(value) for value in table["validation_score"]]
        lines.append(Line(name, f"a-{model.architecture}", epochs, score, best))
        rows.append(_training_row(name, table, kept, best))
    floor = 100 * float(np.nanmin(scores))
    title = f"{result.name}: mean of the five recalls on the validation split by epoch, %"
    together = line_chart(lines, title, floor, 100 * float(np.nanmax(scores)), last, 0)
    return {"charts": charts, "scores": together, "rows": rows}


def _training_row(name: str, table: pd.DataFrame, kept: pd.DataFrame, best: float | None) -> dict[str, Any]:
    row = kept.iloc[0] if len(kept) else None
    return {
        "name": name,
        "epochs": len(table),
        "best": None if best is None else int(best),
        "train_loss": None if row is None else float(row["train_loss"]),
        "validation_loss": None if row is None else float(row["validation_loss"]),
        "validation_score": None if row is None else float(row["validation_score"]),
        "seconds": float(table["seconds"].sum()),
    }
