"""Weights for a backbone out of labelled pictures of another kind, where those of ImageNet are not wanted."""

from collections.abc import Callable
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from modeling.devices import reproducible
from modeling.networks.style_network import MEAN, STD

BATCH, RATE = 32, 2e-3  # pictures a step; highest learning rate of the one cycle

Progress = Callable[[int, int], None]


def pretrain_resnet18(
    pictures: npt.NDArray[np.uint8],
    classes: npt.NDArray[np.integer],
    path: Path,
    *,
    epochs: int,
    progress: Progress | None = None,
) -> None:
    """Train a ResNet-18 to tell classes apart, and write its state dict to ``path`` as safetensors.

    ``pictures`` are (N, H, W, 3) RGB, ``classes`` (N,) numbers from 0 on. One-cycle learning rate (Smith and Topin,
    arXiv 1708.07120), mirrored at random. Same input and number of threads, same bytes. ``progress`` is told the step
    and how many there are.
    """
    scaled = (pictures / 255 - MEAN) / STD
    images = torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2)
    labels = torch.from_numpy(classes.astype(np.int64))
    with reproducible(0, None, torch.device("cpu")):
        model = models.resnet18(num_classes=int(classes.max()) + 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        steps = epochs * -(-len(labels) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        done = 0
        for _ in range(epochs):
            for batch in torch.split(torch.randperm(len(labels)), BATCH):
                mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
                seen = torch.where(mirrored, images[batch].flip(-1), images[batch])
                loss = nn.functional.cross_entropy(model(seen), labels[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                done += 1
                if progress:
                    progress(done, steps)
    save_file(model.state_dict(), str(path))
