"""Which copies near-duplicate removal finds, and how often it takes two photos for one, beside the usual thresholds.

For 200 photos, and each kind of edit in ``copies/edits.py``, one copy is made of each photo. Ours is the default rule
(``crawlers.dedup``): "duplicate" is set aside by itself, "found" also counts what is listed for people to look at. The
peers compare one hash of the whole picture: the 64-bit phash at 10 bits (the default of imagededup) and PDQ at 31 of
256 bits (its usual threshold; only where pdqhash is installed).

Then all photos of the folder are compared with each other. Photos that show the same picture or the same moment have to
be named with --related, or they count as wrong; the pairs found are printed. Without --photos everything is drawn by
the demo: drawings are simpler than photos, and the figures say little about those.
"""

import argparse
import importlib.util
import json
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import numpy.typing as npt
import pandas as pd
from copies.edits import BORDERED, COLOURWAY, COPIES, PLAIN
from PIL import Image

from crawlers.dedup.hashing import ALGORITHM, HASH_VERSION, ImageHashes, hash_files
from crawlers.dedup.pairs import DISTINCT, similar_pairs, temporary_index
from crawlers.dedup.rule import DedupRule
from pipeline.demo.drawing.wardrobe import RECIPES
from pipeline.demo.illustrations import draw_outfit

COUNT, QUICK_COUNT = 200, 30  # photos that are copied
DRAWN, QUICK_DRAWN = 1_000, 100  # pictures drawn where there are no photos
DRAWN_SIZE = (320, 400)
SHOWN = 20  # pairs of different photos that are printed
CHUNK = 64  # files hashed at a time
PHASH_BITS, PDQ_BITS = 10, 31
WIDEST = 16  # bits of 64 that are looked at to see what a narrower radius loses
RADII = (8, 10, 12, 14)  # of 64 bits

WIDTHS = {"duplicate": 10, "found": 8, "phash64": 9, "PDQ": 7}  # of the columns printed

Words = npt.NDArray[np.uint64]  # (N, W)


@dataclass
class Hashes:
    """Hashes of N files, ours and the peers'."""

    ours: list[ImageHashes]
    phash: Words  # (N, 1)
    pdq: Words | None  # (N, 4)


def draw(folder: Path, count: int) -> list[Path]:
    """Draw different outfits."""
    files = []
    for number in range(count):
        files.append(folder / f"{number:05d}.jpg")
        picture = draw_outfit(list(RECIPES)[number % len(RECIPES)], (), number, DRAWN_SIZE)
        picture.save(files[-1], "JPEG", quality=90)
    return files


def hashes(files: Sequence[Path]) -> Hashes:
    """Hash files, all of which must be readable."""
    ours = [result for start in range(0, len(files), CHUNK) for result in hash_files(files[start : start + CHUNK])]
    pdqhash: Any = importlib.import_module("pdqhash") if importlib.util.find_spec("pdqhash") else None
    plain, pdq = [], []
    for file, result in zip(files, ours, strict=True):
        if not isinstance(result, ImageHashes):
            raise SystemExit(f"{file}: {result.detail}")
        with Image.open(file) as image:
            plain.append(np.packbits(imagehash.phash(image).hash))
            if pdqhash is not None:
                pdq.append(np.packbits(pdqhash.compute(np.asarray(image.convert("RGB")))[0]))
    return Hashes(
        [result for result in ours if isinstance(result, ImageHashes)],
        np.stack(plain).view(np.uint64),
        np.stack(pdq).view(np.uint64) if pdq else None,
    )


def bands(ours: Sequence[ImageHashes], rule: DedupRule) -> dict[tuple[int, int], str]:
    """Return the band of each similar pair (i < j)."""
    stamp = {"status": "ok", "algorithm": ALGORITHM, "version": HASH_VERSION}
    frame = pd.DataFrame([vars(one) | stamp for one in ours]).assign(image_id=[f"{n:064x}" for n in range(len(ours))])
    with temporary_index(frame, rule) as index:
        pairs = similar_pairs(index, frame["image_id"].tolist(), rule).to_pylist()
    near = [pair for pair in pairs if pair["band"] != DISTINCT]
    return {(int(pair["image_a"], 16), int(pair["image_b"], 16)): pair["band"] for pair in near}


