"""The features that heads are trained on, and the backbone that gives them."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.torch import load_file

from modeling import checkpoints
from modeling.architectures import display_title
from modeling.devices import choose_device, memory_named, reproducible, usable_threads
from modeling.images import VERSION, content_key
from modeling.label_sets import data_set_version
from modeling.losses import target_weights
from modeling.model_files import WEIGHTS_NAME, package_versions
from modeling.networks.style_network import StyleNetwork, build_network
from modeling.pooled_features import Features, pooled_features
from modeling.repeats import train_repeats
from modeling.training_rows import labelled_rows
from modeling.training_settings import BackboneSettings, GraphHeadSettings, TrainingSettings

TRAINING_SHARE = 0.8  # of the progress, where the backbone is trained first

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeadData:
    """Train and validation images as pooled features with their targets; C labels, D features."""

    features: Features  # a memory map (N, 2, 2, D); see ``modeling.pooled_features``
    targets: npt.NDArray[np.float32]  # (N, C)
    weights: npt.NDArray[np.float32] | None  # (N, C): what each target counts in the loss; None: all 1
    train: npt.NDArray[np.int64]  # rows of the train split
    validation: npt.NDArray[np.int64]
    source: str  # in a few words which network's features they are


def head_data(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None = None,
) -> HeadData:
    """Return the features of a DATA_SET's train and validation images, those of the test split left aside.

    With pretrained weights they are the backbone's before any training here; with random weights those of the
    architecture ``backbone``, trained once with the run's own settings and kept in ``cache_dir``. ``progress`` is told
    (done, of how many). Raises ModelingError when a split or a label has no image, a picture can't be read, or memory
    is not enough.
    """
    rows = labelled_rows(data_set, labels)
    device = choose_device(training.device)
    name, begin = display_title("backbone", backbone.name), 0.0
    with memory_named(training), reproducible(training.seed, training.threads, device):
        if backbone.weights == "none":
            begin = TRAINING_SHARE
            told = part(progress, 0, begin)
            network = _trained(rows.frame, labels, backbone, training, image_path, cache_dir, device, told)
            source = f"features of {name} after one training from random weights"
        else:
            network = build_network("linear_probe", backbone, training, labels).network
            source = f"features of {name} before training"
        files = rows.frame["file_id"].tolist()
        told = part(progress, begin, 1)
        features = pooled_features(network, files, image_path, training, cache_dir, device, told)
    options = training.loss_options
    weights = target_weights(rows.mains, rows.targets, options.main_weight, options.sub_weight)
    return HeadData(features, rows.targets, weights, rows.places["train"], rows.places["validation"], source)


def part(progress: Progress | None, begin: float, end: float) -> Progress | None:
    """Progress of a part of the work, from share ``begin`` to share ``end`` of it, told in thousandths of the whole."""
    if progress is None:
        return None
    told = progress
    return lambda done, total: told(round(1000 * (begin + (end - begin) * done / max(1, total))), 1000)


def _trained(
    rows: pd.DataFrame,
    labels: Sequence[str],
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None,
) -> StyleNetwork:
    """The network of the architecture ``backbone``, trained on the rows; its weights are kept by what decides them."""
    once = training.model_copy(update={"repeats": 1, "devices": 1, "graph": GraphHeadSettings()})
    key = _backbone_key(rows, labels, backbone, once, device)
    weights = cache_dir / "backbones" / f"backbone-{key}.safetensors"
    if not weights.exists():
        weights.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".backbone-") as folder:
            out = Path(folder)
            trained = train_repeats(
                rows, labels, None, None, "backbone", backbone, once, image_path, cache_dir, out, progress
            )
            (out / WEIGHTS_NAME).replace(weights)
        trained.forget()
    network = build_network("backbone", backbone, once, labels, load_weights=False).network
    network.load_state_dict(load_file(weights))
    return network


def _backbone_key(
    rows: pd.DataFrame,
    labels: Sequence[str],
    backbone: BackboneSettings,
    training: TrainingSettings,
    device: torch.device,
) -> str:
    """A hash of everything that decides the weights of a training from random ones; as that of its checkpoint."""
    return content_key(
        "backbone",
        checkpoints.VERSION,
        VERSION,
        data_set_version(rows),
        backbone.model_dump_json(),
        training.model_dump_json(),
        f"{device.type} {training.threads or usable_threads()}",
        *(f"{name} {version}" for name, version in package_versions().items()),
        *labels,
    )
