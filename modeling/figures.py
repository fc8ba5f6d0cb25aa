"""Charts as PNG bytes: what a run shows of its tables, wherever a page can hold a picture.

Every function of a table returns the bytes of one PNG. Same input, same bytes on one machine.
matplotlib is imported when the first chart is drawn, so that importing this module costs nothing. Picture grids, which
are JPEGs, are in ``modeling.montages`` and are offered here too.
"""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from modeling.charts import BLUE, GREY, INK, ORANGE, chart, png, styles, titled
from modeling.metrics import RECALLS
from modeling.montages import pair_gallery, picture_grid

__all__ = [
    "data_uri",
    "heat_map",
    "label_frequencies",
    "metric_bars",
    "pair_gallery",
    "picture_grid",
    "split_bars",
    "training_curves",
]

_JPEG = b"\xff\xd8\xff"  # how a JPEG begins

MATRICES = {
    "conditional": "P(column | row)",
    "binary": "B: P at least tau",
    "reweighted": "A': re-weighted",
    "normalized": "Â: what the network multiplies by",
}


def data_uri(picture: bytes) -> str:
    """A PNG or JPEG as a ``data:`` address, for Markdown (``![title](data:…)``) and HTML."""
    kind = "jpeg" if picture.startswith(_JPEG) else "png"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")


def heat_map(correlation: pd.DataFrame, value: str = "conditional") -> bytes:
    """Figure 6: one matrix of a CORRELATION_MATRIX table, numbers in the cells, edges of the graph framed.

    ``value`` is one of the columns conditional, binary, reweighted, normalized.
    """
    labels = _labels_of(correlation)
    matrix = _square(correlation, value, len(labels))
    edges = _square(correlation, "binary", len(labels)) > 0
    side = 1.9 + 0.62 * len(labels)
    with chart(side, side - 0.5) as figure:
        axes = figure.subplots()
        axes.imshow(matrix, cmap="Blues", vmin=0, vmax=max(1.0, float(matrix.max(initial=0))))
        for (row, column), number in np.ndenumerate(matrix):
            shade = "white" if number > 0.55 else INK
            text = "·" if number == 0 else f"{number:.2f}"
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color=shade)
            if edges[row, column]:
                axes.add_patch(_frame(row, column))
        axes.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(labels)), labels)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        tau = f", τ = {correlation['tau'].iloc[0]:g}" if len(correlation) else ""
        axes.set_title(f"{MATRICES[value]}{tau}; framed: an edge", loc="left", fontsize=10)
        return png(figure)


def training_curves(curves: pd.DataFrame | Mapping[str, pd.DataFrame]) -> bytes:
    """Loss and validation score by epoch, of one TRAINING_CURVES table or of several by name.

    A ring marks the epoch whose weights were kept.
    """
    named = {"": curves} if isinstance(curves, pd.DataFrame) else dict(curves)
    with chart(9.0, 3.3) as figure:
        losses, scores = figure.subplots(1, 2)
        for (name, table), (color, _) in zip(named.items(), styles(len(named)), strict=True):
            single = not name
            losses.plot(table["epoch"], table["train_loss"], "--", color=GREY if single else color, lw=1.3)
            losses.plot(table["epoch"], table["validation_loss"], color=BLUE if single else color, lw=1.8)
            scores.plot(table["epoch"], 100 * table["validation_score"], color=BLUE if single else color, label=name)
            best = table[table["best"]]
            ring = {"marker": "o", "ls": "", "ms": 9, "mfc": "none", "mec": INK, "mew": 1.4}
            losses.plot(best["epoch"], best["validation_loss"], **ring)
            scores.plot(best["epoch"], 100 * best["validation_score"], **ring)
        titled(losses, "Loss (dashed: train, solid: validation)", "epoch", "")
        titled(scores, "Validation, mean of the five recalls, %", "epoch", "")
        for axes in (losses, scores):
            axes.xaxis.get_major_locator().set_params(integer=True)
        if any(named):
            scores.legend(frameon=False, fontsize=8)
        return png(figure)


