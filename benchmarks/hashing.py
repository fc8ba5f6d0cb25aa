"""Perceptual hashing beside plain imagehash and imagededup: pictures per second of one core, on JPEGs of 1080 x 1350.

Ours computes eight hashes (64 and 256 bits; plain, without border, and both mirrored), colour and grey thumbnails, and
reads pictures at 1/8 of their size. ``imagehash.phash(Image.open(file))`` and imagededup's ``PHash`` compute one hash
of 64 bits. One process each (imagededup's is a child); medians of the processor time. Then ours with two processes, by
the clock and with their start.

The pictures are drawn by the demo, or made from the photos in a folder. The larger the files, the more of the time is
the JPEG decoder's entropy pass, which is the same for all: mean sizes are printed.
"""

import argparse
import importlib.util
import json
import logging
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import imagehash
from PIL import Image

from crawlers.dedup.hashing import hash_files, hash_images
from pipeline.demo.drawing.wardrobe import RECIPES
from pipeline.demo.illustrations import draw_outfit

SIZE = (1080, 1350)
RUNS, QUICK_RUNS = 5, 3
POOLED = 6_000  # pictures; from 5,000 on hash_images starts processes
PROCESSES = 2
TARGET = 5.0  # times plain imagehash

Hasher = Callable[[Sequence[Path]], object]


def pictures(folder: Path, photos: Path | None, count: int) -> list[Path]:
    """Write the JPEGs that are hashed."""
    files = []
    sources = [] if photos is None else sorted(path for path in photos.iterdir() if path.is_file())
    for number in range(count):
        if photos is None:
            picture = draw_outfit(list(RECIPES)[number % len(RECIPES)], (), number, SIZE)
        else:
            with Image.open(sources[number * len(sources) // count]) as photo:
                picture = photo.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS)
        files.append(folder / f"{number:03d}.jpg")
        picture.save(files[-1], "JPEG", quality=85)
    return files


def plain(files: Sequence[Path]) -> None:
    """Hash with imagehash as its documentation shows."""
    for file in files:
        with Image.open(file) as image:
            imagehash.phash(image)


def imagededup() -> Hasher | None:
    """Return imagededup's hashing of a folder by its one worker process, or None where it is not installed."""
    if importlib.util.find_spec("imagededup") is None:
        return None
    import modeling.torchvision_guard  # noqa: F401  imagededup loads torchvision

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from imagededup.methods import PHash
    logging.disable(logging.INFO)  # it tells of every call
    hasher = PHash(verbose=False)
    return lambda files: hasher.encode_images(str(files[0].parent), num_enc_workers=0)


def used() -> float:
    """Return the seconds of processor time of this process and of its children that ended."""
    usages = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def rate(hasher: Hasher, files: Sequence[Path]) -> float:
    """Return pictures per second of processor time."""
    begin = used()
    hasher(files)
    return len(files) / (used() - begin)


def rates(hashers: dict[str, Hasher], files: Sequence[Path], runs: int) -> dict[str, float]:
    """Return the median rate of each, in turn, after a first time that warms up."""
    found = [{name: rate(hasher, files) for name, hasher in hashers.items()} for _ in range(runs + 1)][1:]
    return {name: statistics.median(run[name] for run in found) for name in hashers}


def pooled(files: Sequence[Path]) -> tuple[float, float]:
    """Return pictures per second by the clock, in this process and in a pool with its start."""
    images = [(str(number), files[number % len(files)]) for number in range(POOLED)]
    rates = []
    for processes in (1, PROCESSES):
        begin = time.perf_counter()
        hash_images(images, processes)
        rates.append(len(images) / (time.perf_counter() - begin))
    return rates[0], rates[1]


def result(name: str, own: float, peer: float, target: float | None = None) -> dict[str, object]:
    """Put a figure into the form of the last line."""
    ratio = own / peer
    wanted, met = (None, None) if target is None else (f"at least {target:g} times", ratio >= target)
    return {
        "name": name,
        "ours": round(own),
        "peer": round(peer),
        "ratio": round(ratio, 2),
        "target": wanted,
        "met": met,
    }


def main() -> None:
    """Time all in turn and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photos to use instead of drawn pictures")
    parser.add_argument("--quick", action="store_true", help="fewer pictures and runs, no pool")
    arguments = parser.parse_args()
    count, runs = (len(RECIPES), QUICK_RUNS) if arguments.quick else (3 * len(RECIPES), RUNS)
    with tempfile.TemporaryDirectory() as folder:
        files = pictures(Path(folder), arguments.photos, count)
        size = statistics.mean(file.stat().st_size for file in files) / 1000
        origin = "drawn by the demo" if arguments.photos is None else "photos scaled to that size"
        print(f"{count} JPEGs of {SIZE[0]} x {SIZE[1]}, quality 85, {size:.0f} kB on average: {origin}")
        middle = rates({"ours": hash_files, "imagehash": plain}, files, runs)
        if (
            peer := imagededup()
        ):  # afterwards: it loads PyTorch, and its forks would slow down what runs in turn with it
            middle |= rates({"imagededup": peer}, files, runs)
        else:
            print("imagededup is missing; install it with: pip install -c constraints.txt -e '.[bench]'")
        for name, value in middle.items():
            hashes = "8 hashes" if name == "ours" else "1 hash"
            print(f"  {name:12}{value:8.0f} pictures/s of one core, {hashes} each")
        results = [
            result(f"hashing against {name}, pictures/s, {size:.0f} kB each", middle["ours"], middle[name], TARGET)
            for name in middle
            if name != "ours"
        ]
        if not arguments.quick:
            alone, together = pooled(files)
            print(f"  {POOLED} pictures by the clock: {alone:.0f}/s alone, {together:.0f}/s with {PROCESSES} processes")
            results.append(result(f"hashing {POOLED} pictures, {PROCESSES} processes against one", together, alone))
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
