"""The round trip with a real Label Studio: ours beside one call of the official SDK.

The server is the one that tests use: installed below ``.label-studio`` and started on a free port of 127.0.0.1 with an
empty database. Every contender runs in a process of its own, one after the other, with a server that was just started
again and, for imports, a project of its own. Seconds and CPU seconds are those of the work without imports of modules;
peak memory is that of the whole process. Medians over the rounds.

* Import: ``push_tasks``, which lists what stands before and then makes sure that nobody else was at work, beside
  ``projects.import_tasks`` with all tasks in one request.
* Export of tasks with one or two annotations each: ``pull`` into a new mirror, beside ``projects.exports.as_json``,
  which holds everything in memory and keeps nothing. Both must find the same annotations.
* Export again when nothing is new, and when one in twenty tasks has changed.
* Predictions for all tasks, of which a blind share is not sent.

``ratio`` in the last line is the peer's figure divided by ours. Linux only (peak memory).
"""

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from labeling import FASHION_STYLES, labeling_config
from labeling.studio.connection import Connection
from labeling.studio.pictures import LocalPictures
from labeling.studio.predictions import pre_annotations, push_predictions
from labeling.studio.pull import pull
from labeling.studio.push import push_tasks
from labeling.studio.queue import Chosen
from labeling.studio.server import RunningServer, create_data_folder, install, running_server
from labeling.studio.settings import LabelStudioServer
from labeling.studio.store import StudioStore
from labeling.tables import LABEL_TASKS, PRE_ANNOTATIONS, QUEUED_TASKS
from labeling.tasks import label_studio_tasks, stored_path

ENVIRONMENT = Path(__file__).parents[1] / ".label-studio" / "env"
TASKS, ROUNDS = 20_000, 3
CHANGED = 20  # one task in so many is changed between two exports
PER_REQUEST = 2_000  # annotated tasks, when they are set up
TIMEOUT = 600.0  # seconds
TARGET_MEMORY, TARGET_NOTHING_NEW, TARGET_CHANGED, TARGET_PREDICTIONS = 300.0, 1.0, 5.0, 60.0  # MB, seconds
DATA_ROOT = Path("/srv/files")  # no picture is looked at
PICTURES = LocalPictures(DATA_ROOT / "images", DATA_ROOT)

Measured = dict[str, Any]


def image_ids(count: int) -> list[str]:
    """Return ids that look like sha256."""
    return [f"{number * 0x9E3779B97F4A7C15 % 2**64:064x}" for number in range(count)]


def label_task_rows(count: int) -> pa.Table:
    """Make ``LABEL_TASKS`` with the text that a post usually brings."""
    rows = [
        {
            "image_id": image_id,
            "window": "2024-05-06",
            "image_path": stored_path(image_id),
            "created_at": datetime(2024, 5, 6, 8, 30, tzinfo=UTC),
            "hashtags": ["fashion", "ootd", "streetstyle", f"look{number}"],
            "alt_text": f"A person in front of a shop window, wearing a long coat and boots, photo {number}",
            "names": [f"https://pictures.example.invalid/{number}.jpg"],
            "name_image_ids": [image_id],
            "image_ids": [image_id],
        }
        for number, image_id in enumerate(image_ids(count))
    ]
    return pa.Table.from_pylist(rows, schema=LABEL_TASKS)


def measured(work: Any) -> Measured:
    """Run some work in this process; say how long it took, what it used, and what it found."""
    begin, cpu = time.perf_counter(), time.process_time()
    found = work()
    used = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu, "found": found}
    return used | {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}


def import_ours(connection: Connection, project_id: int, count: int, _mirror: str) -> Measured:
    """Push tasks into an empty project."""
    rows = label_task_rows(count)
    chosen = [Chosen(image_id, "newest") for image_id in image_ids(count)]
    settings, nothing = LabelStudioServer(), QUEUED_TASKS.empty_table()
    return measured(
        lambda: push_tasks(connection, project_id, settings, rows, chosen, nothing, PICTURES).num_rows,
    )


def import_sdk(connection: Connection, project_id: int, count: int, _mirror: str) -> Measured:
    """Import the same tasks with one call."""
    client = sdk(connection)
    tasks = label_studio_tasks(label_task_rows(count), PICTURES.url)
    return measured(lambda: client.projects.import_tasks(id=project_id, request=tasks).task_count)


def export_ours(connection: Connection, project_id: int, _count: int, mirror: str) -> Measured:
    """Pull what is new into a mirror."""
    with StudioStore(Path(mirror)) as store:
        return measured(lambda: vars(pull(connection, project_id, store)))


def export_sdk(connection: Connection, project_id: int, _count: int, _mirror: str) -> Measured:
    """Export everything with one call."""
    client = sdk(connection)
    return measured(
        lambda: sum(len(task["annotations"]) for task in client.projects.exports.as_json(project_id)),
    )


