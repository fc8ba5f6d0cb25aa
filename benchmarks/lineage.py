"""What the graph itself costs: to load it, to run what is up to date, to run beside the work, and to hold many windows.

* Loading: ``import pipeline.definitions`` in a new process, median of five, by the clock and in CPU time; no heavy
  library may be among what was imported.
* Overhead: a demo is made (``--demo-posts 1500`` is that of ``make demo``). The bare work is the time inside of the
  functions of the assets, from the start of each step to its first output; the rest of the runs' time (Dagster's
  events, checks) is overhead.
* Nothing changed: ``stylegraph run`` after that, as a whole process.
* Visible: from the start of ``stylegraph dev`` until its web server lists the assets.
* Scale: tables of 52 and of 520 windows, 5 million posts in all, are drawn; every asset and check that looks at all
  windows runs on them in a process of its own. Its peak memory is that process's, with all imports. Growth is the time
  that 520 windows take over that of 52: 10 is linear. Near-duplicates are looked for among every tenth image, without
  an index and then with one. Every sixteenth picture has a file.

``--quick`` is for trying it out: a tenth of the posts, and no demo. Linux only (peak memory).
"""

import argparse
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from crawlers.dedup.hashing import HASH_VERSION
from crawlers.dedup.phash import ALGORITHM
from modeling.drift import drift_table
from modeling.following import FollowedSet
from modeling.trends import trends
from pipeline.followed import reader
from pipeline.freshness import CODE_VERSION, POINTER, Freshness
from pipeline.graph import build_definitions
from pipeline.inputs import DATA_VERSION
from pipeline.instance import open_instance
from pipeline.judged import image_facts
from pipeline.partitions import window_keys
from pipeline.run import QUIET, collection_steps
from pipeline.settings import load_settings
from pipeline.storage import Storage
from pipeline.tables import TABLES

WINDOWS, POSTS = (52, 520), 9_616  # a window has so many posts: 5 million in 520
START, MODEL = date(2010, 1, 4), "basic_cnn-000000000000"
HASHED = 10  # one image of so many is compared with the others
FIRST = "unique_images, no index yet"  # every image is compared with all others: this cannot be linear
LABELLED, LABELS = 100, ("Casual", "Romantic", "Sporty", "Elegant")  # images with labels, of each window
SET_ASIDE = 0.2  # share of the images
DEMO_POSTS = 600
MOST_LOAD, MOST_IDLE, MOST_OVERHEAD, MOST_MEMORY, MOST_GROWTH = 2.0, 10.0, 0.10, 2000.0, 15.0
HEAVY = ("torch", "torchvision", "lightning", "scipy", "matplotlib", "sklearn", "label_studio_sdk")
SETTINGS = """
architectures = ["basic_cnn"]
[data]
location = "data"
[windows]
start = {start}
end = {end}
[sources.drawn]
kind = "archive"
folder = "."
posts = "posts.csv"
[labels]
kind = "csv"
path = "labels.csv"
[taxonomy]
labels = ["Casual", "Romantic", "Sporty", "Elegant"]
[label_sets.all-4]
top = 4
"""
Measured = dict[str, Any]


