"""The report in a few sentences: what came in, which architecture is ahead, and whether the graph helped."""

from typing import Any

from pipeline.report.comparisons import GRAPH, Verdict, attention_verdict, graph_verdict, verdict, with_seeds
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import figure_of
from pipeline.report.sources import GOOD, in_windows, period
from pipeline.report.wording import count, listed, metric_name, percent, points, spread

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
            *_graph(data, result, found),
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
    found = with_seeds(result, verdict(result.comparison, second["key"], best["key"]))
    beyond = {"better": ", more than chance explains", "hint_better": ", a hint though not proof"}
    sureness = beyond.get(found.outcome, ", a lead that chance alone could explain") if found else ""
    sentences = [f"{best['name']} comes first {where}, {gap} points before {second['name']}{sureness}."]
    chosen = max(ranking, key=lambda row: -1.0 if row["validation"] is None else row["validation"])
    if chosen["validation"] is not None and chosen["key"] != best["key"]:
        sentences.append(
            f"On the validation split, which may choose a model as the test split may not, {chosen['name']} is first."
        )
    return sentences


def _graph(data: ReportData, result: LabelSetResult, found: Verdict | None) -> list[str]:
    """Whether the graph helped, by how much, how sure that is, and whether a head without one does as well."""
    if found is None:
        return ["ML-GCN was not compared with a baseline, so nothing can be said about the graph."]
    name, baseline = data.display_name(GRAPH), data.display_name(found.a)
    sentences = [f"Against {baseline}, {name} differs by {_span(found)}: {_meaning(found)}."]
    better, worse = (_listed(metrics) for metrics in (found.better, found.worse))
    if better or worse:
        parts = [f"better in {better}"] * bool(better) + [f"worse in {worse}"] * bool(worse)
        sentences.append(f"Of the single recalls it is {' and '.join(parts)} after correction for all tests.")
    else:
        sentences.append("No single recall differs once the number of tests is corrected for.")
    if not found.same_pooling:
        sentences.append("The two also pool in different ways, so the difference is not of the graph alone.")
    return [*sentences, _seeds(data, found), *_no_graph(result), *_attention(data, attention_verdict(result))]


def _span(found: Verdict) -> str:
    return f"{points(found.difference)} points (95% interval {points(found.low)} to {points(found.high)})"


def _meaning(found: Verdict) -> str:
    did = "helped" if found.outcome.endswith("better") else "did harm"
    if found.by_seed:
        return f"a hint that the graph {did}: the test images are clear about it, but other seeds could turn it round"
    if found.outcome in ("better", "worse"):
        return f"the graph {did}, and chance is an unlikely explanation"
    if found.outcome.startswith("hint"):
        return f"a hint that the graph {did}, but no longer so once all {found.tests} tests are corrected for"
    reach = percent((found.high - found.low) / 2)
    return f"the graph may have helped or not; a difference below about {reach} points cannot be seen here"


def _seeds(data: ReportData, found: Verdict) -> str:
    """What is known of other trainings of the same two architectures."""
    names = [data.display_name(key) for key in (found.b, found.a)]
    if found.seeds == (1, 1):
        return (
            f"{names[0]} and {names[1]} were trained once each, so what other seeds would change is not known; "
            "training.repeats above 1 would tell."
        )
    error = found.seed_error
    spreads = list(zip(names, found.seeds[::-1], found.spreads[::-1], strict=True))
    if error is None:
        parts = [f"{seeds} for {name}" for name, seeds, _ in spreads]
        return f"The figures are means of several seeds ({listed(parts)}), too few to say what others would change."
    if len(set(found.seeds)) == 1:
        parts = [f"{spread(value)} for {name}" for name, _, value in spreads]
        said = f"Each figure is the mean of {found.seeds[0]} seeds ({listed(parts)})"
    else:
        parts = [f"{seeds} for {name}, {spread(value)}" for name, seeds, value in spreads]
        said = f"Each figure is the mean of several seeds ({'; '.join(parts)})"
    return f"{said}; the seeds alone move such a difference by about {percent(error)} points (standard error)."


def _no_graph(result: LabelSetResult) -> list[str]:
    """Whether the label graph holds anything that could help at all."""
    if result.correlation is None or result.correlation.empty:
        return []
    form = result.correlation["form"].iloc[0]
    if form == "identity":
        return ["The graph is left out here (form identity): what is compared is the label branch alone."]
    if form != "learned" and not result.correlation["binary"].any():
        return ["The label graph has no edge, so what is compared is the label branch alone."]
    return []


def _attention(data: ReportData, found: Verdict | None) -> list[str]:
    """Whether a newer head without a graph does as well as the one with it, or better."""
    if found is None:
        return []
    name, other = data.display_name(GRAPH), data.display_name(found.a)
    meaning = {
        "better": "the graph is ahead of it",
        "hint_better": "a hint that the graph is ahead of it",
        "open": "as far as these images can tell, a head without a graph does as well",
        "hint_worse": "a hint that a head without a graph does better",
        "worse": "a head without a graph does better",
    }
    return [f"{name} differs by {_span(found)} from {other}, which has no graph: {meaning[found.outcome]}."]


def _listed(metrics: tuple[str, ...]) -> str:
    return ", ".join(f"{metric_name(metric)} ({metric})" for metric in metrics)


def _failures(data: ReportData, result: LabelSetResult) -> list[str]:
    return [f"{data.display_name(m.architecture)} has no result: {m.failure}." for m in result.models if m.failure]
