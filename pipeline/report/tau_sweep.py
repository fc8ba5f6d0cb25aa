"""The sweep over tau: what each threshold leaves of the graph, how it scores, and how tau was chosen."""

import math
from typing import Any

import pandas as pd
from markupsafe import Markup

from pipeline.report.charts import Chart, ticks
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.wording import percent, points, seed_error, spread

LANDMARKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # of the tau axis


def tau_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """Three charts by tau, a row for each different graph, and what decided; None where nothing was swept."""
    table = result.tau_sweep
    if table is None or table.empty:
        return None
    table = table.sort_values("tau").reset_index(drop=True)
    chosen = table[table["chosen"]]
    return {
        "rows": [_row(part) for _, part in table.groupby("graph", sort=False)],
        "charts": [_scores(table, result.name), _counts(table, result.name), _stars(table, result.name)],
        "sentences": _sentences(data, table),
        "scored_on": str(table["scored_on"].iloc[0]),
        "seeds": int(table["seeds"].max()),
        "chosen": None if chosen.empty else float(chosen["tau"].iloc[0]),
        "best": float(table.loc[table["best"], "tau"].iloc[0]) if table["best"].any() else None,
    }


def _row(part: pd.DataFrame) -> dict[str, Any]:
    """Thresholds that give the same edges are one row."""
    first = part.iloc[0]
    taus = [f"{tau:g}" for tau in (part["tau"].min(), part["tau"].max())]
    marked = {name: [f"{tau:g}" for tau in part.loc[part[name], "tau"]] for name in ("chosen", "best")}
    return {
        "taus": taus[0] if taus[0] == taus[1] else f"{taus[0]}–{taus[1]}",
        "edges": int(first["edges"]),
        "isolated": int(first["isolated"]),
        "star_share": float(first["star_share"]) if first["edges"] else None,
        "score": float(first["validation_score"]),
        "spread": first["spread"],
        "chosen": ", ".join(marked["chosen"]),
        "best": ", ".join(marked["best"]),
    }


def _sentences(data: ReportData, table: pd.DataFrame) -> list[str]:
    if not table["best"].any():
        return []
    best = table[table["best"]].iloc[0]
    joined = table[table["edges"] > 0]
    if len(joined) and table["graph"].nunique() > 1:
        table = joined  # a graph without an edge is not chosen
    graphs = table["graph"].nunique()
    span = f"thresholds from {table['tau'].min():g} to {table['tau'].max():g}"
    if graphs == 1:
        return [f"All {span} give the same graph, so the choice of τ changes nothing."]
    found = f"{_score(best)}, the mean of five on the validation split"
    return [_decision(data, table, best, graphs, span, found), _sharpness(table, best)]


def _decision(data: ReportData, table: pd.DataFrame, best: Any, graphs: int, span: str, found: str) -> str:
    chosen = table[table["chosen"]]
    asked = (data.settings.get("graph") or {}).get("tau", "validation")
    among = f"of the {graphs} different graphs that {span} give"
    if len(chosen) and bool(chosen["best"].iloc[0]):
        if asked == "validation":
            return f"τ = {best['tau']:g} was chosen on the validation split: {among}, its graph scored best ({found})."
        return f"τ = {best['tau']:g} stands in the settings; {among}, its graph also scored best ({found})."
    if chosen.empty:
        return (
            f"{among.capitalize()}, that of τ = {best['tau']:g} scored best ({found}); which one was taken is not said."
        )
    taken = chosen.iloc[0]
    if taken["graph"] == best["graph"]:
        return f"τ = {taken['tau']:g} stands in the settings; it gives the graph that scored best ({found}, {among})."
    gap = points(float(best["validation_score"]) - float(taken["validation_score"])).lstrip("+")
    return (
        f"τ = {taken['tau']:g} stands in the settings and scores {_score(taken)}. {among.capitalize()}, that of "
        f'τ = {best["tau"]:g} scored best ({found}), {gap} points higher; set graph.tau to "validation" to take it.'
    )


def _sharpness(table: pd.DataFrame, best: Any) -> str:
    """How many other graphs score so near the best that other seeds could put them first."""
    others = table[table["graph"] != best["graph"]].drop_duplicates("graph")
    near = 0
    for row in others.itertuples():
        error = seed_error(best["spread"], int(best["seeds"]), row.spread, int(row.seeds))
        if error is None:
            return "Each graph was tried with one seed, so how sharp the choice is cannot be told."
        near += float(best["validation_score"]) - float(row.validation_score) <= 2 * error
    if near == 0:
        return "The lead over every other graph is more than other seeds explain (two standard errors of the means)."
    which = "The other graph is"
    if len(others) > 1:
        which = f"Of the {len(others)} other graphs, {near} {'is' if near == 1 else 'are'}"
    return f"{which} within what other seeds could change (two standard errors of the means): the choice is not sharp."


def _score(row: Any) -> str:
    seeds = int(row["seeds"])
    return f"{percent(row['validation_score'])}%" + (
        f" {spread(row['spread'])} over {seeds} seeds" if seeds > 1 else ""
    )


def _chart(table: pd.DataFrame, title: str, values: list[float], floor: float | None = None) -> Chart:
    low, high = min(values) if floor is None else floor, max(values)
    tried = [ticks(low, high, wanted) for wanted in (4, 2)]
    marks = next((marks for marks in tried if all(mark.is_integer() for mark in marks)), tried[0])
    chart = Chart(title, (LANDMARKS[0], LANDMARKS[-1]), (marks[0], marks[-1]))
    chart.y_axis(marks, 0 if all(mark.is_integer() for mark in marks) else 1)
    chart.x_axis(LANDMARKS, 1)
    for tau in table.loc[table["best"] & ~table["chosen"], "tau"]:
        chart.upright(float(tau), "best")
    for tau in table.loc[table["chosen"], "tau"]:
        chart.upright(float(tau), "chosen")
    return chart


def _scores(table: pd.DataFrame, name: str) -> Markup:
    scores, spreads = (100 * table[column].astype(float) for column in ("validation_score", "spread"))
    low, high = scores - spreads.fillna(0), scores + spreads.fillna(0)
    title = f"{name}: validation score by tau, %, with the standard deviation between the seeds"
    chart = _chart(table, title, [*low, *high])
    taus = [float(tau) for tau in table["tau"]]
    chart.line("a-ml_gcn", taus, list(scores), "validation score")
    for tau, score, down, up in zip(taus, scores, low, high, strict=True):
        chart.whisker(tau, down, up, "a-ml_gcn")
        chart.circle("spot a-ml_gcn", tau, score, 2.8, f"tau {tau:g}: {score:.1f}%")
    return chart.svg()


def _counts(table: pd.DataFrame, name: str) -> Markup:
    edges, isolated = ([float(value) for value in table[column]] for column in ("edges", "isolated"))
    chart = _chart(table, f"{name}: edges and labels without an edge of their own by tau", [*edges, *isolated], 0.0)
    chart.line("a-backbone", list(table["tau"]), edges, "edges")
    chart.line("quiet", list(table["tau"]), isolated, "labels without an edge of their own")
    return chart.svg()


def _stars(table: pd.DataFrame, name: str) -> Markup:
    shares = [100 * float(row.star_share) if row.edges else math.nan for row in table.itertuples()]
    chart = _chart(table, f"{name}: share of the edges that point at the dominant label by tau, %", [0.0, 100.0], 0.0)
    chart.line("a-backbone_max", list(table["tau"]), shares, "edges to the dominant label")
    return chart.svg()
