"""What a training learns from: labelled rows with their pictures, or with what frozen blocks make of those."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from modeling.activations import cached_activations, cached_views
from modeling.batches import ImageRows
from modeling.errors import ModelingError
from modeling.images import VERSION, cached_images, content_key
from modeling.label_sets import label_matrix
from modeling.losses import target_weights
from modeling.networks.style_network import StyleNetwork
from modeling.training_settings import TrainingSettings

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class LabelledRows:
    """The train and validation rows of a data set, sorted by image."""

    frame: pd.DataFrame
    targets: npt.NDArray[np.float32]  # (N, C)
    mains: npt.NDArray[np.int64]  # (N,), column of the main label
    places: dict[str, npt.NDArray[np.int64]]  # by split, which rows are in it

    def train_counts(self) -> list[int]:
        """Return how many train images carry each label."""
        return [int(count) for count in self.targets[self.places["train"]].sum(axis=0)]


def labelled_rows(data_set: pd.DataFrame, labels: Sequence[str]) -> LabelledRows:
    """Pick the rows that a training reads; the test split is not among them.

    Raises ModelingError when there are fewer than two labels, no rows in a split, or no train image of a label.
    """
    if len(labels) < 2:
        raise ModelingError(f"the label set is {list(labels)}: give at least two labels")
    frame = data_set[data_set["split"].isin(SPLITS)].sort_values("image_id", kind="stable")
    targets = label_matrix(frame["main"], frame["subs"], labels).astype(np.float32)
    column = {label: number for number, label in enumerate(labels)}
    mains = np.array([column[main] for main in frame["main"]], dtype=np.int64)
    places = {split: np.flatnonzero(frame["split"] == split) for split in SPLITS}
    rows = LabelledRows(frame, targets, mains, places)
    for split, chosen in places.items():
        if not len(chosen):
            raise ModelingError(f"no image in the {split} split: label more images, or change the shares of the splits")
    for label, count in zip(labels, rows.train_counts(), strict=True):
        if count == 0:
            raise ModelingError(f"label {label!r} has no train image: leave it out of the label set or label more")
    if len(places["train"]) < 2:
        raise ModelingError("only one train image: label more images")
    return rows


def rows_with_inputs(
    rows: LabelledRows,
    network: StyleNetwork,
    image_path: Callable[[str], Path],
    training: TrainingSettings,
    cache_dir: Path,
    device: torch.device,
) -> tuple[ImageRows, ImageRows]:
    """Return the train and the validation rows with pictures at the network's size, or activations of frozen blocks.

    Both come from ``cache_dir``, and are put there where they are missing. Main and sub labels weigh differently in
    the train rows only. Raises ModelingError for a picture that can't be read.
    """
    file_ids = rows.frame["file_id"].tolist()
    pictures = cached_images(file_ids, image_path, training.image_size, training.resize, cache_dir / "images")
    inputs: npt.NDArray[Any] = pictures
    train, validation = (rows.places[split] for split in SPLITS)
    views: tuple[npt.NDArray[np.float16], ...] = ()
    if len(network.frozen_blocks):
        key = content_key(VERSION, *file_ids, training.model_dump_json(include={"image_size", "resize"}))
        folder = cache_dir / "activations"
        views = cached_views(network, pictures, train, file_ids, key, training, folder, device)
        inputs = cached_activations(network, pictures, key, folder, device)
    options = training.loss_options
    weights = target_weights(rows.mains[train], rows.targets[train], options.main_weight, options.sub_weight)
    return (
        ImageRows(inputs, train, rows.targets[train], weights, views),
        ImageRows(inputs, validation, rows.targets[validation]),
    )
