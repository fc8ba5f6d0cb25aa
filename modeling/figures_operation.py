"""Charts of what happens from window to window, as PNG bytes: trends, movements, co-occurrence, drift and champions.

Every function takes the table of ONE label set. matplotlib is imported when the first chart is drawn. Same table, same
bytes on one machine. A table without rows gives a small picture that says so.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from modeling.charts import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, chart, png, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCES = {"model": (BLUE, "model, corrected for its known error"), "experts": (PURPLE, "experts")}
ROLES = {"main": "main label", "any": "main or sub label"}
DIRECTIONS = {"rising": GREEN, "falling": ORANGE, "steady": GREY}
DRIFT_KINDS = {
    "expert_labels": "experts' labels",
    "predicted_labels": "predicted labels",
    "scores": "scores",
    "embeddings": "embeddings",
}
DECISIONS = {"promoted": (GREEN, "o"), "refused": (ORANGE, "X"), "rolled_back": (BLUE, "v"), "removed": (INK, "s")}
COLUMNS = 4  # of small multiples
TICKS = 10  # windows named on a long axis
FEW = 20  # windows up to which each is a mark
WIDEST = 17.0  # inches
IN_CELLS = 30  # windows up to which cells hold numbers


def style_trends(trends: pd.DataFrame, role: str = "main") -> bytes:
    """Share of each style by window, one small chart a style, with 95% intervals, from STYLE_TRENDS rows.

    The model's series is a line with a band, the experts' are points with bars. All charts have one scale.
    """
    rows = trends[trends["role"] == role]
    if rows.empty:
        return _nothing("No window has a share yet.")
    labels, windows = list(dict.fromkeys(rows["label"])), sorted(set(rows["window"]))
    columns = min(COLUMNS, len(labels))
    lines = math.ceil(len(labels) / columns)
    top = 100 * _highest(rows)
    with chart(max(2.7 * columns, 6.5), 0.9 + 1.65 * lines) as figure:
        figure.suptitle(
            f"Share of the label set's images by window ({ROLES[role]}), % with 95% intervals", x=0.01, ha="left",
            fontsize=10,
        )  # fmt: skip
        grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
        for axes, label in zip(grid.flat, labels, strict=False):
            for source in SOURCES:
                part = rows[(rows["label"] == label) & (rows["source"] == source)]
                _series(axes, part.sort_values("window"), windows, source)
            titled(axes, label, "", "")
            axes.set_ylim(0, top)
        for place, axes in enumerate(grid.flat):
            axes.set_visible(place < len(labels))
            if place < len(labels):
                axes.set_xlim(-0.5, len(windows) - 0.5)
                _window_ticks(axes, windows, 2, shown=place + columns >= len(labels))
        handles = [_handle(source) for source in SOURCES if (rows["source"] == source).any()]
        figure.legend(handles=handles, frameon=False, fontsize=8, loc="outside lower left", ncols=2)
        return png(figure)


def style_movements(movements: pd.DataFrame, role: str = "main") -> bytes:
    """How each style moved from the first window to the last, the strongest riser on top, from STYLE_MOVEMENTS rows.

    Left: from where (ring) to where (dot). Right: the change with its 95% interval; grey: steady.
    """
    rows = movements[movements["role"] == role]
    if rows.empty:
        return _nothing("No style was followed over two windows yet.")
    sources = [source for source in SOURCES if (rows["source"] == source).any()]
    first = rows[rows["source"] == sources[0]].sort_values(["change", "label"], ascending=[False, True])
    order = list(dict.fromkeys([*first["label"], *rows["label"]]))
    with chart(10.0, 1.3 + 0.19 * len(order) * (1 + len(sources))) as figure:
        ways, changes = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        step = 0.7 / len(sources)
        for index, source in enumerate(sources):
            for row in _records(rows[rows["source"] == source]):
                place = order.index(row.label) + step * (index - (len(sources) - 1) / 2)
                _moved(ways, changes, row, place, SOURCES[source][0])
        ways.set_yticks(range(len(order)), order)
        ways.set_ylim(len(order) - 0.4, -0.6)
        changes.axvline(0, color=INK, lw=0.9)
        changes.margins(x=0.14)
        titled(ways, f"Share by {ROLES[role]}: first window (ring) to last (dot)", "% of the label set's images", "")
        titled(changes, "Change, with 95% interval", "points", "")
        ways.set_xlim(left=0)
        figure.legend(
            handles=[_line(color, name) for name, color in DIRECTIONS.items()]
            + [_dot(SOURCES[source][0], source) for source in sources],
            frameon=False, fontsize=8, loc="outside lower left", ncols=5,
        )  # fmt: skip
        return png(figure)


def cooccurrence_changes(changes: pd.DataFrame, source: str = "model") -> bytes:
    """Change of how often two styles are seen together, from COOCCURRENCE_CHANGES rows, in points of all images.

    Framed: significant after correction (0.05).
    """
    rows = changes[changes["source"] == source]
    if rows.empty:
        return _nothing("No earlier windows to compare the recent ones with yet.")
    labels = list(dict.fromkeys([*rows["label_a"], *rows["label_b"]]))
    place = {label: index for index, label in enumerate(labels)}
    matrix = np.full((len(labels), len(labels)), np.nan)
    framed = np.zeros(matrix.shape, dtype=bool)
    for row in _records(rows):
        at = place[row.label_b], place[row.label_a]
        matrix[at], framed[at] = 100 * row.change, row.p_adjusted < 0.05
    first = _records(rows)[0]
    small = 0.42 if len(labels) > 10 else 0.62
    with chart(max(2.6 + small * len(labels), 6.5), 2.0 + small * 0.85 * len(labels)) as figure:
        axes = figure.subplots()
        most = max(float(np.nanmax(np.abs(matrix))), 0.5)
        image = axes.imshow(matrix, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
        for (at_b, at_a), value in np.ndenumerate(matrix):
            if np.isfinite(value):
                _cell(axes, at_a, at_b, _points(value), abs(value) > 0.5 * most, 8.5 if len(labels) <= 10 else 7)
            if framed[at_b, at_a]:
                axes.add_patch(_frame(at_a, at_b))
        axes.set_xticks(range(len(labels) - 1), labels[:-1], rotation=40, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(1, len(labels)), labels[1:])
        axes.set_xlim(-0.5, len(labels) - 1.5)
        axes.set_ylim(len(labels) - 0.5, 0.5)
        _plain(axes)
        figure.colorbar(image, ax=axes, shrink=0.7, label="points")
        named = "the model, as predicted" if source == "model" else "experts"
        axes.set_title(
            f"Seen together, by {named}: change from {first.from_window} on, points\n"
            f"{first.images_recent:,} images against {first.images_before:,} before; framed: significant",
            loc="left", fontsize=10,
        )  # fmt: skip
        return png(figure)


def drift(table: pd.DataFrame) -> bytes:
    """Distance of each window from the champion's training windows as a multiple of its threshold, from DRIFT rows.

    Framed: drifted. Cells without a colour: not tested, too few images.
    """
    if table.empty:
        return _nothing("No window after the champion's training windows yet.")
    windows = sorted(set(table["window"]))
    kinds = [kind for kind in DRIFT_KINDS if (table["what"] == kind).any()]
    matrix = np.full((len(kinds), len(windows)), np.nan)
    many = len(windows) > IN_CELLS
    with chart(min(max(2.4 + (0.19 if many else 0.5) * len(windows), 6.5), WIDEST), 1.7 + 0.45 * len(kinds)) as figure:
        axes = figure.subplots()
        for row in _records(table):
            at = kinds.index(row.what), windows.index(row.window)
            matrix[at] = np.nan if pd.isna(row.distance) else row.distance / max(row.threshold, 1e-9)
            if row.drifted:
                axes.add_patch(_frame(at[1], at[0]))
        image = axes.imshow(np.minimum(matrix, 2), cmap="Oranges", vmin=0, vmax=2, aspect="auto")
        axes.set_facecolor("#eef1f4")
        for (line, column), value in np.ndenumerate(matrix):
            if np.isnan(value):
                _cell(axes, column, line, "–", False, 8)
            elif not many:
                _cell(axes, column, line, f"{value:.1f}", value > 1.2, 8)
        axes.set_yticks(range(len(kinds)), [DRIFT_KINDS[kind] for kind in kinds])
        _window_ticks(axes, windows, TICKS if many else len(windows), slanted=True)
        _plain(axes)
        figure.colorbar(image, ax=axes, ticks=[0, 1, 2], format="{x:g}")
        axes.set_title("Distance from the training windows, in thresholds; framed: drifted", loc="left", fontsize=10)
        return png(figure)


def champions(promotions: pd.DataFrame) -> bytes:
    """Challengers over time: value on the test images, what was decided and by which rule, from PROMOTIONS rows."""
    if promotions.empty:
        return _nothing("No challenger was judged yet.")
    rows = promotions.sort_values("decided_at", kind="stable").reset_index(drop=True)
    shown = rows.tail(40).reset_index(drop=True)
    with chart(max(6.5, 2.2 + 0.42 * len(shown)), 3.9) as figure:
        axes = figure.subplots()
        before, value = (100 * shown[name].astype(float) for name in ("champion_value", "challenger_value"))
        low, high = (100 * (shown["champion_value"] + shown[name]).astype(float) for name in ("low", "high"))
        axes.vlines(shown.index, low, high, color="#c5ccd3", lw=5)
        axes.plot(shown.index, before, ls="", marker="_", ms=16, mew=2, color=INK, label="champion before")
        floor = float(np.nanmin([*value, *before, *low])) if value.notna().any() else 0.0
        for decision, (color, marker) in DECISIONS.items():
            part = shown["decision"] == decision
            where = value.where(value.notna(), floor)[part]
            if part.any():
                name = decision.replace("_", " ")
                axes.plot(where.index, where, ls="", marker=marker, ms=8, color=color, label=name)
        dates = [f"{when:%Y-%m-%d}\n{rule.replace('_', ' ')}" for when, rule in zip(
            shown["decided_at"], shown["rule"], strict=True)]  # fmt: skip
        axes.set_xticks(shown.index, dates, rotation=55, ha="right", rotation_mode="anchor", fontsize=7.5)
        axes.set_xlim(-0.6, len(shown) - 0.4)
        axes.margins(y=0.15)
        more = f", the last {len(shown)} of {len(rows)}" if len(rows) > len(shown) else ""
        titled(axes, f"Challengers on the common test images{more} (bar: 95% interval)", "", "mean of five recalls, %")
        figure.legend(frameon=False, fontsize=8, loc="outside lower left", ncols=5)
        return png(figure)


def _records(rows: pd.DataFrame) -> list[Any]:
    return list(rows.itertuples())


def _highest(rows: pd.DataFrame) -> float:
    """Top of the common scale: all shares, and intervals but for the few that are very wide."""
    return min(1.0, 1.05 * max(float(rows["share"].max()), float(rows["high"].quantile(0.97)), 0.05))


def _series(axes: "Axes", part: pd.DataFrame, windows: Sequence[str], source: str) -> None:
    """One source's shares; a window without one breaks the line. Where there are many, points are faint."""
    color = SOURCES[source][0]
    found = part.set_index("window").reindex(list(windows))
    share, low, high = (100 * found[name].to_numpy(dtype=float) for name in ("share", "low", "high"))
    place, few = np.arange(len(windows)), len(windows) < FEW
    if source == "model":
        axes.fill_between(place, low, high, color=color, alpha=0.25, lw=0, zorder=2)
        axes.plot(place, share, color=color, lw=1.5, marker="o" if few else None, ms=3, zorder=3)
        if len(windows) == 1:  # a band needs two
            axes.vlines(place, low, high, color=color, lw=1.5, alpha=0.4)
    else:
        shift = 0.12 if few else 0.0
        axes.vlines(place + shift, low, high, color=color, lw=1.0 if few else 0.6, alpha=0.6 if few else 0.3, zorder=1)
        axes.plot(place + shift, share, ls="", marker="D", ms=3 if few else 1.8, color=color, zorder=1)


