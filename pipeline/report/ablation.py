"""The ablation: forms of the label branch ranked by the validation split, and what each choice is worth."""

from typing import Any

import pandas as pd

from pipeline.report.data import LabelSetResult
from pipeline.report.lanes import Lane, lane_plot
from pipeline.report.wording import missing, percent, points, seed_error

SHOWN = 12  # rows before the table is folded
FACTORS = {"form": "Adjacency", "tau": "τ", "pooling": "Global pooling", "loss": "Loss"}
KEY = "ml_gcn"  # whose mark the chart has: every row is a form of it


def ablation_view(result: LabelSetResult) -> dict[str, Any] | None:
    """The ranked table, the chart of main effects and what they say; None where no ablation was run."""
    table = result.ablation
    if table is None or table.empty:
        return None
    table = table.sort_values("rank")
    effects = {factor: effect for factor in FACTORS if len(effect := main_effect(table, factor)) > 1}
    rows = [_row(row) for row in table.to_dict("records")]
    return {
        "rows": rows[:SHOWN],
        "rest": rows[SHOWN:],
        "plot": lane_plot(_lanes(effects)),
        "sentences": [_best(table), *([graph] if (graph := graph_effect_sentence(table)) else []), *_factors(effects)],
        "scored_on": str(table["scored_on"].iloc[0]),
        "seconds": float(table["seconds"].sum()),
        "seeds": int(table["seeds"].max()),
    }


def main_effect(table: pd.DataFrame, factor: str) -> pd.DataFrame:
    """Mean, lowest and highest score by level of one factor: index level, columns value, low, high, forms.

    The mean over all the other factors; thresholds are averaged first, so that a form of the adjacency with many of
    them weighs no more than one with none. Rows without a threshold have no part in the effect of tau.
    """
    rows = table[table["tau"].notna()] if factor == "tau" else table
    cells = rows.groupby(sorted({factor, "form", "pooling", "loss"}), sort=False, observed=True)["validation_score"]
    by_level = rows.groupby(factor, sort=False)["validation_score"]
    effect = by_level.agg(low="min", high="max", forms="size")
    effect["value"] = cells.mean().groupby(level=factor, sort=False).mean()
    return effect.sort_values("value", ascending=False, kind="stable")


def _lanes(effects: dict[str, pd.DataFrame]) -> list[Lane]:
    lanes = []
    for factor, effect in effects.items():
        lanes.append(Lane(FACTORS[factor]))
        for level, row in effect.iterrows():
            figure = {end: float(row[end]) for end in ("value", "low", "high")}
            lanes.append(Lane(level_name(level), [(KEY, f"mean of {int(row['forms'])} forms", figure)]))
    return lanes


def level_name(level: Any) -> str:
    """A level as people read it: ``reference_code`` as ``reference code``, ``identity`` as ``identity (no graph)``."""
    if isinstance(level, float):
        return f"{level:g}"
    return "identity (no graph)" if level == "identity" else str(level).replace("_", " ")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "tau": None if missing(row["tau"]) else f"{row['tau']:g}",
        **{name: level_name(row[name]) for name in ("form", "pooling", "loss")},
    }


def _best(table: pd.DataFrame) -> str:
    best = table.iloc[0]
    near = 0
    for row in table.iloc[1:].itertuples():
        error = seed_error(best["spread"], int(best["seeds"]), row.spread, int(row.seeds))
        if error is None:
            return (
                f"First of {len(table)} forms: {_form(best)}, {percent(best['validation_score'])}%, with one seed each."
            )
        near += float(best["validation_score"]) - float(row.validation_score) <= 2 * error
    behind = "no other form is" if near == 0 else f"{near} of the others {'is' if near == 1 else 'are'}"
    return (
        f"First of {len(table)} forms: {_form(best)}, {percent(best['validation_score'])}%; {behind} within what other "
        "seeds could change (two standard errors of the means)."
    )


def graph_effect_sentence(table: pd.DataFrame) -> str | None:
    """The best form with edges against the same head with identity; None where the ablation has not both.

    Pooling and loss are those of the form with edges, so that the two differ in the graph alone.
    """
    with_edges = table[(table["form"] != "identity") & ((table["edges"] > 0) | (table["form"] == "learned"))]
    if with_edges.empty:
        return None
    best = with_edges.sort_values("rank").iloc[0]
    same_head = (table["pooling"] == best["pooling"]) & (table["loss"] == best["loss"])
    without = table[same_head & (table["form"] == "identity")]
    if without.empty:
        return None
    other = without.iloc[0]
    difference = float(best["validation_score"]) - float(other["validation_score"])
    error = seed_error(best["spread"], int(best["seeds"]), other["spread"], int(other["seeds"]))
    said = (
        f"On frozen features, the best form with edges ({_form(best)}) differs from the same head with identity, which "
        f"has no graph, by {points(difference)} points on the validation split"
    )
    if error is None:
        return f"{said}; with one seed each, nothing says how sure that is."
    sure = abs(difference) > 2 * error
    return f"{said}, {'more than other seeds explain' if sure else 'within what other seeds could change'}."


def _factors(effects: dict[str, pd.DataFrame]) -> list[str]:
    """The factor whose levels differ most."""
    if not effects:
        return []
    spans = {factor: float(effect["value"].max() - effect["value"].min()) for factor, effect in effects.items()}
    factor = max(spans, key=lambda name: spans[name])
    best, worst = effects[factor].index[0], effects[factor].index[-1]
    return [
        f"The choice that matters most here is {FACTORS[factor].lower()}: on average {percent(spans[factor])} points "
        f"lie between {level_name(best)} and {level_name(worst)}."
    ]


def _form(row: Any) -> str:
    tau = "" if missing(row["tau"]) else f" at τ = {row['tau']:g}"
    return f"{level_name(row['form'])}{tau}, {row['pooling']} pooling, {level_name(row['loss'])}"
