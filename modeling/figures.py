"""Charts as PNG bytes: what a run shows of its tables, wherever a page can hold a picture.

Every function takes a table (or pictures) and returns the bytes of one PNG. Same input, same bytes on one machine.
matplotlib is imported when the first chart is drawn, so that importing this module costs nothing. Picture grids are
in ``modeling.montages`` and are offered here too.
"""

import base64
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from modeling.metrics import RECALLS
from modeling.montages import pair_gallery, picture_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "heat_map",
    "label_frequencies",
    "metric_bars",
    "pair_gallery",
    "picture_grid",
    "png_data_uri",
    "split_bars",
    "tau_sweep",
    "training_curves",
]

# Okabe and Ito's colours: told apart with every common kind of colour blindness. Markers differ too.
BLUE, ORANGE, GREEN, PURPLE, INK, GREY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#1f2933", "#8a94a0"
SERIES = ((GREY, "s"), (BLUE, "o"), (GREEN, "D"), (ORANGE, "^"), (PURPLE, "v"), (INK, "P"))
DPI = 110  # dots per inch of every chart
WIDE_FONTS = ("Noto Sans CJK KR", "Noto Sans CJK JP", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
MATRICES = {
    "conditional": "P(column | row)",
    "binary": "B: P at least tau",
    "reweighted": "A': re-weighted",
    "normalized": "Â: what the network multiplies by",
}


def png_data_uri(png: bytes) -> str:
    """A PNG as a ``data:`` address, for Markdown (``![title](data:…)``) and HTML."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def heat_map(correlation: pd.DataFrame, value: str = "conditional") -> bytes:
    """Figure 6: one matrix of a CORRELATION_MATRIX table, numbers in the cells, edges of the graph framed.

    ``value`` is one of the columns conditional, binary, reweighted, normalized.
    """
    labels = _labels_of(correlation)
    matrix = _square(correlation, value, len(labels))
    edges = _square(correlation, "binary", len(labels)) > 0
    side = 1.9 + 0.62 * len(labels)
    with _chart(side, side - 0.5) as figure:
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
        return _png(figure)


def training_curves(curves: pd.DataFrame | Mapping[str, pd.DataFrame]) -> bytes:
    """Loss and validation score by epoch, of one TRAINING_CURVES table or of several by name.

    A ring marks the epoch whose weights were kept.
    """
    named = {"": curves} if isinstance(curves, pd.DataFrame) else dict(curves)
    with _chart(9.0, 3.3) as figure:
        losses, scores = figure.subplots(1, 2)
        for (name, table), (color, _) in zip(named.items(), _styles(len(named)), strict=True):
            single = not name
            losses.plot(table["epoch"], table["train_loss"], "--", color=GREY if single else color, lw=1.3)
            losses.plot(table["epoch"], table["validation_loss"], color=BLUE if single else color, lw=1.8)
            scores.plot(table["epoch"], 100 * table["validation_score"], color=BLUE if single else color, label=name)
            best = table[table["best"]]
            ring = {"marker": "o", "ls": "", "ms": 9, "mfc": "none", "mec": INK, "mew": 1.4}
            losses.plot(best["epoch"], best["validation_loss"], **ring)
            scores.plot(best["epoch"], 100 * best["validation_score"], **ring)
        _titled(losses, "Loss (dashed: train, solid: validation)", "epoch", "")
        _titled(scores, "Validation, mean of the five recalls, %", "epoch", "")
        for axes in (losses, scores):
            axes.xaxis.get_major_locator().set_params(integer=True)
        if any(named):
            scores.legend(frameon=False, fontsize=8)
        return _png(figure)


def label_frequencies(frequencies: pd.DataFrame) -> bytes:
    """Table 2 as bars: images by main label, most frequent first, from a LABEL_FREQUENCIES table."""
    table = frequencies.sort_values(["rank", "label"])
    with _chart(7.5, 1.2 + 0.26 * max(len(table), 1)) as figure:
        axes = figure.subplots()
        places = np.arange(len(table))
        axes.barh(places - 0.2, table["main_images"], 0.4, color=BLUE, label="main")
        axes.barh(places + 0.2, table["sub_images"], 0.4, color="#9ecae1", label="sub")
        for place, (count, share) in enumerate(zip(table["main_images"], table["main_share"], strict=True)):
            axes.text(count, place - 0.2, f" {count:,} ({share:.1%})", va="center", fontsize=7.5, color=INK)
        axes.set_yticks(places, list(table["label"]))
        axes.invert_yaxis()
        axes.margins(x=0.15, y=0.01)
        _titled(axes, "Images by label", "images", "")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
        return _png(figure)


def split_bars(balance: pd.DataFrame) -> bytes:
    """Shares of train, validation and test per label, from a SPLIT_BALANCE table; dashed lines: the target."""
    table = balance.assign(name=balance["label"].fillna("all images"))
    names = list(dict.fromkeys(table["name"]))
    with _chart(7.5, 1.3 + 0.34 * max(len(names), 1)) as figure:
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
        _titled(axes, "Images by split (dashed: target)", "% of the label's images", "")
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper right", bbox_to_anchor=(1, 1.16))
        return _png(figure)


def metric_bars(evaluations: Mapping[str, pd.DataFrame], split: str = "test") -> bytes:
    """The five recalls and their mean by architecture with 95% intervals, from EVALUATION tables."""
    metrics = [*RECALLS, "mean5"]
    step = 0.8 / max(len(evaluations), 1)
    with _chart(7.5, 1.1 + len(metrics) * (0.18 + 0.17 * len(evaluations))) as figure:
        axes = figure.subplots()
        for index, ((name, table), (color, marker)) in enumerate(
            zip(evaluations.items(), _styles(len(evaluations)), strict=True)
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
        _titled(axes, f"{split.capitalize()} split, % with 95% intervals", "%", "")
        axes.margins(x=0.09)
        if evaluations:
            figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
        return _png(figure)


def tau_sweep(sweep: pd.DataFrame, chosen: float | None = None) -> bytes:
    """Edges, isolated labels and the dominant label's share of the edges, by tau.

    ``sweep`` has the columns tau, edges, isolated, star_share and, where it was measured, score (validation, 0 to 1).
    """
    with _chart(9.0, 3.0) as figure:
        counts, shares = figure.subplots(1, 2)
        counts.step(sweep["tau"], sweep["edges"], where="mid", color=BLUE, label="edges")
        counts.step(sweep["tau"], sweep["isolated"], where="mid", color=ORANGE, ls="--", label="isolated labels")
        shares.plot(sweep["tau"], 100 * sweep["star_share"], color=GREEN, label="edges at the dominant label, %")
        if "score" in sweep:
            shares.plot(sweep["tau"], 100 * sweep["score"], color=PURPLE, ls="-.", label="validation score, %")
        for axes in (counts, shares):
            if chosen is not None:
                axes.axvline(chosen, color=INK, ls=":", lw=1.2)
            axes.legend(frameon=False, fontsize=8)
        _titled(counts, "Graph by tau (dotted: chosen)", "tau", "count")
        _titled(shares, "Shares by tau", "tau", "%")
        return _png(figure)


@contextmanager
def _chart(width: float, height: float) -> Iterator["Figure"]:
    """A figure of so many inches on the Agg canvas, in the project's plain style."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    style: dict[Any, Any] = {
        "font.family": ["DejaVu Sans", *(name for name in WIDE_FONTS if name in installed)],
        "font.size": 9,
        "text.parse_math": False,  # a label may hold a dollar sign
        "text.color": INK,
        "axes.edgecolor": "#c5ccd3",
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def _png(figure: "Figure") -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _titled(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(axis="both", color="#e4e8ec", lw=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _frame(row: int, column: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.45, row - 0.45), 0.9, 0.9, fill=False, edgecolor=ORANGE, lw=2)


def _styles(count: int) -> Sequence[tuple[str, str]]:
    return [SERIES[index % len(SERIES)] for index in range(count)]


def _labels_of(correlation: pd.DataFrame) -> list[str]:
    first = correlation.drop_duplicates("row").sort_values("row")
    return [str(label) for label in first["row_label"]]


def _square(correlation: pd.DataFrame, value: str, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    matrix = np.zeros((size, size))
    matrix[correlation["row"].to_numpy(), correlation["column"].to_numpy()] = correlation[value].to_numpy()
    return matrix
