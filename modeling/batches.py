"""Batches of images, or of what a frozen backbone made of them, for training and scoring."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class ImageRows:
    """Rows of an array of pictures with their targets; nothing is read before it is needed.

    ``inputs`` is a memory map: pictures (M, H, W, 3) uint8, or activations (M, 2, D, h, w) float16 of each picture and
    its mirror image. ``rows`` (N,) says which of them belong here, ``targets`` is (N, C) float32.
    """

    inputs: npt.NDArray[np.generic]
    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def are_activations(self) -> bool:
        """Do the inputs come from a frozen backbone?"""
        return self.inputs.ndim == 5

    def take(self, index: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_] | None = None) -> Batch:
        """Return inputs and targets of some rows: pictures (B, 3, H, W) uint8, or activations (B, D, h, w) float32.

        ``mirrored`` (B,) chooses between the two activations of a picture; for pictures it mirrors them.
        """
        chosen = self.rows[index]
        targets = torch.from_numpy(self.targets[index])
        if self.are_activations:
            side = np.zeros(len(chosen), dtype=np.int64) if mirrored is None else mirrored.astype(np.int64)
            return torch.from_numpy(self.inputs[chosen, side].astype(np.float32)), targets
        pictures = torch.from_numpy(np.asarray(self.inputs[chosen])).permute(0, 3, 1, 2)
        if mirrored is not None:
            flip = torch.from_numpy(mirrored)[:, None, None, None]
            pictures = torch.where(flip, pictures.flip(-1), pictures)
        return pictures, targets


class TrainBatches:
    """One epoch of batches in an order drawn from seed and epoch, so that epoch 7 is the same however one gets to it.

    A last batch that is not full is left out, unless it is the only one. Activations are those of the mirror image for
    a random half when ``flip`` is set; pictures are mirrored later, on the device.
    """

    def __init__(self, rows: ImageRows, batch_size: int, seed: int, epoch: int, flip: bool) -> None:
        self.rows = rows
        self.batch_size = min(batch_size, len(rows))
        self.random = np.random.default_rng((seed, epoch))
        self.flip = flip and rows.are_activations

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size

    def __iter__(self) -> Iterator[Batch]:
        order = self.random.permutation(len(self.rows))
        mirrored = self.random.random(len(self.rows)) < 0.5
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            part = slice(start, start + self.batch_size)
            yield self.rows.take(order[part], mirrored[part] if self.flip else None)


class ScoreBatches:
    """All rows in their order, once, or each batch followed by its mirror image when ``flip_average`` is set."""

    def __init__(self, rows: ImageRows, batch_size: int, flip_average: bool) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.sides = (False, True) if flip_average else (False,)

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[list[torch.Tensor], torch.Tensor]]:
        for start in range(0, len(self.rows), self.batch_size):
            index = np.arange(start, min(start + self.batch_size, len(self.rows)))
            taken = [self.rows.take(index, np.full(len(index), side)) for side in self.sides]
            yield [inputs for inputs, _ in taken], taken[0][1]
