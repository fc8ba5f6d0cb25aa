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
from safetensors.torch import load_file

from modeling.architectures import display_title
from modeling.devices import choose_device, reproducible
from modeling.errors import ModelingError
from modeling.images import content_key
from modeling.label_sets import data_set_version, label_matrix
from modeling.losses import target_weights
from modeling.model_files import WEIGHTS_NAME, package_versions
from modeling.networks.style_network import StyleNetwork, build_network
from modeling.pooled_features import Features, pooled_features
from modeling.repeats import train_repeats
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
    (done, of how many). Raises ModelingError when a split or a label has no image, or a picture can't be read.
    """
    rows = data_set[data_set["split"].isin(["train", "validation"])].sort_values("image_id", kind="stable")
    targets = label_matrix(rows["main"], rows["subs"], labels).astype(np.float32)
    train_rows, validation_rows = (np.flatnonzero(rows["split"] == split) for split in ("train", "validation"))
    for split, found in (("train", train_rows), ("validation", validation_rows)):
        if not len(found):
            raise ModelingError(f"no image in the {split} split: label more images, or change the shares of the splits")
    empty = [label for label, images in zip(labels, targets[train_rows].sum(axis=0), strict=True) if not images]
    if empty:
        raise ModelingError(f"label {empty[0]!r} has no train image: leave it out of the label set or label more")
    device = choose_device(training.device)
    name, begin = display_title("backbone", backbone.name), 0.0
    with reproducible(training.seed, training.threads, device):
        if backbone.weights == "none":
            begin = TRAINING_SHARE
            network = _trained(rows, labels, backbone, training, image_path, cache_dir, part(progress, 0, begin))
            source = f"features of {name} after one training from random weights"
        else:
            network = build_network("linear_probe", backbone, training, labels).network
            source = f"features of {name} before training"
        files = rows["file_id"].tolist()
        told = part(progress, begin, 1)
        features = pooled_features(network, files, image_path, training, cache_dir, device, told)
    main = np.array([list(labels).index(label) for label in rows["main"]], dtype=np.int64)
    options = training.loss_options
    weights = target_weights(main, targets, options.main_weight, options.sub_weight)
    return HeadData(features, targets, weights, train_rows, validation_rows, source)


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
    progress: Progress | None,
) -> StyleNetwork:
    """The network of the architecture ``backbone``, trained on the rows; its weights are kept by what decides them."""
    once = training.model_copy(update={"repeats": 1, "devices": 1, "graph": GraphHeadSettings()})
    settings = (
        once.model_dump_json(),
        backbone.model_dump_json(),
        *(f"{k} {v}" for k, v in package_versions().items()),
    )
    key = content_key("backbone", data_set_version(rows), *labels, *settings)
    weights = cache_dir / "backbones" / f"backbone-{key}.safetensors"
    if not weights.exists():
        weights.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".backbone-") as folder:
            out = Path(folder)
            train_repeats(rows, labels, None, None, "backbone", backbone, once, image_path, cache_dir, out, progress)
            (out / WEIGHTS_NAME).replace(weights)
    network = build_network("backbone", backbone, once, labels, load_weights=False).network
    network.load_state_dict(load_file(weights))
    return network
