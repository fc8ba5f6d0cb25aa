"""From a data set to a trained model on disk."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch

from modeling import checkpoints
from modeling.calibration import calibrated, f1_thresholds, fit_temperature
from modeling.card_files import FORMAT, read_card
from modeling.checkpoints import CheckpointFile, TrainingState
from modeling.classifier import Progress
from modeling.devices import (
    check_devices,
    choose_device,
    memory_named,
    reproducible,
    usable_threads,
    used_precision,
)
from modeling.errors import ModelingError
from modeling.fitting import Job, NetworkPlan, fit
from modeling.images import VERSION, content_key
from modeling.label_sets import data_set_version
from modeling.model_files import package_versions, save_model
from modeling.networks.backbones import trained_blocks
from modeling.networks.ml_gcn import LabelGraph
from modeling.networks.style_network import BuiltNetwork, find_architecture
from modeling.networks.weights import file_sha256
from modeling.schedule import best_epoch, deepest, is_finished, stages_of
from modeling.tables import TRAINING_CURVES
from modeling.training_checks import training_problem
from modeling.training_rows import SPLITS, LabelledRows, labelled_rows, rows_with_inputs
from modeling.training_settings import BackboneSettings, Stage, TrainingSettings


@dataclass(frozen=True)
class GraphReference:
    """Which label graph an adjacency comes from; with the form ``learned`` the adjacency is trained."""

    hash: str
    form: str


@dataclass(frozen=True)
class _Done:
    """A training that came to its end."""

    job: Job
    built: BuiltNetwork
    state: TrainingState
    threads: int


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves: the curves (TRAINING_CURVES), the model card, and the paths of weights and checkpoint."""

    curves: pa.Table
    card: dict[str, Any]
    weights: Path
    checkpoint: Path


def train(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating] | None,
    adjacency: npt.NDArray[np.floating] | None,
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    out_dir: Path,
    progress: Progress | None = None,
    graph: GraphReference | None = None,
) -> TrainedModel:
    """Train one architecture on a DATA_SET with the seed ``training.seed`` and save it in ``out_dir``.

    ``word_vectors`` (C, d) and ``adjacency`` (C, C) belong to ``labels`` in their order; only ``ml_gcn`` uses them.
    ``image_path`` gives the file of a ``file_id``. Resized pictures, and the activations of frozen blocks, are kept in
    ``cache_dir`` and shared between trainings. The weights kept are those of the best epoch on the validation split.
    The same inputs and seed give the same bytes on the same machine. ``progress`` is told (batches done, of at most).

    A checkpoint in ``cache_dir / "checkpoints"`` follows the training; a training that was interrupted goes on from its
    last epoch, to the same result, and one that is finished only writes its files. It stays there: the caller removes
    it when nothing can go wrong any more.

    Raises ModelingError when a split or a label has no image, when settings, weights or matrices do not fit, when the
    training diverges, and when memory or disk are not enough.
    """
    form = find_architecture(architecture)
    if problem := training_problem(form, backbone, training):
        raise ModelingError(problem)
    training = training.model_copy(update={"repeats": 1})
    stages = stages_of(form, training)
    if stages:  # what the deepest of them leaves frozen is frozen in all of them
        backbone = backbone.model_copy(update={"trainable": deepest(stages)})
    rows = labelled_rows(data_set, labels)
    learned = graph is not None and graph.form == "learned"
    plan = NetworkPlan(architecture, backbone, training, tuple(labels), word_vectors, adjacency, learned)
    done = _train(plan, stages, rows, image_path, cache_dir, progress)
    card = _card(done, rows, data_set, graph)
    weights = save_model(out_dir, {**done.built.network.state_dict(), **done.state.best}, card)
    return TrainedModel(_curves(done.state, training.seed), read_card(out_dir), weights, done.job.checkpoint)


def _train(
    plan: NetworkPlan,
    stages: tuple[Stage, ...],
    rows: LabelledRows,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None,
) -> _Done:
    """Build the network, read the pictures, and train."""
    training = plan.training
    device = choose_device(training.device)
    check_devices(device, training, *(len(rows.places[split]) for split in SPLITS))
    threads = training.threads or usable_threads()
    with memory_named(training), reproducible(training.seed, threads, device):
        built = plan.build()
        for stage in stages:
            built.network.image_branch.set_trained(trained_blocks(stage.trainable))  # raises where there are fewer
        built.network.image_branch.set_trained(None)
        splits = rows_with_inputs(rows, built.network, image_path, training, cache_dir, device)
        key = _checkpoint_key(plan, rows, device, threads)
        job = Job(plan, stages, *splits, device, cache_dir / "checkpoints" / f"{key}.safetensors")
        return _Done(job, built, _fitted(job, built, progress), threads)


