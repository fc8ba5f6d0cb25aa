"""Bringing the queue to a real Label Studio: twice, in parallel, killed at any moment, with the server going away."""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labeling.errors import LabelingError
from labeling.studio.connection import Connection, StudioError
from labeling.studio.push import push_tasks
from labeling.studio.queue import Chosen, is_blind
from labeling.studio.settings import LabelStudioServer
from labeling.studio.task_list import listed_tasks, withdraw_tasks
from tests.integration.label_studio_tasks import NOTHING_QUEUED, PICTURES, answer, chosen_of, many, new_project, rows_of
from tests.labeling.labeling_samples import choices, image_id, task_row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

SETTINGS = LabelStudioServer(page_size=500)
TIMES = ["queued_at"]

CHILD = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from labeling.studio.connection import Connection
from labeling.studio.pictures import LocalPictures
from labeling.studio.push import push_tasks
from labeling.studio.queue import Chosen
from labeling.studio.settings import LabelStudioServer
from labeling.tables import QUEUED_TASKS

url, token, project_id, rows, result, tasks_per_request = sys.argv[1:]
table = pq.read_table(rows)
chosen = [Chosen(image_id, "newest") for image_id in table.column("image_id").to_pylist()]
pictures = LocalPictures(Path("/srv/files/images"), Path("/srv/files"))
print("ready", flush=True)
sys.stdin.readline()
with Connection(url, token) as connection:
    done = push_tasks(
        connection, int(project_id), LabelStudioServer(page_size=500), table, chosen,
        QUEUED_TASKS.empty_table(), pictures, progress=lambda done, total: print(done, flush=True),
        tasks_per_request=int(tasks_per_request),
    )
