"""The services under fire: what is killed comes again, runs outlive it, and nothing is done twice."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.instance import instance_folder
from pipeline.run_launcher import worker_of
from pipeline.services import (
    CODE_SERVER,
    DAEMON,
    MODULE,
    WEBSERVER,
    code_server_socket,
    interrupt_runs,
    services,
    write_workspace,
)
from pipeline.settings import Settings, load_settings
from pipeline.supervisor import Supervisor
from tests.integration.running_services import ENDED, TERMINATE, Asked, free_port, wait_for
from tests.pipeline.small_case import write_case

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(400)]
GRAPH = "tests.integration.slow_graph"


class Running:
    """Services of a graph that waits to be told."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder = settings, folder
        self.said: list[str] = []

    @contextmanager
    def started(self) -> Iterator[Asked]:
        """Keep the services running as ``stylegraph dev`` does, but with another graph."""
        home, port = instance_folder(self.settings), free_port()
        workspace, address = home / "workspace.yaml", code_server_socket(home)
        write_workspace(workspace, address)
        kept = [
            replace(one, command=[GRAPH if word == MODULE else word for word in one.command])
            for one in services(home, workspace, address, port)
        ]
        environment = {**os.environ, "DAGSTER_HOME": str(home), "SLOW_GRAPH_FOLDER": str(self.folder)}
        supervisor = Supervisor(kept, environment, home / "services.json", self.said.append)
        done = threading.Event()
        supervisor.start()
        looking = threading.Thread(target=lambda: [supervisor.look() for _ in iter(lambda: done.wait(0.1), True)])
        looking.start()
        asked = Asked(port, home)
        try:
            wait_for(asked.shows_graph, 90, "the graph")
            yield asked
        finally:
            done.set()
            looking.join()
            supervisor.stop([WEBSERVER, DAEMON])
            interrupt_runs(self.settings, self.said.append)
            supervisor.stop()

    def noted(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().split() if path.exists() else []

    def go(self) -> None:
        (self.folder / "go").touch()


@pytest.fixture
def running(tmp_path: Path) -> Running:
    settings = load_settings(write_case(tmp_path / "case", images=1))
    return Running(settings, tmp_path)


def test_a_run_outlives_daemon_and_code_server(running: Running) -> None:
    with running.started() as asked:
        run = asked.launch("slow_job")
        wait_for(lambda: running.noted("began"), 60, "the run")
        killed = {name: asked.kill(name) for name in (DAEMON, CODE_SERVER, WEBSERVER)}
        for name, process in killed.items():
            asked.wait_for_another(process, name)
        wait_for(asked.shows_graph, 60, "the graph")
        running.go()
        wait_for(lambda: asked.status(run) in ENDED, 60, "the run's end")
        assert asked.status(run) == "SUCCESS"
        assert running.noted("began") == running.noted("ended") == [run]
        assert [one["runId"] for one in asked.runs()] == [run]
        second = asked.launch("slow_job")
        wait_for(lambda: asked.status(second) == "SUCCESS", 60, "a run after all that")
    assert sum("killed by SIGKILL" in line for line in running.said) == 3


def test_a_killed_run_is_begun_again_once(running: Running) -> None:
    with running.started() as asked:
        run = asked.launch("slow_job")
        wait_for(lambda: running.noted("began"), 60, "the run")
        worker = worker_of(asked.runs()[0]["tags"])
        assert worker is not None
        assert worker.runs()
        os.kill(worker.pid, 9)
        wait_for(lambda: len(running.noted("began")) == 2, 60, "the next attempt")
        assert asked.status(run) == "FAILURE"
        running.go()
        (again,) = [one["runId"] for one in asked.runs() if one["parentRunId"] == run]
        wait_for(lambda: asked.status(again) == "SUCCESS", 60, "the end of the next attempt")
        assert running.noted("ended") == [again]
        assert len(asked.runs()) == 2


def test_trainings_that_people_launch_wait_for_each_other(running: Running) -> None:
    """They have no tag; a killed one makes way for the next."""
    with running.started() as asked:
        first = asked.launch("slow_training_job")
        wait_for(lambda: running.noted("began"), 60, "the first")
        second, beside = asked.launch("slow_training_job"), asked.launch("slow_job")
        wait_for(lambda: beside in running.noted("began"), 60, "what is no training")
        assert asked.status(second) == "QUEUED"
        worker = worker_of(next(run["tags"] for run in asked.runs() if run["runId"] == first))
        assert worker is not None
        os.kill(worker.pid, 9)
        wait_for(lambda: len(running.noted("began")) == 3, 60, "the next training")
        assert asked.status(first) == "FAILURE"
        under_way = [run for run in asked.runs() if run["status"] == "STARTED"]
        assert sorted(run["jobName"] for run in under_way) == ["slow_job", "slow_training_job"]
        running.go()
        wait_for(lambda: {run["status"] for run in asked.runs()} == {"SUCCESS", "FAILURE"}, 90, "the end of all")
        assert len(running.noted("ended")) == 3


def test_a_run_is_stopped_from_the_ui(running: Running) -> None:
    with running.started() as asked:
        run = asked.launch("slow_job")
        wait_for(lambda: running.noted("began"), 60, "the run")
        worker = worker_of(asked.runs()[0]["tags"])
        assert asked.graphql(TERMINATE, id=run)["terminateRun"]["__typename"] == "TerminateRunSuccess"
        wait_for(lambda: asked.status(run) == "CANCELED", 30, "the run's end")
        wait_for(lambda: worker is not None and not worker.runs(), 30, "the worker's end")
        assert running.noted("ended") == []


def test_stopping_the_services_interrupts_runs_which_go_on_afterwards(running: Running) -> None:
    with running.started() as asked:
        run = asked.launch("slow_job")
        wait_for(lambda: running.noted("began"), 60, "the run")
        worker = worker_of(asked.runs()[0]["tags"])
        processes = [asked.process(name) for name in (CODE_SERVER, WEBSERVER, DAEMON)]
    assert worker is not None
    assert not any(process.runs() for process in (*processes, worker))
    assert f"Run {run[:8]} was interrupted; it goes on when the services start again" in running.said
    running.go()
    with running.started() as asked:
        wait_for(lambda: [one["status"] for one in asked.runs()] == ["SUCCESS", "FAILURE"], 60, "the next attempt")


def test_what_a_killed_supervisor_left_is_ended_by_the_next(running: Running) -> None:
    home = instance_folder(running.settings)
    address = code_server_socket(home)
    write_workspace(home / "workspace.yaml", address)
    kept = [one for one in services(home, home / "workspace.yaml", address, free_port()) if one.name == CODE_SERVER]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    killed = Supervisor(kept, environment, home / "services.json", running.said.append)
    killed.start()
    left = Asked(0, home).process(CODE_SERVER)
    following = Supervisor(kept, environment, home / "services.json", running.said.append)
    following.start()
    assert not left.runs()
    assert Asked(0, home).process(CODE_SERVER).runs()
    following.stop()
    killed.look()  # takes leave of its child


def test_the_command_starts_again_on_its_port_after_it_was_killed(running: Running, tmp_path: Path) -> None:
    home, port = instance_folder(running.settings), free_port()
    config, said = tmp_path / "case" / "stylegraph.toml", tmp_path / "said"
    command = [sys.executable, "-m", "pipeline", "dev", "--config", str(config), "--port", str(port)]

    def start() -> subprocess.Popen[bytes]:
        with said.open("ab") as output:
            return subprocess.Popen(command, cwd=tmp_path, stdout=output, stderr=output)

    asked = Asked(port, home)
    killed = start()
    try:
        wait_for(asked.shows_graph, 90, "the graph")
        left = asked.process(WEBSERVER)
    finally:
        killed.kill()
        killed.wait()
    assert left.runs()
    again = start()
    try:
        asked.wait_for_another(left, WEBSERVER, 60)
        wait_for(asked.shows_graph, 90, "the graph")
        assert not left.runs()
    finally:
        again.terminate()
        assert again.wait(90) == 0, said.read_text()
    assert "webserver of an earlier start was still running" in said.read_text()