def copy_all(name: str, files: Sequence[Path], folder: Path) -> list[Path]:
    """Make a copy of one kind of each photo; the same photo and kind always give the same copy."""
    copies = []
    for number, file in enumerate(files):
        with Image.open(file) as photo:
            rng = np.random.default_rng([number, zlib.crc32(name.encode())])
            copies.append(folder / f"{number:05d}")
            copies[-1].write_bytes(COPIES[name].file(photo.convert("RGB"), rng))
    return copies


def recalls(files: Sequence[Path], folder: Path, rule: DedupRule) -> dict[str, dict[str, float]]:
    """Return for each kind of copy the share in % that each method finds, and print them."""
    originals = hashes(files)
    found = {}
    missed: dict[int, int] = dict.fromkeys(RADII, 0)
    listed = 0
    heads = [name for name in WIDTHS if name != "PDQ" or originals.pdq is not None]
    print(f"\n{'':20}" + "".join(f"{name:>{WIDTHS[name]}}" for name in heads) + f"   % of {len(files)} copies")
    for name in COPIES:
        copies = hashes(copy_all(name, files, folder))
        seen = bands([*originals.ours, *copies.ours], rule)
        own = [seen.get((number, number + len(files))) for number in range(len(files))]
        row = {
            "duplicate": np.mean([band == "duplicate" for band in own]),
            "found": np.mean([band is not None for band in own]),
            "phash64": np.mean(distances(originals.phash, copies.phash) <= PHASH_BITS),
        }
        if originals.pdq is not None and copies.pdq is not None:
            row["PDQ"] = np.mean(distances(originals.pdq, copies.pdq) <= PDQ_BITS)
        found[name] = {method: 100 * float(share) for method, share in row.items()}
        print(f"{name:20}" + "".join(f"{found[name][method]:{WIDTHS[method]}.1f}" for method in row))
        everything = bands([*originals.ours, *copies.ours], rule.model_copy(update={"candidate_bits": WIDEST}))
        reached = [(number, number + len(files)) in everything for number in range(len(files))]
        near = nearest64(originals.ours, copies.ours)[reached]
        listed += len(near)
        for radius in RADII:
            missed[radius] += int((near > radius).sum())
    shares = ", ".join(f"{radius} bits {100 * count / max(1, listed):.2f}%" for radius, count in missed.items())
    print(f"lost of the {listed} found within {WIDEST} bits of 64, were only nearer pairs looked at: {shares}")
    return found


def distances(left: Words, right: Words) -> npt.NDArray[np.int64]:
    """Count the bits in which rows differ."""
    bits: npt.NDArray[np.int64] = np.bitwise_count(left ^ right).sum(axis=1, dtype=np.int64)
    return bits


def nearest64(originals: Sequence[ImageHashes], copies: Sequence[ImageHashes]) -> npt.NDArray[np.int64]:
    """Return for each pair the least 64-bit distance of the hashes that a search would compare."""

    def column(images: Sequence[ImageHashes], name: str) -> Words:
        return np.frombuffer(b"".join(getattr(image, name) for image in images), np.uint64)[:, None]

    stored = [column(originals, name) for name in ("phash64", "trim_phash64")]
    asked = [column(copies, f"{name}phash64") for name in ("", "trim_", "mirror_", "trim_mirror_")]
    least: npt.NDArray[np.int64] = np.min([distances(left, right) for left in stored for right in asked], axis=0)
    return least


def near(words: Words, bits: int) -> Iterator[tuple[int, int]]:
    """Yield all pairs i < j of rows at most so many bits apart."""
    for row in range(len(words) - 1):
        for other in np.flatnonzero(distances(words[row], words[row + 1 :]) <= bits):
            yield row, row + 1 + int(other)


def read_related(path: Path | None) -> set[frozenset[str]]:
    """Read pairs of file names, two in a line with a comma between them."""
    lines = [] if path is None else path.read_text().splitlines()
    return {frozenset(name.strip() for name in line.split(",")) for line in lines if line.strip()}


