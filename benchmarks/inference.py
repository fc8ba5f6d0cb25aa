"""Pictures per second from JPEG files to labels, beside the same network called as people write it, image by image.

The peer opens a file with PIL, converts it to RGB, resizes it, makes a tensor of it and normalises it, with the
transforms of torchvision, and calls the network as it was trained, label graph included, under ``torch.no_grad``; all
cores work inside the network. Ours is ``Predictor.stream``. Weights are random, which does not change the time. Each
side runs in a process of its own, in turn, in the same environment (threads of OpenMP that wait sleep: spinning ones
would cost the peer most), timed after a warm-up and without its start; medians over ``RUNS``. Pictures are JPEGs of
1080 x 1350, drawn by the demo or made from the photos in a folder. On a busy machine the figures say little. About
four minutes on two idle cores.

Also: latency of one picture, warm; processor time beside the clock; the limit that the network itself sets to what can
be saved around it; and whether bfloat16 would help on this CPU.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

RUNS = 3
SIZE = (1080, 1350)  # width, height
FILES = 40
WARM_UP = 8
SINGLE = 10  # pictures that are timed one by one
BATCH = 8
TARGET = 3.0
LABELS = ["Casual", "Romantic", "Sexy", "Elegant", "Ethnic"]
ENVIRONMENT = {"OMP_WAIT_POLICY": "PASSIVE"}  # of both sides
CASES = {"mobilenet_v2": ((192, 128), 160), "resnet50": ((224, 224), 40)}  # image size, pictures per run


def write_pictures(folder: Path, photos: Path | None) -> None:
    """Write the JPEGs that are labelled."""
    from PIL import Image

    from pipeline.demo.drawing.wardrobe import RECIPES
    from pipeline.demo.illustrations import draw_outfit

    sources = [] if photos is None else sorted(path for path in photos.iterdir() if path.is_file())
    for number in range(FILES):
        if photos is None:
            picture = draw_outfit(list(RECIPES)[number % len(RECIPES)], (), number, SIZE)
        else:
            with Image.open(sources[number * len(sources) // FILES]) as photo:
                picture = photo.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        picture.save(folder / f"{number:03d}.jpg", "JPEG", quality=85)


def network_and_card(backbone: str) -> tuple[Any, dict[str, Any]]:
    """ML-GCN with random weights, and as much of a card as a predictor reads."""
    import numpy as np
    import torch

    from modeling.networks.style_network import build_network
    from modeling.training_settings import BackboneSettings, TrainingSettings

    torch.manual_seed(0)
    training = TrainingSettings(image_size=CASES[backbone][0])
    vectors = np.random.default_rng(0).normal(size=(len(LABELS), 300))
    adjacency = np.full((len(LABELS), len(LABELS)), 0.05) + 0.75 * np.eye(len(LABELS))
    network = build_network("ml_gcn", BackboneSettings(name=backbone), training, LABELS, vectors, adjacency).network
    card = {
        "labels": LABELS,
        "seed": 0,
        "training": training.model_dump(mode="json"),
        "calibration": {"temperature": 1.0, "thresholds": dict.fromkeys(LABELS, 0.5)},
    }
    return network.eval(), card


def naive(backbone: str) -> Callable[[list[Path]], int]:
    """Label pictures one by one, as in a tutorial."""
    from modeling import torchvision_guard  # noqa: F401

    # isort: split
    import torch
    from PIL import Image
    from torchvision import transforms

    from modeling.networks.style_network import MEAN, STD

    network, _ = network_and_card(backbone)
    transform = transforms.Compose(
        [transforms.Resize(CASES[backbone][0]), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )

    def label(files: list[Path]) -> int:
        answers = []
        for file in files:
            pixels = transform(Image.open(file).convert("RGB"))[None]
            with torch.no_grad():
                # the network's own normalisation is left out: the transforms did it
                probabilities = torch.sigmoid(network.from_frozen(network.frozen_blocks(pixels)))
            answers.append({name: float(value) for name, value in zip(LABELS, probabilities[0], strict=True)})
        return len(answers)

    return label


def ours(backbone: str) -> Callable[[list[Path]], int]:
    """Label pictures with the library's stream."""
    from modeling.predict import Predictor

    predictor = Predictor(*network_and_card(backbone), "cpu")
    return lambda files: sum(prediction.error is None for prediction in predictor.stream(files))


def measure(side: str, backbone: str, folder: Path) -> dict[str, float]:
    """Time one side in this process: seconds for each picture of many, and for one alone."""
    label = {"naive": naive, "ours": ours}[side](backbone)
    files = sorted(folder.iterdir())
    many = [files[number % len(files)] for number in range(CASES[backbone][1])]
    label(many[:WARM_UP])
    begin, used = time.perf_counter(), time.process_time()
    if label(many) != len(many):
        raise RuntimeError("a picture was not labelled")
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    single = []
    for file in files[:SINGLE]:
        begin = time.perf_counter()
        label([file])
        single.append(time.perf_counter() - begin)
    return {
        "seconds": seconds / len(many),
        "processor": processor / len(many),
        "latency": statistics.median(single),
    }


