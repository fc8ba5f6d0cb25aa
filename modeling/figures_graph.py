"""Charts of the label graph as PNG bytes: the sweep over tau, and the ablation.

matplotlib is imported when the first chart is drawn. Same table, same bytes on one machine.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from modeling.charts import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, chart, png, titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 12  # of the ablation's ranked list
GOLDEN = 0.618  # multiples of it, without their whole part, fill an interval evenly
FORMS = {
    "identity": "no graph",
    "equation": "equation",
    "reference_code": "reference code",
    "learned": "learned",
}
LOSSES = {
    "bce": "BCE",
    "focal": "focal",
    "asymmetric": "asymmetric",
    "class_balanced": "class-balanced BCE",
}


def tau_sweep(sweep: pd.DataFrame) -> bytes:
    """What each threshold leaves of the graph and what it is worth on the validation split, from a TAU_SWEEP table."""
    rows = sweep.sort_values("tau")
    with chart(11.0, 3.3) as figure:
        counts, stars, scores = figure.subplots(1, 3)
        counts.step(rows["tau"], rows["edges"], where="mid", color=BLUE, lw=1.8, label="edges")
        counts.step(rows["tau"], rows["isolated"], where="mid", color=ORANGE, ls="--", lw=1.6, label="isolated labels")
        counts.set_ylim(bottom=0)
        counts.yaxis.get_major_locator().set_params(integer=True)
        counts.legend(frameon=False, fontsize=8)
        _stars(stars, rows)
        _scores(scores, rows)
        chosen = rows.loc[rows["chosen"], "tau"]
        for axes in (counts, stars, scores):
            axes.set_xlim(0, 1)
            for tau in chosen:
                axes.axvline(tau, color=INK, ls=":", lw=1.3)
        named = ", ".join(f"τ = {tau:g}" for tau in chosen)
        titled(counts, f"Graph by τ (dotted: {named})", "τ", "count")
        titled(stars, "Edges that point at the most frequent label", "τ", "% of the edges")
        titled(scores, "Validation, mean of the five recalls", "τ", "%")
        return png(figure)


def ablation(table: pd.DataFrame) -> bytes:
    """What each choice is worth over all others, and the best forms of the model, from an ABLATION table.

    Above: every form of the model as a dot by what was chosen, and the mean over them. Below: the best SHOWN with the
    spread between their seeds.
    """
    rows = table.sort_values("rank")
    best = rows.head(SHOWN)
    with chart(11.0, 3.6 + 0.27 * len(best)) as figure:
        dots = "Each dot: a form of the model (those that come to the same are one); line: their mean"
        figure.suptitle(dots, x=0.01, ha="left", fontsize=9, color=GREY)
        halves: Any = figure.subfigures(2, 1, height_ratios=(2.9, 0.7 + 0.27 * len(best)))
        above, below = halves
        panels = above.subplots(1, 4, sharey=True, width_ratios=_widths(rows))
        for axes, (title, column, named) in zip(panels, _choices(), strict=True):
            _main_effect(axes, rows, title, column, named)
        panels[0].set_ylabel("validation, mean of five, %")
        _ranked(below.subplots(), best, len(rows))
        return png(figure)


def _stars(axes: "Axes", rows: pd.DataFrame) -> None:
    """The dominant label's share of the edges; a threshold without an edge has none."""
    share = 100 * rows["star_share"].where(rows["edges"] > 0)
    axes.step(rows["tau"], share, where="mid", color=GREEN, lw=1.8)
    axes.plot(rows["tau"], share, ls="", marker="D", ms=3.5, color=GREEN)
    axes.set_ylim(-3, 103)
    without = rows.loc[rows["edges"] == 0, "tau"]
    if len(without):
        begin = float(without.min()) - 0.025
        axes.axvspan(begin, 1, color="#eef1f4")
        axes.text((begin + 1) / 2, 12, "no edge", fontsize=8, color=GREY, rotation=90, ha="center")


