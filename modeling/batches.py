"""Batches of images, or of what frozen blocks made of them, for training and scoring."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from modeling.errors import ModelingError
from modeling.images import reference_of
from modeling.training_settings import TrainingSettings

AHEAD = 3  # batches that wait in pinned memory for a GPU
CPU = torch.device("cpu")

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]
ScoreBatch = tuple[list[torch.Tensor], torch.Tensor]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ImageRows:
    """Rows of an array of pictures with their targets; nothing is read before it is needed.

    ``inputs`` is a memory map: pictures (M, H, W, 3) uint8, or activations (M, 2, ...) float16 of each picture and its
    mirror image, the dots standing for what the frozen blocks give: a map (D, h, w), or a vision transformer's tokens
    (S, D). ``rows`` (N,) says which of them belong here; ``targets`` (N, C) float32 are theirs, and so are ``weights``
    (N, C) float32, what each target counts in the loss (None: all 1). ``views`` are memory maps (N, ...) float16, each
    with the activations of another changed version of the N pictures, for training.

    Memory maps are pickled as the names of their files, so a process that gets such rows reads the same pages.
    """

    inputs: npt.NDArray[Any]
    rows: Index
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32] | None = None
    views: tuple[npt.NDArray[np.float16], ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "inputs": reference_of(self.inputs),
            "views": tuple(reference_of(view) for view in self.views),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        opened = {"inputs": state["inputs"].open(), "views": tuple(view.open() for view in state["views"])}
        self.__dict__.update({**state, **opened})

    @property
    def are_activations(self) -> bool:
        """Do the inputs come from frozen blocks?"""
        # The number of axes does not tell: a transformer's tokens have as many as pictures.
        return self.inputs.dtype == np.float16

    def pictures(self, index: Index) -> torch.Tensor:
        """Return pictures (B, 3, H, W) uint8, laid out in memory as they are in the file: channels last."""
        return torch.from_numpy(np.asarray(self.inputs[self.rows[index]])).permute(0, 3, 1, 2)

    def activations(self, index: Index, version: Index) -> torch.Tensor:
        """Return activations (B, ...) float32 of the pictures (version 0), mirror images (1) or views (2, 3, ...)."""
        if not self.views:
            return torch.from_numpy(np.asarray(self.inputs[self.rows[index], version])).float()
        values = np.empty((len(index), *self.inputs.shape[2:]), dtype=self.inputs.dtype)
        own = version < 2
        values[own] = self.inputs[self.rows[index[own]], version[own]]
        for number, view in enumerate(self.views, start=2):
            chosen = version == number
            values[chosen] = view[index[chosen]]
        return torch.from_numpy(values).float()


class TrainBatches:
    """One epoch of batches in an order drawn from seed and epoch, so that epoch 7 is the same however one gets to it.

    ``training.sampling`` decides the order: ``shuffle`` takes every image once; ``class_aware`` draws for each place a
    label that has images, all being equally likely, and then one of its images (Shen et al., ECCV 2016), until there
    are as many as images. A last batch that is not full is left out, unless it is the only one. Of activations,
    picture and views are equally likely, and half of the pictures are mirrored when ``training.flip`` is set; pictures
    are changed later, on the device.

    Each of ``world`` processes takes its share of every batch, the ``rank``-th. For a GPU (``device``) the batches are
    read a few ahead by a thread of their own, into pinned memory.
    """

    def __init__(
        self,
        rows: ImageRows,
        training: TrainingSettings,
        epoch: int,
        rank: int = 0,
        world: int = 1,
        device: torch.device = CPU,
    ) -> None:
        """Raise ModelingError where a batch can't be shared evenly, since the mean gradient would be another."""
        if training.batch_size % world:
            raise ModelingError(
                f"training.batch_size {training.batch_size} can't be shared by {world} devices: choose a multiple of "
                f"{world}"
            )
        if len(rows) < world:
            raise ModelingError(f"{len(rows)} train images are too few for {world} devices: lower training.devices")
        self.rows = rows
        self.training = training
        self.epoch = epoch
        self.share = min(training.batch_size, len(rows)) // world
        self.rank = rank
        self.world = world
        self.device = device

    def __len__(self) -> int:
        return len(self.rows) // (self.share * self.world)

    def __iter__(self) -> Iterator[Batch]:
        random = np.random.default_rng((self.training.seed, self.epoch))
        order = epoch_order(self.rows.targets, self.training.sampling, random)
        version = self._versions(random)
        starts = (self.share * (self.world * number + self.rank) for number in range(len(self)))
        parts = [slice(start, start + self.share) for start in starts]
        if self.device.type != "cuda":
            yield from (self._batch(order[part], version[part]) for part in parts)
            return
        # A new thread's current GPU is the first one, and pinning would take memory there though it is not ours.
        gpu = torch.cuda.current_device() if self.device.index is None else self.device.index
        with ThreadPoolExecutor(1, "batches", torch.cuda.set_device, (gpu,)) as pool:
            waiting: deque[Future[Batch]] = deque()
            for part in parts:
                waiting.append(pool.submit(self._pinned, order[part], version[part]))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _versions(self, random: np.random.Generator) -> Index:
        """Which version of the activations each place takes; see ``ImageRows.activations``."""
        view = random.integers(len(self.rows.views) + 1, size=len(self.rows))
        mirrored = random.random(len(self.rows)) < (0.5 if self.training.flip else 0.0)
        return np.where(view > 0, view + 1, mirrored).astype(np.int64)

    def _batch(self, index: Index, version: Index) -> Batch:
        rows = self.rows
        inputs = rows.activations(index, version) if rows.are_activations else rows.pictures(index)
        weights = None if rows.weights is None else torch.from_numpy(rows.weights[index])
        return inputs, torch.from_numpy(rows.targets[index]), weights

    def _pinned(self, index: Index, version: Index) -> Batch:
        inputs, targets, weights = self._batch(index, version)
        return inputs.pin_memory(), targets.pin_memory(), None if weights is None else weights.pin_memory()


