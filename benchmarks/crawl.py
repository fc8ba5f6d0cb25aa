"""Our crawler beside gallery-dl on one local server: pictures per second, memory, and the cost of known posts.

Everything happens on 127.0.0.1 and in a temporary folder. The server (``crawling/server.py``) runs in a process of its
own; what it can serve at most is measured first, with a client that does nothing else. Equal politeness: neither
crawler waits between two requests, the server allows both by its robots.txt (ours asks for it, gallery-dl does not).
Ours makes up to 16 requests at a time, gallery-dl one, as it is built. A crawl is measured as a whole process, with
its start. Ours decodes every picture to see that it is whole, gallery-dl does not; so there is a second peer:
gallery-dl, and then the same decoding by Pillow, one file after the other.

Needs gallery-dl: ``pip install -c constraints.txt -e '.[bench]'``. Linux only (memory is read from /proc).
"""

import argparse
import importlib.util
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crawling.client import pictures_per_second
from crawling.contenders import CONCURRENCY, Crawl, gallery_dl, ours, remove, validation
from crawling.server import MOST, serving
from crawling.trees import Cost
from PIL import Image

from pipeline.demo.drawing.wardrobe import RECIPES
from pipeline.demo.illustrations import draw_outfit

RUNS = 3  # in turn; medians are taken
LATENCY = 0.05  # seconds
FETCHED_ALONE = 20_000  # pictures, to see what the server can serve
LARGE, SMALL, TINY = (1080, 1350), (320, 400), (80, 100)
TARGET_PLAIN, TARGET_LATENCY, TARGET_MEMORY = 2.0, 5.0, 350.0
MISSING = "gallery-dl is missing; install it with: pip install -c constraints.txt -e '.[bench]'"


