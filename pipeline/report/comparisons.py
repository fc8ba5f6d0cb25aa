"""Paired tests between architectures: rows for people, and what they say about ML-GCN's label branch."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from modeling.metrics import MEAN_OF_FIVE, RECALLS
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import figure_of
from pipeline.report.wording import metric_name, missing, seed_error

LEVEL = 0.05  # of the adjusted p-value
GRAPH = "ml_gcn"
ATTENTION = "csra"  # a newer head without a graph
BASELINES = ("backbone_max", "backbone")  # the first differs from ML-GCN in its head alone, as the method pools


@dataclass(frozen=True)
class Trainings:
    """What is known of the seeds behind the figures of a pair in one metric."""

    seeds: tuple[int, int]  # trainings of a and b whose mean is compared
    spreads: tuple[float | None, float | None]  # standard deviation between them

    @property
    def error(self) -> float | None:
        """Standard error of the difference that the seeds alone make; None where one of the two has no spread."""
        return seed_error(self.spreads[0], self.seeds[0], self.spreads[1], self.seeds[1])

    def explain(self, difference: float) -> bool:
        """Could other seeds turn a difference round, or is that unknown?

        They could when it is not more than two standard errors of the means over the seeds.
        """
        return self.error is None or abs(difference) <= 2 * self.error


@dataclass(frozen=True)
class Verdict:
    """What the paired comparison says of the mean of the five recalls; ``difference`` is b - a, shares of 0 to 1."""

    a: str
    b: str
    difference: float
    low: float  # 95% interval of the difference
    high: float
    better: tuple[str, ...]  # single recalls in which b is better
    worse: tuple[str, ...]
    hints: tuple[str, ...]  # single recalls that differ on the test images, which other seeds could turn round
    tests: int  # tests that the correction covers
    outcome: str  # better, worse, hint_better, hint_worse, open: see ``finding`` and ``with_seeds``
    trainings: Trainings
    by_seed: bool  # clear over the test images, and only a hint because of the seeds
    same_pooling: bool = True  # else the difference is not of the label branch alone


def finding(difference: float, low: float, high: float, p_adjusted: float, won: float) -> str:
    """What one row of a COMPARISON table says of b against a, over the test images.

    ``won`` is by how many images more b wins than a. ``better`` or ``worse`` when the adjusted p-value is below LEVEL
    and the 95% interval over groups leaves zero out; ``hint_better`` or ``hint_worse`` when only the interval does;
    else ``open``, as where the images won say the opposite of the means.
    """
    way = "better" if difference > 0 else "worse"
    beyond = low > 0 if difference > 0 else high < 0
    if not beyond or won * difference < 0:
        return "open"
    return way if p_adjusted < LEVEL else f"hint_{way}"


def with_seeds(outcome: str, difference: float, trainings: Trainings) -> str:
    """A finding over the test images, taken back to a hint where other seeds could turn it round or are unknown.

    The tests are about the test images, for the trainings that were made.
    """
    settled = outcome in ("better", "worse")
    return f"hint_{outcome}" if settled and trainings.explain(difference) else outcome


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


def verdict(result: LabelSetResult, a: str, b: str) -> Verdict | None:
    """None when the two were not compared."""
    rows = oriented(result.comparison, a, b)
    if result.comparison is None or rows.empty:
        return None
    judged = {row.metric: _judged(result, row) for row in rows.itertuples()}
    if MEAN_OF_FIVE not in judged:
        return None
    mean = rows[rows["metric"] == MEAN_OF_FIVE].iloc[0]
    single = {metric: found for metric, found in judged.items() if metric in RECALLS}
    outcome, by_seed = judged[MEAN_OF_FIVE]
    return Verdict(
        a=a,
        b=b,
        difference=float(mean["difference"]),
        low=float(mean["low"]),
        high=float(mean["high"]),
        better=tuple(metric for metric, (said, _) in single.items() if said == "better"),
        worse=tuple(metric for metric, (said, _) in single.items() if said == "worse"),
        hints=tuple(metric for metric, (_, demoted) in single.items() if demoted),
        tests=len(result.comparison),
        outcome=outcome,
        trainings=trainings_of(result, a, b, MEAN_OF_FIVE),
        by_seed=by_seed,
    )


def _judged(result: LabelSetResult, row: Any) -> tuple[str, bool]:
    """What a row of a COMPARISON table says, and whether that is only a hint because of the seeds.

    The mean of five is tested by flipping signs of the differences themselves, which images won cannot contradict.
    """
    won = row.difference if row.metric == MEAN_OF_FIVE else row.b_only - row.a_only
    found = finding(row.difference, row.low, row.high, row.p_adjusted, won)
    outcome = with_seeds(
        found, row.difference, trainings_of(result, row.architecture_a, row.architecture_b, row.metric)
    )
    return outcome, outcome != found


def trainings_of(result: LabelSetResult, a: str, b: str, metric: str) -> Trainings:
    """The seeds and spreads of a pair's figures; one training where that is not known."""
    evaluations = {model.architecture: model.evaluation for model in result.models}
    first, second = (figure_of(evaluations.get(name), metric) or {} for name in (a, b))
    return Trainings((_seeds(first), _seeds(second)), (_spread(first), _spread(second)))


def _seeds(figure: dict[str, Any]) -> int:
    return 1 if missing(figure.get("seeds")) else int(figure["seeds"])


def _spread(figure: dict[str, Any]) -> float | None:
    return None if missing(figure.get("spread")) else float(figure["spread"])


def has_graph(result: LabelSetResult) -> bool:
    """Does ML-GCN's label branch have edges to work with? True where nothing is known of its graph."""
    table = result.correlation
    if table is None or table.empty:
        return True
    form = table["form"].iloc[0]
    return form != "identity" and (form == "learned" or bool(table["binary"].any()))


def graph_verdict(result: LabelSetResult) -> Verdict | None:
    """ML-GCN against the baseline that differs from it least; None when they were not compared.

    That is the backbone with the pooling that its card names, else the other one.
    """
    cards = {model.architecture: model.card for model in result.models}
    average = cards.get(GRAPH, {}).get("pooling") == "average"
    order = BASELINES[::-1] if average else BASELINES
    for baseline in order:
        found = verdict(result, baseline, GRAPH)
        if found is not None:
            return replace(found, same_pooling=baseline == order[0])
    return None


def attention_verdict(result: LabelSetResult) -> Verdict | None:
    """ML-GCN against the head with attention and without a graph; None when they were not compared."""
    return verdict(result, ATTENTION, GRAPH)


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
                "rows": [_row(result, row, reach) for row in rows.itertuples()],
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
    order = {name: index for index, name in enumerate((MEAN_OF_FIVE, *RECALLS))}
    return rows.assign(place=rows["metric"].map(lambda name: order.get(name, len(order)))).sort_values(
        ["place", "metric"]
    )


def _row(result: LabelSetResult, row: Any, reach: float) -> dict[str, Any]:
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
        "outcome": _judged(result, row)[0],
        "at": at(row.difference),
        "left": at(row.low),
        "width": round(at(row.high) - at(row.low), 2),
    }
