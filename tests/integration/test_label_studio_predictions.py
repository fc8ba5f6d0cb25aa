"""Showing experts a model's answers in a real Label Studio: what they see, and what they never see."""

import itertools
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Browser, Page

from labeling import FASHION_STYLES, labeling_config
from labeling.acceptance import prediction_acceptance
from labeling.references import ImageIndex
from labeling.studio.answers import annotation_versions
from labeling.studio.connection import Connection, StudioError
from labeling.studio.predictions import (
    PushedPredictions,
    blind_with_prediction,
    pre_annotations,
    push_predictions,
)
from labeling.studio.pull import pull
from labeling.studio.queue import is_blind
from labeling.studio.server import RunningServer, User
from labeling.studio.store import StudioStore
from labeling.tables import ANNOTATION_VERSIONS, PRE_ANNOTATIONS
from tests.integration.label_studio_tasks import rows_of as rows_of_tasks
from tests.labeling.labeling_samples import choices, image_id, task_row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

LABELS = FASHION_STYLES.labels
NOTHING = PRE_ANNOTATIONS.empty_table()
MORE_BLIND, LESS_BLIND = 0.6, 0.2
_numbers = itertools.count(1)

CHILD = """
import sys
import pyarrow.parquet as pq
from labeling.studio import predictions
from labeling.studio.connection import Connection
from labeling.tables import PRE_ANNOTATIONS

url, token, project_id, rows, part = sys.argv[1:]
predictions.ROWS_PER_REQUEST = int(part)
print("ready", flush=True)
sys.stdin.readline()
with Connection(url, token) as connection:
    done = predictions.push_predictions(
        connection, int(project_id), pq.read_table(rows), PRE_ANNOTATIONS.empty_table(),
        progress=lambda done, total: print(done, flush=True),
    )
print(f"sent {done.sent} stood {done.stood}", flush=True)
"""


class ScreenChanges(Connection):
    """Somebody takes a label from the labeling screen just before each import of predictions."""

    def request(self, method: str, path: str, *, retry: bool = False, **options: Any) -> httpx.Response:
        if path.endswith("/import/predictions"):
            config = labeling_config(FASHION_STYLES).replace('value="Retro"', 'value="Old"')
            super().request("PATCH", path.removesuffix("/import/predictions"), json={"label_config": config})
        return super().request(method, path, retry=retry, **options)


def new_project(connection: Connection, tasks: int, answers: int = 2) -> tuple[int, dict[str, int]]:
    """Make a project with tasks of the images 0, 1, …; returns its id, and the task of each image."""
    body = {
        "title": f"predictions {next(_numbers)} {time.time():.0f}",
        "label_config": labeling_config(FASHION_STYLES),
        "maximum_annotations": answers,
    }
    project_id = int(connection.post("/api/projects", body)["id"])
    ids = [image_id(number) for number in range(tasks)]
    data = dict.fromkeys(("image", "created_at", "hashtags", "alt_text", "window", "attention"), "")
    sent = [{"data": {**data, "image_id": image}} for image in ids]
    made = connection.post(f"/api/projects/{project_id}/import", sent, return_task_ids="true")["task_ids"]
    return project_id, dict(zip(ids, made, strict=True))


def rows_of(tasks: dict[str, int], version: str = "v1", main: str = "Retro", blind_share: float = 0.0) -> pa.Table:
    """Predict one main label for all, and Casual as sub label."""
    probabilities = np.zeros((len(tasks), len(LABELS)))
    probabilities[:, LABELS.index(main)] = 0.875
    probabilities[:, LABELS.index("Casual")] = 0.625
    now = datetime.now(UTC)
    return pre_annotations(
        list(tasks), LABELS, probabilities, tasks, model_version=version, blind_share=blind_share, predicted_at=now
    )


def on_server(connection: Connection, project_id: int) -> Counter[tuple[int, str]]:
    """Count the predictions of each task and version."""
    found = connection.get("/api/predictions", project=project_id)
    return Counter((row["task"], row["model_version"]) for row in found)


def submit(connection: Connection, task_id: int, main: str) -> None:
    connection.post(f"/api/tasks/{task_id}/annotations", {"result": [choices("main", main)], "lead_time": 5.0})


def counts(pushed: PushedPredictions) -> dict[str, int]:
    return {name: value for name, value in vars(pushed).items() if isinstance(value, int) and value}