def main() -> None:
    """Run everything and print the results, or one task as a child."""
    parser = argparse.ArgumentParser(description="Measure what the graph costs.")
    parser.add_argument("--quick", action="store_true", help="a tenth of the posts, and no demo")
    parser.add_argument("--only", choices=("load", "demo", "scale"), help="one part of it")
    parser.add_argument("--posts", type=int, default=POSTS, help="posts of a window of the scale table")
    parser.add_argument("--demo-posts", type=int, default=DEMO_POSTS, help="posts of the demo; make demo has 1500")
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        name, folder = arguments.task
        print("MEASURED", json.dumps(measured(TASKS[name], Path(folder))))
        return
    begin = time.perf_counter()
    results = [] if arguments.only not in (None, "load") else loading()
    with tempfile.TemporaryDirectory(prefix="stylegraph-bench-", ignore_cleanup_errors=True) as folder:
        if arguments.only == "demo" or (arguments.only is None and not arguments.quick):
            results += demo(Path(folder) / "demo", arguments.demo_posts)
        if arguments.only in (None, "scale"):
            results += scale(Path(folder), arguments.posts // 10 if arguments.quick else arguments.posts)
    print(f"\n{time.perf_counter() - begin:.0f} s in all; load of the machine {os.getloadavg()[1]:.1f}")
    print("RESULT", json.dumps(results))


def result(
    name: str, value: float, target: str | None = None, met: bool | None = None, peer: float | None = None
) -> Measured:
    """Return one line of the result; ``peer`` is the same without the graph."""
    ratio = None if peer is None else round(value / peer, 3)
    theirs = None if peer is None else round(peer, 3)
    return {"name": name, "ours": round(value, 3), "peer": theirs, "ratio": ratio, "target": target, "met": met}


# loading


def loading() -> list[Measured]:
    """Load the definitions in new processes."""
    code = (
        "import json, sys, time; t = time.perf_counter(); import pipeline.definitions; t = time.perf_counter() - t; "
        "u = time.process_time(); print(json.dumps([t, u, [m for m in sys.argv[1:] if m in sys.modules]]))"
    )
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        config = settings_file(Path(folder), 52)
        for _ in range(6):  # the first one looks at the code
            done = child([sys.executable, "-c", code, *HEAVY], STYLEGRAPH_CONFIG=str(config))
            runs.append(json.loads(done))
    wall, cpu = (statistics.median(run[place] for run in runs[1:]) for place in (0, 1))
    heavy = runs[-1][2]
    print(f"definitions load: {wall:.2f} s by the clock, {cpu:.2f} s CPU; heavy libraries: {heavy or 'none'}")
    met = wall < MOST_LOAD and not heavy
    return [
        result("seconds, definitions load", wall, f"below {MOST_LOAD:g} s, no heavy library", met),
        result("CPU seconds, definitions load", cpu),
    ]


# demo


def demo(folder: Path, posts: int) -> list[Measured]:
    """Make a demo, run it when nothing changed, and open the UI."""
    config = folder / "stylegraph.toml"
    begin = time.time()
    whole, _ = timed(lambda: stylegraph("demo", "--folder", str(folder), "--posts", str(posts)))
    runs, spent, work = in_the_graph(config, begin)
    overhead = (spent - work) / work
    idle = statistics.median(timed(lambda: stylegraph("run", "--config", str(config)))[0] for _ in range(3))
    visible = until_visible(config)
    print(
        f"demo with {posts} posts: {whole:.0f} s, of which {spent:.1f} s in {runs} runs of the graph and {work:.1f} s "
        f"inside of the assets' functions: overhead {overhead:.1%}, {(spent - work) / runs:.2f} s a run\n"
        f"nothing changed: {idle:.1f} s\nweb server start to graph visible: {visible:.1f} s"
    )
    target = f"ratio below {1 + MOST_OVERHEAD:g}, in make demo"
    return [
        result("seconds, stylegraph demo", whole),
        result("seconds of the graph's runs, beside the bare work", spent, target, overhead < MOST_OVERHEAD, work),
        result("overhead, seconds a run", (spent - work) / runs),
        result("seconds, nothing changed", idle, f"below {MOST_IDLE:g} s", idle < MOST_IDLE),
        result("seconds, web server start to graph visible", visible),
    ]


def in_the_graph(config: Path, since: float) -> tuple[int, float, float]:
    """Return how many runs there were since a moment, their seconds, and those inside of the assets' functions."""
    spent = work = 0.0
    with open_instance(load_settings(config)) as instance:
        records = instance.get_run_records(dg.RunsFilter(created_after=datetime.fromtimestamp(since, UTC)))
        for record in records:
            entries = instance.all_logs(record.dagster_run.run_id)
            spent += entries[-1].timestamp - record.create_timestamp.timestamp()
            began: dict[str, float] = {}
            for entry in entries:
                event = entry.dagster_event
                if event is None or event.step_key is None:
                    continue
                if event.is_step_start:
                    began[event.step_key] = entry.timestamp
                elif event.is_successful_output and event.step_key in began:
                    work += entry.timestamp - began.pop(event.step_key)
    return len(records), spent, work


def until_visible(config: Path) -> float:
    """Start the UI and return the seconds until it lists the assets."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    query = json.dumps({"query": "{assetNodes {id groupName}}"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", query, {"Content-Type": "application/json"})
    command = [sys.executable, "-m", "pipeline", "dev", "--config", str(config), "--port", str(port)]
    begin = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.perf_counter() - begin < 120:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    if json.load(answer)["data"]["assetNodes"]:
                        return time.perf_counter() - begin
            except OSError:
                time.sleep(0.1)
        raise SystemExit("the UI did not show the graph within 2 minutes")
    finally:
        server.terminate()
        server.wait(60)


# scale


def scale(folder: Path, posts: int) -> list[Measured]:
    """Run what looks at all windows on tables of few and of many of them."""
    results: list[Measured] = []
    costs: dict[str, list[Measured]] = {name: [] for name in TASKS}
    for windows in WINDOWS:
        place = folder / str(windows)
        place.mkdir()
        settings_file(place, windows)
        seconds, _ = timed(lambda place=place, windows=windows: draw(place, windows, posts))
        print(f"{windows} windows, {windows * posts:,} posts, drawn in {seconds:.0f} s", flush=True)
        for name in TASKS:
            command = [sys.executable, __file__, "--task", name, str(place)]
            output = child(command, STYLEGRAPH_CONFIG=str(place / "stylegraph.toml"))
            cost = json.loads(output.rpartition("MEASURED ")[2])
            costs[name].append(cost)
            print(f"  {name:28}{cost['seconds']:9.1f} s{cost['cpu']:9.1f} s CPU{cost['peak']:9.0f} MB", flush=True)
    few, many = (f"{windows * posts:,} posts in {windows} windows" for windows in WINDOWS)
    print(f"\n{'':30}{few:>38}{many:>42}  growth")
    for name, (small, large) in costs.items():
        growth = large["cpu"] / max(small["cpu"], 1e-3)
        print(
            f"{name:30}{small['seconds']:25.1f} s {small['peak']:8.0f} MB {large['seconds']:29.1f} s "
            f"{large['peak']:8.0f} MB{growth:8.1f}"
        )
        results += [
            result(f"seconds, {name}, {many}", large["seconds"]),
            result(f"peak MB, {name}, {many}", large["peak"], f"below {MOST_MEMORY:g} MB", large["peak"] < MOST_MEMORY),
            result(f"growth of CPU time, {name}", growth),
        ]
        if name != FIRST:
            results[-1] |= {"target": f"below {MOST_GROWTH:g} (linear: 10)", "met": growth < MOST_GROWTH}
    return results


def settings_file(folder: Path, windows: int) -> Path:
    """Write the settings of so many weekly windows."""
    path = folder / "stylegraph.toml"
    path.write_text(SETTINGS.format(start=START, end=START + timedelta(weeks=windows)), encoding="utf-8")
    for name, header in (("posts.csv", "image,created_at\n"), ("labels.csv", "image,main,subs\n")):
        (folder / name).write_text(header, encoding="utf-8")
    return path


class Drawn:
    """Tables of one window: as many posts as asked for, each with one picture."""

    def __init__(self, number: int, posts: int) -> None:
        """Draw window ``number``."""
        self.random = np.random.default_rng(number)
        self.key, self.posts = (START + timedelta(weeks=number)).isoformat(), posts
        self.images = hexes(self.random, posts, 32)
        self.post_ids = [f"mastodon:{number:03}{place:06}" for place in range(posts)]
        seconds = self.random.integers(0, 7 * 86_400, posts)
        begin = np.datetime64(self.key).astype("datetime64[us]").astype(np.int64)
        self.moments = pa.array(begin + seconds * 1_000_000, pa.timestamp("us", "UTC"))
        self.authors = pa.array(hexes(np.random.default_rng(0), 20_000, 32)).take(
            pa.array(self.random.integers(0, 20_000, posts))
        )
        self.aside = self.random.random(posts) < SET_ASIDE  # for the last one before it that is not
        self.aside[0] = False
        kept = np.flatnonzero(~self.aside)
        self.labelled = [self.images[place] for place in kept if self.images[place][0] == "0"][:LABELLED]

    def table(self, name: str, columns: dict[str, Any]) -> pa.Table:
        """Return a table; a value that is not an array stands in every row."""
        arrays = []
        for field in TABLES[name].schema:
            value = columns.get(field.name)
            if not isinstance(value, pa.Array | list | np.ndarray):
                value = pa.repeat(pa.scalar(value, field.type), self.posts)
            arrays.append(pa.array(value, field.type) if not isinstance(value, pa.Array) else value.cast(field.type))
        return pa.table(arrays, schema=TABLES[name].schema)


def hexes(random: np.random.Generator, count: int, size: int) -> list[str]:
    """Draw random hexadecimal numbers of ``size`` bytes."""
    text = random.bytes(count * size).hex()
    return [text[start : start + 2 * size] for start in range(0, len(text), 2 * size)]


def lists(items: list[str], each: int, rows: int) -> pa.Array:
    """Return an array of lists with ``each`` of the items."""
    offsets = pa.array(np.arange(0, (rows + 1) * each, each), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(items))


def draw(folder: Path, windows: int, posts: int) -> None:
    """Write the tables of all windows, and those that are made of all of them."""
    storage = Storage(str(folder / "data"))
    picture = folder / "picture.jpg"
    picture.write_bytes(a_picture())
    unique, labelled = [], []
    for number in range(windows):
        drawn = Drawn(number, posts)
        write_window(storage, drawn)
        unique.append(unique_images(drawn))
        labelled += [(image, drawn.key) for image in drawn.labelled]
        link_pictures(storage, picture, number, [image for image in drawn.images if image[0] == "0"])
    storage.write_batches("unique_images", in_order(unique))
    random = np.random.default_rng(1)
    mains = [LABELS[place] for place in random.integers(0, len(LABELS), len(labelled))]
    with (folder / "labels.csv").open("a", encoding="utf-8") as file:
        file.writelines(f"{image},{main},\n" for (image, _), main in zip(labelled, mains, strict=True))
    splits = random.choice(["train", "validation", "test"], len(labelled), p=[0.7, 0.1, 0.2]).tolist()
    ids = [image for image, _ in labelled]
    columns = [ids, ids, [window for _, window in labelled], ids, mains, [[]] * len(ids), splits]
    rows = pa.table(columns, schema=TABLES["data_set"].schema)
    storage.write_table("data_set", rows, ("all-4",))


def in_order(unique: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all windows by image id, a sixteenth at a time."""
    for digit in "0123456789abcdef":
        parts = [rows.filter(pc.starts_with(rows.column("image_id"), digit)) for rows in unique]
        yield from pa.concat_tables(parts).sort_by("image_id").combine_chunks().to_batches()


def a_picture() -> bytes:
    """Return a small JPEG."""
    file = io.BytesIO()
    Image.new("RGB", (120, 150), "grey").save(file, "JPEG")
    return file.getvalue()


def link_pictures(storage: Any, picture: Path, number: int, images: list[str]) -> None:
    """Give images a file each; one file has at most some ten thousand names."""
    own = picture.with_name(f"{number}.jpg")
    shutil.copy(picture, own)
    for image in images:
        path = Path(storage.path(storage.image_key(image)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(own)


def write_window(storage: Any, drawn: Drawn) -> None:
    """Write posts, pictures, hashes and predictions of one window."""
    tags = ["fashion", "outfit", "streetstyle", "ootd"] * drawn.posts
    common = {"post_id": drawn.post_ids, "window": drawn.key, "created_at": drawn.moments}
    posts = common | {
        "network": "mastodon", "source": "drawn", "server": "social.example", "author_hmac": drawn.authors,
        "url": [f"https://social.example/{post}" for post in drawn.post_ids], "hashtags": lists(tags, 4, drawn.posts),
        "matched_hashtags": lists(tags, 1, drawn.posts), "language": "en", "sensitive": False, "boost": False,
        "image_count": 1, "kept": True, "crawled_at": drawn.moments,
    }  # fmt: skip
    storage.write_table("posts", drawn.table("posts", posts), (drawn.key,))
    images = common | {
        "media_index": 0, "url": [f"https://files.example/{image[:20]}.jpg" for image in drawn.images],
        "image_id": drawn.images, "status": "ok", "http_status": 200, "attempts": 0, "format": "JPEG", "width": 1080,
        "height": 1350, "bytes": 97_000, "fetched_at": drawn.moments,
        "alt_text": ["A person in a long coat on a street" if place % 3 else None for place in range(drawn.posts)],
    }  # fmt: skip
    storage.write_table("images", drawn.table("images", images), (drawn.key,))
    main = drawn.random.integers(0, len(LABELS), drawn.posts)
    scores = drawn.random.dirichlet(np.ones(len(LABELS)), drawn.posts).astype(np.float32)
    answers = {
        "label_set": "all-4", "image_id": sorted(drawn.images), "window": drawn.key, "model_version": MODEL,
        "main": pa.array(LABELS).take(pa.array(main)), "subs": lists(list(LABELS) * drawn.posts, 1, drawn.posts),
        "labels": lists(list(LABELS) * drawn.posts, 4, drawn.posts),
        "probabilities": floats(scores), "embedding": floats(drawn.random.normal(size=(drawn.posts, 32))),
    }  # fmt: skip
    storage.write_table("image_hashes", hashes(drawn), (drawn.key,))
    storage.write_table("style_predictions", drawn.table("style_predictions", answers), (drawn.key,))


def floats(values: Any) -> pa.Array:
    """Return a matrix as an array of lists."""
    offsets = pa.array(np.arange(0, values.size + 1, values.shape[1]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values.astype(np.float32).ravel()))


def unique_images(drawn: Drawn) -> pa.Table:
    """Return UNIQUE_IMAGES of one window: some images are set aside for the one before them."""
    aside = drawn.aside
    place = np.maximum.accumulate(np.where(aside, 0, np.arange(drawn.posts)))
    ids = pa.array(drawn.images)
    canonical = ids.take(pa.array(place))
    columns = {
        "image_id": ids, "window": drawn.key, "canonical_id": canonical, "best_image_id": canonical,
        "kept": pa.array(~aside), "cluster_size": np.bincount(place, minlength=drawn.posts)[place],
        "post_id": drawn.post_ids, "created_at": drawn.moments, "author_hmac": drawn.authors, "posts": 1,
        "rule_version": "stars-2 candidates=10 duplicate=32 review=64", "hash_version": "phash 2",
    }  # fmt: skip
    reasons = {"stage": "phash", "reason": "near-duplicate: 4 of 256 bits apart (plain)", "via": "plain"}
    for name, value in {**reasons, "distance64": 2, "distance256": 4}.items():
        columns[name] = pa.array(np.full(drawn.posts, value), mask=~aside)
    return drawn.table("unique_images", columns)


def hashes(drawn: Drawn) -> pa.Table:
    """Return IMAGE_HASHES of some of the window's images, with random bits."""
    part = drawn.posts // HASHED
    columns: dict[str, Any] = {
        "image_id": drawn.images, "window": drawn.key, "status": "ok", "flat": False, "width": 1080, "height": 1350,
        "content_width": 1080, "content_height": 1350, "posts": 1, "post_id": drawn.post_ids,
        "created_at": drawn.moments, "author_hmac": drawn.authors, "algorithm": ALGORITHM, "version": HASH_VERSION,
    }  # fmt: skip
    for field in TABLES["image_hashes"].schema:
        if pa.types.is_fixed_size_binary(field.type):
            width = field.type.byte_width
            bits = pa.py_buffer(drawn.random.bytes(drawn.posts * width))
            columns[field.name] = pa.FixedSizeBinaryArray.from_buffers(field.type, drawn.posts, [None, bits])
    return drawn.table("image_hashes", columns).slice(0, part)


# what is measured


def measured(prepare: Callable[[Path], Callable[[], Any]], folder: Path) -> Measured:
    """Run one task: its time without the preparation, and the peak memory of all."""
    run = prepare(folder)
    before, begin = time.process_time(), time.perf_counter()
    run()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - before
    return {"seconds": seconds, "cpu": cpu, "peak": peak_memory()}


def peak_memory() -> float:
    """Return the peak memory of this process in MB. ``getrusage`` would give that of the parent, where it is more."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(kilobytes) * 1024 / 1e6


def step(*names: str) -> Callable[[Path], Callable[[], Any]]:
    """Return a task that materializes assets, or executes checks where a name has a colon, in one run."""

    def prepare(folder: Path) -> Callable[[], Any]:
        definitions = build_definitions(load_settings(folder / "stylegraph.toml"))
        instance = dg.DagsterInstance.ephemeral()
        checks = [dg.AssetCheckKey(dg.AssetKey(asset), check) for asset, _, check in map(_parts, names) if check]
        chosen = dg.AssetSelection.checks(*checks) if checks else dg.AssetSelection.assets(*names).without_checks()
        job = dg.define_asset_job("measured", chosen, executor_def=dg.in_process_executor)
        made = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job])).resolve_job_def("measured")
        return lambda: made.execute_in_process(instance=instance, run_config=QUIET, raise_on_error=True)

    return prepare


def _parts(name: str) -> tuple[str, str, str]:
    return name.partition(":")


def facts(folder: Path) -> Callable[[], Any]:
    """Return what is known of the judged images apart from their labels."""
    settings = load_settings(folder / "stylegraph.toml")
    return lambda: image_facts(settings, Storage(settings.data.location), "all-4")


def trends_of_all(folder: Path) -> Callable[[], Any]:
    """Return what the asset style_trends does, for a model without a champion's folder."""
    settings = load_settings(folder / "stylegraph.toml")
    storage = Storage(settings.data.location)
    windows, read = window_keys(settings.windows), reader(storage, embeddings=False)
    return lambda: trends([followed(storage)], windows, read, storage.read_table("labels"), settings.trends)


def drift_of_all(folder: Path) -> Callable[[], Any]:
    """Return what the asset drift does, for the same model."""
    settings = load_settings(folder / "stylegraph.toml")
    storage = Storage(settings.data.location)
    windows, read = window_keys(settings.windows), reader(storage, embeddings=True)
    return lambda: drift_table([followed(storage)], windows, read, storage.read_table("labels"), settings.drift)


def followed(storage: Storage) -> FollowedSet:
    """Return the drawn label set with a model that knows the first half of the windows."""
    rows = storage.read_table("data_set", ("all-4",)).to_pandas()
    half = rows[rows["window"] < sorted(rows["window"].unique())[rows["window"].nunique() // 2]]
    return FollowedSet("all-4", LABELS, "all", MODEL, {MODEL: half}, rows)


def freshness(folder: Path) -> Callable[[], Any]:
    """Note that all windows were made of what is there now, and return what looks at whether they are fresh."""
    settings = load_settings(folder / "stylegraph.toml")
    definitions, storage = build_definitions(settings), Storage(settings.data.location)
    history = folder / "history"
    history.mkdir()
    instance = dg.DagsterInstance.local_temp(str(history))
    assets = definitions.resolve_asset_graph()
    for name in ("posts", "images", "deleted_posts", "crawl_counts", "image_hashes"):
        node = assets.get(dg.AssetKey(name))
        read = {f"{POINTER}{parent.to_user_string()}": str(sys.maxsize) for parent in node.parent_keys}
        for key in window_keys(settings.windows):
            if not storage.has_table(name, (key,)):
                storage.write_table(name, TABLES[name].schema.empty_table(), (key,))
            tags = {DATA_VERSION: key, CODE_VERSION: node.code_version, **read}
            instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=key, tags=tags))
    crawls = [one for one in collection_steps(settings) if one.partition]

    def look() -> None:
        known = Freshness(definitions, instance, storage)
        if stale := [why for one in crawls if (why := known.why_stale(one.job, one.partition))]:
            raise SystemExit(f"of windows that are fresh, {len(stale)} count as stale: {stale[0]}")

    return look


TASKS: dict[str, Callable[[Path], Callable[[], Any]]] = {
    "label_tasks": step("label_tasks"),
    "annotations": step("annotations", "quarantined_annotations"),
    "labels": step("labels", "agreement", "main_confusion", "annotators"),
    "label_frequencies": step("label_frequencies"),
    "image_facts": facts,
    "images_stored": step("images:images_stored"),
    "clusters_keep_the_rule": step("unique_images:clusters_keep_the_rule"),
    "no_label_lost": step("annotations:no_label_lost"),
    "style_trends": trends_of_all,
    "drift": drift_of_all,
    "is it fresh": freshness,
    FIRST: step("unique_images", "similar_pairs"),
    "unique_images, index known": step("unique_images", "similar_pairs"),
}


# children


def child(command: list[str], **environment: str) -> str:
    """Run a command of this project; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "2", **environment}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def stylegraph(*arguments: str) -> str:
    """Run the console command."""
    return child([sys.executable, "-m", "pipeline", *arguments])


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that something takes, and what it returns."""
    begin = time.perf_counter()
    value = work()
    return time.perf_counter() - begin, value


if __name__ == "__main__":
    main()
