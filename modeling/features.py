"""Features of pictures that no label had a part in."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from modeling.architectures import display_title
from modeling.devices import choose_device, reproducible
from modeling.images import Pixels, cached_images
from modeling.networks.backbones import POOLINGS
from modeling.networks.style_network import StyleNetwork, build_network
from modeling.training_settings import BackboneSettings, TrainingSettings

BATCH = 64  # pictures at a time
BANDS = 4  # of equal height, from top to bottom
SHADES = 4  # of red, green and blue each

Progress = Callable[[int, int], None]
Features = npt.NDArray[np.float32]


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

    A backbone with pretrained weights gives its pooled last feature map, the mean over the picture and its mirror
    image, before any training here. Random weights say less about pictures than their colours do, so without
    pretrained weights the features are ``color_layout``. Resized pictures are shared with the trainings through
    ``cache_dir``; ``progress`` is told (images done, of how many). Raises ModelingError for a picture that can't be
    read or weights that do not fit.
    """
    describe: Callable[[Pixels], Features] = color_layout
    source = "colours of the picture"
    device = choose_device(training.device)
    values: Features | None = None
    done = 0
    with reproducible(training.seed, training.threads, device):
        if backbone.weights != "none":
            network = build_network("linear_probe", backbone, training, [""]).network.to(device).eval()
            describe, source = _pooled(network, device), f"{display_title('backbone', backbone.name)} before training"
        for rows, pictures in _pictures(data_set, training, image_path, cache_dir):
            for start in range(0, len(rows), BATCH):
                part = describe(np.asarray(pictures[start : start + BATCH]))
                if values is None:
                    values = np.zeros((len(data_set), part.shape[1]), dtype=np.float32)
                values[rows[start : start + BATCH]] = part
                done += len(part)
                if progress is not None:
                    progress(done, len(data_set))
    return LabelFreeFeatures(np.zeros((0, 1), dtype=np.float32) if values is None else values, source)


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


def _pooled(network: StyleNetwork, device: torch.device) -> Callable[[Pixels], Features]:
    """Pictures (B, H, W, 3) uint8 to the frozen blocks' averaged feature map (B, D)."""

    @torch.inference_mode()
    def describe(pictures: Pixels) -> Features:
        images = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).to(device)
        sides = [POOLINGS["average"](network.frozen(side)) for side in (images, images.flip(-1))]
        values: Features = torch.stack(sides).mean(dim=0).float().cpu().numpy()
        return values

    return describe


def _pictures(
    data_set: pd.DataFrame, training: TrainingSettings, image_path: Callable[[str], Path], cache_dir: Path
) -> list[tuple[npt.NDArray[np.int64], Pixels]]:
    """Row numbers with their pictures: first those that trainings keep in one file, then the test images."""
    order = np.argsort(data_set["image_id"].to_numpy(dtype=str), kind="stable")
    is_test = (data_set["split"] == "test").to_numpy()[order]
    parts = [rows for rows in (order[~is_test], order[is_test]) if len(rows)]
    ids = data_set["file_id"].to_numpy(dtype=object)
    return [
        (
            rows,
            cached_images(ids[rows].tolist(), image_path, training.image_size, training.resize, cache_dir / "images"),
        )
        for rows in parts
    ]
