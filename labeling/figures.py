"""Charts of how annotators agree and work, as PNG bytes.

Every function takes a table of this package as a frame and returns the bytes of one PNG. Same input, same bytes on one
machine. matplotlib is imported when the first chart is drawn, so that importing this module costs nothing.
"""

import io
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from labeling.annotators import LONGEST_LEAD_TIME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["agreement_by_window", "confusion_map", "kappa_by_week", "lead_times", "pair_map", "short_names"]

# Okabe and Ito's colours: told apart with every common kind of colour blindness. Markers differ too.
BLUE, ORANGE, GREEN, PURPLE, INK, GREY = "#0072b2", "#d55e00", "#009e73", "#aa4499", "#1f2933", "#8a94a0"
SERIES = ((BLUE, "o"), (ORANGE, "^"), (GREEN, "D"), (PURPLE, "v"), (INK, "P"), (GREY, "s"))
DPI = 110  # dots per inch of every chart
WIDE_FONTS = ("Noto Sans CJK KR", "Noto Sans CJK JP", "NanumGothic", "Malgun Gothic", "Apple SD Gothic Neo")
SURE = 0.05  # p-value of a drift, below which it is marked
OF_PAIRS = {
    "cohen_kappa": "Cohen's kappa, main label",
    "krippendorff_alpha": "Krippendorff's alpha, main label",
    "same_main": "Share of the same main label",
}


def short_names(annotators: Iterable[str]) -> dict[str, str]:
    """Annotators by what stands before the @ of their address, if that tells them apart; else by their whole name."""
    names = sorted(set(annotators))
    times = Counter(name.partition("@")[0] for name in names)
    return {name: short if times[short := name.partition("@")[0]] == 1 and short else name for name in names}


def confusion_map(confusion: pd.DataFrame) -> bytes:
    """Which labels two people gave to one image, from a MAIN_CONFUSION table.

    A row's cells add up to 100%: of the pairs in which its label occurs, how many have which label beside it. Numbers
    below 1% are left out; the count beside a label is that of its pairs.
    """
    labels = list(dict.fromkeys(confusion["label_a"]))
    shares, pairs = (_square(confusion, "label_a", "label_b", value, labels) for value in ("share", "pairs"))
    side = 2.6 + 0.36 * max(len(labels), 3)
    with _chart(side, side - 0.6) as figure:
        axes = figure.subplots()
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                _cell_text(axes, row, column, f"{100 * share:.0f}", dark=share > 0.55, size=7.5)
        names = [label.replace("_", " ") for label in labels]
        counted = [f"{name}  {int(total):,}" for name, total in zip(names, pairs.sum(axis=1), strict=True)]
        _draw_map(axes, np.nan_to_num(shares), counted, names)
        axes.set_title("Where one says the row, the other says … (% of the row's pairs)", loc="left", fontsize=10)
        return _png(figure)


def pair_map(agreement: pd.DataFrame, measure: str = "cohen_kappa") -> bytes:
    """One measure of an AGREEMENT table for each pair of annotators, with the number of their common images.

    ``measure`` is cohen_kappa, krippendorff_alpha or same_main.
    """
    rows = agreement[(agreement["measure"] == measure) & agreement["annotator_a"].notna()]
    names = sorted({*rows["annotator_a"], *rows["annotator_b"]})
    both = pd.concat([rows, rows.rename(columns={"annotator_a": "annotator_b", "annotator_b": "annotator_a"})])
    values, images = (_square(both, "annotator_a", "annotator_b", value, names) for value in ("value", "images"))
    side = 2.4 + 0.78 * max(len(names), 2)
    with _chart(side, side - 0.5) as figure:
        axes = figure.subplots()
        for (row, column), value in np.ndenumerate(values):
            text = "" if row == column else "–" if np.isnan(value) else f"{value:.2f}"
            if images[row, column] > 0:
                text += f"\n{int(images[row, column]):,}"
            _cell_text(axes, row, column, text, dark=value > 0.55, size=8)
        shown = [short_names(names)[name] for name in names]
        _draw_map(axes, values, shown, shown)
        axes.set_title(f"{OF_PAIRS[measure]}; below it, common images", loc="left", fontsize=10)
        return _png(figure)


def agreement_by_window(agreement: pd.DataFrame) -> bytes:
    """Krippendorff's alphas and the share of equal main labels by crawl window, with 95% intervals (AGREEMENT)."""
    shown = {
        "krippendorff_alpha": "alpha, main label",
        "krippendorff_alpha_masi": "alpha, main and sub labels (MASI)",
        "same_main": "same main label, share of pairs",
    }
    rows = agreement[agreement["window"].notna()]
    windows = sorted(rows["window"].unique())
    with _chart(max(6.0, 2.5 + 0.55 * len(windows)), 3.6) as figure:
        axes = figure.subplots()
        for place, ((measure, name), (color, marker)) in enumerate(zip(shown.items(), SERIES, strict=False)):
            part = rows[rows["measure"] == measure].set_index("window").reindex(windows)
            value, low, high = (part[column].to_numpy(dtype=float) for column in ("value", "low", "high"))
            across = np.arange(len(windows)) + 0.14 * (place - 1)
            axes.vlines(across, low, high, color=color, lw=1.5)
            axes.plot(across, value, color=color, marker=marker, ms=5, lw=1, ls=":", label=name)
        axes.set_xticks(range(len(windows)), windows, rotation=40, ha="right", rotation_mode="anchor")
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1)
        _titled(axes, "Agreement by crawl window, 95% intervals", "", "")
        if windows:
            figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
        return _png(figure)


