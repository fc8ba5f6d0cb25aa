"""Any number of pictures through networks: read in threads, in batches, in order, few in memory at a time."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Barrier
from typing import TypeVar

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from modeling.devices import usable_threads
from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.networks.style_network import StyleNetwork
from modeling.ordered_work import in_order
from modeling.training_settings import ResizePolicy

Source = Path | str | Image.Image
CPU_BATCH = 8  # pictures; larger ones do not fit into a core's cache and are slower
GPU_BATCH = 64
AHEAD = 2  # batches for each thread that may be read, or answered, before they are asked for

Item = TypeVar("Item")


class PixelNetwork(nn.Module):
    """From the pixels of pictures (N, H, W, 3) uint8 to logits (N, C) float32.

    With ``flip_average`` they are the mean of those of the picture and of its mirror image.
    """

    def __init__(self, network: StyleNetwork, flip_average: bool) -> None:
        super().__init__()
        self.network = network
        self.flip_average = flip_average

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        images = pixels.permute(0, 3, 1, 2)
        logits: torch.Tensor = self.network(images)
        if self.flip_average:
            logits = (logits + self.network(images.flip(-1))) / 2
        return logits.float()


@dataclass(frozen=True)
class Answered:
    """A batch of pictures with the logits (R, n, C) of the R networks for the n of them that could be read."""

    sources: list[Source]
    errors: list[str | None]  # for each source, why it could not be read
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Batch:
    sources: list[Source]
    errors: list[str | None]
    pixels: npt.NDArray[np.uint8]  # (n, H, W, 3)


@dataclass(frozen=True)
class Inference:
    """Networks that look at the same pictures, and how these are read.

    On a CPU each thread takes a batch from the files to the logits, alone: that keeps all cores busy without any of
    them waiting for another, and the bits of an answer do not depend on how many there are. For a GPU threads
    read ahead, and batches go to it one after the other.
    """

    networks: Sequence[nn.Module]  # from pixels (N, H, W, 3) uint8 to (N, C) float32, as PixelNetwork
    labels: int  # C
    image_size: tuple[int, int]  # height, width
    resize: ResizePolicy
    device: torch.device
    threads: int | None = None  # None: all that the process may use

    def run(self, sources: Iterable[Source], batch_size: int | None = None) -> Generator[Answered, None, None]:
        """Yield batches in the order of the sources, which are asked for only when it is their turn."""
        on_cpu = self.device.type == "cpu"
        batches = batched(sources, batch_size or (CPU_BATCH if on_cpu else GPU_BATCH))
        first = list(islice(batches, 2))
        if len(first) < 2:  # the shortest wait for a few pictures: torch shares out the work inside the network
            yield from (self.answer(self.read(batch)) for batch in first)
            return
        count = min(self.threads or usable_threads(), usable_threads())
        work, pool = chain(first, batches), partial(lone_threads, count)
        if on_cpu:
            yield from in_order(lambda batch: self.answer(self.read(batch)), work, pool, AHEAD * count)
        else:
            with closing(in_order(self.read, work, pool, AHEAD * count)) as read:
                yield from map(self.answer, read)

    def read(self, sources: list[Source]) -> _Batch:
        """Read pictures; what can't be read is said, not raised."""
        errors: list[str | None] = []
        pictures = []
        for source in sources:
            try:
                path = Path(source) if isinstance(source, str) else source
                pictures.append(load_image(path, self.image_size, self.resize))
                errors.append(None)
            except ModelingError as error:
                errors.append(str(error))
        empty = np.zeros((0, *self.image_size, 3), dtype=np.uint8)
        return _Batch(sources, errors, np.stack(pictures) if pictures else empty)

    @torch.inference_mode()
    def answer(self, batch: _Batch) -> Answered:
        """Send the pictures that could be read through all networks."""
        if not len(batch.pixels):
            nothing = np.zeros((len(self.networks), 0, self.labels), dtype=np.float32)
            return Answered(batch.sources, batch.errors, nothing)
        pixels = torch.from_numpy(batch.pixels).to(self.device)
        logits = torch.stack([network(pixels) for network in self.networks])
        return Answered(batch.sources, batch.errors, logits.cpu().numpy())


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield lists of ``size`` items, and what is left at the end."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def lone_threads(threads: int) -> ThreadPoolExecutor:
    """Threads in each of which torch computes alone; elsewhere it goes on as before."""
    before = torch.get_num_threads()
    ready = Barrier(threads + 1)

    def compute_alone() -> None:
        torch.get_num_threads()  # a thread takes over the process's number at its first question, so ask before
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "pictures", initializer=compute_alone)
    for _ in range(threads):
        pool.submit(int)  # starts a thread, since none is idle before all are ready
    ready.wait()
    torch.set_num_threads(before)  # what was set in the threads is the number for new ones, too
    return pool