def false_pairs(files: Sequence[Path], related: set[frozenset[str]], rule: DedupRule) -> dict[str, float]:
    """Return for each method how many pairs of unrelated photos it takes for one, per million pairs, and print it."""
    all_hashes = hashes(files)
    seen = bands(all_hashes.ours, rule)
    pairs = {
        "duplicate": [pair for pair, band in seen.items() if band == "duplicate"],
        "found": list(seen),
        "phash64": list(near(all_hashes.phash, PHASH_BITS)),
    }
    if all_hashes.pdq is not None:
        pairs["PDQ"] = list(near(all_hashes.pdq, PDQ_BITS))
    total = len(files) * (len(files) - 1) / 2
    print(f"\n{total:,.0f} pairs of {len(files)} different photos, {len(related)} pairs named as related:")
    rates = {}
    for method, found in pairs.items():
        names = [(files[a].name, files[b].name) for a, b in found]
        wrong = [pair for pair in names if frozenset(pair) not in related]
        rates[method] = len(wrong) / total * 1e6
        print(f"  {method:10}{len(names):6} pairs, {len(wrong):5} of them unrelated: {rates[method]:.2f} per million")
        if method in ("duplicate", "found"):
            print("".join(f"      {a}, {b}\n" for a, b in wrong[:SHOWN]), end="")
    return rates


def result(name: str, own: float, peer: float | None, target: str, met: bool) -> dict[str, object]:
    """Put a figure into the form of the last line."""
    ratio = None if not peer else round(own / peer, 2)
    rounded = None if peer is None else round(peer, 2)
    return {"name": name, "ours": round(own, 2), "peer": rounded, "ratio": ratio, "target": target, "met": bool(met)}


def results(found: dict[str, dict[str, float]], wrong: dict[str, float]) -> list[dict[str, object]]:
    """Compare with the targets; the peer is the 64-bit phash."""
    lines = []

    def recall(what: str, names: Sequence[str], target: float) -> None:
        own, peer = (min(found[name][method] for name in names) for method in ("duplicate", "phash64"))
        lines.append(result(f"duplicates found, %: {what}", own, peer, f"at least {target:g}", own >= target))

    for what, group, target in (
        ("resized, recompressed or re-encoded, worst kind", PLAIN, 99),
        ("border, letterbox or mirrored, worst kind", BORDERED, 90),
    ):
        recall(what, [name for name, copying in COPIES.items() if copying.group == group], target)
    for name in ("watermark", "text", "caption bar", "crop 2%", "crop 5%"):
        recall(name, [name], 60)
    for name in (name for name, copying in COPIES.items() if copying.group == COLOURWAY):
        own, peer = found[name]["duplicate"], found[name]["phash64"]
        lines.append(result(f"dropped, %: {name}", own, peer, "at most 1", own <= 1))
    own, peer = wrong["duplicate"], wrong["phash64"]
    lines.append(result("wrong drops per million pairs of unrelated photos", own, peer, "below 0.5", own < 0.5))
    return lines


def main() -> None:
    """Measure everything and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, metavar="FOLDER", help="photos to use instead of drawn pictures")
    parser.add_argument("--related", type=Path, metavar="FILE", help="lines 'name, name' of photos that are copies")
    parser.add_argument("--quick", action="store_true", help="fewer pictures; rates of rare events mean little then")
    arguments = parser.parse_args()
    rule = DedupRule()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.photos is None:
            files = draw(folder, QUICK_DRAWN if arguments.quick else DRAWN)
            print(f"{len(files)} pictures of {DRAWN_SIZE[0]} x {DRAWN_SIZE[1]}, DRAWN by the demo: no photos")
        else:
            files = sorted(path for path in arguments.photos.iterdir() if path.is_file())
            print(f"{len(files)} photos")
        print(f"rule: {rule.version}")
        count = min(len(files), QUICK_COUNT if arguments.quick else COUNT)
        chosen = [files[number * len(files) // count] for number in range(count)]
        copies = folder / "copies"
        copies.mkdir()
        found = recalls(chosen, copies, rule)
        wrong = false_pairs(files, read_related(arguments.related), rule)
    print("RESULT", json.dumps(results(found, wrong)))


if __name__ == "__main__":
    main()