def _checkpoint_key(plan: NetworkPlan, rows: LabelledRows, device: torch.device, threads: int) -> str:
    """A hash of everything that decides the weights."""
    path = plan.backbone.weights_path
    arrays = [rows.targets, plan.word_vectors, plan.adjacency]
    return content_key(
        checkpoints.VERSION,
        VERSION,
        data_set_version(rows.frame),
        *(hashlib.sha256(b"" if array is None else array.tobytes()).hexdigest() for array in arrays),
        plan.architecture,
        plan.backbone.model_dump_json(),
        "" if path is None else file_sha256(path),
        plan.training.model_dump_json(),
        str(plan.adjacency_learned),
        f"{device.type} {used_precision(plan.training, device)} {threads}",
        *(f"{name} {version}" for name, version in package_versions().items()),
        *plan.labels,
    )


def _fitted(job: Job, built: BuiltNetwork, progress: Progress | None) -> TrainingState:
    """Train to the end where the checkpoint is not there yet; return what the checkpoint says then."""
    file, total, finished = CheckpointFile(job.checkpoint), job.batches, False

    def tell(done: int, of: int) -> None:
        nonlocal finished
        finished = done == of
        if progress is not None:
            progress(done, of)

    state = file.read()
    if state is None or not is_finished(state.epochs, job.training, job.stages):
        fit(job, built, tell)
        state = file.read()
    if state is None:
        raise ModelingError(f"checkpoint {job.checkpoint} is gone: leave the cache alone while a training runs")
    if not finished:  # it was before, or patience was over
        tell(total, total)
    return state


def _card(done: _Done, rows: LabelledRows, data_set: pd.DataFrame, graph: GraphReference | None) -> dict[str, Any]:
    """Everything needed to rebuild the model and to trust it; no machine path, no time."""
    plan, built, state = done.job.plan, done.built, done.state
    best, network = best_epoch(state.epochs), built.network
    return {
        "format": FORMAT,
        "architecture": plan.architecture,
        "backbone": plan.backbone.model_dump(mode="json") | {"weights": _portable(plan.backbone)},
        "backbone_weights": built.weights,
        "pooling": built.pooling,
        "labels": list(plan.labels),
        "label_images": dict(zip(plan.labels, rows.train_counts(), strict=True)),
        "graph_hash": graph.hash if graph and isinstance(network.head, LabelGraph) else None,
        "graph_form": graph.form if graph and isinstance(network.head, LabelGraph) else None,
        "data_set_version": data_set_version(data_set),
        "images": {str(split): int(count) for split, count in sorted(data_set["split"].value_counts().items())},
        "seed": plan.training.seed,
        "training": plan.training.model_dump(mode="json"),
        "threads": done.threads,
        "device": done.job.device.type,
        "precision": used_precision(plan.training, done.job.device),
        "normalization": {
            "mean": [round(value / 255, 6) for value in network.mean.flatten().tolist()],
            "std": [round(value / 255, 6) for value in network.std.flatten().tolist()],
        },
        "best_epoch": best.epoch,
        "validation": {"mean_of_five": best.validation_score, "loss": best.validation_loss},
        "calibration": _calibration(state, rows.targets[rows.places["validation"]], plan.labels),
        "parameters": sum(value.numel() for value in network.parameters()),
        "packages": package_versions(),
    }


def _calibration(state: TrainingState, targets: npt.NDArray[np.float32], labels: Sequence[str]) -> dict[str, Any]:
    """Temperature and thresholds from the validation logits of the best epoch."""
    logits = state.best_logits.numpy()
    temperature = fit_temperature(logits, targets > 0)
    thresholds = f1_thresholds(calibrated(logits, temperature), targets > 0)
    return {
        "temperature": temperature,
        "thresholds": {label: float(value) for label, value in zip(labels, thresholds, strict=True)},
    }


def _portable(backbone: BackboneSettings) -> str:
    """The weights setting without the folder, which says nothing on another machine."""
    return backbone.weights_path.name if backbone.weights_path else backbone.weights


def _curves(state: TrainingState, seed: int) -> pa.Table:
    best = best_epoch(state.epochs)
    rows = [{"seed": seed, **item.as_row(), "best": item == best} for item in state.epochs]
    return pa.Table.from_pylist(rows, schema=TRAINING_CURVES)