def predictions_ours(connection: Connection, project_id: int, count: int, _mirror: str) -> Measured:
    """Push a prediction for every task."""
    tasks = connection.get("/api/tasks", project=project_id, page_size=1, fields="task_only", include="id")["tasks"]
    ids = image_ids(count)
    rows = pre_annotations(
        ids,
        FASHION_STYLES.labels,
        np.random.default_rng(1).random((count, len(FASHION_STYLES))),
        {image_id: tasks[0]["id"] + number for number, image_id in enumerate(ids)},  # as they were imported
        model_version="top5-resnet-1",
        blind_share=LabelStudioServer().blind_share,
        thresholds=0.9,
        predicted_at=datetime.now(UTC),
    )

    def work() -> int:
        pushed = push_predictions(connection, project_id, rows, PRE_ANNOTATIONS.empty_table())
        return pushed.sent + pushed.blind

    return measured(work)


CHILDREN = {task.__name__: task for task in (import_ours, import_sdk, export_ours, export_sdk, predictions_ours)}


def sdk(connection: Connection) -> Any:
    """Return the official client as its documentation says, without anything of ours."""
    from label_studio_sdk import LabelStudio

    return LabelStudio(base_url=connection.url, api_key=sys.stdin.readline().strip(), timeout=TIMEOUT)


