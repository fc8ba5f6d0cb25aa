"""Labels with probabilities for pictures."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from PIL import Image

from modeling.devices import choose_device, reproducible
from modeling.images import load_image
from modeling.networks.style_network import StyleNetwork
from modeling.tables import SCORES

Progress = Callable[[int, int], None]
SCORED_SPLITS = ("validation", "test")


class Predictor:
    """A trained network with its labels: pictures in, probabilities out."""

    def __init__(self, network: StyleNetwork, card: dict[str, Any], device: str = "auto") -> None:
        self.card = card
        self.labels: list[str] = list(card["labels"])
        self.device = choose_device(device)
        self.network = network.to(self.device).eval().requires_grad_(False)
        self.image_size: tuple[int, int] = tuple(card["training"]["image_size"])
        self.batch_size = 2 * int(card["training"]["batch_size"])

    def predict(self, images: Iterable[Path | str | Image.Image]) -> list[dict[str, float]]:
        """Return for each picture its labels with their probabilities, the most probable first (ties by label order).

        Raises ModelingError for a picture that can't be read.
        """
        return [
            {self.labels[index]: float(row[index]) for index in np.argsort(-row, kind="stable")}
            for row in self.probabilities(images)
        ]

    def probabilities(
        self, images: Iterable[Path | str | Image.Image], progress: Callable[[int], None] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return probabilities (N, C) float32, labels in the order of ``labels``; ``progress`` is told the number done.

        Pictures are read batch by batch, so a generator over any number of files will do.
        """
        training = self.card["training"]
        parts: list[npt.NDArray[np.float32]] = []
        done = 0
        with ThreadPoolExecutor(max_workers=2) as pool, reproducible(0, training["threads"], self.device):
            for batch in _batched(images, self.batch_size):
                pixels = np.stack(list(pool.map(self._load, batch)))
                parts.append(self._forward(pixels))
                done += len(batch)
                if progress is not None:
                    progress(done)
        return np.concatenate(parts) if parts else np.zeros((0, len(self.labels)), dtype=np.float32)

    def _load(self, image: Path | str | Image.Image) -> npt.NDArray[np.uint8]:
        source = Path(image) if isinstance(image, str) else image
        return load_image(source, self.image_size, self.card["training"]["resize"])

    @torch.inference_mode()
    def _forward(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return probabilities of pictures (B, H, W, 3) uint8."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device)
        logits = self.network(images)
        if self.card["training"]["flip_average"]:
            logits = torch.stack([logits, self.network(images.flip(-1))]).mean(dim=0)
        scores: npt.NDArray[np.float32] = torch.sigmoid(logits).float().cpu().numpy()
        return scores


def score(
    predictor: Predictor,
    data_set: pd.DataFrame,
    image_path: Callable[[str], Path],
    progress: Progress | None = None,
) -> pa.Table:
    """Score the validation and test images of a DATA_SET; return a SCORES table, sorted by split and image."""
    rows = data_set[data_set["split"].isin(SCORED_SPLITS)].sort_values(["split", "image_id"], kind="stable")
    paths = [image_path(file_id) for file_id in rows["file_id"]]

    def told(done: int) -> None:
        if progress is not None:
            progress(done, len(paths))

    scores = predictor.probabilities(paths, told)
    columns: dict[str, Sequence[Any]] = {
        "image_id": rows["image_id"].tolist(),
        "split": rows["split"].tolist(),
        "group_id": rows["group_id"].tolist(),
        "main": rows["main"].tolist(),
        "subs": [list(subs) for subs in rows["subs"]],
        "labels": [predictor.labels] * len(rows),
        "scores": [row.tolist() for row in scores],
    }
    return pa.table(columns, schema=SCORES)


def _batched(items: Iterable[Path | str | Image.Image], size: int) -> Iterator[list[Path | str | Image.Image]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
