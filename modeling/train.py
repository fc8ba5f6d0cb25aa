"""From a data set to a trained model on disk."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (lightning imports torchvision)

# isort: split
import lightning
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch

from modeling.activations import cached_activations
from modeling.batches import ImageRows
from modeling.classifier import MultiLabelClassifier
from modeling.devices import choose_device, reproducible
from modeling.errors import ModelingError
from modeling.images import VERSION, cached_images, content_key
from modeling.label_sets import data_set_version, label_matrix
from modeling.model_files import FORMAT, package_versions, save_model
from modeling.networks.style_network import BuiltNetwork, StyleNetwork, build_network, find_architecture
from modeling.networks.weights import file_sha256
from modeling.tables import TRAINING_CURVES
from modeling.training_settings import BackboneSettings, TrainingSettings

Progress = Callable[[int, int], None]
LIGHTNING_LOGGERS = ("lightning.pytorch", "lightning.fabric")


@dataclass(frozen=True)
class TrainedModel:
    """What training leaves: the curves (TRAINING_CURVES), the model card, and the path of the weights."""

    curves: pa.Table
    card: dict[str, Any]
    weights: Path


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
    graph_hash: str | None = None,
) -> TrainedModel:
    """Train one architecture on a DATA_SET and save it in ``out_dir``.

    ``word_vectors`` (C, d) and ``adjacency`` (C, C) belong to ``labels`` in their order; only ``ml_gcn`` uses them.
    ``image_path`` gives the file of a ``file_id``. Resized pictures, and the activations of frozen blocks, are kept in
    ``cache_dir`` and shared between trainings. The weights kept are those of the best epoch on the validation split.
    The same inputs and seed give the same bytes on the same machine. ``progress`` is told (epochs done, of at most).

    Raises ModelingError when a split or a label has no image, or when settings, weights or matrices do not fit.
    """
    find_architecture(architecture)
    rows, targets = _rows_and_targets(data_set, labels)
    device = choose_device(training.device)
    with reproducible(training.seed, training.threads, device) as threads:
        built = build_network(architecture, backbone, training, labels, word_vectors, adjacency)
        inputs = _inputs(built.network, rows["file_id"].tolist(), image_path, training, cache_dir, device)
        splits = {
            split: ImageRows(inputs, np.flatnonzero(rows["split"] == split), targets[rows["split"] == split])
            for split in ("train", "validation")
        }
        classifier = MultiLabelClassifier(
            built.network,
            training,
            training.image_learning_rate if built.pretrained else training.scratch_learning_rate,
            splits["train"],
            splits["validation"],
            progress,
        )
        torch.manual_seed(training.seed)
        _fit(classifier, training, device)
    card = _card(architecture, backbone, training, labels, built, classifier, data_set, graph_hash, threads)
    weights = save_model(out_dir, classifier.best_state, card)
    return TrainedModel(_curves(classifier), {**card, "weights_sha256": file_sha256(weights)}, weights)


def _rows_and_targets(data_set: pd.DataFrame, labels: Sequence[str]) -> tuple[pd.DataFrame, npt.NDArray[np.float32]]:
    """Train and validation rows sorted by image, with their targets (N, C); every label needs a train image."""
    if not labels:
        raise ModelingError("the label set is empty: give at least two labels")
    rows = data_set[data_set["split"].isin(["train", "validation"])].sort_values("image_id", kind="stable")
    targets = label_matrix(rows["main"], rows["subs"], labels).astype(np.float32)
    for split in ("train", "validation"):
        if not (rows["split"] == split).any():
            raise ModelingError(f"no image in the {split} split: label more images, or change the shares of the splits")
    counts = targets[(rows["split"] == "train").to_numpy()].sum(axis=0)
    if empty := [label for label, count in zip(labels, counts, strict=True) if count == 0]:
        raise ModelingError(f"label {empty[0]!r} has no train image: leave it out of the label set or label more")
    if (rows["split"] == "train").sum() < 2:
        raise ModelingError("only one train image: label more images")
    return rows, targets


def _inputs(
    network: StyleNetwork,
    file_ids: list[str],
    image_path: Callable[[str], Path],
    training: TrainingSettings,
    cache_dir: Path,
    device: torch.device,
) -> npt.NDArray[Any]:
    """Pictures at the network's size, or what its frozen blocks make of them where there are such."""
    pictures = cached_images(file_ids, image_path, training.image_size, training.resize, cache_dir / "images")
    if not len(network.frozen_blocks):
        return pictures
    key = content_key(VERSION, *file_ids, training.model_dump_json(include={"image_size", "resize"}))
    return cached_activations(network, pictures, key, cache_dir / "activations", device)


def _fit(classifier: MultiLabelClassifier, training: TrainingSettings, device: torch.device) -> None:
    """Run Lightning without its files, bars and messages."""
    with _quiet():
        trainer = lightning.Trainer(
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            max_epochs=training.epochs,
            gradient_clip_val=training.gradient_clip,
            deterministic="warn" if device.type == "cuda" else True,
            reload_dataloaders_every_n_epochs=1,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(classifier)


@contextmanager
def _quiet() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in LIGHTNING_LOGGERS}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _card(
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    labels: Sequence[str],
    built: BuiltNetwork,
    classifier: MultiLabelClassifier,
    data_set: pd.DataFrame,
    graph_hash: str | None,
    threads: int,
) -> dict[str, Any]:
    """Everything needed to rebuild the model and to trust it; no machine path, no time."""
    best = classifier.epochs[classifier.best_epoch - 1]
    network: StyleNetwork = built.network
    return {
        "format": FORMAT,
        "architecture": architecture,
        "backbone": backbone.model_dump(mode="json") | {"weights": _portable(backbone)},
        "backbone_weights": built.weights,
        "pooling": built.pooling,
        "labels": list(labels),
        "graph_hash": graph_hash if architecture == "ml_gcn" else None,
        "data_set_version": data_set_version(data_set),
        "images": {str(split): int(count) for split, count in sorted(data_set["split"].value_counts().items())},
        "seed": training.seed,
        "training": training.model_dump(mode="json"),
        "threads": threads,
        "normalization": {
            "mean": [round(value / 255, 6) for value in network.mean.flatten().tolist()],
            "std": [round(value / 255, 6) for value in network.std.flatten().tolist()],
        },
        "best_epoch": classifier.best_epoch,
        "validation": {"mean_of_five": best.validation_score, "loss": best.validation_loss},
        "parameters": sum(value.numel() for value in network.parameters()),
        "packages": package_versions(),
    }


def _portable(backbone: BackboneSettings) -> str:
    """The weights setting without the folder, which says nothing on another machine."""
    return backbone.weights_path.name if backbone.weights_path else backbone.weights


def _curves(classifier: MultiLabelClassifier) -> pa.Table:
    rows = [{**item.as_row(), "best": item.epoch == classifier.best_epoch} for item in classifier.epochs]
    return pa.Table.from_pylist(rows, schema=TRAINING_CURVES)