@pytest.fixture
def admin(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection() as connection:
        yield connection


def test_what_was_pushed_is_not_sent_again(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 40)
    rows, told = rows_of(tasks), []
    first = push_predictions(
        admin, project_id, rows, NOTHING, page_size=7, progress=lambda done, total: told.append((done, total))
    )
    assert counts(first) == {"sent": 40}
    assert told == [(40, 40)]
    second = push_predictions(admin, project_id, rows_of(tasks), first.table, page_size=7)
    assert counts(second) == {"stood": 40}
    assert second.table.equals(first.table)
    assert on_server(admin, project_id) == {(task, "v1"): 1 for task in tasks.values()}


def test_only_what_is_missing_is_sent(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 9)
    some = dict(list(tasks.items())[2:7])
    push_predictions(admin, project_id, rows_of(some), NOTHING, page_size=2)
    assert counts(push_predictions(admin, project_id, rows_of(tasks), NOTHING, page_size=2)) == {"sent": 4, "stood": 5}
    assert on_server(admin, project_id) == {(task, "v1"): 1 for task in tasks.values()}


def test_a_version_that_another_one_contains_is_not_taken_for_it(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 3)
    push_predictions(admin, project_id, rows_of(tasks, "v10"), NOTHING)
    assert counts(push_predictions(admin, project_id, rows_of(tasks, "v1"), NOTHING)) == {"sent": 3}
    assert admin.get(f"/api/projects/{project_id}/model-versions/") == {"v1": 3, "v10": 3}


def test_blind_images_never_get_a_prediction(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 60)
    pushed = push_predictions(admin, project_id, rows_of(tasks, blind_share=LESS_BLIND), NOTHING)
    blind = {task for image, task in tasks.items() if is_blind(image, LESS_BLIND)}
    assert 0 < len(blind) < 60
    assert counts(pushed) == {"sent": 60 - len(blind), "blind": len(blind)}
    assert {task for task, _ in on_server(admin, project_id)} == set(tasks.values()) - blind
    assert blind_with_prediction(admin, project_id, blind) == []
    assert blind_with_prediction(admin, project_id, tasks.values(), page_size=10) == sorted(set(tasks.values()) - blind)


def test_tasks_that_become_blind_lose_their_predictions_while_they_wait(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 60, answers=1)
    first = push_predictions(admin, project_id, rows_of(tasks, "v1", blind_share=LESS_BLIND), NOTHING)
    second = push_predictions(admin, project_id, rows_of(tasks, "v2", blind_share=LESS_BLIND), first.table)
    newly = [task for image, task in tasks.items() if is_blind(image, MORE_BLIND) and not is_blind(image, LESS_BLIND)]
    done, *waiting = newly
    submit(admin, done, "Retro")
    assert blind_with_prediction(admin, project_id, newly) == waiting
    third = push_predictions(admin, project_id, rows_of(tasks, "v2", blind_share=MORE_BLIND), second.table)
    assert third.cleared == len(waiting) > 1
    assert blind_with_prediction(admin, project_id, newly) == []
    standing = {task for task, _ in on_server(admin, project_id)}
    assert not standing & set(waiting)
    assert done in standing  # its answer goes on to say which prediction it came from
    seen = {row["task_id"]: row["blind"] for row in third.table.to_pylist()}  # of each task the latest row
    assert all(seen[task] for task in waiting)


def test_tasks_that_somebody_has_answered_get_no_new_prediction(label_studio: RunningServer, admin: Connection) -> None:
    project_id, tasks = new_project(admin, 3)
    answered, open_, gone = tasks.values()
    with label_studio.connection(label_studio.experts[0]) as expert:
        submit(expert, answered, "Casual")
    admin.delete(f"/api/tasks/{gone}")
    rows = rows_of({**tasks, image_id(99): open_})
    unqueued = rows_of(tasks | {image_id(7): 1}).to_pylist()[-1] | {"task_id": None}
    rows = pa.concat_tables([rows, pa.Table.from_pylist([unqueued], schema=PRE_ANNOTATIONS)])
    pushed = push_predictions(admin, project_id, rows, NOTHING)
    # the task of image 99 shows image 1: a server may give the id of a deleted task to another one
    assert counts(pushed) == {"sent": 1, "answered": 1, "missing": 2, "unqueued": 1}
    assert on_server(admin, project_id) == {(open_, "v1"): 1}
    assert [row["image_id"] for row in pushed.table.to_pylist() if row["task_id"]] == [image_id(1)]
    assert pushed.table.num_rows == 5


def test_unsure_predictions_are_not_shown(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 2)
    pushed = push_predictions(admin, project_id, rows_of(tasks), NOTHING, least_score=0.9)
    assert counts(pushed) == {"unsure": 2}
    assert not on_server(admin, project_id)
    assert pushed.table["task_id"].null_count == 2
    assert counts(push_predictions(admin, project_id, rows_of(tasks), NOTHING, least_score=0.875)) == {"sent": 2}


def test_rows_that_the_server_drops_are_named(admin: Connection, caplog: pytest.LogCaptureFixture) -> None:
    project_id, tasks = new_project(admin, 4)
    rows = rows_of(tasks).to_pylist()
    rows[2]["score"] = 1.5
    with caplog.at_level(logging.WARNING):
        pushed = push_predictions(admin, project_id, pa.Table.from_pylist(rows, schema=PRE_ANNOTATIONS), NOTHING)
    assert pushed.refused == (image_id(2),)
    assert counts(pushed) == {"sent": 3}
    assert image_id(2) in caplog.text
    assert pushed.table["task_id"].to_pylist()[2] is None


def test_a_screen_that_changes_meanwhile_leaves_all_of_them_named(label_studio: RunningServer) -> None:
    with ScreenChanges(label_studio.url, label_studio.admin.token) as connection:
        project_id, tasks = new_project(connection, 3)
        pushed = push_predictions(connection, project_id, rows_of(tasks), NOTHING)
        assert pushed.refused == tuple(tasks)
        assert not connection.get(f"/api/projects/{project_id}")["model_version"]


def test_labels_that_the_screen_does_not_offer_are_refused_before_anything_is_sent(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 3)
    labels = ("Retro", "Steampunk")
    for probabilities, control in (([0.25, 0.75], "main"), ([0.75, 0.625], "subs")):
        values = np.asarray([[1.0, 0.0], [1.0, 0.0], probabilities])
        rows = pre_annotations(
            list(tasks), labels, values, tasks, model_version="v1", blind_share=0.0, predicted_at=datetime.now(UTC)
        )
        with pytest.raises(StudioError, match=f"'Steampunk', which the labeling screen does not offer as {control}"):
            push_predictions(admin, project_id, rows, NOTHING)
    assert not on_server(admin, project_id)


def test_two_versions_at_once_are_refused(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 1)
    both = pa.concat_tables([rows_of(tasks), rows_of(tasks, "v2")])
    with pytest.raises(StudioError, match="predictions of v1 and v2 at once"):
        push_predictions(admin, project_id, both, NOTHING)


def test_nothing_to_push_changes_nothing(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 1)
    first = push_predictions(admin, project_id, rows_of(tasks), NOTHING)
    again = push_predictions(admin, project_id, NOTHING, first.table)
    assert counts(again) == {}
    assert again.table.equals(first.table)
    assert admin.get(f"/api/projects/{project_id}")["model_version"] == "v1"


def start_child(server: RunningServer, project_id: int, rows: Path, part: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, server.url, server.admin.token, str(project_id), str(rows), str(part)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def go(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


def test_a_push_that_was_killed_is_completed_by_the_next(
    label_studio: RunningServer, admin: Connection, tmp_path: Path
) -> None:
    project_id, tasks = new_project(admin, 400)
    pq.write_table(rows_of(tasks), tmp_path / "rows.parquet")
    with start_child(label_studio, project_id, tmp_path / "rows.parquet", part=50) as child:
        go(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "50\n"
        child.kill()  # its next request may be under way
    pushed = push_predictions(admin, project_id, rows_of(tasks), NOTHING)
    assert pushed.stood >= 50
    assert pushed.sent + pushed.stood == 400
    assert admin.get(f"/api/projects/{project_id}")["model_version"] == "v1"
    again = push_predictions(admin, project_id, rows_of(tasks), pushed.table)
    assert again.stood == 400
    assert on_server(admin, project_id) == {(task, "v1"): 1 for task in tasks.values()}


def test_two_pushes_at_once_leave_one_prediction_of_each(
    label_studio: RunningServer, admin: Connection, tmp_path: Path
) -> None:
    project_id, tasks = new_project(admin, 120)
    pq.write_table(rows_of(tasks), tmp_path / "rows.parquet")
    children = [start_child(label_studio, project_id, tmp_path / "rows.parquet", part=40) for _ in range(2)]
    threads = [threading.Thread(target=go, args=(child,)) for child in children]
    for thread in threads:
        thread.start()
    said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert on_server(admin, project_id) == {(task, "v1"): 1 for task in tasks.values()}
    assert counts(push_predictions(admin, project_id, rows_of(tasks), NOTHING)) == {"stood": 120}


def test_predictions_that_stand_twice_are_removed_but_one(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 3)
    push_predictions(admin, project_id, rows_of(tasks, "v1"), NOTHING)
    push_predictions(admin, project_id, rows_of(tasks, "v2"), NOTHING)
    (first, *_) = tasks.values()
    for version in ("v1", "v2"):
        body = [{"task": first, "model_version": version, "score": 0.5, "result": [choices("main", "Casual")]}]
        admin.post(f"/api/projects/{project_id}/import/predictions", body)
    pushed = push_predictions(admin, project_id, rows_of(tasks, "v2"), NOTHING)
    assert pushed.doubles == 2
    assert on_server(admin, project_id) == {(task, version): 1 for task in tasks.values() for version in ("v1", "v2")}
    kept = admin.get("/api/predictions", task=first)
    assert {part["value"]["choices"][0] for row in kept for part in row["result"]} == {"Retro", "Casual"}


def next_task(server: RunningServer, user: User, project_id: int) -> dict[str, Any]:
    with server.connection(user) as expert:
        task: dict[str, Any] = expert.get(f"/api/projects/{project_id}/next")
        return task


def test_the_newest_version_is_the_one_that_experts_get(label_studio: RunningServer, admin: Connection) -> None:
    project_id, tasks = new_project(admin, 1)
    for version, main in (("v1", "Retro"), ("v2", "Sexy"), ("v1", "Retro")):
        push_predictions(admin, project_id, rows_of(tasks, version, main), NOTHING)
        assert admin.get(f"/api/projects/{project_id}")["model_version"] == version
        (shown,) = next_task(label_studio, label_studio.experts[0], project_id)["predictions"]
        assert shown["model_version"] == version
        assert shown["score"] == 0.875
        assert {part["from_name"]: part["value"] for part in shown["result"]} == {
            "main": {"choices": [main]},
            "subs": {"choices": ["Casual"]},
        }
    assert len(admin.get("/api/predictions", task=next(iter(tasks.values())))) == 2


def test_predictions_can_be_hidden_and_shown_again(label_studio: RunningServer, admin: Connection) -> None:
    project_id, tasks = new_project(admin, 1)
    push_predictions(admin, project_id, rows_of(tasks), NOTHING)
    admin.patch(f"/api/projects/{project_id}", {"show_collab_predictions": False})  # as ensure_project does
    assert next_task(label_studio, label_studio.experts[0], project_id)["predictions"] == []
    push_predictions(admin, project_id, rows_of(tasks), NOTHING)
    assert len(next_task(label_studio, label_studio.experts[0], project_id)["predictions"]) == 1


def ticked(page: Page) -> list[str]:
    found: list[str] = page.eval_on_selector_all("input:checked", "inputs => inputs.map(input => input.name)")
    return sorted(found)


def log_in(page: Page, server: RunningServer, user: User) -> None:
    page.goto(f"{server.url}/user/login")
    page.fill("#email", user.email)
    page.fill("#password", user.password)
    page.click("button[type=submit]")
    page.wait_for_url(lambda url: "/user/login" not in url, wait_until="commit", timeout=60_000)


def open_stream(page: Page, server: RunningServer, project_id: int) -> None:
    page.goto(f"{server.url}/projects/{project_id}/data?labeling=1")
    page.wait_for_selector("input[type=radio]", timeout=60_000)


def press_submit(page: Page) -> None:
    with page.expect_response(
        lambda response: "/annotations" in response.url and response.request.method == "POST", timeout=60_000
    ):
        page.click("button[aria-label='Submit current annotation']")


def acceptance_of(
    admin: Connection, project_id: int, store: StudioStore, history: pa.Table
) -> dict[tuple[str | None, bool], tuple[str, int, int, int]]:
    """Export, and return version, accepted, changed and rejected by predicted label and blindness."""
    pull(admin, project_id, store)
    index = ImageIndex.from_tasks(rows_of_tasks(*map(task_row, range(10))).to_pandas())
    batches = annotation_versions(store, index, admin.users())
    versions = pa.Table.from_batches(batches, ANNOTATION_VERSIONS).to_pandas()
    table = prediction_acceptance(versions, history.to_pandas(), LABELS)
    return {
        (row["label"], row["blind"]): (row["model_version"], row["accepted"], row["changed"], row["rejected"])
        for row in table.to_pylist()
        if row["label"] is not None
    }


def test_an_expert_finds_the_newest_answer_ticked_and_what_becomes_of_it_is_counted(
    browser: Browser, label_studio: RunningServer, admin: Connection, tmp_path: Path
) -> None:
    project_id, tasks = new_project(admin, 5, answers=1)
    first, *_ = tasks.values()
    shown = dict(list(tasks.items())[:4])
    history = NOTHING
    for version, main in (("v1", "Retro"), ("v2", "Sexy")):
        history = push_predictions(admin, project_id, rows_of(shown, version, main), history).table
    with StudioStore(tmp_path / "answers.sqlite") as store:
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        log_in(page, label_studio, label_studio.experts[0])
        open_stream(page, label_studio, project_id)
        page.wait_for_selector("input:checked", timeout=60_000)
        assert ticked(page) == ["Casual", "Sexy"]
        page.screenshot(path=tmp_path / "labeling.png")
        press_submit(page)  # as it is
        open_stream(page, label_studio, project_id)
        page.wait_for_selector("input:checked", timeout=60_000)
        page.click("text=Retro >> nth=0")
        press_submit(page)  # another main label
        open_stream(page, label_studio, project_id)
        page.wait_for_selector("input:checked", timeout=60_000)
        with page.expect_response(lambda response: "/drafts" in response.url, timeout=60_000):
            page.click("text=Retro >> nth=0")  # the screen saves a draft by itself
        third = list(tasks.values())[2]
        page.goto(f"{label_studio.url}/projects/{project_id}/data?task={third}")
        page.wait_for_selector("input:checked", timeout=60_000)
        press_submit(page)  # the draft
        admin.patch(f"/api/projects/{project_id}", {"show_collab_predictions": False})
        open_stream(page, label_studio, project_id)
        assert ticked(page) == []
        page.click("text=Sexy >> nth=0")
        press_submit(page)  # with the prediction hidden: counts nowhere
        open_stream(page, label_studio, project_id)
        page.click("text=Sexy >> nth=0")
        press_submit(page)  # without any prediction: counts nowhere, unless it is blind
        page.close()
        assert all(admin.get(f"/api/tasks/{task}/annotations") for task in tasks.values())
        wanted = {("Sexy", False): ("v2", 1, 0, 2)}
        assert acceptance_of(admin, project_id, store, history) == wanted
        (taken,) = admin.get(f"/api/tasks/{first}/annotations")
        admin.patch(f"/api/annotations/{taken['id']}", {"result": [choices("main", "Retro")]})
        assert acceptance_of(admin, project_id, store, history) == wanted
        last = list(tasks)[4]
        blind = rows_of({last: tasks[last]}, "v2", "Sexy", blind_share=1.0).to_pylist()[0]
        blind["predicted_at"] = history["predicted_at"][0].as_py()  # before the answer
        both = pa.concat_tables([history, pa.Table.from_pylist([blind], schema=PRE_ANNOTATIONS)])
        assert acceptance_of(admin, project_id, store, both) == {**wanted, ("Sexy", True): ("v2", 0, 1, 0)}


def test_five_thousand_are_pushed_and_found_again(admin: Connection) -> None:
    project_id, tasks = new_project(admin, 5000)
    told: list[int] = []
    pushed = push_predictions(
        admin, project_id, rows_of(tasks, blind_share=LESS_BLIND), NOTHING, progress=lambda done, _: told.append(done)
    )
    assert pushed.sent + pushed.blind == 5000
    assert told == [5000]
    assert admin.get(f"/api/projects/{project_id}/model-versions/") == {"v1": pushed.sent}
    assert counts(push_predictions(admin, project_id, rows_of(tasks, blind_share=LESS_BLIND), pushed.table)) == {
        "stood": pushed.sent,
        "blind": pushed.blind,
    }
