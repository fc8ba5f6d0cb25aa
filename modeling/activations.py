"""What the frozen blocks of a network make of the pictures, computed once and kept in a memory-mapped file."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from modeling.images import cached_array, content_key
from modeling.networks.style_network import StyleNetwork

BATCH = 32  # pictures at a time


def cached_activations(
    network: StyleNetwork,
    pictures: npt.NDArray[np.uint8],
    pictures_key: str,
    cache_dir: Path,
    device: torch.device,
) -> npt.NDArray[np.float16]:
    """Return the frozen blocks' results for each picture and its mirror image: a memory map (N, 2, D, h, w) float16.

    ``pictures`` are (N, H, W, 3) uint8 and ``pictures_key`` names them. The file is named by it and by the frozen
    blocks and their weights, so that every architecture and seed over the same backbone shares one file.
    """
    network = network.to(device).eval()

    def forward(start: int, stop: int) -> npt.NDArray[np.float16]:
        images = torch.from_numpy(np.array(pictures[start:stop])).permute(0, 3, 1, 2).to(device)
        with torch.inference_mode():
            both = torch.stack([network.frozen(images), network.frozen(images.flip(-1))], dim=1)
        array: npt.NDArray[np.float16] = both.half().cpu().numpy()
        return array

    def batches() -> Iterator[npt.NDArray[np.float16]]:
        for start in range(0, len(pictures), BATCH):
            yield forward(start, min(start + BATCH, len(pictures)))

    key = content_key(pictures_key, *_fingerprint(network), device.type)
    shape = (len(pictures), *forward(0, 1).shape[1:])
    return cached_array(cache_dir / f"{key}.raw", shape, np.dtype(np.float16), batches)


def _fingerprint(network: StyleNetwork) -> tuple[str, str]:
    """The frozen blocks' structure as text, and a hash of their weights."""
    digest = hashlib.sha256()
    for name, value in network.frozen_blocks.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().numpy().tobytes())
    return str(network.frozen_blocks), digest.hexdigest()
