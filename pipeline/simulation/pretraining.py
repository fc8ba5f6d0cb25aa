"""A backbone that has seen drawn outfits before, but none of the styles of the simulated year.

It stands for the ImageNet weights of a real project: with it, a training on a few hundred labels takes seconds.
"""

from collections.abc import Callable
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from pipeline.demo.illustrations import draw_outfit
from pipeline.demo.styles import STYLES as ALL_STYLES
from pipeline.simulation.plan import NEW, STYLES

PICTURES, EPOCHS = 500, 6
_SIZE = (48, 64)  # width and height in pixels
_BATCH = 32
_RATE = 2e-3
_FIRST_SEED = 10_000_000  # of the drawings, so that none is a picture of the year
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as the project's models expect

Progress = Callable[[int, int], None]


def pretrain(path: Path, progress: Progress | None = None, pictures: int = PICTURES, epochs: int = EPOCHS) -> None:
    """Train a backbone on other styles than the year's and write its state dict to ``path``: 20 s on two cores."""
    styles = [style for style in ALL_STYLES if style not in {*STYLES, NEW}]
    images, labels = _drawings(styles, pictures)
    torch.manual_seed(0)
    model = models.resnet18(num_classes=len(styles))
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE)
    steps = epochs * -(-pictures // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for step in range(steps):
        if step % (steps // epochs) == 0:
            order = torch.randperm(pictures)
        batch = order[(step % (steps // epochs)) * _BATCH :][:_BATCH]
        mirrored = torch.rand(len(batch), 1, 1, 1) < 0.5
        seen = torch.where(mirrored, images[batch].flip(-1), images[batch])
        loss = nn.functional.cross_entropy(model(seen), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if progress:
            progress(step + 1, steps)
    save_file(model.state_dict(), str(path))


def _drawings(styles: list[str], pictures: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures (N, 3, H, W) float32, normalized, and the numbers of their styles (N,)."""
    numbers = np.arange(pictures) % len(styles)
    drawn = [
        np.asarray(draw_outfit(styles[number], (), _FIRST_SEED + at, (96, 128)).resize(_SIZE))
        for at, number in enumerate(numbers)
    ]
    scaled = (np.stack(drawn) / 255 - _MEAN) / _DEVIATION
    return torch.from_numpy(scaled.astype(np.float32)).permute(0, 3, 1, 2), torch.from_numpy(numbers)
