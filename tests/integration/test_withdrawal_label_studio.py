"""Withdrawn pictures leave a live Label Studio: tasks, answers and drafts, the mirror, and every table about them."""

import itertools
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from crawlers.identity import KEY_VARIABLE
from labeling.studio.connection import TOKEN_VARIABLE, URL_VARIABLE, Connection, StudioNotFound
from labeling.studio.server import RunningServer
from pipeline import jobs
from pipeline.commands.withdraw import Asked, withdraw
from pipeline.run import Step
from pipeline.studio import MIRROR_KEY
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.plan import KEY as PLAN_KEY
from tests.integration.label_studio_case import LABEL, QUEUE, Case, collect
from tests.integration.label_studio_tasks import answer

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

IMAGES = 24
WITHDRAW = Step("withdrawals", jobs.WITHDRAWAL, "Withdrawals")
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect(tmp_path_factory.mktemp("withdrawals"), IMAGES)


@pytest.fixture(scope="module")
def expert(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection(label_studio.experts[0]) as connection:
        yield connection


@pytest.fixture
def new_case(
    collection: Path, label_studio: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Case]]:
    """Make a copy of the collection with a project of its own."""
    monkeypatch.setenv(URL_VARIABLE, label_studio.url)
    monkeypatch.setenv(TOKEN_VARIABLE, label_studio.admin.token)
    monkeypatch.setenv(KEY_VARIABLE, "6b" * 32)
    with label_studio.connection() as admin:

        def make() -> Case:
            name = f"withdrawals {next(_numbers)}"
            folder = Path(shutil.copytree(collection, label_studio.document_root / name))
            return Case(folder, name, label_studio, admin)

        yield make


def files_with(folder: Path, needles: list[bytes]) -> list[str]:
    paths = [Path(root) / name for root, _, names in os.walk(folder) for name in names]
    return [str(path) for path in paths if any(needle in path.read_bytes() for needle in needles)]


def mirrored(case: Case, tasks: list[int]) -> dict[str, int]:
    """How much of these tasks the mirror of the project holds, by table."""
    with closing(sqlite3.connect(case.storage.path(MIRROR_KEY))) as mirror:
        found = {
            "tasks": mirror.execute("SELECT task_id FROM tasks").fetchall(),
            "versions": mirror.execute("SELECT task_id FROM versions").fetchall(),
        }
    return {name: sum(task in tasks for (task,) in rows) for name, rows in found.items()}


def test_tasks_answers_and_drafts_leave_the_server_and_the_mirror(
    new_case: Callable[[], Case], expert: Connection
) -> None:
    case = new_case()
    case.run(QUEUE)
    tasks = {task.image_id: task.task_id for task in case.tasks()}
    answered, drafted, untouched, kept = sorted(tasks)[:4]
    annotation = answer(expert, tasks[answered], "Casual")
    answer(expert, tasks[kept], "Romantic")
    draft = expert.post(f"/api/tasks/{tasks[drafted]}/drafts", {"result": [], "lead_time": 1.0})["id"]
    predictions = {
        image: case.admin.post("/api/predictions", {"task": tasks[image], "result": [], "model_version": "v1"})["id"]
        for image in (untouched, kept)
    }
    case.run(LABEL)
    gone = [answered, drafted, untouched]
    theirs = [tasks[image] for image in gone]
    assert files_with(case.folder / "data" / "label_studio", [answered.encode()])
    assert mirrored(case, theirs) == {"tasks": 3, "versions": 2}
    things = [
        (expert, f"/api/annotations/{annotation}"),
        (expert, f"/api/drafts/{draft}"),
        (case.admin, f"/api/predictions/{predictions[untouched]}"),
        *((case.admin, f"/api/tasks/{task}") for task in theirs),
    ]
    for connection, path in things:
        assert connection.get(path)["id"]

    code = withdraw(case.settings, Asked(images=gone, reason="asked"), Console(width=200), now=True)

    assert code == 0
    assert {task.image_id for task in case.tasks()} == set(tasks) - set(gone)
    for connection, path in things:
        with pytest.raises(StudioNotFound):
            connection.get(path)
    left = case.admin.get("/api/predictions", project=case.project_id)
    assert [(one["id"], one["task"]) for one in left] == [(predictions[kept], tasks[kept])]
    project = case.admin.get(f"/api/projects/{case.project_id}", include="id,total_annotations_number")
    assert project["total_annotations_number"] == 1
    assert mirrored(case, theirs) == {"tasks": 0, "versions": 0}
    for name in ("queued_tasks", "annotations", "annotation_versions", "label_tasks", "labels"):
        assert not {row["image_id"] for row in case.rows(name)} & set(gone), name
    assert not files_with(case.folder / "data", [image.encode() for image in gone])

    case.run(QUEUE)
    case.run(LABEL)
    assert {task.image_id for task in case.tasks()} == set(tasks) - set(gone)
    assert {row["image_id"] for row in case.rows("annotations")} == {kept}
    assert mirrored(case, theirs) == {"tasks": 0, "versions": 0}
    assert not files_with(case.folder / "data", [image.encode() for image in gone])


def test_a_server_that_cannot_be_reached_leaves_the_request_open(
    new_case: Callable[[], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = new_case()
    case.run(QUEUE)
    image = case.tasks()[0].image_id
    with monkeypatch.context() as patch:
        patch.setenv(URL_VARIABLE, "http://127.0.0.1:9")
        withdraw(case.settings, Asked(images=[image], reason="asked"), Console(width=200), now=False)
        assert "127.0.0.1:9" in case.failure(WITHDRAW)
    assert tombstones.pending(case.storage)
    assert case.storage.exists(PLAN_KEY)
    case.run(WITHDRAW)
    assert not tombstones.pending(case.storage)
    assert not case.storage.exists(PLAN_KEY)
    assert image not in {task.image_id for task in case.tasks()}
    assert case.storage.exists(MIRROR_KEY) is False
