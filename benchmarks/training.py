"""An epoch of training ML-GCN (ResNet-50): images per second, beside two other ways to write the loop.

(a) a plain, careful PyTorch loop over pictures that are decoded and resized in memory already (loops/plain.py); (b) a
loop that works the way published code does: JPEG decoding and MultiScaleCrop in every epoch, word vectors collated for
every sample, float32 (loops/published.py). Ours is ``modeling.train``, its pictures in the cache. All train the same
network with random weights on the same JPEGs of crawl size, in turn, round by round; the first epoch of each is left
out, and medians are compared. On a GPU the plain loop runs once more with everything on the device: the most that the
network can reach there.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hashing import pictures
from loops.plain import train_plainly
from loops.published import train_as_published

from modeling.images import cached_images
from modeling.train import GraphReference, train
from modeling.training_settings import BackboneSettings, TrainingSettings

LABELS = ["Casual", "Romantic", "Sexy", "Ethnic", "Elegant"]
DIMENSIONS = 300  # of the word vectors
BACKBONE = "resnet50"
PLAIN_TARGET, PUBLISHED_TARGET = 0.97, 1.3  # on a CPU
GPU_PUBLISHED_TARGET, GPU_DEVICE_TARGET = 4.0, 0.85


@dataclass(frozen=True)
class Case:
    """What all loops train on."""

    files: list[Path]
    targets: np.ndarray  # (N, C) float32
    word_vectors: np.ndarray  # (C, 300)
    adjacency: np.ndarray  # (C, C)
    size: int
    batch_size: int
    epochs: int  # the first one is left out
    device: torch.device
    folder: Path

    @property
    def images(self) -> int:
        """Pictures that an epoch trains on."""
        return len(self.files) // self.batch_size * self.batch_size


def make_case(files: list[Path], size: int, batch_size: int, epochs: int, device: torch.device, folder: Path) -> Case:
    """Draw labels, word vectors and a graph at random."""
    random = np.random.default_rng(0)
    targets = np.zeros((len(files), len(LABELS)), dtype=np.float32)
    targets[np.arange(len(files)), np.arange(len(files)) % len(LABELS)] = 1
    adjacency = 0.8 * np.eye(len(LABELS)) + 0.2 / len(LABELS)
    vectors = random.normal(size=(len(LABELS), DIMENSIONS)).astype(np.float32)
    return Case(files, targets, vectors, adjacency, size, batch_size, epochs, device, folder)


def ours(case: Case) -> list[float]:
    """Seconds of each epoch of ``modeling.train``; its epochs score one validation image besides."""
    count = len(case.files)
    rows = pd.DataFrame(
        {
            "image_id": [f"{number:04}" for number in range(count + 1)],
            "file_id": [f"{number % count:04}" for number in range(count + 1)],
            "window": "2019-07-01",
            "group_id": [f"g{number}" for number in range(count + 1)],
            "main": [LABELS[number % len(LABELS)] for number in range(count + 1)],
            "subs": [[] for _ in range(count + 1)],
            "split": ["train"] * count + ["validation"],
        }
    )
    training = TrainingSettings(
        image_size=(case.size, case.size), batch_size=case.batch_size, epochs=case.epochs, device=str(case.device)
    )
    with tempfile.TemporaryDirectory(dir=case.folder) as model:
        trained = train(
            rows,
            LABELS,
            case.word_vectors,
            case.adjacency,
            "ml_gcn",
            BackboneSettings(name=BACKBONE),
            training,
            lambda file_id: case.files[int(file_id)],
            case.folder / "cache",
            Path(model),
            graph=GraphReference("benchmark", "equation"),
        )
    return trained.curves.column("seconds").to_pylist()


def plain(case: Case, *, on_device: bool = False) -> list[float]:
    """Seconds of each epoch of the plain loop."""
    ids = [str(number) for number in range(len(case.files))]
    cached = cached_images(
        ids, lambda name: case.files[int(name)], (case.size, case.size), "stretch", case.folder / "plain"
    )
    return train_plainly(
        np.array(cached),
        case.targets,
        case.word_vectors,
        case.adjacency,
        BACKBONE,
        case.batch_size,
        case.epochs,
        case.device,
        on_device=on_device,
    )


def published(case: Case) -> list[float]:
    """Seconds of each epoch of the loop that works as published code does."""
    return train_as_published(
        case.files,
        case.targets,
        case.word_vectors,
        case.adjacency,
        BACKBONE,
        case.size,
        case.batch_size,
        case.epochs,
        case.device,
    )


def measure(case: Case, rounds: int) -> list[dict[str, object]]:
    """Run all loops in turn, print their speeds, and return the results."""
    loops: dict[str, Callable[[Case], list[float]]] = {"ours": ours, "plain": plain, "published": published}
    on_gpu = case.device.type == "cuda"
    if on_gpu:
        loops["on device"] = lambda case: plain(case, on_device=True)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds):
        for name, loop in loops.items():
            if number == 0 or name != "published":  # once is enough for a target so far away, and it is the slowest
                seconds[name] += loop(case)[1:]
    speed = {name: case.images / statistics.median(values) for name, values in seconds.items()}
    where = torch.cuda.get_device_name(case.device) if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{BACKBONE} at {case.size} on {where}: " + ", ".join(f"{n} {v:.2f} images/s" for n, v in speed.items()))
    targets = {"plain": PLAIN_TARGET, "published": PUBLISHED_TARGET}
    if on_gpu:
        targets = {"published": GPU_PUBLISHED_TARGET, "on device": GPU_DEVICE_TARGET}
    return [
        {
            "name": f"training epoch, ML-GCN, {BACKBONE} at {case.size}, images/s, against: {peer}",
            "ours": round(speed["ours"], 2),
            "peer": round(speed[peer], 2),
            "ratio": round(speed["ours"] / speed[peer], 2),
            "target": target,
            "met": speed["ours"] / speed[peer] >= target,
        }
        for peer, target in targets.items()
    ]


def work(size: int, device: torch.device) -> tuple[int, int]:
    """Pictures of an epoch and of a step: enough that what is done once an epoch hardly counts."""
    if device.type == "cuda":
        return 2048, 32
    return (96, 16) if size <= 224 else (24, 8)


def main() -> None:
    """Measure the image sizes and print the results."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 448])
    parser.add_argument("--images", type=int, help="pictures of an epoch; without it, what the device can do")
    parser.add_argument("--batch-size", type=int, help="pictures of a step; without it, what the device can do")
    parser.add_argument("--epochs", type=int, default=3, help="of each training, the first of which is not counted")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--photos", type=Path, help="folder of photos instead of drawn pictures")
    options = parser.parse_args()
    results = []
    for size in options.sizes:
        images, batch_size = work(size, device)
        images, batch_size = options.images or images, options.batch_size or batch_size
        with tempfile.TemporaryDirectory() as name:
            files = pictures(Path(name), options.photos, images)
            case = make_case(files, size, batch_size, options.epochs, device, Path(name))
            results += measure(case, options.rounds)
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
