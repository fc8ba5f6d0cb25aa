"""Puts the report together: views of the tables, templates, style and script in one HTML file."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report import wording
from pipeline.report.ablation import ablation_view
from pipeline.report.calibration import calibration_view
from pipeline.report.champions import champion_view
from pipeline.report.comparisons import paired_tests_view
from pipeline.report.data import LabelSetResult, ModelResult, ReportData
from pipeline.report.data_cards import data_card_view
from pipeline.report.drift import drift_view
from pipeline.report.duplicates import duplicates_view
from pipeline.report.errors import errors_view
from pipeline.report.label_sets import graph_view, splits_view
from pipeline.report.labels import labels_view
from pipeline.report.origins import lineage_view, origins
from pipeline.report.results import results_view
from pipeline.report.score_browser import browser_payload, differences_view, ranked
from pipeline.report.slices import slices_view
from pipeline.report.sources import sources_view
from pipeline.report.summary import summary_view
from pipeline.report.suspicious import suspicious_view
from pipeline.report.tau_sweep import tau_view
from pipeline.report.thumbnails import Thumbnails
from pipeline.report.training import training_view
from pipeline.report.trends import trends_view

if TYPE_CHECKING:  # the graph is loaded without it
    from jinja2 import Environment

FOLDER = Path(__file__).parent
SECTIONS = (
    ("summary", "In short"),
    ("champion", "Champion"),
    ("trends", "Style trends"),
    ("drift", "Drift"),
    ("sources", "Where the data came from"),
    ("duplicates", "Near-duplicates"),
    ("labels", "Labels"),
    ("data-sets", "Data sets and splits"),
    ("data-cards", "Data cards"),
    ("graph", "Label graph"),
    ("training", "Training"),
    ("results", "Results"),
    ("tests", "Paired tests"),
    ("slices", "By slice"),
    ("calibration", "Probabilities and decisions"),
    ("ablation", "Ablation"),
    ("differences", "Where the models differ"),
    ("errors", "Confident errors"),
    ("suspicious", "Suspicious labels"),
    ("browser", "Image by image"),
    ("lineage", "Lineage"),
    ("versions", "Versions"),
)
OPTIONAL = {  # sections that are only there where a label set has something to show in them
    "champion": "champion",
    "trends": "trends",
    "drift": "drift",
    "data-cards": "data_card",
}
MODEL_FACTS = {  # keys of a model's card that are shown before the whole of it, with their names
    "backbone.name": "backbone",
    "pooling": "pooling",
    "seed": "seed",
    "best_epoch": "epoch kept",
    "parameters": "parameters",
    "data_set_version": "data set",
    "graph_hash": "graph",
}


def build_report(data: ReportData) -> str:
    """The report as one HTML document. Text of posts and labels is escaped; pictures are re-encoded."""
    thumbnails = Thumbnails(data.thumbnail)
    duplicates = duplicates_view(data, thumbnails)
    scored = [(result, ranked(result)) for result in data.label_sets]
    label_sets = [_label_set(data, result, models, thumbnails) for result, models in scored]
    environment = _environment()
    return environment.get_template("report.html").render(
        data=data,
        sections=_sections(data, label_sets),
        origins=origins(data.lineage),
        lineage=lineage_view(data.lineage),
        summary=summary_view(data),
        sources=sources_view(data),
        duplicates=duplicates,
        labels=labels_view(data),
        label_sets=label_sets,
        browser=browser_payload(data, scored, thumbnails),
        versions=list(data.versions.items()),
        settings=wording.flat(data.settings),
        style=(FOLDER / "report.css").read_text(encoding="utf-8"),
        script=(FOLDER / "report.js").read_text(encoding="utf-8"),
    )


def _sections(data: ReportData, label_sets: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """The sections that have something to show, with their names."""
    empty = {key for key, view in OPTIONAL.items() if not any(result[view] for result in label_sets)}
    if not data.lineage:
        empty.add("lineage")
    return [(key, name) for key, name in SECTIONS if key not in empty]


def _label_set(data: ReportData, result: LabelSetResult, models: Any, thumbnails: Thumbnails) -> dict[str, Any]:
    return {
        "name": result.name,
        "labels": list(result.labels),
        "membership": result.membership,
        "failure": result.failure,
        "splits": splits_view(result),
        "graph": graph_view(result),
        "tau": tau_view(data, result),
        "training": training_view(data, result),
        "results": results_view(data, result),
        "tests": paired_tests_view(data, result),
        "slices": slices_view(data, result),
        "calibration": calibration_view(data, result),
        "ablation": ablation_view(result),
        "differences": differences_view(data, result, models, thumbnails),
        "errors": errors_view(data, result, models, thumbnails),
        "suspicious": suspicious_view(result, thumbnails),
        "champion": champion_view(result),
        "trends": trends_view(data, result),
        "drift": drift_view(data, result),
        "data_card": data_card_view(result),
        "version": result.data_set_version,
        "graph_hash": result.graph_hash,
        "models": [_model(data, model) for model in result.models],
    }


def _model(data: ReportData, model: ModelResult) -> dict[str, Any]:
    card = wording.flat(model.card)
    known = dict(card)
    facts = [
        (name, known[key]) for key, name in MODEL_FACTS.items() if known.get(key, wording.NOTHING) != wording.NOTHING
    ]
    return {"name": data.display_name(model.architecture), "failure": model.failure, "facts": facts, "card": card}


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("count", "percent", "points", "p_value", "metric_name", "missing", "figure", "spread", "duration"):
        environment.filters[name] = getattr(wording, name)
    environment.globals["interval"] = wording.interval
    return environment
