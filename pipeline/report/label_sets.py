"""One label set: its splits and its graph (Figure 6)."""

from typing import Any

from modeling.correlation import LabelGraph, graph_from_table, graph_health, graph_problems
from pipeline.report.data import LabelSetResult

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
        "problems": graph_problems(graph),
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