pq.write_table(done, result)
"""


def images_on(connection: Connection, project_id: int) -> list[str]:
    return [task.image_id for task in listed_tasks(connection, project_id)]


def states(table: pa.Table) -> dict[int, str]:
    return {int(row["image_id"], 16): row["state"] for row in table.to_pylist()}


def start_child(
    label_studio: Any, project_id: int, rows: Path, result: Path, tasks_per_request: int
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            CHILD,
            label_studio.url,
            label_studio.admin.token,
            *map(str, (project_id, rows, result, tasks_per_request)),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def let_go(children: Sequence[subprocess.Popen[str]]) -> None:
    """Wait until all have imported what they need, then start them together."""
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()


def test_a_second_push_sends_nothing_and_the_table_says_what_stands(label_studio: Any) -> None:
    rows = rows_of(
        task_row(1, names=["a.jpg"]), task_row(2) | {"alt_text": "Red\ncoat", "hashtags": ["ootd"]}, task_row(3)
    )
    with label_studio.connection() as connection:
        project = new_project(connection)
        seen: list[tuple[int, int]] = []
        first = push_tasks(
            connection,
            project,
            SETTINGS,
            rows,
            [Chosen(image_id(2), "random"), Chosen(image_id(1), "rare")],
            NOTHING_QUEUED,
            PICTURES,
            progress=lambda done, total: seen.append((done, total)),
        )
        assert seen == [(0, 2), (2, 2)]
        listed = {task.image_id: task for task in listed_tasks(connection, project)}
        assert [row["chosen_as"] for row in first.to_pylist()] == ["rare", "random"]
        for row in first.to_pylist():
            task = listed[row["image_id"]]
            assert (row["task_id"], row["state"]) == (task.task_id, "queued")
            assert abs(row["queued_at"] - task.created_at) < timedelta(seconds=1)
            assert row["blind"] == is_blind(row["image_id"], SETTINGS.blind_share)
        assert listed[image_id(2)].task_id < listed[image_id(1)].task_id  # the order in which they were chosen
        assert listed[image_id(2)].data == {
            "image_id": image_id(2),
            "image": f"/data/local-files/?d=images/00/{image_id(2)}",
            "created_at": "",
            "hashtags": "#ootd",
            "alt_text": "Red coat",
            "window": "2019-07-01",
            "attention": "",
        }
        again = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows)[:2], first, PICTURES)
        assert again.equals(first)
        # killed before the table was written: what stands is taken in as it was chosen
        lost = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows)[:2], NOTHING_QUEUED, PICTURES)
        assert lost.drop_columns(TIMES).equals(first.drop_columns(TIMES))
        assert len(images_on(connection, project)) == 2


def test_an_unknown_image_and_an_empty_collection_are_errors(label_studio: Any) -> None:
    with label_studio.connection() as connection:
        project = new_project(connection)
        with pytest.raises(LabelingError, match=r"was chosen but is not in label_tasks"):
            push_tasks(
                connection, project, SETTINGS, many(1), [Chosen(image_id(5), "newest")], NOTHING_QUEUED, PICTURES
            )
        queued = push_tasks(connection, project, SETTINGS, many(2), chosen_of(many(2)), NOTHING_QUEUED, PICTURES)
        with pytest.raises(LabelingError, match="label_tasks is empty though 2 images"):
            push_tasks(connection, project, SETTINGS, many(0), [], queued, PICTURES)
        assert len(images_on(connection, project)) == 2


def test_what_a_person_deleted_is_never_sent_again(label_studio: Any) -> None:
    rows = many(4)
    with label_studio.connection() as connection:
        project = new_project(connection)
        queued = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        task_ids = dict(zip(range(4), queued.column("task_id").to_pylist(), strict=True))
        connection.delete(f"/api/tasks/{task_ids[2]}")
        for _ in range(2):
            queued = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows), queued, PICTURES)
            assert states(queued) == {0: "queued", 1: "queued", 2: "deleted", 3: "queued"}
        assert image_id(2) not in images_on(connection, project)


def test_changed_texts_reach_the_task_and_what_brought_it_back_stays(label_studio: Any) -> None:
    with label_studio.connection() as connection:
        project = new_project(connection)
        queued = push_tasks(connection, project, SETTINGS, many(2), chosen_of(many(2)), NOTHING_QUEUED, PICTURES)
        (first, second) = listed_tasks(connection, project)
        connection.patch(
            f"/api/tasks/{second.task_id}", {"data": {**second.data, "attention": "look again", "own": "x"}}
        )
        answer(connection, second.task_id)
        rows = rows_of(task_row(0), task_row(1) | {"alt_text": "A better text"})
        again = push_tasks(connection, project, SETTINGS, rows, [], queued, PICTURES)
        assert again.equals(queued)
        listed = list(listed_tasks(connection, project))
        assert listed[0].data == first.data
        assert listed[1].data == {**second.data, "attention": "look again", "own": "x", "alt_text": "A better text"}
        assert listed[1].submitted == 1


def test_withdrawn_vanished_and_merged_images(label_studio: Any) -> None:
    rows = many(7)
    with label_studio.connection() as connection, label_studio.connection(label_studio.experts[0]) as expert:
        project = new_project(connection)
        queued = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        task_ids = dict(zip(range(7), queued.column("task_id").to_pylist(), strict=True))
        for number in (0, 2, 4):
            answer(expert, task_ids[number])
        expert.post(f"/api/tasks/{task_ids[6]}/drafts", {"result": [choices("main", "Retro")], "lead_time": 1.0})
        later = rows_of(
            task_row(0), task_row(1), task_row(3, aside=[4]), task_row(8, aside=[5])
        )  # 2 and 6 vanished, 4 is a near-duplicate of 3, 5 one of the new 8
        chosen = [Chosen(image_id(8), "newest")]
        again = push_tasks(
            connection, project, SETTINGS, later, chosen, queued, PICTURES, withdrawn=[image_id(0), image_id(1)]
        )
        assert states(again) == {
            0: "withdrawn",  # answered, but it must leave
            1: "withdrawn",
            2: "queued",  # answered
            3: "withdrawn",  # its near-duplicate 4 is answered
            4: "queued",
            5: "queued",  # the only one of its cluster
            6: "queued",  # somebody has begun on it
        }
        assert {int(image, 16) for image in images_on(connection, project)} == {2, 4, 5, 6}
        once_more = push_tasks(
            connection, project, SETTINGS, later, chosen, again, PICTURES, withdrawn=[image_id(0), image_id(1)]
        )
        assert states(once_more) == states(again)


def test_duplicates_leave_but_never_one_with_an_answer(label_studio: Any, caplog: pytest.LogCaptureFixture) -> None:
    rows = many(4)
    with label_studio.connection() as connection, label_studio.connection(label_studio.experts[0]) as expert:
        project = new_project(connection)
        for _ in range(3):  # a person imports the file by hand
            connection.post(
                f"/api/projects/{project}/import",
                [
                    {
                        "data": {
                            "image_id": image_id(n),
                            "image": "/x",
                            "created_at": "",
                            "hashtags": "",
                            "alt_text": "",
                            "attention": "",
                        }
                    }
                    for n in range(4)
                ],
            )
        copies = {number: [] for number in range(4)}
        for task in listed_tasks(connection, project):
            copies[int(task.image_id, 16)].append(task.task_id)
        answer(expert, copies[1][2])
        answer(expert, copies[2][0])
        answer(expert, copies[2][1], was_cancelled=True)
        expert.post(f"/api/tasks/{copies[3][1]}/drafts", {"result": [choices("main", "Retro")], "lead_time": 1.0})
        queued = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        left = {number: [] for number in range(4)}
        for task in listed_tasks(connection, project):
            left[int(task.image_id, 16)].append(task.task_id)
        assert left == {0: [copies[0][0]], 1: [copies[1][2]], 2: copies[2][:2], 3: [copies[3][1]]}
        assert queued.column("task_id").to_pylist() == [copies[0][0], copies[1][2], copies[2][0], copies[3][1]]
        assert f"1 images have a second task with answers or a draft, which stays (tasks {copies[2][1]})" in caplog.text


def test_two_processes_push_the_same_images(label_studio: Any, tmp_path: Path) -> None:
    rows = many(2000)
    pq.write_table(rows, tmp_path / "rows.parquet")
    with label_studio.connection() as connection:
        project = new_project(connection)
        results = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
        children = [start_child(label_studio, project, tmp_path / "rows.parquet", result, 400) for result in results]
        let_go(children)
        sent = 0
        for child in children:
            printed, _ = child.communicate(timeout=300)
            assert child.returncode == 0
            sent += int(printed.split()[-1])
        assert sent > 2000  # else they took turns, and nothing was tried
        assert Counter(images_on(connection, project)) == Counter(rows.column("image_id").to_pylist())
        one, two = (pq.read_table(result) for result in results)
        standing = {task.image_id: task.task_id for task in listed_tasks(connection, project)}
        for table in (one, two):
            assert (
                dict(zip(table.column("image_id").to_pylist(), table.column("task_id").to_pylist(), strict=True))
                == standing
            )


def test_killed_at_any_moment_and_then_run_once_more(label_studio: Any, tmp_path: Path) -> None:
    rows = many(2000)
    pq.write_table(rows, tmp_path / "rows.parquet")
    with label_studio.connection() as connection:
        project = new_project(connection)
        counts = []
        for moment in (0.05, 0.35, 0.6, 0.2, 0.9, 0.5):  # seconds after the start; a page takes about 0.1
            child = start_child(label_studio, project, tmp_path / "rows.parquet", tmp_path / "none.parquet", 100)
            let_go([child])
            time.sleep(moment)
            child.kill()
            child.communicate(timeout=30)
            counts.append(len(images_on(connection, project)))
        assert any(0 < count < 2000 for count in counts)  # else nothing was tried
        queued = push_tasks(connection, project, SETTINGS, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        assert Counter(images_on(connection, project)) == Counter(rows.column("image_id").to_pylist())
        assert set(states(queued).values()) == {"queued"}
        assert queued.num_rows == 2000


def test_the_server_goes_away_in_the_middle(label_studio: Any) -> None:
    rows = many(2000)
    with label_studio.connection() as connection:
        project = new_project(connection)
        restarted = threading.Event()

        def restart() -> None:
            label_studio.restart()
            restarted.set()

        def progress(done: int, total: int) -> None:
            if done >= 500 and not started:
                started.append(done)
                thread.start()

        started: list[int] = []
        thread = threading.Thread(target=restart)
        push_tasks(
            connection,
            project,
            SETTINGS,
            rows,
            chosen_of(rows),
            NOTHING_QUEUED,
            PICTURES,
            progress=progress,
            tasks_per_request=50,
        )
        thread.join(timeout=120)
        assert restarted.is_set()
        assert Counter(images_on(connection, project)) == Counter(rows.column("image_id").to_pylist())


class LossyConnection(Connection):
    """A real connection on which the answer of every import is lost, after the server has done it."""

    imports = 0

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = super().request(method, path, **options)
        if path.endswith("/import"):
            self.imports += 1
            raise StudioError("the answer was lost")
        return answer


def test_lost_answers_make_no_duplicates(label_studio: Any) -> None:
    rows = many(250)
    with LossyConnection(label_studio.url, label_studio.admin.token) as connection:
        project = new_project(connection)
        queued = push_tasks(
            connection, project, SETTINGS, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES, tasks_per_request=100
        )
        assert connection.imports == 3  # nothing was sent twice
        assert images_on(connection, project) == queued.column("image_id").to_pylist()
        assert queued.num_rows == 250


class NotedConnection(Connection):
    """A real connection that notes what was asked since the last import."""

    asked: Sequence[str] = ()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        self.asked = [] if path.endswith("/import") else [*self.asked, f"{method} {path}"]
        return super().request(method, path, **options)


def add_again(connection: Connection, project: int) -> None:
    again = [{"data": task.data} for task in listed_tasks(connection, project)][5:15]
    connection.post(f"/api/projects/{project}/import", again)


def delete_one(connection: Connection, project: int) -> None:
    connection.delete(f"/api/tasks/{[task.task_id for task in listed_tasks(connection, project)][7]}")


@pytest.mark.parametrize(
    ("disturb", "listed", "left"), [(None, False, 30), (add_again, True, 30), (delete_one, True, 29)]
)
def test_what_was_sent_is_listed_only_if_somebody_else_was_at_work(
    label_studio: Any, disturb: Callable[[Connection, int], None] | None, listed: bool, left: int
) -> None:
    def progress(done: int, total: int) -> None:
        if done == 20 and disturb is not None:
            disturb(connection, project)

    rows, small = many(30), LabelStudioServer(page_size=10)
    with NotedConnection(label_studio.url, label_studio.admin.token) as connection:
        project = new_project(connection)
        table = push_tasks(
            connection,
            project,
            small,
            rows,
            chosen_of(rows),
            NOTHING_QUEUED,
            PICTURES,
            progress=progress,
            tasks_per_request=10,
        )
        asked = connection.asked
        tasks = list(listed_tasks(connection, project))
        columns = (table.column(name).to_pylist() for name in ("image_id", "task_id"))
        assert dict(zip(*columns, strict=True)) == {task.image_id: task.task_id for task in tasks}
    assert len(tasks) == table.num_rows == left
    assert (len(asked) > 3, asked[0]) == (listed, "GET /api/tasks")
    assert listed or len(asked) == 1


def test_an_import_that_the_server_refuses_is_an_error(label_studio: Any) -> None:
    with label_studio.connection() as connection:
        body = {"title": "push needs more", "label_config": '<View><Image name="i" value="$absent"/></View>'}
        project = int(connection.post("/api/projects", body)["id"])
        with pytest.raises(StudioError, match=r"absent"):
            push_tasks(connection, project, SETTINGS, many(2), chosen_of(many(2)), NOTHING_QUEUED, PICTURES)


def test_a_project_that_was_made_anew_gets_its_queue_back(label_studio: Any) -> None:
    rows = many(5)
    with label_studio.connection() as connection:
        old = new_project(connection)
        queued = push_tasks(connection, old, SETTINGS, rows, chosen_of(rows, "rare"), NOTHING_QUEUED, PICTURES)
        connection.delete(f"/api/tasks/{queued.column('task_id')[3].as_py()}")
        queued = push_tasks(connection, old, SETTINGS, rows, [], queued, PICTURES)
        connection.delete(f"/api/projects/{old}")
        project = new_project(connection)
        again = push_tasks(connection, project, SETTINGS, rows, [], queued, PICTURES)
        assert states(again) == {0: "queued", 1: "queued", 2: "queued", 3: "deleted", 4: "queued"}
        assert again.column("chosen_as").to_pylist() == ["rare"] * 5
        assert len(images_on(connection, project)) == 4


def test_five_thousand_are_withdrawn_in_seconds(label_studio: Any) -> None:
    rows = many(5100)
    settings = LabelStudioServer(page_size=5000)
    with label_studio.connection() as connection:
        project = new_project(connection)
        push_tasks(connection, project, settings, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        ids = rows.column("image_id").to_pylist()
        started = time.monotonic()
        assert withdraw_tasks(connection, project, ids[:5000]) == 5000
        assert time.monotonic() - started < 60
        assert images_on(connection, project) == ids[5000:]
        assert withdraw_tasks(connection, project, ids[:5000]) == 0  # safe to repeat
        assert withdraw_tasks(connection, project, []) == 0
        assert withdraw_tasks(connection, project, ["no such image"]) == 0
        assert images_on(connection, project) == ids[5000:]  # an empty selection means all tasks to the server
