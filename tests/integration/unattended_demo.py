"""A small demo whose services run while nobody touches it: what it has got to, and what happens to its processes."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pandas as pd

from pipeline.demo.planted import Planted
from pipeline.instance import open_instance
from pipeline.processes import Process
from pipeline.reasons import REASON_TAG
from pipeline.run_launcher import worker_of
from pipeline.services import CODE_SERVER, DAEMON
from pipeline.settings import load_settings
from pipeline.storage import Storage
from pipeline.supervisor import read_note
from pipeline.windows_due import PARTITION_TAG, UNDER_WAY
from tests.integration.running_services import free_port

WORKER = "run worker"
LABEL_SET = "top-5"
ARCHITECTURES = ("basic_cnn", "ml_gcn")
POSTS = 240
CHANGES = {  # of the demo's settings file, so that a training takes seconds
    "[label_sets.top-7]\ntop = 7\n": "",
    "repeats = 2\nepochs = 15": "repeats = 1\nepochs = 2",
    'preset = "small"': 'preset = "small"\nimage_size = [32, 32]\nepochs = 2\nbatch_size = 16',
}
FURTHER = "\n[evaluation]\nresamples = 100\n\n[trends]\nresamples = 100\n\n[drift]\npermutations = 100\n"
SHOWN_RUNS = 16


class UnattendedDemo:
    """A demo in a folder of its own, and the commands that a person gives to it."""

    def __init__(self, working: Path) -> None:
        self.working, self.folder = working, working / "demo"
        self.config = self.folder / "stylegraph.toml"
        self.said = working / "dev.log"
        named = {key: value for key, value in os.environ.items() if not key.startswith("STYLEGRAPH_")}
        self.environment = {**named, "OMP_NUM_THREADS": "1"}

    @property
    def storage(self) -> Storage:
        return Storage(str(self.folder / "data"))

    def command(self, *arguments: str) -> str:
        """Run a command of the launcher to its end and return what it says."""
        command = [sys.executable, "-m", "pipeline", *arguments]
        done = subprocess.run(
            command, cwd=self.working, env=self.environment, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_week(self) -> None:
        self.command("demo", "--add-week", "--folder", str(self.folder))

    def label_week(self) -> None:
        self.command("demo", "--label-week", "--folder", str(self.folder))

    @contextmanager
    def services(self) -> Iterator["Watched"]:
        """Run ``stylegraph dev`` with everything switched on; all of it is gone afterwards."""
        home = self.folder / "data" / "dagster"
        command = [sys.executable, "-m", "pipeline", "dev", "--config", str(self.config), "--port", str(free_port())]
        with self.said.open("ab") as log:
            dev = subprocess.Popen(command, cwd=self.working, env=self.environment, stdout=log, stderr=log)
        try:
            self.command("automation", "on", "--config", str(self.config))
            with open_instance(load_settings(self.config)) as instance:
                yield Watched(self, instance, home)
        finally:
            dev.terminate()
            code = dev.wait(90)
        assert code == 0, self.said.read_text()
        assert not [name for name, process in read_note(home / "services.json") if process.runs()]


def write_small_settings(config: Path, template: str) -> None:
    """Write the demo's settings with trainings that take seconds."""
    for before, after in CHANGES.items():
        assert before in template, before
        template = template.replace(before, after)
    config.parent.mkdir(parents=True)
    config.write_text(f"architectures = {list(ARCHITECTURES)}\n{template}{FURTHER}", encoding="utf-8")