class Bench:
    """The server, and contenders that run against it."""

    def __init__(self, server: RunningServer, count: int) -> None:
        self.server, self.count = server, count

    def run(self, task: str, project_id: int, mirror: Path | None = None, *, fresh: bool = True) -> Measured:
        """Run a contender in a process of its own, on a server that was just started."""
        if fresh:
            self.server.restart()
        command = [sys.executable, __file__, "--child", task, self.server.url, str(project_id), str(self.count)]
        token = f"{self.server.admin.token}\n"  # not on the command line, where others can read it
        done = subprocess.run([*command, str(mirror or "")], input=token * 2, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{task} failed: {done.stderr}")
        result: Measured = json.loads(done.stdout.splitlines()[-1])
        memory = f"{result['peak']:.0f} MB"
        print(f"  {task:17}{result['seconds']:7.2f} s, {result['cpu']:6.2f} s of CPU, {memory}", flush=True)
        return result

    def project(self, title: str) -> int:
        """Make an empty project."""
        body = {"title": title, "label_config": labeling_config(FASHION_STYLES), "maximum_annotations": 2}
        with self.server.connection() as connection:
            return int(connection.post("/api/projects", body)["id"])

    def annotated_project(self) -> tuple[int, int]:
        """Make a project with one or two annotations for each task; returns its id and their number."""
        project_id, number = self.project("export"), 0
        draw = random.Random(1)
        tasks = label_studio_tasks(label_task_rows(self.count), PICTURES.url)
        with self.server.connection() as connection:
            users = {email: user_id for user_id, email in connection.users().items()}
            experts = [users[expert.email] for expert in self.server.experts]
            for task in tasks:
                task["annotations"] = [annotation(draw, expert) for expert in experts[: draw.randint(1, 2)]]
                number += len(task["annotations"])
            for start in range(0, len(tasks), PER_REQUEST):
                part = tasks[start : start + PER_REQUEST]
                connection.request("POST", f"/api/projects/{project_id}/import", json=part, timeout=TIMEOUT)
        return project_id, number

    def change(self, project_id: int, mirror: Path) -> int:
        """Let experts correct an annotation of every CHANGED-th task through the API; returns how many."""
        with StudioStore(mirror) as store:
            first = {version.task_id: version.annotation_id for version in store.latest()}
        chosen = [annotation_id for task_id, annotation_id in sorted(first.items()) if task_id % CHANGED == 0]
        draw = random.Random(2)
        bodies = [{"result": annotation(draw, 0)["result"]} for _ in chosen]
        with self.server.connection() as connection, ThreadPoolExecutor(4) as pool:
            list(pool.map(connection.patch, [f"/api/annotations/{which}" for which in chosen], bodies))
        return len(chosen)


def annotation(draw: random.Random, expert: int) -> Measured:
    """Make an annotation as the server imports it: a main label, and up to three sub labels."""
    main, *subs = draw.sample(FASHION_STYLES.labels, draw.randint(1, 4))
    results = [
        {"from_name": name, "to_name": "image", "type": "choices", "value": {"choices": labels}}
        for name, labels in (("main", [main]), ("subs", subs))
        if labels
    ]
    return {
        "completed_by": expert,
        "result": results,
        "ground_truth": False,
        "was_cancelled": False,
        "lead_time": round(draw.lognormvariate(2.5, 0.6), 3),
    }


def result(name: str, ours: float, peer: float | None, target: str | None, met: bool | None) -> Measured:
    """Return one entry of the last line."""
    ratio = None if peer is None else round(peer / ours, 2)
    rounded = None if peer is None else round(peer, 3)
    return {"name": name, "ours": round(ours, 3), "peer": rounded, "ratio": ratio, "target": target, "met": met}


def median(runs: list[Measured], what: str) -> float:
    """Return the median of one figure."""
    return statistics.median(run[what] for run in runs)


def expect(found: Any, wanted: Any, what: str) -> None:
    """End the program where a contender did not do its work."""
    if found != wanted:
        raise SystemExit(f"{what}: {found} instead of {wanted}")


def imports(bench: Bench, rounds: int) -> list[Measured]:
    """Import tasks into new projects, in turn."""
    print(f"import of {bench.count:,} tasks", flush=True)
    ours, peer = [], []
    for number in range(rounds):
        peer.append(bench.run("import_sdk", bench.project(f"sdk {number}")))
        ours.append(bench.run("import_ours", bench.project(f"ours {number}")))
        expect((peer[-1]["found"], ours[-1]["found"]), (bench.count, bench.count), "imported tasks")
    mine, other = median(ours, "seconds"), median(peer, "seconds")
    name = f"seconds, {bench.count:,} tasks imported, peer SDK in one call"
    return [result(name, mine, other, "at least as fast", other >= mine)]


def exports(bench: Bench, rounds: int, folder: Path) -> list[Measured]:
    """Export annotated tasks: all, nothing new, some changed."""
    print(f"export of {bench.count:,} annotated tasks", flush=True)
    project_id, annotations = bench.annotated_project()
    ours, peer = [], []
    for number in range(rounds):
        peer.append(bench.run("export_sdk", project_id))
        ours.append(bench.run("export_ours", project_id, folder / f"{number}.sqlite"))
        expect(
            (peer[-1]["found"], ours[-1]["found"]["annotations_new"]),
            (annotations, annotations),
            "exported annotations",
        )
    mirror = folder / "0.sqlite"
    name = f"{bench.count:,} annotated tasks exported"
    cpu, peer_cpu, peak = median(ours, "cpu"), median(peer, "cpu"), max(run["peak"] for run in ours)
    results = [
        result(f"CPU seconds of the client, {name}", cpu, peer_cpu, "no more than the SDK", cpu <= peer_cpu),
        result(
            f"peak MB of the client, {name}",
            peak,
            max(run["peak"] for run in peer),
            f"below {TARGET_MEMORY:.0f} MB",
            peak < TARGET_MEMORY,
        ),
        result(f"seconds, {name}", median(ours, "seconds"), median(peer, "seconds"), None, None),
    ]
    again = bench.run("export_ours", project_id, mirror)
    expect(
        again["found"]["annotations_new"] + again["found"]["annotations_changed"],
        0,
        "new annotations when nothing is new",
    )
    changed = bench.change(project_id, mirror)
    some = bench.run("export_ours", project_id, mirror, fresh=False)
    expect(some["found"]["annotations_changed"], changed, "changed annotations")
    for what, run, target in (
        ("nothing new", again, TARGET_NOTHING_NEW),
        (f"{changed:,} changed", some, TARGET_CHANGED),
    ):
        seconds = run["seconds"]
        results.append(result(f"seconds, export, {what}", seconds, None, f"below {target:g} s", seconds < target))
    return results


def predictions(bench: Bench) -> list[Measured]:
    """Push predictions to a project that has none."""
    print(f"predictions for {bench.count:,} tasks", flush=True)
    project_id = bench.project("predictions")
    bench.run("import_ours", project_id)
    run = bench.run("predictions_ours", project_id)
    expect(run["found"], bench.count, "predictions")
    seconds, target = run["seconds"], f"below {TARGET_PREDICTIONS:g} s"
    return [result(f"seconds, {bench.count:,} predictions", seconds, None, target, seconds < TARGET_PREDICTIONS)]


def main() -> None:
    """Run all comparisons and print the results, or one contender as a child."""
    parser = argparse.ArgumentParser(description="Compare the round trip with Label Studio with its SDK.")
    parser.add_argument("--tasks", type=int, default=TASKS, help="how many tasks; targets hold for the default only")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each comparison runs")
    parser.add_argument("--smoke", action="store_true", help="a few tasks, once, to see that it works")
    parser.add_argument("--only", choices=["import", "export", "predictions"], help="one comparison instead of all")
    parser.add_argument("--template", type=Path, help="a server's data folder without projects, to save building one")
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, url, project_id, count, mirror = arguments.child
        with Connection(url, sys.stdin.readline().strip(), timeout=TIMEOUT) as connection:
            connection.get("/api/tasks", project=int(project_id), page_size=1)  # a server just started is slow once
            print(json.dumps(CHILDREN[task](connection, int(project_id), int(count), mirror), default=str))
        return
    count, rounds = (60, 1) if arguments.smoke else (arguments.tasks, arguments.rounds)
    begin = time.perf_counter()
    environment = install(ENVIRONMENT, say=print)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.template:
            shutil.copytree(arguments.template, folder / "data")
        else:
            create_data_folder(environment, folder / "data", say=print)
        with running_server(environment, folder / "data", folder / "files") as server:
            bench = Bench(server, count)
            comparisons = {
                "import": lambda: imports(bench, rounds),
                "export": lambda: exports(bench, rounds, folder),
                "predictions": lambda: predictions(bench),
            }
            results = [entry for name, run in comparisons.items() if arguments.only in (None, name) for entry in run()]
    if count != TASKS:
        results = [entry | {"target": None, "met": None} for entry in results]
    print(f"\n{time.perf_counter() - begin:.0f} s in all")
    print("RESULT", json.dumps(results))


if __name__ == "__main__":
    main()