def label_frequencies(frequencies: pd.DataFrame) -> bytes:
    """Table 2 as bars: images by main label, most frequent first, from a LABEL_FREQUENCIES table."""
    table = frequencies.sort_values(["rank", "label"])
    with chart(7.5, 1.2 + 0.26 * max(len(table), 1)) as figure:
        axes = figure.subplots()
        places = np.arange(len(table))
        axes.barh(places - 0.2, table["main_images"], 0.4, color=BLUE, label="main")
        axes.barh(places + 0.2, table["sub_images"], 0.4, color="#9ecae1", label="sub")
        for place, (count, share) in enumerate(zip(table["main_images"], table["main_share"], strict=True)):
            axes.text(count, place - 0.2, f" {count:,} ({share:.1%})", va="center", fontsize=7.5, color=INK)
        axes.set_yticks(places, list(table["label"]))
        axes.invert_yaxis()
        axes.margins(x=0.15, y=0.01)
        titled(axes, "Images by label", "images", "")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        return png(figure)


def split_bars(balance: pd.DataFrame) -> bytes:
    """Shares of train, validation and test per label, from a SPLIT_BALANCE table; dashed lines: the target."""
    table = balance.assign(name=balance["label"].fillna("all images"))
    names = list(dict.fromkeys(table["name"]))
    with chart(7.5, 1.3 + 0.34 * max(len(names), 1)) as figure:
        axes = figure.subplots()
        left = np.zeros(len(names))
        for split, color in (("train", BLUE), ("validation", "#9ecae1"), ("test", ORANGE)):
            part = table[table["split"] == split].set_index("name").reindex(names)
            share = part["share"].fillna(0).to_numpy(dtype=float)
            axes.barh(range(len(names)), 100 * share, left=100 * left, color=color, label=split, height=0.7)
            for place, (start, width, count) in enumerate(zip(left, share, part["images"].fillna(0), strict=True)):
                if width > 0.04:
                    tint = INK if split == "validation" else "white"
                    where = 100 * (start + width / 2)
                    axes.text(where, place, f"{int(count):,}", ha="center", va="center", fontsize=8, color=tint)
            left += share
        targets = table.drop_duplicates("split").set_index("split")["target"]
        for edge in np.cumsum([targets.get(name, 0.0) for name in ("train", "validation")]):
            axes.axvline(100 * edge, color=INK, ls="--", lw=0.9)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        titled(axes, "Images by split (dashed: target)", "% of the label's images", "")
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.16))
        return png(figure)


def metric_bars(evaluations: Mapping[str, pd.DataFrame], split: str = "test") -> bytes:
    """The five recalls and their mean by architecture with 95% intervals, from EVALUATION tables."""
    metrics = [*RECALLS, "mean5"]
    step = 0.8 / max(len(evaluations), 1)
    with chart(7.5, 1.1 + len(metrics) * (0.18 + 0.17 * len(evaluations))) as figure:
        axes = figure.subplots()
        for index, ((name, table), (color, marker)) in enumerate(
            zip(evaluations.items(), styles(len(evaluations)), strict=True)
        ):
            rows = table[(table["split"] == split) & table["label"].isna()].set_index("metric").reindex(metrics)
            value, low, high = (100 * rows[column].to_numpy(dtype=float) for column in ("value", "low", "high"))
            places = np.arange(len(metrics)) - 0.4 + step * (index + 0.5)
            axes.hlines(places, low, high, color=color, lw=1.6)
            axes.plot(value, places, ls="", marker=marker, ms=6, color=color, label=name)
            for at, end, place in zip(value, np.fmax(value, high), places, strict=True):
                if np.isfinite(at):
                    axes.annotate(
                        f"{at:.1f}", (end, place), (5, 0), textcoords="offset points", fontsize=7, va="center"
                    )
        axes.set_yticks(range(len(metrics)), ["mean of five" if name == "mean5" else name for name in metrics])
        axes.invert_yaxis()
        titled(axes, f"{split.capitalize()} split, % with 95% intervals", "%", "")
        axes.margins(x=0.09)
        if evaluations:
            figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
        return png(figure)


def _frame(row: int, column: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, edgecolor=ORANGE, lw=2)


def _labels_of(correlation: pd.DataFrame) -> list[str]:
    first = correlation.drop_duplicates("row").sort_values("row")
    return [str(label) for label in first["row_label"]]


def _square(correlation: pd.DataFrame, value: str, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    matrix = np.zeros((size, size))
    matrix[correlation["row"].to_numpy(), correlation["column"].to_numpy()] = correlation[value].to_numpy()
    return matrix
