"""All pairs of 64-bit hashes within a radius: our search beside faiss and imagededup, and adding to what is known.

Every contender runs in a process of its own, one after the other, and its peak memory is that process's, with its
imports and the hashes. Ours is the median of three searches (one at ten million) after a first one that compiles
(seconds, once a process; printed). Peers answer a sample of the queries, and their time for all is extrapolated:

* faiss ``IndexBinaryFlat`` with as many threads as ours, on at most 2,000 queries;
* imagededup's brute force (compiled, one query at a time) on at most 20 queries, divided by the number of threads,
  because imagededup spreads queries over processes.

Two kinds of hashes, both with one planted near-duplicate for every hundred: random bits; and skewed ones, the 32
greatest of 64 mixtures of 20 Gaussian values, which have as many near pairs as perceptual hashes of unrelated photos
(about 0.1 million within 8 bits among 100,000). Recall is checked after each search: every planted pair must be there,
and the neighbours of 50 hashes must be those that numpy finds by comparing with all.

``ratio`` in the last line is how many times ours is as fast as the peer, or how much less memory it needs.

Needs faiss and imagededup: ``pip install -c constraints.txt -e '.[bench]'``. Linux only (peak memory).
"""

import argparse
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

THREADS = 2
SIZES = ((16_685, 8), (16_685, 10), (100_000, 8), (100_000, 10), (1_000_000, 8), (1_000_000, 10), (10_000_000, 8))
LARGEST_SKEWED = LARGEST_IMAGEDEDUP = 1_000_000  # imagededup keeps its hashes in a dict of strings
FAISS_QUERIES, IMAGEDEDUP_QUERIES = 2_000, 20
AT_FAISS, AT_IMAGEDEDUP = 1_000_000, 100_000  # hashes from which the targets hold
ADDED = 10_000
BITS = 64
RANK = 20  # of the skewed hashes
TARGET_FAISS, TARGET_IMAGEDEDUP = 20.0, 1000.0  # times as fast
TARGET_ADD, TARGET_MEMORY = 1.0, 1000.0  # seconds, MB
MISSING = "faiss is missing; install it with: pip install -c constraints.txt -e '.[bench]'"
NO_IMAGEDEDUP = "imagededup cannot be imported here, so it is left out"

Hashes = npt.NDArray[np.uint64]
Measured = dict[str, Any]


def random_hashes(count: int, seed: int) -> Hashes:
    """Draw ``(count,)`` hashes with random bits."""
    return np.random.default_rng(seed).integers(0, 2**BITS, count, dtype=np.uint64)


