"""Paired tests between architectures: rows for people, and what they say about the graph."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from modeling.metrics import RECALLS
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import figure_of
from pipeline.report.wording import metric_name, missing, seed_error

LEVEL = 0.05  # of the adjusted p-value
GRAPH = "ml_gcn"
ATTENTION = "csra"  # a newer head without a graph
BASELINES = ("backbone_max", "backbone")  # the first differs from ML-GCN in nothing but the graph, as the method pools


@dataclass(frozen=True)
class Verdict:
    """What the paired comparison says of the mean of the five recalls; ``difference`` is b - a, shares of 0 to 1."""

    a: str
    b: str
    difference: float
    low: float  # 95% interval of the difference
    high: float
    better: tuple[str, ...]  # single recalls in which b is better after correction
    worse: tuple[str, ...]
    tests: int  # tests that the correction covers
    outcome: str  # better, worse, hint_better, hint_worse, open: see ``finding`` and ``by_seed``
    seeds: tuple[int, int] = (1, 1)  # trainings of a and b whose mean is compared
    spreads: tuple[float | None, float | None] = (None, None)  # standard deviation between them
    same_pooling: bool = True  # else the difference is not of the graph alone
    by_seed: bool = False  # clear over the test images, but other seeds could turn it round: then only a hint

    @property
    def seed_error(self) -> float | None:
        """Standard error of the difference that the seeds alone make; None where one of the two has no spread."""
        return seed_error(self.spreads[0], self.seeds[0], self.spreads[1], self.seeds[1])


def finding(difference: float, low: float, high: float, p_adjusted: float) -> str:
    """What one row of a COMPARISON table says of b against a.

    ``better`` or ``worse`` when the adjusted p-value is below LEVEL; ``hint_better`` or ``hint_worse`` when only the
    95% interval leaves zero out; else ``open``.
    """
    if p_adjusted < LEVEL:
        return "better" if difference > 0 else "worse"
    if low > 0:
        return "hint_better"
    return "hint_worse" if high < 0 else "open"


def oriented(comparison: pd.DataFrame | None, a: str, b: str) -> pd.DataFrame:
    """The rows of a pair, turned so that ``difference`` is b - a whichever way the table holds them."""
    if comparison is None:
        return pd.DataFrame()
    same = comparison[(comparison["architecture_a"] == a) & (comparison["architecture_b"] == b)]
    if len(same):
        return same
    other = comparison[(comparison["architecture_a"] == b) & (comparison["architecture_b"] == a)]
    swapped = {"value_a": "value_b", "value_b": "value_a", "a_only": "b_only", "b_only": "a_only"}
    turned = other.rename(columns=swapped | {"architecture_a": "architecture_b", "architecture_b": "architecture_a"})
    low, high = -other["high"], -other["low"]
    return turned.assign(difference=-other["difference"], low=low, high=high)


def verdict(comparison: pd.DataFrame | None, a: str, b: str) -> Verdict | None:
    """None when the table has no row for the pair."""
    rows = oriented(comparison, a, b)
    if comparison is None or rows.empty:
        return None
    mean = rows[rows["metric"] == "mean5"]
    single = rows[rows["metric"].isin(RECALLS)]
    sure = single[single["p_adjusted"] < LEVEL]
    if mean.empty:
        return None
    numbers = [float(mean[name].iloc[0]) for name in ("difference", "low", "high", "p_adjusted")]
    return Verdict(
        a=a,
        b=b,
        difference=numbers[0],
        low=numbers[1],
        high=numbers[2],
        better=tuple(sure.loc[sure["difference"] > 0, "metric"]),
        worse=tuple(sure.loc[sure["difference"] < 0, "metric"]),
        tests=len(comparison),
        outcome=finding(*numbers),
    )


def graph_verdict(result: LabelSetResult) -> Verdict | None:
    """ML-GCN against the baseline that differs from it least; None when they were not compared.

    That is the backbone with the pooling that its card names, else the other one.
    """
    cards = {model.architecture: model.card for model in result.models}
    average = cards.get(GRAPH, {}).get("pooling") == "average"
    order = BASELINES[::-1] if average else BASELINES
    for baseline in order:
        found = with_seeds(result, verdict(result.comparison, baseline, GRAPH))
        if found is not None:
            return replace(found, same_pooling=baseline == order[0])
    return None


def attention_verdict(result: LabelSetResult) -> Verdict | None:
    """ML-GCN against the head with attention and without a graph; None when they were not compared."""
    return with_seeds(result, verdict(result.comparison, ATTENTION, GRAPH))


def with_seeds(result: LabelSetResult, found: Verdict | None) -> Verdict | None:
    """The verdict with what is known of the seeds.

    The tests are about the test images, for the trainings that were made. A finding whose difference is not more than
    two standard errors of the means over the seeds is therefore taken back to a hint.
    """
    if found is None:
        return None
    evaluations = {model.architecture: model.evaluation for model in result.models}
    figures = [figure_of(evaluations.get(name), "mean5") or {} for name in (found.a, found.b)]
    seeds = [1 if missing(figure.get("seeds")) else int(figure["seeds"]) for figure in figures]
    spreads = [None if missing(figure.get("spread")) else float(figure["spread"]) for figure in figures]
    known = replace(found, seeds=(seeds[0], seeds[1]), spreads=(spreads[0], spreads[1]))
    error = known.seed_error
    if error is None or found.outcome not in ("better", "worse") or abs(found.difference) > 2 * error:
        return known
    return replace(known, outcome=f"hint_{found.outcome}", by_seed=True)


def paired_tests_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """The whole COMPARISON table, pair by pair, with positions for a small interval chart."""
    table = result.comparison
    if table is None or table.empty:
        return None
    pairs = []
    for a, b in _pairs(table, [model.architecture for model in result.models]):
        rows = _in_order(oriented(table, a, b))
        ends = rows[["low", "high", "difference"]].abs().to_numpy(dtype=float)
        reach = max(float(np.nanmax(ends)), 0.01) if np.isfinite(ends).any() else 0.01
        pairs.append(
            {
                "a": data.display_name(a),
                "b": data.display_name(b),
                "open": b == GRAPH and a in BASELINES,
                "reach": reach,
                "rows": [_row(row, reach) for row in rows.itertuples()],
            }
        )
    return {"pairs": pairs, "tests": len(table)}


def _pairs(table: pd.DataFrame, order: list[str]) -> list[tuple[str, str]]:
    """Each pair once, the simpler architecture first, those with the graph on top."""
    place = {name: index for index, name in enumerate(order)}
    found = set()
    for a, b in zip(table["architecture_a"], table["architecture_b"], strict=True):
        first, second = sorted((a, b), key=lambda name: (name == GRAPH, place.get(name, len(place)), name))
        found.add((first, second))
    return sorted(found, key=lambda pair: (pair[1] != GRAPH, -place.get(pair[0], 0), -place.get(pair[1], 0), pair))


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    order = {name: index for index, name in enumerate(("mean5", *RECALLS))}
    return rows.assign(place=rows["metric"].map(lambda name: order.get(name, len(order)))).sort_values(
        ["place", "metric"]
    )


def _row(row: Any, reach: float) -> dict[str, Any]:
    def at(value: float) -> float:
        return round(50 + 50 * float(value) / reach, 2)

    return {
        "metric": row.metric,
        "name": metric_name(row.metric),
        "value_a": row.value_a,
        "value_b": row.value_b,
        "difference": row.difference,
        "low": row.low,
        "high": row.high,
        "a_only": row.a_only,
        "b_only": row.b_only,
        "p": row.p_value,
        "p_adjusted": row.p_adjusted,
        "outcome": finding(row.difference, row.low, row.high, row.p_adjusted),
        "at": at(row.difference),
        "left": at(row.low),
        "width": round(at(row.high) - at(row.low), 2),
    }
