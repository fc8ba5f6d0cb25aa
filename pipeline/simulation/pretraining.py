"""A backbone that has seen drawn outfits before, but none of the styles of the simulated year.

It stands for the ImageNet weights of a real project: with it, a training on a few hundred labels takes seconds.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.demo.illustrations import draw_outfit
from pipeline.demo.styles import STYLES as ALL_STYLES
from pipeline.simulation.plan import NEW, STYLES

PICTURES, EPOCHS = 500, 6
_SIZE = (48, 64)  # width and height in pixels
_FIRST_SEED = 10_000_000  # of the drawings, so that none is a picture of the year

Progress = Callable[[int, int], None]


def pretrain(path: Path, progress: Progress | None = None, pictures: int = PICTURES, epochs: int = EPOCHS) -> None:
    """Train a backbone on other styles than the year's and write its state dict to ``path``: 20 s on two cores."""
    from modeling.pretraining import pretrain_resnet18  # brings torch

    styles = [style for style in ALL_STYLES if style not in {*STYLES, NEW}]
    numbers = np.arange(pictures) % len(styles)
    drawn = np.stack(
        [
            np.asarray(draw_outfit(styles[number], (), _FIRST_SEED + at, (96, 128)).resize(_SIZE))
            for at, number in enumerate(numbers)
        ]
    )
    pretrain_resnet18(drawn, numbers, path, epochs=epochs, progress=progress)