@dataclass
class Watched:
    """A demo whose services run, seen through its tables and its history of runs."""

    demo: UnattendedDemo
    instance: dg.DagsterInstance
    home: Path
    began: float = field(default_factory=time.time)
    done: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None  # called between two looks

    def awaited(self, step: str, reached: Callable[[], object], patience: float = 300.0) -> None:
        """Look until a step is reached; say how far it got, and what ran, when that takes too long."""
        deadline = time.monotonic() + patience
        while not reached():
            assert time.monotonic() < deadline, f"after {patience:.0f} s still not: {step}\n{self.story()}"
            self.meanwhile()
            time.sleep(0.5)
        self.done.append(f"{time.time() - self.began:6.1f} s  {step}")

    def note(self, what: str) -> None:
        self.done.append(f"{time.time() - self.began:6.1f} s  {what}")

    def runs(self, statuses: Sequence[dg.DagsterRunStatus] = (), limit: int | None = None) -> list[dg.DagsterRun]:
        return list(self.instance.get_runs(dg.RunsFilter(statuses=statuses) if statuses else None, limit=limit))

    def under_way(self) -> list[dg.DagsterRun]:
        return self.runs(UNDER_WAY)

    def workers(self) -> list[tuple[dg.DagsterRun, Process]]:
        """Return the runs that are being worked on, with their processes."""
        found = [(run, worker_of(run.tags)) for run in self.runs([dg.DagsterRunStatus.STARTED])]
        return [(run, worker) for run, worker in found if worker is not None and worker.runs()]

    def made_since(self, asset: str, partition: str | None, moment: float) -> int:
        """Return how often an asset was materialized since."""
        records = dg.AssetRecordsFilter(
            asset_key=dg.AssetKey(asset), asset_partitions=[partition] if partition else None, after_timestamp=moment
        )
        return len(self.instance.fetch_materializations(records, limit=100).records)

    def table(self, name: str, *partition: str) -> pd.DataFrame:
        """Return a table, without rows where it was not written yet."""
        storage = self.demo.storage
        if not storage.has_table(name, partition):
            return pd.DataFrame()
        return storage.read_table(name, partition).to_pandas()

    def planted(self) -> Planted:
        return Planted.load(self.demo.folder / "network")

    def story(self) -> str:
        """What was reached, what ran last and why, and what the services said."""
        runs = [_line(self.instance, run) for run in self.runs(limit=SHOWN_RUNS)]
        said = self.demo.said.read_text(encoding="utf-8").splitlines()[-12:]
        return "\n".join(["reached:", *self.done, "last runs, newest first:", *runs, "services:", *said])


def described(run: dg.DagsterRun) -> str:
    """What a run makes."""
    checks = [f"{key.asset_key.to_user_string()}:{key.name}" for key in run.asset_check_selection or ()]
    made = sorted(key.to_user_string() for key in run.asset_selection or ()) or sorted(checks)
    return f"{run.run_id[:8]} {run.job_name} {run.tags.get(PARTITION_TAG, '')} {', '.join(made)}"


def _line(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    line = f"{run.status.value:9} {described(run)} | {run.tags.get(REASON_TAG, 'no reason')}"
    if run.status != dg.DagsterRunStatus.FAILURE:
        return line
    said = [event.dagster_event for event in instance.all_logs(run.run_id) if event.dagster_event]
    messages = [event.message or "" for event in said if event.is_failure]
    errors = [event.step_failure_data.error for event in said if event.is_step_failure]
    causes = [error.cause or error for error in errors if error is not None]
    return "\n            ".join([line, *(text[:300] for text in messages), *(error.message[:300] for error in causes)])


@dataclass
class Killer:
    """Kills daemon, code server and run workers, in a random order and at random moments while a run is worked on."""

    watched: Watched
    rounds: int
    rng: random.Random
    killed: list[str] = field(default_factory=list)
    due: float = 0.0  # monotonic seconds

    def __post_init__(self) -> None:
        self.left = [
            victim for _ in range(self.rounds) for victim in self.rng.sample([DAEMON, CODE_SERVER, WORKER], k=3)
        ]
        self.waiting: float | None = None  # since when a run is seen at work, and how long to let it

    def look(self) -> None:
        """Kill the next one if its time has come."""
        if not self.left or time.monotonic() < self.due:
            return
        workers = self.watched.workers()
        if not workers:
            self.waiting = None
            return
        if self.waiting is None:
            self.waiting = time.monotonic() + self.rng.uniform(0.0, 4.0)
        if time.monotonic() < self.waiting:
            return
        run, worker = self.rng.choice(workers)
        victim = self.left[0]
        process = worker if victim == WORKER else dict(read_note(self.watched.home / "services.json"))[victim]
        if process.send(signal.SIGKILL):  # else it is just being started again
            self.killed.append(self.left.pop(0))
            self.watched.note(f"killed the {victim} while there worked {described(run)}")
            self.due, self.waiting = time.monotonic() + self.rng.uniform(5.0, 25.0), None
