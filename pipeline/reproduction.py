"""Making a saved model again from its inputs, in a place of its own, and comparing the two."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from modeling.card_files import CARD_NAME, WEIGHTS_NAME, read_card, seed_folders
from modeling.correlation import graph_from_table, graph_hash
from modeling.label_sets import data_set_version
from modeling.model_card import card_metrics
from modeling.settings import EvaluationSettings
from modeling.training_settings import BackboneSettings, TrainingSettings
from modeling.word_vectors import vectors_from_table
from pipeline.champions import card_version, champion_key, champion_path, champion_version, champion_versions
from pipeline.judged import only_judged
from pipeline.model_inputs import (
    DATA_SET_FILE,
    INPUTS,
    SETTINGS_FILE,
    TABLE_NAMES,
    package_versions,
    read_inputs_table,
)
from pipeline.progress import Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError

Read = Callable[[str], bytes]


@dataclass(frozen=True)
class SavedModel:
    """A model's folder, and how the files of its ``inputs`` are read."""

    title: str
    folder: Path
    read: Read
    card: dict[str, Any]
    seeds: dict[int, str]  # sha256 of each seed's weights


@dataclass(frozen=True)
class Recipe:
    """All that a training and its evaluation need."""

    tables: dict[str, pa.Table]  # those of TABLE_NAMES
    backbone: BackboneSettings
    training: TrainingSettings
    evaluation: EvaluationSettings


@dataclass(frozen=True)
class Inputs:
    """What a model was made from, and what stands in the way of making it again."""

    recipe: Recipe | None  # None where something is gone
    gone: list[str]  # without these there is no training, a line each
    changed: list[str]  # with these it may come out otherwise, a line each


@dataclass(frozen=True)
class Row:
    """A number or hash of the saved model beside that of the new one."""

    name: str
    saved: str
    new: str

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.saved == self.new


def find_model(settings: Settings, storage: Storage, name: str) -> SavedModel:
    """Return the model that a name means: label set (its champion), label set/version, label set/architecture, folder.

    Raises:
        TableError: there is no such model.
        ModelingError: its card can't be read.
    """
    label_set, _, version = name.partition("/")
    if label_set in settings.label_sets and (not version or version in champion_versions(storage, label_set)):
        version = version or champion_version(storage, label_set) or ""
        folder = champion_path(storage, label_set, version or None)
        key = f"{champion_key(label_set, version)}/{INPUTS}"
        return _saved(f"{label_set}/{version}", folder, lambda file: storage.read_bytes(f"{key}/{file}"))
    if label_set in settings.label_sets and version in settings.architectures:
        folder = storage.model_path(label_set, version)
        found = _saved(name, folder, lambda file: (folder / INPUTS / file).read_bytes())
        return SavedModel(f"{label_set}/{card_version(found.card)}", folder, found.read, found.card, found.seeds)
    folder = Path(name)
    if (folder / CARD_NAME).is_file():
        return _saved(str(folder), folder, lambda file: (folder / INPUTS / file).read_bytes())
    known = [f"{one}/{each}" for one in settings.label_sets for each in champion_versions(storage, one)]
    raise TableError(
        f"{name} is no champion, no label set with one, and no folder with a {CARD_NAME}; champions are: "
        f"{', '.join(known) or 'none yet'}"
    )


def _saved(title: str, folder: Path, read: Read) -> SavedModel:
    seeds = {seed: read_card(path)["weights_sha256"] for seed, path in seed_folders(folder).items()}
    return SavedModel(title, folder, read, read_card(folder), seeds)


