"""Gather what the report shows from the data location."""

import importlib.metadata
import json
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from modeling.architectures import display_title
from modeling.card_files import CARD_NAME
from modeling.correlation import graph_hash
from modeling.errors import ModelingError
from modeling.label_sets import choose_labels, data_set_version
from pipeline.data_cards import card_key, croissant_key, gather_facts
from pipeline.judged import judged_scores
from pipeline.partitions import window_keys
from pipeline.report.data import LabelSetResult, ModelResult, ReportData
from pipeline.report.lineage import Made
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError

PACKAGES = (
    "dagster",
    "scrapy",
    "torch",
    "torchvision",
    "lightning",
    "numpy",
    "pandas",
    "pyarrow",
    "pillow",
    "ImageHash",
)
SINGLE = {  # fields of the report that are whole tables
    "unique_images": "unique_images",
    "similar_pairs": "similar_pairs",
    "labels": "labels",
    "agreement": "agreement",
    "confusion": "main_confusion",
    "annotators": "annotators",
    "quarantined_annotations": "quarantined_annotations",
    "returned": "returned_tasks",
    "acceptance": "prediction_acceptance",
    "label_frequencies": "label_frequencies",
    "style_trends": "style_trends",
    "style_movements": "style_movements",
    "cooccurrence_changes": "cooccurrence_changes",
    "drift": "drift",
}
OF_MODEL = {  # fields of one model's result that are whole tables
    "evaluation": "evaluation",
    "curves": "training_curves",
    "seed_runs": "seed_runs",
    "slices": "slices",
    "reliability": "reliability",
}


def collect(settings: Settings, storage: Storage, lineage: Sequence[Made] = ()) -> ReportData:
    """Return the tables of the last run, its models' cards, its settings and the versions of its code."""
    windows = window_keys(settings.windows)
    frames: dict[str, pd.DataFrame | None] = {field: _frame(storage, table) for field, table in SINGLE.items()}

    return ReportData(
        title=settings.report.title,
        notices=settings.report.notices,
        posts=storage.read_windows("posts", windows).to_pandas(),
        images=storage.read_windows("images", windows).to_pandas(),
        counts=storage.read_windows("crawl_counts", windows).to_pandas(),
        label_sets=[_label_set(settings, storage, name) for name in settings.label_sets],
        versions=_versions(),
        settings=json.loads(settings.model_dump_json()),
        architecture_names={name: display_title(name, settings.backbone.name) for name in settings.architectures},
        thumbnail=storage.image_or_none,
        lineage=lineage,
        **frames,
    )


def _frame(storage: Storage, name: str, *partition: str) -> pd.DataFrame | None:
    return storage.read_table(name, partition).to_pandas() if storage.has_table(name, partition) else None


def _label_set(settings: Settings, storage: Storage, name: str) -> LabelSetResult:
    label_set = settings.label_sets[name]
    try:
        labels = choose_labels(storage.read_table("label_frequencies"), label_set)
    except (ModelingError, TableError) as error:
        return LabelSetResult(name, (), membership=label_set.membership, failure=str(error))
    data_set = _frame(storage, "data_set", name)
    version = data_set_version(data_set) if data_set is not None else None
    correlation = _frame(storage, "correlation_matrix", name)
    models = [_model(settings, storage, name, architecture, version) for architecture in settings.architectures]
    return LabelSetResult(
        name,
        labels,
        membership=label_set.membership,
        data_set=data_set,
        split_balance=_frame(storage, "split_balance", name),
        correlation=correlation,
        tau_sweep=_frame(storage, "tau_sweep", name),
        ablation=_frame(storage, "ablation", name),
        comparison=_comparison(storage, name, models),
        suspicious=_frame(storage, "suspicious_labels", name),
        promotions=_frame(storage, "promotions", name),
        training_requests=_frame(storage, "training_requests", name),
        card=gather_facts(settings, storage, name) if data_set is not None and storage.exists(card_key(name)) else None,
        card_files=[card_key(name), croissant_key(name)],
        models=models,
        data_set_version=version,
        graph_hash=graph_hash(correlation) if correlation is not None else None,
        failure=None if data_set is not None else "the data set could not be made",
    )


def _model(settings: Settings, storage: Storage, label_set: str, architecture: str, version: str | None) -> ModelResult:
    """Return one model's tables; ``version`` is that of the data set as it is now, None where there is none."""
    if not storage.has_table("scores", (label_set, architecture)):
        return ModelResult(architecture, failure="not trained yet, or training failed")
    try:
        frames = {field: _frame(storage, table, label_set, architecture) for field, table in OF_MODEL.items()}
        scores = judged_scores(settings, storage, (label_set, architecture)).to_pandas()
        card: dict[str, Any] = json.loads((storage.model_path(label_set, architecture) / CARD_NAME).read_text("utf-8"))
    except TableError as error:  # of an older version, or damaged: the others can still be shown
        return ModelResult(architecture, failure=str(error))
    if version is not None and card.get("data_set_version") != version:  # its train images may be test images now
        return ModelResult(architecture, failure="trained on another data set: train it again")
    return ModelResult(architecture, card=card, scores=scores, **frames)


def _comparison(storage: Storage, label_set: str, models: Sequence[ModelResult]) -> pd.DataFrame | None:
    """Return the pairs of models that are shown; those of a model that failed are of an earlier run."""
    table = _frame(storage, "comparison", label_set)
    if table is None:
        return None
    shown = [model.architecture for model in models if not model.failure]
    return table[table["architecture_a"].isin(shown) & table["architecture_b"].isin(shown)].reset_index(drop=True)


def _versions() -> dict[str, str]:
    versions = {"stylegraph": importlib.metadata.version("stylegraph"), "code": code_version()}
    versions["Python"] = platform.python_version()
    return versions | {name: importlib.metadata.version(name) for name in PACKAGES}


def code_version() -> str:
    """Return the commit of the code, with a mark when files differ from it; "not a checkout" where there is no git."""
    git = shutil.which("git")
    folder = Path(__file__).parent
    if git is None:
        return "not a checkout"
    command = [git, "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
    return result.stdout.strip() if result.returncode == 0 else "not a checkout"
