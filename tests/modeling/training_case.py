"""A data set of plain coloured shapes that a network learns in seconds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from modeling.training_settings import BackboneSettings, TrainingSettings

LABELS = ["red", "green", "blue"]
WORD_VECTORS = np.random.default_rng(5).normal(size=(3, 8))
ADJACENCY = np.array([[0.8, 0.2, 0.0], [0.0, 1.0, 0.0], [0.1, 0.1, 0.8]])
QUICK = TrainingSettings(
    image_size=(32, 32),
    batch_size=8,
    epochs=2,
    threads=1,
    device="cpu",
    image_learning_rate=1e-3,
    label_learning_rate=1e-2,
)
FROM_SCRATCH = BackboneSettings(name="mobilenet_v3_small")


@dataclass(frozen=True)
class Case:
    """A data set, and where its pictures are."""

    data_set: pd.DataFrame
    image_path: Callable[[str], Path]


def make_case(folder: Path, images: int = 40) -> Case:
    """Draw the pictures: a rectangle in the main label's colour, a bar on top in that of the sub label."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    rows = []
    for number in range(images):
        main, sub = int(random.integers(3)), int(random.integers(6))
        pixels = np.full((48, 32, 3), 255, dtype=np.uint8)
        left = int(random.integers(2, 12))
        pixels[12:40, left : left + 16] = 30
        pixels[12:40, left : left + 16, main] = 220
        if sub < 3 and sub != main:
            pixels[2:8, 4:28] = 30
            pixels[2:8, 4:28, sub] = 220
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
        rows.append(
            {
                "image_id": f"{number:03}",
                "file_id": f"{number:03}",
                "window": "2019-07-01",
                "group_id": f"g{number}",
                "main": LABELS[main],
                "subs": [LABELS[sub]] if sub < 3 and sub != main else [],
                "split": ["train", "train", "train", "validation", "test"][number % 5],
            }
        )
    return Case(pd.DataFrame(rows), lambda file_id: folder / f"{file_id}.png")
