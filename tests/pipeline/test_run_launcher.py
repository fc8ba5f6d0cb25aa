"""Runs whose process is gone are told from those that still run, whoever began them and wherever they are."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus
from dagster._core.test_utils import create_run_for_test

from pipeline.instance import open_instance
from pipeline.processes import Process, this_process
from pipeline.run_launcher import own_tags, tags_here, worker_of, worker_tags
from pipeline.settings import load_settings
from pipeline.signs_of_life import ENDING
from tests.pipeline.small_case import write_case


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(load_settings(write_case(tmp_path, images=1))) as opened:
        yield opened


def health(instance: dg.DagsterInstance, tags: dict[str, str]) -> WorkerStatus:
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=tags)
    instance.report_engine_event("it has begun", run)
    return instance.run_launcher.check_run_worker_health(run).status


def sign_of(instance: dg.DagsterInstance, worker: Process) -> Path:
    folder = Path(instance.root_directory) / "run_workers"
    folder.mkdir(exist_ok=True)
    return folder / f"{worker.place}-{worker.pid}-{worker.began}{ENDING}"


def test_a_run_that_names_no_process_is_given_up_after_a_long_silence(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert health(instance, {}) == WorkerStatus.RUNNING
    monkeypatch.setattr("pipeline.run_launcher.LONGEST_SILENCE", 0.0)
    assert health(instance, {}) == WorkerStatus.FAILED
    assert health(instance, own_tags(instance)) == WorkerStatus.RUNNING  # it may be silent for as long as it lives


def test_a_run_of_this_process_lives_as_seen_by_id_and_by_sign(instance: dg.DagsterInstance) -> None:
    worker = worker_of(tags_here(instance))
    assert worker == this_process()
    assert health(instance, tags_here(instance)) == WorkerStatus.RUNNING
    assert sign_of(instance, worker).exists()


def test_after_a_restart_of_machine_or_container_its_runs_are_gone(instance: dg.DagsterInstance) -> None:
    before = replace(this_process(), place="before")  # the same name and id, in the container of the same service
    sign_of(instance, before).touch()
    assert health(instance, worker_tags(before)) == WorkerStatus.FAILED


def test_what_is_not_known_here_is_taken_for_running_and_left_alone(instance: dg.DagsterInstance) -> None:
    elsewhere = replace(this_process(), place="another machine")
    assert health(instance, worker_tags(elsewhere)) == WorkerStatus.RUNNING
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, tags=worker_tags(elsewhere))
    assert not instance.run_launcher.terminate(run.run_id)
    sign_of(instance, elsewhere).touch()
    assert instance.run_launcher.terminate(run.run_id)
    stopped = instance.get_run_by_id(run.run_id)
    assert stopped is not None
    assert stopped.status == dg.DagsterRunStatus.CANCELED
