"""The report in a few sentences: what came in, which architecture is ahead, and what ML-GCN's label branch is worth.

ML-GCN differs from a baseline in more than the graph: it also has word vectors and two layers that make classifiers of
them instead of a linear one. What is said of a comparison is therefore said of the label branch; only the ablation
compares the same head with and without edges.
"""

from typing import Any

from pipeline.report.ablation import graph_effect_sentence
from pipeline.report.comparisons import GRAPH, Verdict, attention_verdict, graph_verdict, has_graph, verdict
from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.results import figure_of
from pipeline.report.sources import GOOD, in_windows, period
from pipeline.report.wording import count, listed, metric_name, percent, points, spread

CHIPS = {
    "better": "{} is ahead",
    "worse": "{} is behind",
    "hint_better": "A hint that {} is ahead",
    "hint_worse": "A hint that {} is behind",
    "open": "{}: no clear difference",
    None: "{}: not compared",
}
NO_GRAPH = "No graph: nothing to compare"


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
    chip = CHIPS[outcome].format(data.display_name(GRAPH))
    if found and not has_graph(result):
        outcome, chip = None, NO_GRAPH
    return card | {
        "best": best,
        "ranking": ranking,
        "outcome": outcome,
        "chip": chip,
        "sentences": [
            *_lead(data, result, ranking),
            *_label_branch(data, result, found),
            *_ablation(result),
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
    found = verdict(result, second["key"], best["key"])
    sureness = f", {_sureness(found)}" if found else ""
    sentences = [f"{best['name']} comes first {where}, {gap} points before {second['name']}{sureness}."]
    chosen = max(ranking, key=lambda row: -1.0 if row["validation"] is None else row["validation"])
    if chosen["validation"] is not None and chosen["key"] != best["key"]:
        sentences.append(
            f"On the validation split, which may choose a model as the test split may not, {chosen['name']} is first."
        )
    return sentences


def _sureness(found: Verdict) -> str:
    if found.outcome == "better":
        return "more than chance and other seeds explain"
    if found.by_seed:
        return f"a hint though not proof: {_seed_doubt(found)}"
    return "a hint though not proof" if found.outcome == "hint_better" else "a lead that chance alone could explain"


def _seed_doubt(found: Verdict) -> str:
    """Why a difference that is clear over the test images is no more than a hint."""
    if found.trainings.error is not None:
        return "the test images are clear about it, but other seeds could turn it round"
    which = "these two trainings" if found.trainings.seeds == (1, 1) else "these trainings"
    return f"clear for {which}; other seeds unknown"


def _label_branch(data: ReportData, result: LabelSetResult, found: Verdict | None) -> list[str]:
    """What the label branch is worth, how sure that is, and whether a head without a graph does as well."""
    name = data.display_name(GRAPH)
    if found is None:
        return [f"{name} was not compared with a baseline, so nothing can be said about its label branch."]
    baseline = data.display_name(found.a)
    sentences = [f"Against {baseline}, {name} differs by {_span(found)}: {_meaning(name, result, found)}."]
    better, worse, hints = (_listed(metrics) for metrics in (found.better, found.worse, found.hints))
    if better or worse:
        parts = [f"better in {better}"] * bool(better) + [f"worse in {worse}"] * bool(worse)
        sentences.append(f"Of the single recalls it is {' and '.join(parts)} after correction for all tests.")
    elif not hints:
        sentences.append("No single recall differs once the number of tests is corrected for.")
    if hints:
        sentences.append(f"Clear for these trainings, though perhaps not for other seeds: {hints}.")
    if not found.same_pooling:
        sentences.append("The two also pool in different ways, so the difference is not of the label branch alone.")
    return [*sentences, _seeds(data, found), *_no_graph(result), *_attention(data, result, attention_verdict(result))]


def _span(found: Verdict) -> str:
    return f"{points(found.difference)} points (95% interval {points(found.low)} to {points(found.high)})"


def _meaning(name: str, result: LabelSetResult, found: Verdict) -> str:
    branch = f"{name}'s label branch {'with its' if has_graph(result) else 'without a'} graph"
    did = "helped" if found.outcome.endswith("better") else "did harm"
    if found.by_seed:
        return f"a hint that {branch} {did}: {_seed_doubt(found)}"
    if found.outcome in ("better", "worse"):
        return f"{branch} {did}, and neither chance nor other seeds are a likely explanation"
    if found.outcome.startswith("hint"):
        return f"a hint that {branch} {did}, but no longer so once all {found.tests} tests are corrected for"
    return _not_told_apart(found)


def _not_told_apart(found: Verdict) -> str:
    reach = percent((found.high - found.low) / 2)
    return f"these images cannot tell the two apart (differences below about {reach} points)"


def _seeds(data: ReportData, found: Verdict) -> str:
    """What is known of other trainings of the same two architectures."""
    names = [data.display_name(key) for key in (found.b, found.a)]
    seeds, spreads = found.trainings.seeds[::-1], found.trainings.spreads[::-1]
    if seeds == (1, 1):
        return (
            f"{names[0]} and {names[1]} were trained once each, so what other seeds would change is not known; "
            "training.repeats above 1 would tell."
        )
    known = list(zip(names, seeds, spreads, strict=True))
    error = found.trainings.error
    if error is None:
        parts = [f"{number} for {name}" for name, number, _ in known]
        return f"The figures are means of several seeds ({listed(parts)}), too few to say what others would change."
    if len(set(seeds)) == 1:
        parts = [f"{spread(value)} for {name}" for name, _, value in known]
        said = f"Each figure is the mean of {seeds[0]} seeds ({listed(parts)})"
    else:
        parts = [f"{number} for {name}, {spread(value)}" for name, number, value in known]
        said = f"Each figure is the mean of several seeds ({'; '.join(parts)})"
    return f"{said}; the seeds alone move such a difference by about {percent(error)} points (standard error)."


def _no_graph(result: LabelSetResult) -> list[str]:
    """Why the label branch has no graph, where it has none."""
    if has_graph(result) or result.correlation is None:
        return []
    if result.correlation["form"].iloc[0] == "identity":
        return ["The graph is left out here (form identity): what is compared is the label branch alone."]
    return ["The label graph has no edge, so what is compared is the label branch alone."]


def _ablation(result: LabelSetResult) -> list[str]:
    """What the graph itself is worth: the ablation has the same head with and without edges."""
    sentence = None if result.ablation is None else graph_effect_sentence(result.ablation)
    return [] if sentence is None else [sentence]


def _attention(data: ReportData, result: LabelSetResult, found: Verdict | None) -> list[str]:
    """Whether a newer head without a graph does as well, or better."""
    if found is None:
        return []
    name, other = data.display_name(GRAPH), data.display_name(found.a)
    ahead = f"{name if found.outcome.endswith('better') else other} is ahead"
    if found.outcome == "open":
        meaning = _not_told_apart(found)
    elif found.by_seed:
        meaning = f"a hint that {ahead}: {_seed_doubt(found)}"
    else:
        meaning = f"a hint that {ahead}" if found.outcome.startswith("hint") else ahead
    which = ", which has no graph" if has_graph(result) else ""
    return [f"{name} differs by {_span(found)} from {other}{which}: {meaning}."]


def _listed(metrics: tuple[str, ...]) -> str:
    return ", ".join(f"{metric_name(metric)} ({metric})" for metric in metrics)


def _failures(data: ReportData, result: LabelSetResult) -> list[str]:
    return [f"{data.display_name(m.architecture)} has no result: {m.failure}." for m in result.models if m.failure]