@dataclass(frozen=True)
class Sizes:
    """How many posts are crawled, each with one picture."""

    large: int = 1_000
    small: int = 2_000
    latency: int = 1_000
    memory: tuple[int, int] = (5_000, 50_000)
    known: int = 3_000

    def tenth(self) -> "Sizes":
        """Return a tenth of everything."""
        few, many = self.memory
        return Sizes(self.large // 10, self.small // 10, self.latency // 10, (few // 10, many // 10), self.known // 10)


def draw(folder: Path) -> dict[tuple[int, int], Path]:
    """Draw the pictures that the server shows, in three sizes: one outfit of each style of the demo."""
    folders = {size: folder / "x".join(map(str, size)) for size in (LARGE, SMALL, TINY)}
    for size_folder in folders.values():
        size_folder.mkdir(parents=True)
    for seed, style in enumerate(RECIPES):
        picture = draw_outfit(style, (), seed, LARGE)
        for size, size_folder in folders.items():
            data = io.BytesIO()
            picture.resize(size, Image.Resampling.LANCZOS).save(data, "JPEG", quality=85)
            (size_folder / f"{seed:02d}.jpg").write_bytes(data.getvalue())
    return folders


def middle(crawls: list[Crawl]) -> Crawl:
    """Return medians over crawls."""
    spent = Cost(
        *(statistics.median(getattr(crawl.cost, name) for crawl in crawls) for name in ("seconds", "cpu", "peak"))
    )
    server = statistics.median(crawl.server_cpu for crawl in crawls)
    return replace(crawls[0], cost=spent, server_cpu=server)


def table(title: str, lines: dict[str, Crawl]) -> None:
    """Print crawls below each other."""
    print(f"\n{title}")
    print(f"  {'':28}{'pictures/s':>11}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}{'requests':>10}{'server CPU s':>14}")
    for name, crawl in lines.items():
        spent = crawl.cost
        print(
            f"  {name:28}{crawl.pictures / spent.seconds:11.1f}{spent.seconds:9.2f}{spent.cpu:8.2f}{spent.peak:9.1f}"
            f"{crawl.requests:10d}{crawl.server_cpu:14.2f}"
        )


def result(
    name: str, own: float, peer: float | None = None, target: str | None = None, met: bool | None = None
) -> dict[str, Any]:
    """Put a figure into the form of the last line."""
    ratio = None if peer is None else round(own / peer, 2)
    rounded = None if peer is None else round(peer, 2)
    return {"name": name, "ours": round(own, 2), "peer": rounded, "ratio": ratio, "target": target, "met": met}


class Benchmark:
    """Runs all comparisons in a temporary folder."""

    def __init__(self, folder: Path, sizes: Sizes) -> None:
        self._folder, self._sizes = folder, sizes
        self._pictures = draw(folder / "pictures")
        self._number = 0
        self._starts: dict[str, Cost] = {}
        self.results: list[dict[str, Any]] = []

    def _new(self) -> Path:
        self._number += 1
        return self._folder / f"crawl{self._number}"

    def _once(self, crawl: Callable[[Path], Crawl], posts: int) -> Crawl:
        """Crawl into a folder that is removed afterwards."""
        folder = self._new()
        done = crawl(folder)
        remove(folder)
        if done.pictures != posts:
            raise SystemExit(f"{done.pictures} of {posts} pictures were fetched; see what the server answers")
        return done

    def starts(self) -> None:
        """Crawl one page with both: how long a process takes to start and end. The first time only warms up."""
        own, peer = list[Crawl](), list[Crawl]()
        with serving(MOST, self._pictures[TINY]) as served:
            for _ in range(RUNS + 1):
                own.append(self._once(lambda folder: ours(served, folder), MOST))
                peer.append(self._once(lambda folder: gallery_dl(served, folder), MOST))
        lines = {"stylegraph": middle(own[1:]), "gallery-dl": middle(peer[1:])}
        table(f"start and end of a process: {MOST} posts, median of {RUNS} runs", lines)
        self._starts = {name: crawl.cost for name, crawl in lines.items()}

    def capacity(self) -> None:
        """Say what the server can serve."""
        print("\nthe server alone, asked by a client that throws everything away")
        for size in (LARGE, SMALL):
            files = list(self._pictures[size].iterdir())
            mean = statistics.mean(file.stat().st_size for file in files) / 1000
            with serving(MOST, self._pictures[size]) as served:
                rates = [pictures_per_second(served.url, FETCHED_ALONE, number) for number in (1, CONCURRENCY)]
            print(
                f"  {size[0]} x {size[1]} ({len(files)} drawings, {mean:.0f} kB on average): "
                f"{rates[0]:.0f} pictures/s over 1 connection, {rates[1]:.0f} over {CONCURRENCY}"
            )

    def throughput(self, size: tuple[int, int], posts: int, latency: float, runs: int, target: float) -> None:
        """Crawl the same timeline with both, in turn, and with the validation after gallery-dl."""
        own, peer, both = list[Crawl](), list[Crawl](), list[Crawl]()

        def peer_crawl(folder: Path) -> Crawl:
            done = gallery_dl(served, folder)
            both.append(replace(done, cost=done.cost + validation(folder / "images")))
            return done

        with serving(posts, self._pictures[size], latency) as served:
            for _ in range(runs):
                own.append(self._once(lambda folder: ours(served, folder), posts))
                peer.append(self._once(peer_crawl, posts))
        delay = f"{latency * 1000:.0f} ms before every answer" if latency else "no latency"
        what = f"{size[0]} x {size[1]}, {delay}"
        lines = {"stylegraph": middle(own), "gallery-dl": middle(peer), "gallery-dl, then validation": middle(both)}
        table(f"{what}: {posts} posts, {'median of ' if runs > 1 else ''}{runs} run{'s' * (runs > 1)}", lines)
        if latency:
            most = f"{CONCURRENCY} requests at a time can bring {CONCURRENCY / latency:.0f} pictures/s at most"
            print(f"  {most}, one {1 / latency:.0f}")
        further = [
            f"{name} {(posts - MOST) / (lines[name].cost.seconds - start.seconds):.1f}"
            for name, start in self._starts.items()
        ]
        print(f"  pictures/s after the first {MOST} and the start: {', '.join(further)}")
        rates = [crawl.pictures / crawl.cost.seconds for crawl in lines.values()]
        for name, rate in zip(list(lines)[1:], rates[1:], strict=True):
            met = rates[0] / rate >= target
            print(f"  ratio to {name}: {rates[0] / rate:.2f} (target {target:g}: {'met' if met else 'NOT met'})")
            self.results.append(
                result(f"pictures/s, {what}, peer {name}", rates[0], rate, f"ratio at least {target:g}", met)
            )
        own_peak, peer_peak = (lines[name].cost.peak for name in ("stylegraph", "gallery-dl"))
        self.results.append(result(f"peak MB, {what}", own_peak, peer_peak))

    def memory(self) -> None:
        """Crawl many posts with ours."""
        peaks = []
        for posts in self._sizes.memory:
            with serving(posts, self._pictures[TINY]) as served:
                done = self._once(lambda folder: ours(served, folder), posts)
            table(f"memory, {TINY[0]} x {TINY[1]}, no latency: {posts} posts", {"stylegraph": done})
            peaks.append(done.cost.peak)
        met = peaks[1] < TARGET_MEMORY
        few, many = self._sizes.memory
        print(
            f"  from {few} to {many} posts {peaks[1] - peaks[0]:+.1f} MB; "
            f"target below {TARGET_MEMORY:.0f} MB: {'met' if met else 'NOT met'}"
        )
        self.results.append(result(f"peak MB over {few} posts", peaks[0]))
        target = f"below {TARGET_MEMORY:.0f} MB"
        self.results.append(result(f"peak MB over {many} posts", peaks[1], target=target, met=met))

    def known(self) -> None:
        """Crawl a window twice with each; the second time every picture is known."""
        posts = self._sizes.known
        contenders: dict[str, Callable[[Path], Crawl]] = {
            "stylegraph": lambda folder: ours(served, folder),
            "gallery-dl, files exist": lambda folder: gallery_dl(served, folder),
            "gallery-dl, archive": lambda folder: gallery_dl(served, folder, archive=True),
        }
        lines = {}
        with serving(posts, self._pictures[TINY]) as served:
            for name, crawl in contenders.items():
                folder = self._new()
                crawl(folder)
                lines[name] = middle([crawl(folder) for _ in range(RUNS)])
                remove(folder)
        share = 1000 / posts
        print(f"\nposts seen before, no latency: {posts} posts, median of {RUNS} crawls after the first")
        print(f"  {'':28}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}{'requests':>10}   per 1000 posts: seconds, requests")
        for name, done in lines.items():
            spent = done.cost
            print(
                f"  {name:28}{spent.seconds:9.2f}{spent.cpu:8.2f}{spent.peak:9.1f}{done.requests:10d}"
                f"{spent.seconds * share:25.3f}{done.requests * share:10.1f}"
            )
        own = lines.pop("stylegraph")
        for name, done in lines.items():
            seconds = result(
                f"seconds per 1000 known posts, peer {name}", own.cost.seconds * share, done.cost.seconds * share
            )
            requests = result(
                f"requests per 1000 known posts, peer {name}", own.requests * share, done.requests * share
            )
            self.results += [seconds, requests]

    def run(self) -> None:
        """Run everything."""
        sizes = self._sizes
        self.starts()
        self.capacity()
        self.throughput(LARGE, sizes.large, 0.0, RUNS, TARGET_PLAIN)
        self.throughput(SMALL, sizes.small, 0.0, RUNS, TARGET_PLAIN)
        self.throughput(LARGE, sizes.latency, LATENCY, 1, TARGET_LATENCY)
        self.known()
        self.memory()


def main() -> None:
    """Run all comparisons and print the results."""
    parser = argparse.ArgumentParser(description="Compare our crawler with gallery-dl on a local server.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the sizes, to try it out")
    quick = parser.parse_args().quick
    if importlib.util.find_spec("gallery_dl") is None:
        raise SystemExit(MISSING)
    begin = time.perf_counter()
    print(
        f"neither crawler waits between requests, robots.txt is served and allows both; requests at a time: ours "
        f"{CONCURRENCY}, gallery-dl 1; {os.cpu_count()} cores for crawler and server together"
    )
    if quick:
        print("--quick: the start of each process weighs ten times as much as in a full run; the figures are no result")
    with tempfile.TemporaryDirectory(prefix="stylegraph-bench-", ignore_cleanup_errors=True) as folder:
        benchmark = Benchmark(Path(folder), Sizes().tenth() if quick else Sizes())
        benchmark.run()
    print(f"\n{time.perf_counter() - begin:.0f} s in all")
    print("RESULT", json.dumps(benchmark.results))


if __name__ == "__main__":
    main()