def lead_times(annotations: pd.DataFrame) -> bytes:
    """How long each annotator takes for an answer, from ANNOTATIONS: box from quarter to quarter, whiskers 5% to 95%.

    Times of 0 or less and of more than half an hour are left out, as in ``labeling.annotators``.
    """
    times = annotations[(annotations["lead_time"] > 0) & (annotations["lead_time"] <= LONGEST_LEAD_TIME)]
    groups = {str(name): part["lead_time"].to_numpy() for name, part in times.groupby("annotator", sort=True)}
    shown = short_names(groups)
    with _chart(7.0, 1.3 + 0.42 * max(len(groups), 1)) as figure:
        axes = figure.subplots()
        if groups:
            line = {"color": INK, "lw": 1.1}
            axes.boxplot(
                list(groups.values()), orientation="horizontal", whis=(5, 95), showfliers=False, widths=0.55,
                patch_artist=True, boxprops={"facecolor": "#9ecae1", "edgecolor": INK, "lw": 0.8},
                medianprops={"color": ORANGE, "lw": 2}, whiskerprops=line, capprops=line,
            )  # fmt: skip
            axes.set_xscale("log")
            _plain_seconds(axes, np.concatenate(list(groups.values())))
        for place, values in enumerate(groups.values(), start=1):
            text = f"{np.median(values):.0f} s · {len(values):,}"
            axes.annotate(text, (1, place), (6, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
                          va="center", fontsize=8)  # fmt: skip
        axes.set_yticks(range(1, len(groups) + 1), list(shown.values()))
        axes.invert_yaxis()
        _titled(axes, "Time for an answer (right: median, answers)", "seconds (logarithmic)", "")
        return _png(figure)


def kappa_by_week(annotators: pd.DataFrame) -> bytes:
    """Each annotator's kappa with the others by ISO week, from an ANNOTATORS table; a ring marks a clear drift.

    With more than six annotators, only those with a clear drift have a colour.
    """
    weekly = annotators[annotators["week"].notna()]
    weeks = sorted(weekly["week"].unique())
    overall = annotators[annotators["week"].isna()].set_index("annotator")
    clear = overall.index[overall["drift_p"].fillna(1.0) < SURE]
    names = sorted(weekly["annotator"].unique())
    coloured = names if len(names) <= len(SERIES) else [name for name in names if name in clear]
    styles = {name: SERIES[place % len(SERIES)] for place, name in enumerate(coloured)}
    shown = short_names(names)
    with _chart(max(6.5, 3.0 + 0.45 * len(weeks)), 3.6) as figure:
        axes = figure.subplots()
        for name in names:
            kappa = weekly[weekly["annotator"] == name].set_index("week")["kappa"].reindex(weeks)
            color, marker = styles.get(name, (GREY, ""))
            label = shown[name] if name in styles else None
            faint = name not in styles
            axes.plot(
                range(len(weeks)), kappa, color=color, marker=marker, ms=4.5, lw=0.7 if faint else 1.5, label=label
            )
            if name in clear:
                week = overall.loc[name, "drift_week"]
                axes.plot(weeks.index(week), kappa[week], "o", ms=13, mfc="none", mec=color, mew=1.6)
        axes.set_xticks(range(len(weeks)), weeks, rotation=40, ha="right", rotation_mode="anchor")
        _titled(axes, f"Kappa with the other annotators by week (ring: drift, p < {SURE:g})", "", "")
        if styles:
            figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=4)
        return _png(figure)


def _square(table: pd.DataFrame, row: str, column: str, value: str, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """One value of each pair of names: ``(N, N)``, NaN where there is none."""
    place = {name: number for number, name in enumerate(names)}
    grid = np.full((len(names), len(names)), np.nan)
    grid[table[row].map(place).to_numpy(np.int64), table[column].map(place).to_numpy(np.int64)] = table[value]
    return grid


def _cell_text(axes: "Axes", row: int, column: int, text: str, *, dark: object, size: float) -> None:
    axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else INK)


def _draw_map(axes: "Axes", values: npt.NDArray[np.float64], rows: Sequence[str], columns: Sequence[str]) -> None:
    """Shade the cells by their values, 0 to 1, under lines of white; NaN stays white."""
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    if not values.size:
        return
    axes.imshow(values, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1)


def _plain_seconds(axes: "Axes", values: npt.NDArray[np.float64]) -> None:
    """Mark a logarithmic axis at round numbers of seconds within the values."""
    low, high = np.quantile(values, (0.02, 0.98))
    marks = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200]
    inside = [mark for mark in marks if low * 0.8 <= mark <= high * 1.2] or [round(float(low))]
    axes.set_xticks(inside, [f"{mark:g}" for mark in inside])
    axes.set_xticks([], minor=True)


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
        "text.parse_math": False,  # a name may hold a dollar sign
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