def look_at_inputs(model: SavedModel, settings: Settings, storage: Storage) -> Inputs:
    """Read what a model was made from, and say of each thing that is gone or has changed what it is."""
    gone: list[str] = []
    tables: dict[str, pa.Table] = {}
    for name in TABLE_NAMES:
        try:
            tables[name] = read_inputs_table(name, model.read(f"{name}.parquet"))
        except FileNotFoundError:
            gone.append(f"{INPUTS}/{name}.parquet is missing: the model was trained before models kept their inputs")
        except TableError as error:
            gone.append(str(error))
    kept = _kept_settings(model, gone)
    if "data_set" in tables:
        gone += _images_gone(model.card, tables["data_set"], storage)
    if "correlation_matrix" in tables and model.card["graph_hash"] is not None:
        found = graph_hash(graph_from_table(tables["correlation_matrix"]))
        if found != model.card["graph_hash"]:
            gone.append(f"{INPUTS}/correlation_matrix.parquet is another label graph than the one on the card")
    backbone = _section(BackboneSettings, "backbone", kept, gone)
    if backbone is not None:
        backbone = _with_weights(backbone, model.card, settings, gone)
    training = _section(TrainingSettings, "training", kept, gone)
    evaluation = _section(EvaluationSettings, "evaluation", kept, gone)
    recipe = None if gone else Recipe(tables, backbone, training, evaluation)
    return Inputs(recipe, gone, _changed(model.card, kept, training))


def _kept_settings(model: SavedModel, gone: list[str]) -> dict[str, Any]:
    try:
        content = json.loads(model.read(SETTINGS_FILE))
    except FileNotFoundError:
        gone.append(f"{INPUTS}/{SETTINGS_FILE} is missing: the model was trained before models kept their inputs")
        return {}
    except ValueError as error:
        gone.append(f"{INPUTS}/{SETTINGS_FILE} is no JSON: {error}")
        return {}
    return dict(content)


def _images_gone(card: Mapping[str, Any], data_set: pa.Table, storage: Storage) -> list[str]:
    """Lines on images that were withdrawn, or that are not stored."""
    rows = data_set.to_pandas()
    lines = []
    if data_set_version(rows) != card["data_set_version"]:
        counts = rows["split"].value_counts()
        parts = [
            f"{before - int(counts.get(split, 0))} of {before} {split} images"
            for split, before in sorted(card["images"].items())
            if before != int(counts.get(split, 0))
        ]
        lines.append(
            f"{INPUTS}/{DATA_SET_FILE}: {', '.join(parts)} were withdrawn since"
            if parts
            else f"{INPUTS}/{DATA_SET_FILE} is another data set than the one on the card"
        )
    file_ids = sorted(set(rows["file_id"]))
    return lines + [
        f"image {file_id} is not stored any more"
        for file_id in file_ids
        if not storage.exists(storage.image_key(file_id))
    ]


def _section(kind: type[Any], name: str, kept: Mapping[str, Any], gone: list[str]) -> Any:
    if name not in kept:
        if kept:
            gone.append(f"{INPUTS}/{SETTINGS_FILE} lacks the section {name}")
        return None
    try:
        return kind.model_validate(kept[name])
    except ValidationError as error:
        for problem in error.errors():
            gone.append(f"setting {'.'.join(map(str, (name, *problem['loc'])))} is not valid now: {problem['msg']}")
        return None


def _with_weights(
    backbone: BackboneSettings, card: Mapping[str, Any], settings: Settings, gone: list[str]
) -> BackboneSettings:
    """The backbone with the file of weights that the settings name now, where it is the same file."""
    if backbone.weights_path is None:
        return backbone
    wanted, path = card["backbone_weights"].get("sha256"), settings.backbone.weights_path
    from modeling.networks.weights import file_sha256  # brings torch

    if path is not None and path.is_file() and file_sha256(path) == wanted:
        return backbone.model_copy(update={"weights": str(path)})
    gone.append(f"weights {backbone.weights} with sha256 {wanted} are not the file that backbone.weights names now")
    return backbone