class ScoreBatches:
    """All rows in their order, once: (sides, targets); a side is all pictures of a batch as they are, or mirrored.

    The mirrored side is there with ``flip_average`` only. Each of ``world`` processes takes one stretch of the rows;
    one after the other they are all rows.
    """

    def __init__(self, rows: ImageRows, batch_size: int, flip_average: bool, rank: int = 0, world: int = 1) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.flip_average = flip_average
        self.start = len(rows) * rank // world
        self.stop = len(rows) * (rank + 1) // world

    def __len__(self) -> int:
        return -(-(self.stop - self.start) // self.batch_size)

    def __iter__(self) -> Iterator[ScoreBatch]:
        for start in range(self.start, self.stop, self.batch_size):
            index = np.arange(start, min(start + self.batch_size, self.stop))
            yield self._sides(index), torch.from_numpy(self.rows.targets[index])

    def _sides(self, index: Index) -> list[torch.Tensor]:
        if self.rows.are_activations:
            return [self.rows.activations(index, np.full(len(index), side)) for side in range(1 + self.flip_average)]
        pictures = self.rows.pictures(index)
        return [pictures, pictures.flip(-1)] if self.flip_average else [pictures]


def epoch_order(targets: npt.NDArray[np.float32], sampling: str, random: np.random.Generator) -> Index:
    """Return which rows an epoch takes, in order: (N,) int64, drawn as ``TrainBatches`` says."""
    count = len(targets)
    if sampling == "shuffle":
        return random.permutation(count)
    carriers = [np.flatnonzero(column) for column in targets.T]
    carriers = [images for images in carriers if len(images)]
    sizes = np.array([len(images) for images in carriers])
    label = random.integers(len(carriers), size=count)
    place = np.floor(random.random(count) * sizes[label]).astype(np.int64)
    first: Index = np.cumsum(sizes) - sizes
    order: Index = np.concatenate(carriers)[first[label] + place]
    return order