def _scores(axes: "Axes", rows: pd.DataFrame) -> None:
    """Mean and spread of each graph's trainings; thresholds with the same edges are joined by a line."""
    for _, same in rows.groupby("graph", sort=False):
        value, spread = (100 * same[name].to_numpy(dtype=float) for name in ("validation_score", "spread"))
        axes.plot(same["tau"], value, color=PURPLE, lw=1.6, marker="o", ms=4)
        if np.isfinite(spread).all():
            tau = same["tau"].to_numpy(dtype=float)
            edges = np.concatenate([[tau[0] - 0.012], tau, [tau[-1] + 0.012]])
            low, high = (np.pad(value + side * spread, 1, mode="edge") for side in (-1, 1))
            axes.fill_between(edges, low, high, color=PURPLE, alpha=0.18, lw=0)
    best = rows[rows["best"]]
    ring: dict[str, Any] = {"marker": "o", "ls": "", "ms": 10, "mfc": "none", "mec": INK, "mew": 1.4}
    seeds = int(rows["seeds"].max())
    what = f"best; band: spread of {seeds} seeds" if seeds > 1 else "best"
    axes.plot(best["tau"], 100 * best["validation_score"], **ring, label=what)
    axes.margins(y=0.2)
    axes.legend(frameon=False, fontsize=8, loc="best")


def _choices() -> list[tuple[str, str, Callable[[Any], str]]]:
    """Title, column and wording of each choice that the ablation compares."""
    return [
        ("Graph", "form", lambda value: FORMS.get(value, str(value))),
        ("τ", "tau", lambda value: "none" if pd.isna(value) else f"{value:g}"),
        ("Pooling", "pooling", str),
        ("Loss", "loss", lambda value: LOSSES.get(value, str(value))),
    ]


def _widths(rows: pd.DataFrame) -> Sequence[int]:
    return [1 + rows[column].nunique(dropna=False) for _, column, _ in _choices()]


def _main_effect(axes: "Axes", rows: pd.DataFrame, title: str, column: str, named: Callable[[Any], str]) -> None:
    """Every form of the model by one choice, and their mean."""
    levels = _levels(rows, column)
    for place, level in enumerate(levels):
        values = 100 * rows.loc[rows[column].isna() if pd.isna(level) else rows[column] == level, "validation_score"]
        aside = 0.36 * (np.arange(len(values)) * GOLDEN % 1 - 0.5)  # neighbours in rank stand apart
        axes.plot(place + aside, values, ls="", marker="o", ms=3, color=BLUE, alpha=0.45, mew=0)
        axes.hlines(values.mean(), place - 0.3, place + 0.3, color=ORANGE, lw=2.4)
        axes.annotate(
            f"{values.mean():.1f}", (place + 0.3, values.mean()), (2, 0), textcoords="offset points", fontsize=7.5,
            va="center", color=ORANGE,
        )  # fmt: skip
    axes.set_xlim(-0.6, len(levels) - 0.2)
    titled(axes, title, "", "")
    axes.set_xticks(range(len(levels)), [_broken(named(level)) for level in levels], fontsize=8)


def _broken(text: str) -> str:
    """Words one below the other."""
    return text.replace(" ", "\n").replace("-", "-\n")


def _levels(rows: pd.DataFrame, column: str) -> list[Any]:
    """What was chosen: thresholds by size with none at first, forms and losses in their usual order."""
    found = rows[column].drop_duplicates().tolist()
    if column == "tau":
        return sorted(found, key=lambda tau: -1.0 if pd.isna(tau) else tau)
    order = [*FORMS, *LOSSES, "average", "max"]
    return sorted(found, key=order.index)


def _ranked(axes: "Axes", best: pd.DataFrame, of: int) -> None:
    """The best forms of the model, the very best on top, with the spread between their seeds."""
    places = np.arange(len(best))
    score, spread = (100 * best[name].to_numpy(dtype=float) for name in ("validation_score", "spread"))
    axes.hlines(places, score - np.nan_to_num(spread), score + np.nan_to_num(spread), color=BLUE, lw=1.6)
    axes.plot(score, places, ls="", marker="o", ms=5, color=BLUE)
    for place, at, end in zip(places, score, score + np.nan_to_num(spread), strict=True):
        axes.annotate(f"{at:.1f}", (end, place), (5, 0), textcoords="offset points", fontsize=7.5, va="center")
    axes.set_yticks(places, [_name(row) for row in best.itertuples()], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    listed = f"The {len(best)} best of {of}" if of > len(best) else f"All {of}"
    seeds = int(best["seeds"].max())
    lines = f" (line: spread of {seeds} seeds)" if seeds > 1 else ""
    titled(axes, f"{listed}{lines}", "validation, mean of the five recalls, %", "")


def _name(row: Any) -> str:
    edges = "1 edge" if row.edges == 1 else f"{row.edges} edges"
    graph = FORMS.get(row.form, row.form)
    graph += "" if pd.isna(row.tau) else f" τ {row.tau:g} ({edges})"
    return f"{graph}, {row.pooling}, {LOSSES.get(row.loss, row.loss)}"