def _changed(card: Mapping[str, Any], kept: Mapping[str, Any], training: TrainingSettings | None) -> list[str]:
    """Lines on what is not as it was, and may change the numbers."""
    from modeling.devices import choose_device, usable_threads  # brings torch

    now = package_versions()
    lines = [
        f"{name} was {before} and is {now.get(name, 'not there')}"
        for name, before in sorted({**card["packages"], **kept.get("packages", {})}.items())
        if now.get(name) != before
    ]
    if training is None:
        return lines
    threads = training.threads or usable_threads()
    if threads != card["threads"]:
        lines.append(
            f"it was trained with {card['threads']} CPU threads, here are {threads}: set training.threads, or use "
            "`taskset`"
        )
    device = choose_device(training.device).type
    if device != card.get("device", device):
        lines.append(f"it was trained on {card['device']}, here is {device}")
    return lines


def make_again(model: SavedModel, recipe: Recipe, storage: Storage, folder: Path, progress: Step) -> dict[int, str]:
    """Train the model anew into ``folder / "model"`` and measure it; return the sha256 of each seed's weights.

    Nothing that an earlier training left is used: the cache is in ``folder`` as well. Raises ModelingError as a
    training does.
    """
    from modeling.repeats import train_repeats  # brings torch
    from modeling.train import GraphReference

    graph = graph_from_table(recipe.tables["correlation_matrix"])
    out = folder / "model"
    out.mkdir()
    train_repeats(
        recipe.tables["data_set"].to_pandas(),
        graph.labels,
        vectors_from_table(recipe.tables["word_vectors"], graph.labels),
        graph.normalized,
        model.card["architecture"],
        recipe.backbone,
        recipe.training,
        storage.image_path,
        folder / "cache",
        out,
        progress,
        GraphReference(graph_hash(graph), graph.settings.form),
    )
    return {seed: read_card(path)["weights_sha256"] for seed, path in seed_folders(out).items()}


def compare_models(
    model: SavedModel, recipe: Recipe, seeds: Mapping[int, str], settings: Settings, storage: Storage, folder: Path
) -> list[Row]:
    """Return weights and metrics of the saved model beside those of the one in ``folder / "model"``.

    A metric is one row; where value or interval differ anywhere, every digit is shown.
    """
    rows = [
        Row(
            f"sha256 of {WEIGHTS_NAME}" + (f", seed {seed}" if len(model.seeds) > 1 else ""),
            digest,
            seeds.get(seed, ""),
        )
        for seed, digest in model.seeds.items()
    ]
    if "metrics" not in model.card:
        return rows
    found = _measured(recipe, settings, storage, folder)
    for split, parts in model.card["metrics"].items():
        for metric, values in parts["overall"].items():
            rows.append(Row(f"{split} {metric}", _text(values), _text(found[split]["overall"].get(metric))))
        for label, metrics in parts["labels"].items():
            for metric, values in metrics.items():
                new = found[split]["labels"].get(label, {}).get(metric)
                rows.append(Row(f"{split} {metric} of {label}", _text(values), _text(new)))
    return rows


def _measured(recipe: Recipe, settings: Settings, storage: Storage, folder: Path) -> dict[str, Any]:
    from modeling.evaluate import evaluate
    from modeling.predict import score_seeds  # brings torch

    scores = score_seeds(
        folder / "model", recipe.tables["data_set"].to_pandas(), storage.image_path, recipe.training.device
    )
    as_then = settings.model_copy(update={"evaluation": recipe.evaluation})
    scores = only_judged(as_then, storage, scores, "the model")
    table = evaluate(scores, recipe.evaluation.resamples, recipe.evaluation.seed)
    found: dict[str, Any] = json.loads(json.dumps(card_metrics(table.to_pandas())))
    return found


def _text(values: Mapping[str, Any] | None) -> str:
    """A metric with its interval, in every digit."""
    if values is None or values["value"] is None:
        return "–"
    if values["low"] is None:
        return repr(values["value"])
    return f"{values['value']!r} [{values['low']!r}, {values['high']!r}]"
