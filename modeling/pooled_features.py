"""Pooled features of pictures by a network that stays as it is: computed once, kept in a memory-mapped file."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import torch

from modeling.activations import MOST_PICTURES, MOST_PIXELS, fingerprint
from modeling.images import VERSION, Pixels, cached_array, cached_images, content_key
from modeling.networks.backbones import POOLINGS
from modeling.networks.style_network import StyleNetwork
from modeling.training_settings import TrainingSettings

POOLED = ("average", "max")  # poolings of the features, in the order of their axis

Progress = Callable[[int, int], None]
Features = npt.NDArray[np.float32]


def pooled_features(
    network: StyleNetwork,
    file_ids: Sequence[str],
    image_path: Callable[[str], Path],
    training: TrainingSettings,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Features:
    """Return pooled feature maps of pictures and of their mirror images: a memory map (N, 2, 2, D) float32.

    The second axis is picture and mirror image, the third POOLED. Resized pictures are shared with the trainings; the
    file is named by the pictures, how they are resized, and the image branch's ``fingerprint``, so that every head and
    seed over it shares one file. The network's inference form computes them, which rounds a little differently.
    ``progress`` is told (pictures done, of how many). Raises ModelingError for a picture that can't be read.
    """
    pictures = cached_images(file_ids, image_path, training.image_size, training.resize, cache_dir / "images")
    resized = training.model_dump_json(include={"image_size", "resize"})
    key = content_key("pooled", VERSION, resized, *fingerprint(network.image_branch, device), *file_ids)
    size = max(1, min(MOST_PICTURES, MOST_PIXELS // (pictures.shape[1] * pictures.shape[2])))
    shape = (len(pictures), 2, len(POOLED), network.image_branch.num_features)

    def batches() -> Iterator[Features]:
        fast = network.for_inference().to(device)
        for start in range(0, len(pictures), size):
            yield _pooled(fast, pictures[start : start + size], device)

    features = cached_array(
        cache_dir / "features" / f"features-{key}.raw", shape, np.dtype(np.float32), batches, progress
    )
    if progress is not None:
        progress(len(pictures), len(pictures))
    return features


@torch.inference_mode()
def _pooled(network: StyleNetwork, pictures: Pixels, device: torch.device) -> Features:
    """Pooled features of pictures (B, H, W, 3) uint8: (B, 2, 2, D)."""
    images = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).to(device)
    sides = []
    for side in (images, images.flip(-1)):
        maps = network.image_branch.trained(network.frozen(side)).float()
        sides.append(torch.stack([POOLINGS[name](maps) for name in POOLED], dim=1))
    values: Features = torch.stack(sides, dim=1).cpu().numpy()
    return values
