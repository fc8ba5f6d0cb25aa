"""Runs as processes of their own, which outlive whoever launched them and can be looked after by anybody else.

Dagster's own launcher lets runs live below the code server: when that is killed or restarted, they go with it. Here a
run worker is a session leader that notes in its run's tags who it is. So a daemon that starts anew sees whether the
runs of its predecessor still run, and a new code server disturbs none.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._serdes import ConfigurableClass, ConfigurableClassData

from pipeline import signs_of_life
from pipeline.processes import Process, process, this_process

WORKER_TAG = "stylegraph/worker"
LAUNCHED_TAG = "stylegraph/launched"
LOGS = "run_workers"
MOST_LOGS = 500  # of runs; the oldest are removed
PATIENCE = 30.0  # seconds between asking a worker to end and killing it
LONGEST_SILENCE = 600.0  # seconds without an event, after which a run that names no process is given up


def worker_tags(worker: Process) -> dict[str, str]:
    """Return the tags by which a run says which process it runs in."""
    return {WORKER_TAG: json.dumps(asdict(worker))}


def tags_here(instance: dg.DagsterInstance) -> dict[str, str]:
    """Let this process show that it lives, and return the tags of a run in it."""
    signs_of_life.show(Path(instance.root_directory) / LOGS, this_process())
    return worker_tags(this_process())


def own_tags(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the tags of a command's own run: looked after like any other, but not started again by itself."""
    return {**tags_here(instance), MAX_RETRIES_TAG: "0"}


def worker_of(tags: Mapping[str, str]) -> Process | None:
    """Return the process that a run's tags name; None where it did not get so far."""
    return Process(**json.loads(tags[WORKER_TAG])) if WORKER_TAG in tags else None


def log_of(instance_folder: Path, run_id: str) -> Path:
    """Return the file that takes what a run's worker prints."""
    return instance_folder / LOGS / f"{run_id}.log"


class DetachedRunLauncher(RunLauncher, ConfigurableClass):
    """Starts each run as a process of its own, in a session of its own."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._children: list[subprocess.Popen[bytes]] = []
        super().__init__()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """How the instance was told to use this launcher."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """It has no settings."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "DetachedRunLauncher":
        """Make the launcher that dagster.yaml asks for."""
        return cls(inst_data)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the worker of a run; it does not end with this process, and prints into a file of its own."""
        run_id = context.dagster_run.run_id
        home = Path(self._instance.root_directory)
        log = log_of(home, run_id)
        log.parent.mkdir(parents=True, exist_ok=True)
        _remove_oldest(log.parent)
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, "-m", "pipeline.run_worker", run_id],
                env={**os.environ, "DAGSTER_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # the worker notes itself, too; but a run that is begun again has its predecessor's tags until then
        self._instance.add_run_tags(run_id, {LAUNCHED_TAG: "true", **worker_tags(process(child.pid))})
        self._reap()
        self._children.append(child)

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run; it is killed if it does not end in time. False where it had ended already."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = worker_of(run.tags)
        if worker is None:  # it looks at the run's state when it begins, and ends by itself
            return True
        if not worker.is_here and self._lives(worker) is not False:
            message = f"The run is a process of {worker.host} or of a container: end process {worker.pid} there."
            self._instance.report_engine_event(message, run, cls=type(self))
            return False
        if not worker.send(signal.SIGTERM):
            self._instance.report_run_canceled(run, message="The run's process was gone already.")
            return True
        killer = threading.Timer(PATIENCE, worker.send, [signal.SIGKILL])
        killer.daemon = True
        killer.start()
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the daemon can ask for a worker's health: it can."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Say whether a run's process still runs; what cannot be seen from here is taken for running."""
        self._reap()
        worker = worker_of(run.tags)
        if worker is None:
            return self._health_of_nobody(run)
        name, lives = f"{worker.host}:{worker.pid}", self._lives(worker)
        if lives is None:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "It is another machine's process.", run_worker_id=name)
        if lives:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=name)
        message = f"process {worker.pid} is gone without a word: it was killed, or the machine was restarted"
        return CheckRunHealthResult(WorkerStatus.FAILED, message, run_worker_id=name)

    def _lives(self, worker: Process) -> bool | None:
        """Say whether a worker lives; None where that cannot be known here."""
        if worker.is_here:
            return worker.runs()
        return signs_of_life.is_shown(Path(self._instance.root_directory) / LOGS, worker)

    def _health_of_nobody(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Go by the last event of a run that names no process: somebody's script began it, and may have been killed."""
        last = self._instance.event_log_storage.get_logs_for_run(run.run_id, limit=1, ascending=False)
        silence = time.time() - last[0].timestamp if last else 0.0
        if silence < LONGEST_SILENCE:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "The run names no process.")
        self._instance.add_run_tags(run.run_id, {MAX_RETRIES_TAG: "0"})  # it may still work: no second one beside it
        message = f"the run names no process, and said nothing for {silence / 60:.0f} minutes; it is not begun again"
        return CheckRunHealthResult(WorkerStatus.FAILED, message)

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Say where to read what the worker printed."""
        log = log_of(Path(self._instance.root_directory), run.run_id)
        return f"What it printed: {log}" if log.exists() else None

    def dispose(self) -> None:
        """Leave the workers alone: they outlive the instance that launched them."""
        self._reap()
        for child in self._children:
            child.returncode = child.returncode or 0  # else Python warns of a process that nobody waited for
        self._children.clear()

    def _reap(self) -> None:
        """Take leave of children that ended, so that no zombies gather."""
        self._children = [child for child in self._children if child.poll() is None]


def _remove_oldest(folder: Path) -> None:
    logs = sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)
    for path in logs[: max(0, len(logs) - MOST_LOGS)]:
        path.unlink(missing_ok=True)