def skewed_hashes(count: int, seed: int) -> Hashes:
    """Draw ``(count,)`` hashes whose bits depend on each other, 32 of them set, as in perceptual hashes."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(RANK, BITS)).astype(np.float32)
    parts = []
    for start in range(0, count, 100_000):
        values = rng.normal(size=(min(100_000, count - start), RANK)).astype(np.float32) @ mixing
        bits = values > np.median(values, axis=1, keepdims=True)
        parts.append(np.packbits(bits, axis=1).view(np.uint64)[:, 0])
    return np.concatenate(parts)


def hashes_of(kind: str, count: int, radius: int) -> tuple[Hashes, npt.NDArray[np.int64]]:
    """Make hashes, one of a hundred a copy of another with up to ``radius`` bits changed; returns the planted pairs."""
    hashes = {"random": random_hashes, "skewed": skewed_hashes}[kind](count, seed=count)
    rng = np.random.default_rng(1)
    rows = rng.choice(count, count // 100 * 2, replace=False).reshape(-1, 2)
    places = rng.permuted(np.tile(np.arange(BITS, dtype=np.uint64), (len(rows), 1)), axis=1)[:, :radius]
    changed = np.arange(radius) < rng.integers(0, radius + 1, (len(rows), 1))
    flips = np.where(changed, np.uint64(1) << places, np.uint64(0))
    hashes[rows[:, 1]] = hashes[rows[:, 0]] ^ np.bitwise_or.reduce(flips, axis=1)
    return hashes, np.sort(rows, axis=1)


def peak() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def ours(kind: str, count: int, radius: int) -> Measured:
    """Search all pairs, piece by piece, then once more to check that none is missing."""
    from crawlers.dedup.search import near_pair_pieces

    hashes, planted = hashes_of(kind, count, radius)
    begin = time.perf_counter()
    found = sum(map(len, near_pair_pieces(hashes[:100], None, radius)))
    compiling = time.perf_counter() - begin
    times = []
    for _ in range(1 if count >= 10_000_000 else 3):
        begin = time.perf_counter()
        found = sum(map(len, near_pair_pieces(hashes, None, radius, THREADS)))
        times.append(time.perf_counter() - begin)
    memory = peak()
    rows = np.concatenate([planted[:20, 0], np.random.default_rng(2).integers(0, count, 30)])
    asked = np.zeros(count, np.bool_)
    asked[rows] = True
    planted_left = np.sort(planted[:, 0] * count + planted[:, 1])
    planted_found = 0
    near: dict[tuple[int, int], int] = {}
    for piece in near_pair_pieces(hashes, None, radius, THREADS):
        key = piece.left * count + piece.right
        place = np.minimum(np.searchsorted(planted_left, key), len(planted_left) - 1)
        planted_found += int((planted_left[place] == key).sum())
        some = np.flatnonzero(asked[piece.left] | asked[piece.right])
        pairs = zip(piece.left[some].tolist(), piece.right[some].tolist(), strict=True)
        near |= dict(zip(pairs, piece.distance[some].tolist(), strict=True))
    wanted: dict[tuple[int, int], int] = {}
    for row in set(rows.tolist()):
        bits = np.bitwise_count(hashes ^ hashes[row])
        for other in np.flatnonzero(bits <= radius).tolist():
            if other != row:
                wanted[min(row, other), max(row, other)] = int(bits[other])
    if planted_found != len(planted) or near != wanted:
        raise SystemExit(f"pairs are missing or wrong: {kind}, {count} hashes, {radius} bits")
    return {"seconds": statistics.median(times), "compiling": compiling, "peak": memory, "pairs": found}


def faiss(kind: str, count: int, radius: int) -> Measured:
    """Ask faiss's flat index a sample of the queries."""
    import faiss as library

    hashes, _ = hashes_of(kind, count, radius)
    library.omp_set_num_threads(THREADS)
    index = library.IndexBinaryFlat(BITS)
    index.add(hashes.view(np.uint8).reshape(-1, BITS // 8))
    return sampled(count, FAISS_QUERIES, lambda rows: faiss_search(index, hashes[rows], radius))


def faiss_search(index: Any, queries: Hashes, radius: int) -> None:
    """Find all within the radius; faiss means strictly less."""
    index.range_search(queries.view(np.uint8).reshape(-1, BITS // 8), radius + 1)


def imagededup(kind: str, count: int, radius: int) -> Measured:
    """Ask imagededup's brute force a sample of the queries."""
    from imagededup.handlers.search.brute_force_cython import BruteForceCython

    hashes, _ = hashes_of(kind, count, radius)
    words = [f"{value:016x}" for value in hashes.tolist()]
    search = BruteForceCython(dict(zip(map(str, range(count)), words, strict=True)), lambda a, b: 0)
    measured = sampled(count, IMAGEDEDUP_QUERIES, lambda rows: [search.search(words[row], radius) for row in rows])
    return measured | {"seconds": measured["seconds"] / THREADS}


def sampled(count: int, most: int, ask: Callable[[npt.NDArray[np.int64]], object]) -> Measured:
    """Time some of ``count`` queries, after one that warms up, and say how long all would take."""
    rows = np.random.default_rng(3).permutation(count)[: min(count, most)]
    ask(rows[:1])
    begin = time.perf_counter()
    ask(rows)
    return {"seconds": (time.perf_counter() - begin) * count / len(rows), "peak": peak(), "queries": len(rows)}


def ours_add(kind: str, count: int, radius: int) -> Measured:
    """Compare new hashes with many."""
    from crawlers.dedup.search import near_pairs

    hashes, _ = hashes_of(kind, count, radius)
    new = np.concatenate([hashes[: ADDED // 10], random_hashes(ADDED - ADDED // 10, seed=7)])
    near_pairs(new[:100], hashes[:100], radius)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        pairs = near_pairs(new, hashes, radius, THREADS)
        times.append(time.perf_counter() - begin)
    if not np.isin(np.arange(ADDED // 10), pairs.left).all():
        raise SystemExit("pairs are missing")
    return {"seconds": statistics.median(times), "peak": peak(), "pairs": len(pairs)}


def faiss_add(kind: str, count: int, radius: int) -> Measured:
    """Ask faiss's flat index a sample of new hashes."""
    import faiss as library

    hashes, _ = hashes_of(kind, count, radius)
    new = random_hashes(ADDED, seed=7)
    library.omp_set_num_threads(THREADS)
    index = library.IndexBinaryFlat(BITS)
    index.add(hashes.view(np.uint8).reshape(-1, BITS // 8))
    return sampled(ADDED, FAISS_QUERIES, lambda rows: faiss_search(index, new[rows], radius))


def image_table(bits256: npt.NDArray[np.uint8], seed: int) -> Any:
    """Make rows of ``IMAGE_HASHES`` with these ``(N, 32) uint8`` hashes; a fifth have a border."""
    import pyarrow as pa

    rng = np.random.default_rng(seed)
    count = len(bits256)

    def column(values: npt.NDArray[np.uint8]) -> Any:
        width = values.shape[1]
        return pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(width), count, [None, pa.py_buffer(np.ascontiguousarray(values))]
        )

    mirrored = rng.integers(0, 256, (count, 32), np.uint8)
    bordered = (rng.random((count, 1)) < 0.2) * rng.integers(0, 256, (count, 32), np.uint8)
    variants = {
        "": bits256,
        "trim_": bits256 ^ bordered,
        "mirror_": mirrored,
        "trim_mirror_": mirrored ^ bordered,
    }
    columns = {"image_id": pa.array([row.tobytes().hex() for row in rng.integers(0, 256, (count, 32), np.uint8)])}
    columns |= {f"{name}phash256": column(values) for name, values in variants.items()}
    columns |= {f"{name}phash64": column(values[:, :8]) for name, values in variants.items()}
    columns |= {name: column(rng.integers(0, 256, (count, 128), np.uint8)) for name in ("chroma", "trim_chroma")}
    columns["trim_luma"] = column(rng.integers(0, 256, (count, 256), np.uint8))
    texts = {"status": "ok", "algorithm": "imagehash.phash", "version": "1"}
    columns |= {name: pa.array([text] * count) for name, text in texts.items()}
    return pa.table(columns | {"flat": pa.array([False] * count)})


def index(kind: str, count: int, radius: int) -> Measured:
    """Fill an index window by window, then add some more; the 256 bits are the 64 and random ones."""
    from crawlers.dedup.pair_index import PairIndex

    windows = 50
    rng = np.random.default_rng(4)
    hashes, _ = hashes_of(kind, count + ADDED, radius)

    def table(start: int, end: int) -> Any:
        bits = rng.integers(0, 256, (end - start, 32), np.uint8)
        bits[:, :8] = hashes[start:end].view(np.uint8).reshape(-1, 8)
        return image_table(bits, start)

    with tempfile.TemporaryDirectory(prefix="stylegraph-bench-") as folder:
        pairs = PairIndex(Path(folder), "imagehash.phash 1", radius, keep_bits=96)
        seconds = 0.0
        for start in range(0, count, count // windows):
            part = table(start, start + count // windows)
            begin = time.perf_counter()
            pairs.add(part)
            seconds += time.perf_counter() - begin
        part = table(count, count + ADDED)
        begin = time.perf_counter()
        pairs.add(part)
        added = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        found = sum(map(len, pairs.pieces()))
    return {"seconds": seconds, "added": added, "peak": peak(), "pairs": found, "disk": size}


TASKS: dict[str, Callable[[str, int, int], Measured]] = {
    task.__name__: task for task in (ours, faiss, imagededup, ours_add, faiss_add, index)
}


def measure(task: str, kind: str, count: int, radius: int) -> Measured:
    """Run a task in a process of its own."""
    command = [sys.executable, __file__, "--task", task, kind, str(count), str(radius)]
    child = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: Measured = json.loads(child.stdout.splitlines()[-1])
    return measured


def result(name: str, own: float, peer: float | None, target: str | None, met: bool | None) -> Measured:
    """Put a figure into the form of the last line."""
    ratio = None if peer is None else round(peer / own, 1)
    rounded = None if peer is None else round(peer, 2)
    return {"name": name, "ours": round(own, 3), "peer": rounded, "ratio": ratio, "target": target, "met": met}


def all_pairs(sizes: list[tuple[int, int]], peers: dict[str, tuple[float, int]]) -> list[Measured]:
    """Compare the searches for all pairs; ``peers`` can be imported, with the ratio to reach and from which size on."""
    results = []
    print(f"{'hashes':>24}{'bits':>6}{'pairs':>12}{'ours s':>9}{'MB':>7}", end="")
    print("".join(f"{f'{peer} s':>14}{'MB':>7}{'ratio':>8}" for peer in peers))
    for kind in ("random", "skewed"):
        for count, radius in sizes:
            if kind == "skewed" and count > LARGEST_SKEWED:
                continue
            own = measure("ours", kind, count, radius)
            what = f"{kind} {count:,}"
            print(f"{what:>24}{radius:6}{own['pairs']:12,}{own['seconds']:9.3f}{own['peak']:7.0f}", end="", flush=True)
            name = f"all pairs within {radius} bits of {count:,} {kind} hashes"
            met = own["peak"] < TARGET_MEMORY
            results.append(result(f"peak MB, {name}", own["peak"], None, f"below {TARGET_MEMORY:.0f} MB", met))
            for peer, (target, size) in peers.items():
                if peer == "imagededup" and count > LARGEST_IMAGEDEDUP:
                    continue
                other = measure(peer, kind, count, radius)
                ratio = other["seconds"] / own["seconds"]
                print(f"{other['seconds']:14,.1f}{other['peak']:7.0f}{ratio:8,.0f}", end="", flush=True)
                line = result(f"seconds, {name}, peer {peer}", own["seconds"], other["seconds"], None, None)
                if count >= size:
                    line |= {"target": f"{target:g} times as fast", "met": ratio >= target}
                results.append(line)
            print(f"   compiled in {own['compiling']:.1f} s", flush=True)
    return results


def adding(count: int) -> list[Measured]:
    """Compare new hashes with many, as bare hashes and with the index on disk."""
    own, peer = measure("ours_add", "random", count, 8), measure("faiss_add", "random", count, 8)
    what = f"{ADDED:,} new hashes against {count:,}, 8 bits"
    print(f"\n{what}: ours {own['seconds']:.3f} s, {own['peak']:.0f} MB; faiss {peer['seconds']:.2f} s")
    met = own["seconds"] < TARGET_ADD
    results = [result(f"seconds, {what}", own["seconds"], peer["seconds"], f"below {TARGET_ADD:g} s", met)]
    kept = measure("index", "skewed", count, 8)
    print(
        f"index on disk, {count:,} images in 50 windows (four hashes each): {kept['seconds']:.1f} s, "
        f"peak {kept['peak']:.0f} MB, {kept['disk']:.0f} MB on disk, {kept['pairs']:,} pairs; "
        f"{ADDED:,} more: {kept['added']:.2f} s"
    )
    met = kept["peak"] < TARGET_MEMORY
    results.append(result("peak MB, index in 50 windows", kept["peak"], None, f"below {TARGET_MEMORY:.0f} MB", met))
    results.append(result("seconds, 50 windows added to the index", kept["seconds"], None, None, None))
    results.append(result(f"seconds, {ADDED:,} images added to the index", kept["added"], None, None, None))
    return results


def main() -> None:
    """Run all comparisons and print the results, or one task as a child."""
    parser = argparse.ArgumentParser(description="Compare near-duplicate search with faiss and imagededup.")
    parser.add_argument("--quick", action="store_true", help="at most 100,000 hashes, to try it out")
    parser.add_argument("--task", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        task, kind, count, radius = arguments.task
        print(json.dumps(TASKS[task](kind, int(count), int(radius))))
        return
    if importlib.util.find_spec("faiss") is None:
        raise SystemExit(MISSING)
    begin = time.perf_counter()
    peers = {"faiss": (TARGET_FAISS, AT_FAISS), "imagededup": (TARGET_IMAGEDEDUP, AT_IMAGEDEDUP)}
    if importlib.util.find_spec("brute_force_cython_ext") is None:
        print(NO_IMAGEDEDUP)
        del peers["imagededup"]
    print(f"{THREADS} threads, {os.cpu_count()} cores; peers extrapolated from a sample of the queries")
    sizes = [size for size in SIZES if not arguments.quick or size[0] <= 100_000]
    results = all_pairs(sizes, peers) + adding(100_000 if arguments.quick else 1_000_000)
    print(f"\n{time.perf_counter() - begin:.0f} s in all")
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