def _window_ticks(axes: "Axes", windows: Sequence[str], most: int, shown: bool = True, slanted: bool = False) -> None:
    """Name at most so many windows, evenly; names that are not slanted stay inside the axes."""
    at = np.unique(np.linspace(0, len(windows) - 1, min(most, len(windows))).round().astype(int))
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axes.set_xticks(at, [windows[place] for place in at], fontsize=7.5, **turned)
    axes.tick_params(labelbottom=shown)
    if shown and not slanted and len(at) > 1:
        first, *_, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")


def _moved(ways: "Axes", changes: "Axes", row: Any, place: float, color: str) -> None:
    """One style by one source in both panels."""
    line = DIRECTIONS[row.direction]
    ways.plot([100 * row.first_share, 100 * row.last_share], [place, place], color=line, lw=2.2)
    ways.plot(100 * row.first_share, place, marker="o", ms=5.5, mfc="white", mec=color, mew=1.4)
    ways.plot(100 * row.last_share, place, marker="o", ms=5.5, color=color)
    changes.hlines(place, 100 * row.low, 100 * row.high, color=line, lw=2.2)
    changes.plot(100 * row.change, place, marker="o", ms=5, color=color)
    changes.annotate(
        f"{100 * row.change:+.1f}", (100 * row.high, place), (4, 0), textcoords="offset points", fontsize=7.5,
        va="center", fontweight="normal" if row.direction == "steady" else "bold",
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _handle(source: str) -> Any:
    color, name = SOURCES[source]
    return _line(color, name) if source == "model" else _dot(color, name, "D")


def _line(color: str, name: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, lw=2.2, label=name)


def _dot(color: str, name: str, marker: str = "o") -> Any:
    from matplotlib.lines import Line2D

    return Line2D([], [], ls="", marker=marker, ms=5, color=color, label=name)


def _cell(axes: "Axes", column: int, line: int, text: str, dark: bool, size: float) -> None:
    axes.text(column, line, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)


def _points(value: float) -> str:
    return "·" if abs(value) < 0.05 else f"{value:+.1f}"


def _frame(column: int, line: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.46, line - 0.46), 0.92, 0.92, fill=False, edgecolor=INK, lw=1.8, zorder=3)


def _plain(axes: "Axes") -> None:
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _nothing(text: str) -> bytes:
    with chart(6.5, 0.9) as figure:
        figure.text(0.02, 0.5, text, va="center", color=GREY)
        return png(figure)
