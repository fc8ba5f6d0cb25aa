"""The report in a few sentences: what came in, which architecture is ahead, and whether the graph helped."""

from typing import Any

from pipeline.report.comparisons import GRAPH, Verdict, graph_verdict, verdict
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import figure_of
from pipeline.report.sources import GOOD, in_windows, period
from pipeline.report.wording import count, metric_name, percent, points

CHIPS = {
    "better": "The label graph helped",
    "worse": "The label graph did harm",
    "hint_better": "Graph: a hint that it helped",
    "hint_worse": "Graph: a hint of harm",
    "open": "Graph: no clear difference",
    None: "Graph: not compared",
}


def summary_view(data: ReportData) -> dict[str, Any]:
    """A paragraph on the data and one card for each label set."""
    return {"data": data_sentence(data), "cards": [_card(data, result) for result in data.label_sets]}


def data_sentence(data: ReportData) -> str:
    """How many posts became how many labelled images, in one or two sentences."""
    parts = []
    days = period(data)
    if data.counts is not None and len(data.counts):
        posts = data.counts[data.counts["what"] == "post"]
        kept = posts.loc[posts["outcome"].isin(GOOD), "count"].sum()
        parts.append(f"{count(in_windows(posts)['count'].sum())} posts were found and {count(kept)} kept")
    elif data.posts is not None:
        parts.append(f"{count(data.posts['kept'].sum())} posts were kept")
    if parts and days:
        parts[-1] += f" ({days})"
    if data.unique_images is not None:
        kept, files = data.unique_images["kept"].sum(), len(data.unique_images)
        parts.append(f"{count(files)} different picture files came down to {count(kept)} unique images")
    if data.labels is not None:
        parts.append(f"{count(data.labels['main'].notna().sum())} of them carry an agreed main label")
    if not parts:
        return "This run holds no crawled data."
    return "; ".join(parts) + "."


def _card(data: ReportData, result: LabelSetResult) -> dict[str, Any]:
    ranking = _ranking(data, result)
    card: dict[str, Any] = {"name": result.name, "labels": list(result.labels), "best": None, "sentences": []}
    if not ranking:
        reason = result.failure or "no architecture of it was evaluated"
        return card | {"outcome": None, "chip": "No result", "sentences": [f"There is no result: {reason}."]}
    best = ranking[0]
    found = graph_verdict(result)
    outcome = found.outcome if found else None
    return card | {
        "best": best,
        "ranking": ranking,
        "outcome": outcome,
        "chip": CHIPS[outcome],
        "sentences": [
            *_lead(data, result, ranking),
            *_graph(data, found),
            *_failures(data, result),
        ],
    }


def _ranking(data: ReportData, result: LabelSetResult) -> list[dict[str, Any]]:
    """Architectures by the mean of the five recalls on the test split, best first."""
    rows = []
    for model in result.models:
        figure = figure_of(model.evaluation, "mean5")
        if figure:
            validation = figure_of(model.evaluation, "mean5", "validation")
            rows.append(
                {"key": model.architecture, "name": data.display_name(model.architecture), "figure": figure}
                | {"validation": validation["value"] if validation else None}
            )
    return sorted(rows, key=lambda row: -row["figure"]["value"])


def _lead(data: ReportData, result: LabelSetResult, ranking: list[dict[str, Any]]) -> list[str]:
    best = ranking[0]
    figure = best["figure"]
    where = f"on {count(figure['images'])} test images"
    if len(ranking) == 1:
        return [f"{best['name']} reaches {percent(figure['value'])}% {where}; nothing else was measured."]
    second = ranking[1]
    gap = percent(figure["value"] - second["figure"]["value"])
    found = verdict(result.comparison, second["key"], best["key"])
    beyond = {"better": ", more than chance explains", "hint_better": ", a hint though not proof"}
    sureness = beyond.get(found.outcome, ", a lead that chance alone could explain") if found else ""
    sentences = [f"{best['name']} comes first {where}, {gap} points before {second['name']}{sureness}."]
    chosen = max(ranking, key=lambda row: -1.0 if row["validation"] is None else row["validation"])
    if chosen["validation"] is not None and chosen["key"] != best["key"]:
        sentences.append(
            f"On the validation split, which may choose a model as the test split may not, {chosen['name']} is first."
        )
    return sentences


def _graph(data: ReportData, found: Verdict | None) -> list[str]:
    if found is None:
        return ["ML-GCN was not compared with a baseline, so nothing can be said about the graph."]
    name, baseline = data.display_name(GRAPH), data.display_name(found.a)
    span = f"{points(found.difference)} points (95% interval {points(found.low)} to {points(found.high)})"
    sentences = [f"Against {baseline}, {name} differs by {span}: {_meaning(found)}."]
    better, worse = (_listed(metrics) for metrics in (found.better, found.worse))
    if better or worse:
        parts = [f"better in {better}"] * bool(better) + [f"worse in {worse}"] * bool(worse)
        sentences.append(f"Of the single recalls it is {' and '.join(parts)} after correction for all tests.")
    else:
        sentences.append("No single recall differs once the number of tests is corrected for.")
    return sentences


def _meaning(found: Verdict) -> str:
    if found.outcome in ("better", "worse"):
        did = "helped" if found.outcome == "better" else "did harm"
        return f"the graph {did}, and chance is an unlikely explanation"
    if found.outcome.startswith("hint"):
        did = "helped" if found.outcome == "hint_better" else "did harm"
        return f"a hint that the graph {did}, but no longer so once all {found.tests} tests are corrected for"
    reach = percent((found.high - found.low) / 2)
    return f"the graph may have helped or not; a difference below about {reach} points cannot be seen here"


def _listed(metrics: tuple[str, ...]) -> str:
    return ", ".join(f"{metric_name(metric)} ({metric})" for metric in metrics)


def _failures(data: ReportData, result: LabelSetResult) -> list[str]:
    return [f"{data.display_name(m.architecture)} has no result: {m.failure}." for m in result.models if m.failure]
