"""Charts of how far a model's probabilities can be trusted, and on which images it is good: PNG bytes."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from modeling.charts import BLUE, GREY, INK, ORANGE, chart, png, titled
from modeling.label_sets import as_frame
from modeling.slices import DIMENSIONS

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.axes import Axes

DIMENSION_TITLES = {
    "window": "Crawl window",
    "source": "Source",
    "labels": "Labels of the image",
    "main_only": "Main label only",
    "blind": "Experts saw no prediction",
}


FEW = 10  # answers; a bin of fewer has a mark of its own, and the line goes past it


def reliability_plot(table: "pd.DataFrame | pa.Table", split: str = "test") -> bytes:
    """Share of true answers by probability, before and after calibration, from a RELIABILITY table; below, the counts.

    On the diagonal, of the answers given with 70% as many are true. The calibration error in the legend counts the
    answers of all seeds together, as the table does; EVALUATION has the mean of the seeds' errors. The line leaves out
    bins of fewer than 10 answers. A table without rows of the split gives empty axes.
    """
    rows = as_frame(table)
    rows = rows[rows["split"] == split]
    with chart(6.0, 5.0) as figure:
        shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
        shares.plot([0, 100], [0, 100], color=GREY, ls=":", lw=1.2)
        for after, color, marker, name in ((False, ORANGE, "s", "before"), (True, BLUE, "o", "after")):
            part = rows[rows["calibrated"] == after]
            filled = part[part["answers"] > 0]
            label = f"{name} calibration, error {100 * _error(filled):.1f}%, seeds together" if len(filled) else None
            sure, few = filled[filled["answers"] >= FEW], filled[filled["answers"] < FEW]
            line = {"marker": marker, "ms": 5, "lw": 1.4, "color": color}
            shares.plot(100 * sure["probability"], 100 * sure["share"], label=label, **line)
            shares.plot(100 * few["probability"], 100 * few["share"], **line | {"ls": "", "mfc": "none"})
            edges = 100 * np.append(part["low"], part["high"].iloc[-1:])
            if len(part):
                counts.stairs(part["answers"], edges, color=color, lw=1.4, fill=False, ls="-" if after else "--")
        titled(shares, f"Reliability, {split} split (dotted: probability equals share)", "", "answers that are true, %")
        titled(counts, "", "probability, %", "answers")
        counts.set_yscale("symlog", linthresh=10)
        counts.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        shares.set(xlim=(0, 100), ylim=(0, 100))
        if len(rows):
            shares.legend(frameon=False, fontsize=8, loc="upper left")
        return png(figure)


def slices_plot(table: "pd.DataFrame | pa.Table", split: str = "test", metric: str = "mean5") -> bytes:
    """One metric by slice with 95% intervals and counts of images, grouped by dimension, from a SLICES table.

    A slice whose images are all of one group has a dot without an interval. A table without rows gives empty axes.
    """
    rows = as_frame(table)
    rows = rows[(rows["split"] == split) & (rows["metric"] == metric)]
    groups = [(name, rows[rows["dimension"] == name]) for name in DIMENSIONS if (rows["dimension"] == name).any()]
    with chart(7.5, 1.2 + 0.28 * (len(rows) + len(groups))) as figure:
        axes = figure.subplots()
        ticks: list[tuple[int, str]] = []
        place = 0
        for name, part in groups:
            ticks.append((place, DIMENSION_TITLES[name]))
            ticks += [(place + 1 + at, f"{slice_}") for at, slice_ in enumerate(part["slice"])]
            _dots(axes, part, place + 1)
            place += 1 + len(part)
        axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
        for tick, (_, text) in zip(axes.get_yticklabels(), ticks, strict=True):
            tick.set_fontweight("bold" if text in DIMENSION_TITLES.values() else "normal")
        axes.set_ylim(max(place, 1) - 0.5, -0.5)
        title = "mean of the five recalls" if metric == "mean5" else metric
        titled(axes, f"{title.capitalize()} by slice, {split} split, with 95% intervals", "%", "")
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        left, right = axes.get_xlim()
        axes.set_xlim(left, right + 0.22 * (right - left))  # room for the text beside the dots
        return png(figure)


def _dots(axes: "Axes", part: pd.DataFrame, first: int) -> None:
    places = first + np.arange(len(part))
    value, low, high = (100 * part[name].to_numpy(dtype=float) for name in ("value", "low", "high"))
    axes.hlines(places, low, high, color=BLUE, lw=1.8)
    axes.plot(value, places, ls="", marker="o", ms=6, color=BLUE)
    for at, end, place, images in zip(value, np.fmax(value, high), places, part["images"], strict=True):
        text = f"{at:.1f} ({images:,} image{'' if images == 1 else 's'})"
        axes.annotate(text, (end, place), (6, 0), textcoords="offset points", fontsize=7.5, va="center", color=INK)


def _error(filled: pd.DataFrame) -> float:
    """Expected calibration error of the bins that hold answers, over all answers."""
    gaps = (filled["probability"] - filled["share"]).abs()
    return float((gaps * filled["answers"]).sum() / filled["answers"].sum())
