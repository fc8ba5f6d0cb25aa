"""Paired tests between architectures: rows for people, and what they say about the graph."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from modeling.published import RECALLS
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.wording import metric_name, missing

LEVEL = 0.05  # of the adjusted p-value
GRAPH = "ml_gcn"
BASELINES = ("backbone_max", "backbone")  # the first differs from ML-GCN in nothing but the graph


@dataclass(frozen=True)
class Verdict:
    """What the paired comparison of two architectures says; ``difference`` is b - a in shares, 0 to 1."""

    a: str
    b: str
    difference: float
    low: float | None  # 95% interval; None when the table has no row for the mean of the five
    high: float | None
    better: tuple[str, ...]  # metrics where b is better after correction
    worse: tuple[str, ...]
    tests: int  # tests the correction covers

    @property
    def outcome(self) -> str:
        """``better`` or ``worse`` when chance is an unlikely cause, else ``open``."""
        if self.low is not None and self.high is not None:
            return "better" if self.low > 0 else "worse" if self.high < 0 else "open"
        if self.better and not self.worse:
            return "better"
        return "worse" if self.worse and not self.better else "open"


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
    low = high = None
    if len(mean):
        difference = float(mean["difference"].iloc[0])
        low, high = float(mean["low"].iloc[0]), float(mean["high"].iloc[0])
    else:
        difference = float(single["difference"].mean()) if len(single) else float("nan")
    return Verdict(
        a=a,
        b=b,
        difference=difference,
        low=low,
        high=high,
        better=tuple(sure.loc[sure["difference"] > 0, "metric"]),
        worse=tuple(sure.loc[sure["difference"] < 0, "metric"]),
        tests=int(comparison["p_value"].notna().sum()),
    )


def graph_verdict(result: LabelSetResult) -> Verdict | None:
    """ML-GCN against the baseline that differs from it least; None when they were not compared."""
    for baseline in BASELINES:
        found = verdict(result.comparison, baseline, GRAPH)
        if found is not None:
            return found
    return None


def tests_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """The whole COMPARISON table, pair by pair, with positions for a small interval chart."""
    table = result.comparison
    if table is None or table.empty:
        return None
    ends = table[["low", "high", "difference"]].abs().to_numpy(dtype=float)
    reach = max(float(np.nanmax(ends)), 0.01) if np.isfinite(ends).any() else 0.01
    pairs = []
    for a, b in _pairs(table, [model.architecture for model in result.models]):
        rows = oriented(table, a, b)
        pairs.append(
            {
                "a": data.display_name(a),
                "b": data.display_name(b),
                "graph": b == GRAPH,
                "rows": [_row(row, reach) for row in _in_order(rows).itertuples()],
            }
        )
    return {"pairs": pairs, "reach": reach, "tests": int(table["p_value"].notna().sum()), "level": LEVEL}


def _pairs(table: pd.DataFrame, order: list[str]) -> list[tuple[str, str]]:
    """Each pair once, the simpler architecture first, those with the graph on top."""
    place = {name: index for index, name in enumerate(order)}
    found = set()
    for a, b in zip(table["architecture_a"], table["architecture_b"], strict=True):
        first, second = sorted((a, b), key=lambda name: (name == GRAPH, place.get(name, len(place)), name))
        found.add((first, second))
    return sorted(
        found, key=lambda pair: (pair[1] != GRAPH, -place.get(pair[0], 0), -place.get(pair[1], 0), pair)
    )


def _in_order(rows: pd.DataFrame) -> pd.DataFrame:
    order = {name: index for index, name in enumerate(("mean5", *RECALLS))}
    return rows.assign(place=rows["metric"].map(lambda name: order.get(name, len(order)))).sort_values(
        ["place", "metric"]
    )


def _row(row: Any, reach: float) -> dict[str, Any]:
    def at(value: float) -> float:
        return round(50 + 50 * float(value) / reach, 2)

    settled = row.metric == "mean5" and (row.low > 0 or row.high < 0)
    if not missing(row.p_adjusted) and row.metric != "mean5":
        settled = row.p_adjusted < LEVEL
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
        "outcome": ("better" if row.difference > 0 else "worse") if settled else "open",
        "at": at(row.difference),
        "left": at(row.low),
        "width": round(at(row.high) - at(row.low), 2),
    }
