"""Features of pictures that no label had a part in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.architectures import display_title
from modeling.devices import choose_device, memory_named, reproducible
from modeling.images import Pixels, cached_images
from modeling.networks.style_network import build_network
from modeling.pooled_features import POOLED, Features, pooled_features
from modeling.training_settings import BackboneSettings, TrainingSettings

BATCH = 64  # pictures at a time
BANDS = 4  # of equal height, from top to bottom
SHADES = 4  # of red, green and blue each

Progress = Callable[[int, int], None]
_Describe = Callable[[list[str], TrainingSettings, Callable[[str], Path], Path, Progress | None], Features]


@dataclass(frozen=True)
class LabelFreeFeatures:
    """Features (N, D) float32, row by row as the data set, and in a few words where they come from."""

    values: Features
    source: str


def label_free_features(
    data_set: pd.DataFrame,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None = None,
) -> LabelFreeFeatures:
    """Describe every image of a DATA_SET by numbers that depend on its pixels only.

    A backbone with pretrained weights gives its last feature map, averaged over the picture and its mirror image,
    before any training here. Random weights say less about pictures than their colours do, so without pretrained
    weights the features are ``color_layout``. Resized pictures are shared with the trainings through ``cache_dir``;
    ``progress`` is told (images done, of how many). Raises ModelingError for a picture that can't be read, weights
    that do not fit, or when memory is not enough.
    """
    describe: _Describe = _colors
    source = "colours of the picture"
    if backbone.weights != "none":
        describe, source = _averages(backbone), f"{display_title('backbone', backbone.name)} before training"
    ids = data_set["file_id"].to_numpy(dtype=object)
    values = np.zeros((0, 1), dtype=np.float32)
    done = 0
    for rows in _parts(data_set):
        part = describe(ids[rows].tolist(), training, image_path, cache_dir, _shifted(progress, done, len(ids)))
        if not len(values):
            values = np.zeros((len(ids), part.shape[1]), dtype=np.float32)
        values[rows] = part
        done += len(rows)
    return LabelFreeFeatures(values, source)


def color_layout(pictures: Pixels) -> Features:
    """Shares of 64 colours in four bands from top to bottom, as square roots: (B, H, W, 3) uint8 to (B, 256) float32.

    The square root makes distances between such vectors those of Hellinger.
    """
    count, height, width, _ = pictures.shape
    steps = pictures.astype(np.int64) * SHADES // 256
    colors = (steps[..., 0] * SHADES + steps[..., 1]) * SHADES + steps[..., 2]
    bands = (np.arange(height) * BANDS // height)[None, :, None] + BANDS * np.arange(count)[:, None, None]
    cells = (bands * SHADES**3 + colors).ravel()
    counts = np.bincount(cells, minlength=count * BANDS * SHADES**3).reshape(count, -1)
    shares: Features = np.sqrt(counts / (height * width)).astype(np.float32)
    return shares


def _colors(
    file_ids: list[str],
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None,
) -> Features:
    """``color_layout`` of pictures, (N, 256)."""
    pictures = cached_images(file_ids, image_path, training.image_size, training.resize, cache_dir / "images")
    parts = []
    for start in range(0, len(pictures), BATCH):
        parts.append(color_layout(np.asarray(pictures[start : start + BATCH])))
        if progress is not None:
            progress(min(start + BATCH, len(pictures)), len(pictures))
    return np.concatenate(parts)


def _averages(backbone: BackboneSettings) -> _Describe:
    """Pictures to the backbone's average pooled features, the mean of picture and mirror image: (N, D)."""

    def describe(
        file_ids: list[str],
        training: TrainingSettings,
        image_path: Callable[[str], Path],
        cache_dir: Path,
        progress: Progress | None,
    ) -> Features:
        device = choose_device(training.device)
        with memory_named(training), reproducible(training.seed, training.threads, device):
            network = build_network("linear_probe", backbone, training, [""]).network
            features = pooled_features(network, file_ids, image_path, training, cache_dir, device, progress)
        average: Features = features[:, :, POOLED.index("average")].mean(axis=1)
        return average

    return describe


def _parts(data_set: pd.DataFrame) -> list[npt.NDArray[np.int64]]:
    """Row numbers sorted by image: first those of images that trainings keep in one file, then of the test images."""
    order = np.argsort(data_set["image_id"].to_numpy(dtype=str), kind="stable")
    is_test = (data_set["split"] == "test").to_numpy()[order]
    return [rows for rows in (order[~is_test], order[is_test]) if len(rows)]


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress over some of the images as progress over all of them."""
    return None if progress is None else lambda done, _: progress(before + done, total)
