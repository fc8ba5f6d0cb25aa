"""What the frozen blocks of a network make of the pictures, computed once and kept in memory-mapped files.

Of a picture that is a map (D, h, w), or (S, D) where the frozen blocks end between a vision transformer's tokens.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import torch
import torchvision
from torch import nn

from modeling.augmentation import DRAWS, change, changes_more_than_sides
from modeling.augmentation import VERSION as AUGMENTATION_VERSION
from modeling.errors import ModelingError
from modeling.images import Pixels, Progress, cached_array, content_key
from modeling.networks.style_network import StyleNetwork
from modeling.training_settings import TrainingSettings

MOST_PICTURES = 64  # at a time
MOST_PIXELS = 32 * 224 * 224  # at a time; the first blocks of a ResNet-50 make 0.4 GB of them

Activations = npt.NDArray[np.float16]
Index = npt.NDArray[np.int64]


def cached_activations(
    network: StyleNetwork,
    pictures: Pixels,
    pictures_key: str,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> Activations:
    """Return the frozen blocks' results for each picture and its mirror image: a memory map (N, 2, ...) float16.

    ``pictures`` are (N, H, W, 3) uint8 and ``pictures_key`` names them. The file is named by it and by the frozen
    blocks' ``fingerprint``, so that every architecture and seed over the same backbone shares one file. The network
    is moved to ``device`` and put in evaluation mode. ``progress`` is told (pictures done, of how many) while they are
    computed. Raises ModelingError when results do not fit float16, or the files do not fit the disk.
    """
    frozen = _Frozen(network, device)

    def both_sides(index: Index) -> Activations:
        images = frozen.images(pictures, index)
        return np.stack([frozen(images), frozen(images.flip(-1))], axis=1)

    return _cached(
        cache_dir / f"{content_key(pictures_key, *frozen.fingerprint)}.raw",
        np.arange(len(pictures)),
        pictures.shape[1] * pictures.shape[2],
        both_sides,
        progress,
    )


def cached_views(
    network: StyleNetwork,
    pictures: Pixels,
    rows: Index,
    file_ids: Sequence[str],
    pictures_key: str,
    training: TrainingSettings,
    cache_dir: Path,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[Activations, ...]:
    """Return the frozen blocks' results for changed versions of some pictures: memory maps (N, ...) float16.

    There are ``training.views - 1`` of them, as the pictures themselves are the first version, or none where
    ``training`` asks for no change but the mirror image. ``rows`` (N,) chooses among ``pictures`` (M, H, W, 3) uint8,
    and ``file_ids`` (M,) names them. What changes a picture is drawn from its file id and the version's number, so
    that all seeds and architectures over the same backbone share the files, one a version, and more versions later add
    files only. ``progress`` is told (versions of pictures done, of how many). Raises as ``cached_activations``.
    """
    if training.views == 1 or not changes_more_than_sides(training):
        return ()
    frozen = _Frozen(network, device)
    how = training.model_dump_json(include={"flip", "zoom", "shift", "color", "erase"})
    versions = range(1, training.views)
    views = []
    for version in versions:

        def changed(index: Index, version: int = version) -> Activations:
            draws = version_draws([file_ids[row] for row in index], version)
            return frozen(change(frozen.images(pictures, index), draws, training))

        def told(done: int, _: int, version: int = version) -> None:
            if progress is not None:
                progress((version - 1) * len(rows) + done, len(versions) * len(rows))

        key = content_key(pictures_key, *frozen.fingerprint, AUGMENTATION_VERSION, how, str(version), *map(str, rows))
        path = cache_dir / f"{key}.raw"
        views.append(_cached(path, rows, pictures.shape[1] * pictures.shape[2], changed, told))
    return tuple(views)


def version_draws(file_ids: Sequence[str], version: int) -> torch.Tensor:
    """Return random numbers (N, 12) float32 in 0..1 for ``change``, which a file id and a version's number decide."""
    draws = np.empty((len(file_ids), DRAWS), dtype=np.float32)
    for row, file_id in enumerate(file_ids):
        seed = hashlib.sha256(f"{version}:{file_id}".encode()).digest()
        draws[row] = np.random.default_rng(int.from_bytes(seed)).random(DRAWS, dtype=np.float32)
    return torch.from_numpy(draws)


def fingerprint(part: nn.Module, device: torch.device) -> tuple[str, ...]:
    """Return texts that change with whatever changes the results of a part of a network.

    They are its structure, a hash of its weights and statistics, the kind of device, and the versions that compute.
    """
    digest = hashlib.sha256()
    for name, value in part.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().numpy().tobytes())
    versions = f"torch {torch.__version__}", f"torchvision {torchvision.__version__}"
    return (str(part), digest.hexdigest(), device.type, *versions)


class _Frozen:
    """The frozen blocks on a device, ready to run."""

    def __init__(self, network: StyleNetwork, device: torch.device) -> None:
        self.network = network.to(device).eval()
        self.device = device
        self.fingerprint = fingerprint(network.frozen_blocks, device)

    def images(self, pictures: Pixels, index: Index) -> torch.Tensor:
        """Some of the pictures on the device, (B, 3, H, W) uint8."""
        return torch.from_numpy(np.asarray(pictures[index])).permute(0, 3, 1, 2).to(self.device)

    @torch.inference_mode()
    def __call__(self, images: torch.Tensor) -> Activations:
        array: Activations = self.network.frozen(images).half().cpu().numpy()
        if not np.isfinite(array).all():
            raise ModelingError(
                "the frozen blocks give values that float16 can't hold: check backbone.weights, or set "
                'backbone.trainable to "all"'
            )
        return array


def _cached(
    path: Path,
    rows: Index,
    pixels: int,
    compute: Callable[[Index], Activations],
    progress: Progress | None,
) -> Activations:
    """What ``compute`` makes of the rows, so many at a time that memory stays bounded, in a file."""
    size = max(1, min(MOST_PICTURES, MOST_PIXELS // pixels))

    def batches() -> Iterator[Activations]:
        for start in range(0, len(rows), size):
            yield compute(rows[start : start + size])

    shape = (len(rows), *compute(rows[:1]).shape[1:])
    return cached_array(path, shape, np.dtype(np.float16), batches, progress)