def network_alone(backbone: str) -> dict[str, float]:
    """Seconds for a picture of our network alone on one core; how many times faster autocast to bfloat16 makes it, and
    how far probabilities move.

    Random weights give logits near 0, so they are scaled to a standard deviation of 2, as a trained model's.
    """
    from modeling import torchvision_guard  # noqa: F401

    # isort: split
    import torch

    network = network_and_card(backbone)[0].for_inference()
    torch.set_num_threads(1)
    images = torch.randint(0, 256, (BATCH, *CASES[backbone][0], 3), dtype=torch.uint8).permute(0, 3, 1, 2)

    def processor_time() -> float:
        begin = time.thread_time()
        network(images)
        return time.thread_time() - begin

    with torch.inference_mode():
        exact, full = network(images), min(processor_time() for _ in range(3))
        with torch.autocast("cpu", torch.bfloat16):
            rounded, half = network(images).float(), min(processor_time() for _ in range(3))
    moved = torch.sigmoid(2 * exact / exact.std()) - torch.sigmoid(2 * rounded / exact.std())
    return {"seconds": full / BATCH, "gain": full / half, "difference": float(moved.abs().max())}


def child(*arguments: str) -> dict[str, float]:
    """Run a part of this script in a process of its own."""
    command = [sys.executable, __file__, "--part", *arguments]
    output = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **ENVIRONMENT},
    )
    figures: dict[str, float] = json.loads(output.stdout.splitlines()[-1])
    return figures


def results(backbone: str, folder: Path) -> Iterator[dict[str, object]]:
    """Measure both sides in turn, print, and yield what goes into the last line."""
    runs = [(child("ours", backbone, str(folder)), child("naive", backbone, str(folder))) for _ in range(RUNS)]
    own, peer = ({key: statistics.median(run[side][key] for run in runs) for key in runs[0][side]} for side in (0, 1))
    height, width = CASES[backbone][0]
    title = f"{backbone} at {height} x {width}"
    print(f"{title}: {1 / own['seconds']:.1f} pictures/s, image by image {1 / peer['seconds']:.1f}")
    print(
        f"  processor time {1000 * own['processor']:.1f} and {1000 * peer['processor']:.1f} ms a picture, "
        f"one picture, warm {1000 * own['latency']:.1f} and {1000 * peer['latency']:.1f} ms"
    )
    alone = child("network", backbone)
    cores = len(os.sched_getaffinity(0))
    limit = cores * peer["seconds"] / alone["seconds"]
    print(
        f"  our network alone takes {1000 * alone['seconds']:.1f} ms of a core: if reading cost nothing, at most "
        f"{cores / alone['seconds']:.1f} pictures/s on {cores} cores, {limit:.1f} times image by image"
        + ("" if limit >= TARGET else f"; {TARGET:g} times is out of reach here")
    )
    print(
        f"  bfloat16 on one core: {alone['gain']:.2f} times as fast, probabilities up to {alone['difference']:.3f} off"
    )
    ratio = peer["seconds"] / own["seconds"]
    yield {
        "name": f"JPEG files to labels, {title}, pictures/s",
        "ours": round(1 / own["seconds"], 1),
        "peer": round(1 / peer["seconds"], 1),
        "ratio": round(ratio, 2),
        "limit": round(limit, 2),
        "target": f"at least {TARGET:g} times",
        "met": ratio >= TARGET,
    }
    yield {
        "name": f"one picture, warm, {title}, ms",
        "ours": round(1000 * own["latency"], 1),
        "peer": round(1000 * peer["latency"], 1),
        "ratio": round(own["latency"] / peer["latency"], 2),
        "target": None,
        "met": None,
    }


def main() -> None:
    """Measure everything and print the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, help="folder of photos that are brought to 1080 x 1350")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.part:
        kind, backbone, *rest = arguments.part
        print(json.dumps(network_alone(backbone) if kind == "network" else measure(kind, backbone, Path(rest[0]))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, arguments.photos)
        mean = statistics.mean(path.stat().st_size for path in folder.iterdir())
        print(f"{FILES} JPEGs of {SIZE[0]} x {SIZE[1]}, {mean / 1000:.0f} kB; load before: {os.getloadavg()[0]:.1f}")
        found = [row for backbone in CASES for row in results(backbone, folder)]
    print("RESULT", json.dumps(found))


if __name__ == "__main__":
    main()
