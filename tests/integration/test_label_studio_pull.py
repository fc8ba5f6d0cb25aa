"""Exporting from a real Label Studio: what people do there arrives once, whatever happens meanwhile."""

import itertools
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest

from labeling import FASHION_STYLES, Annotations, label_studio_tasks, labeling_config
from labeling.studio.answers import annotation_versions, read_store
from labeling.studio.connection import Connection, StudioError
from labeling.studio.listing import TaskReader, server_time
from labeling.studio.poll import new_work
from labeling.studio.predicted import ANY_TASK, predicted_tasks
from labeling.studio.pull import OVERLAP, Pulled, pull
from labeling.studio.server import RunningServer
from labeling.studio.store import StudioStore
from labeling.studio.task_list import listed_tasks, selected_tasks
from labeling.tables import LABEL_TASKS
from tests.integration.label_studio_server import LabelStudioFiles
from tests.labeling.labeling_samples import choices, image_id, index_of, task_row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

NEVER, ALWAYS = timedelta(days=1000), timedelta(0)
GOOD = [choices("main", "Casual"), choices("subs", "Sexy")]
INDEX = index_of(*(task_row(number) for number in range(1, 401)))
_titles = itertools.count(1)

CHILD = """
import sys
from pathlib import Path
from labeling.studio.connection import Connection
from labeling.studio.pull import pull
from labeling.studio.store import StudioStore

url, token, project_id, path = sys.argv[1:]
with Connection(url, token) as connection, StudioStore(Path(path)) as store:
    pull(connection, int(project_id), store, page_size=20, progress=lambda done, total: print(done, flush=True))
"""


class Site:
    """A project on the server and its mirror."""

    def __init__(self, server: RunningServer, admin: Connection, store: StudioStore):
        self.server = server
        self.admin = admin
        self.store = store
        body = {
            "title": f"pull {next(_titles)}",
            "label_config": labeling_config(FASHION_STYLES),
            "maximum_annotations": 2,
        }
        self.project_id: int = admin.post("/api/projects", body)["id"]

    def add_tasks(self, count: int) -> list[int]:
        rows = pa.Table.from_pylist([task_row(number) for number in range(1, count + 1)], schema=LABEL_TASKS)
        path = f"/api/projects/{self.project_id}/import"
        answer = self.admin.post(path, label_studio_tasks(rows), return_task_ids="true")
        return list(answer["task_ids"])

    def pull(self, reconcile_after: timedelta = NEVER, page_size: int = 50) -> Pulled:
        return pull(self.admin, self.project_id, self.store, page_size=page_size, reconcile_after=reconcile_after)

    def read(self, **options: Any) -> Annotations:
        link = "{}/projects/{}/data?task={}".format
        return read_store(
            self.store,
            INDEX,
            FASHION_STYLES,
            self.admin.users(),
            lambda number: link(self.admin.url, self.project_id, number),
            **options,
        )

    def refused(self, **options: Any) -> dict[str, str]:
        rows = self.read(**options).quarantined.to_pylist()
        return {row["annotation_id"]: row["reason"] for row in rows}

    def mirrored(self) -> dict[int, tuple[int, Any]]:
        """The annotations that the mirror takes to be on the server."""
        return {
            int(version.annotation_id): (version.task_id, orjson.loads(version.raw)["result"])
            for version in self.store.latest()
            if version.state in ("submitted", "skipped")
        }

    def on_server(self) -> dict[int, tuple[int, Any]]:
        """The annotations by the server's own export, which is another way than the mirror takes."""
        params = {"exportType": "JSON", "download_all_tasks": "true"}
        exported = self.admin.get(f"/api/projects/{self.project_id}/export", **params)
        return {
            annotation["id"]: (task["id"], annotation["result"])
            for task in exported
            for annotation in task["annotations"]
        }


@pytest.fixture
def site(label_studio: RunningServer, tmp_path: Path) -> Iterator[Site]:
    with label_studio.connection() as admin, StudioStore(tmp_path / "project.sqlite") as store:
        yield Site(label_studio, admin, store)


@pytest.fixture
def expert(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection(label_studio.experts[0]) as connection:
        yield connection


@pytest.fixture
def other_expert(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection(label_studio.experts[1]) as connection:
        yield connection


@pytest.fixture
def reviewer(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection(label_studio.reviewer) as connection:
        yield connection


def submit(person: Connection, task_id: int, result: Any = GOOD, **fields: Any) -> int:
    body = {"result": result, "lead_time": 4.5, **fields}
    return int(person.post(f"/api/tasks/{task_id}/annotations/", body)["id"])


def update(person: Connection, annotation_id: int, **fields: Any) -> None:
    person.patch(f"/api/annotations/{annotation_id}", fields)


def test_everything_that_people_do_arrives(
    site: Site, expert: Connection, other_expert: Connection, reviewer: Connection
) -> None:
    tasks = site.add_tasks(8)
    assert site.pull() == Pulled(tasks=8, reconciled=True)
    good = submit(expert, tasks[0])
    reviewed = submit(other_expert, tasks[0])
    update(reviewer, reviewed, result=[*GOOD, choices("review", "Rejected"), note("too dark")])
    relabelled = submit(expert, tasks[1])
    update(expert, relabelled, result=[choices("main", "Not a fashion image")])
    skipped = submit(expert, tasks[2], was_cancelled=True)
    deleted = submit(expert, tasks[3])
    taken_back = submit(expert, tasks[4])
    voided = submit(expert, tasks[5])
    update(reviewer, voided, result=[*GOOD, choices("review", "Accepted")])
    update(expert, voided, result=[choices("main", "Retro"), choices("review", "Accepted")])
    assert new_work(site.admin, site.project_id, site.store.cursor).changed == 6
    assert site.pull() == Pulled(tasks=6, annotations_new=7, skipped=1)
    expert.delete(f"/api/annotations/{deleted}")
    update(site.admin, taken_back, was_cancelled=True)
    changed = site.pull()
    assert (changed.annotations_deleted, changed.annotations_changed, changed.skipped) == (1, 1, 1)
    experts = [user.email for user in site.server.experts]
    rows = {int(row["annotation_id"]): row for row in site.read().valid.to_pylist()}
    assert {key: (row["annotator"], row["answer"], row["main"], row["review"]) for key, row in rows.items()} == {
        good: (experts[0], "style", "Casual", None),
        reviewed: (experts[1], "style", "Casual", "rejected"),
        relabelled: (experts[0], "not_fashion", None, None),
        voided: (experts[0], "style", "Retro", None),  # the expert changed it after the review
    }
    assert (rows[reviewed]["reviewer"], rows[reviewed]["note"]) == (site.server.reviewer.email, "too dark")
    assert (rows[good]["lead_time"], rows[good]["image_id"]) == (4.5, image_id(1))
    assert site.refused(sent_back={str(taken_back)}) == {
        str(skipped): "skipped",
        str(deleted): "deleted",
        str(taken_back): "sent_back",
    }
    assert not site.pull(ALWAYS)
    assert site.mirrored() == site.on_server()


def test_an_annotator_cannot_accept_an_answer_that_was_sent_back(
    site: Site, expert: Connection, reviewer: Connection
) -> None:
    accepted = [*GOOD, choices("review", "Accepted")]
    wrong = [choices("subs", "Sexy")]
    answers = [submit(expert, task, wrong) for task in site.add_tasks(2)]
    site.pull()
    for number in answers:
        update(site.admin, number, was_cancelled=True)
        update(expert, number, result=accepted)  # in place: it was still open on the screen
    update(reviewer, answers[1], result=[*GOOD, choices("review", "Accepted"), note("seen")])
    site.pull()
    for number in answers:
        update(site.admin, number, was_cancelled=False)
    site.pull()
    rows = site.read(sent_back={str(number) for number in answers}).valid.to_pylist()
    assert {int(row["annotation_id"]): row["reviewer"] for row in rows} == {
        answers[0]: None,
        answers[1]: site.server.reviewer.email,
    }


def test_a_server_with_small_pages_of_its_own_and_an_expert_who_is_removed(
    label_studio_files: LabelStudioFiles, tmp_path: Path
) -> None:
    with (
        label_studio_files.server(tmp_path / "server", more={"TASK_API_PAGE_SIZE_MAX": "3"}) as server,
        server.connection() as admin,
        server.connection(server.experts[0]) as expert,
        server.connection(server.reviewer) as reviewer,
        StudioStore(tmp_path / "project.sqlite") as store,
    ):
        site = Site(server, admin, store)
        tasks = site.add_tasks(8)
        assert len(TaskReader(admin, site.project_id).stamped(0, 50).tasks) == 3
        assert [task.task_id for task in listed_tasks(admin, site.project_id)] == tasks
        assert [task.task_id for task in selected_tasks(admin, site.project_id, tasks[1:])] == tasks[1:]
        assert [task.task_id for task in predicted_tasks(admin, site.project_id, [ANY_TASK], 50)] == tasks
        for task in tasks:
            update(reviewer, submit(expert, task), result=[*GOOD, choices("review", "Accepted")])
        site.pull()
        before = site.read()
        assert before.valid.num_rows == 8
        numbers = {email: number for number, email in admin.users().items()}
        for user in (server.experts[0], server.reviewer):
            admin.delete(f"/api/organizations/1/memberships/{numbers[user.email]}/")
        assert not {server.experts[0].email, server.reviewer.email} & set(admin.users().values())
        update(admin, int(before.valid.column("annotation_id")[0].as_py()), lead_time=9)
        site.pull(ALWAYS)
        after = site.read()
        assert after.quarantined.num_rows == 0
        assert set(after.valid.column("annotator").to_pylist()) == {server.experts[0].email}
        assert after.valid.column("reviewer").to_pylist()[1:] == [server.reviewer.email] * 7


def note(text: str) -> dict[str, Any]:
    return {"from_name": "note", "to_name": "image", "type": "textarea", "value": {"text": [text]}}


def test_drafts_of_every_person_until_they_are_submitted(
    site: Site, expert: Connection, other_expert: Connection
) -> None:
    tasks = site.add_tasks(3)
    site.pull()
    drafts = [
        person.post(f"/api/tasks/{task}/drafts", {"result": GOOD, "lead_time": 2})["id"]
        for person, task in ((expert, tasks[0]), (other_expert, tasks[0]), (other_expert, tasks[1]))
    ]
    assert not site.pull()  # a draft does not move the time of its task
    assert site.pull(ALWAYS).drafts == 3
    assert not site.pull(ALWAYS)
    rows = site.read().quarantined.to_pylist()
    one, other = (user.email for user in site.server.experts)
    assert [(row["annotation_id"], row["reason"], row["annotator"]) for row in rows] == [
        (f"draft:{drafts[0]}", "draft", one),
        (f"draft:{drafts[1]}", "draft", other),
        (f"draft:{drafts[2]}", "draft", other),
    ]
    submit(expert, tasks[0], draft_id=drafts[0])
    assert site.pull().drafts == 1
    assert set(site.refused()) == {f"draft:{drafts[1]}", f"draft:{drafts[2]}"}
    other_expert.delete(f"/api/drafts/{drafts[2]}/")
    assert site.pull(ALWAYS).drafts == 1
    assert set(site.refused()) == {f"draft:{drafts[1]}"}


def test_deleted_tasks_and_what_was_in_them(site: Site, expert: Connection) -> None:
    tasks = site.add_tasks(6)
    answers = [submit(expert, task) for task in tasks]
    site.pull()
    chosen = {"all": False, "included": tasks[1:3]}
    site.admin.post("/api/dm/actions", {"selectedItems": chosen}, id="delete_tasks", project=site.project_id)
    site.admin.delete(f"/api/tasks/{tasks[5]}")
    chosen = {"all": False, "included": [tasks[3]]}
    action = "delete_tasks_annotations"
    site.admin.post("/api/dm/actions", {"selectedItems": chosen}, id=action, project=site.project_id)
    pulled = site.pull()
    assert (pulled.tasks_deleted, pulled.annotations_deleted, pulled.reconciled) == (3, 1, True)
    assert site.refused() == {
        str(answers[1]): "task_deleted",
        str(answers[2]): "task_deleted",
        str(answers[3]): "deleted",
        str(answers[5]): "task_deleted",
    }
    assert site.mirrored() == site.on_server()
    states = Counter(
        state
        for batch in annotation_versions(site.store, INDEX, site.admin.users())
        for state in batch.column("state").to_pylist()
    )
    assert states == {"submitted": 6, "deleted": 1, "task_deleted": 3}


INVALID = {
    "no_main": [choices("subs", "Sexy")],
    "empty": [],
    "two_mains": [choices("main", "Casual", "Sexy")],
    "main_in_subs": [choices("main", "Casual"), choices("subs", "Casual")],
    "unknown_label": [choices("main", "Steampunk")],
    "unknown_control": [*GOOD, choices("mood", "Happy")],
    "subs_without_style": [choices("main", "Can't tell"), choices("subs", "Sexy")],
    "unknown_choice": [*GOOD, choices("review", "Perhaps")],
    "malformed": [{"from_name": "main", "to_name": "image", "type": "rating", "value": {"rating": 3}}],
    "no list": [{"from_name": "main", "to_name": "image", "type": "choices", "value": {"choices": "Casual"}}],
    "other object": [{"from_name": "main", "to_name": "text", "type": "choices", "value": {"choices": ["Casual"]}}],
    "no item": [5],
}


def test_what_the_server_should_not_have_taken_is_set_aside_and_the_rest_arrives(
    site: Site, expert: Connection, other_expert: Connection
) -> None:
    tasks = site.add_tasks(len(INVALID))
    wrong: dict[str, str] = {}
    for (name, result), task in zip(INVALID.items(), tasks, strict=True):
        try:
            wrong[str(submit(expert, task, result))] = name
        except StudioError:
            assert name == "no item"  # the only one of these that the server itself refuses
        submit(other_expert, task)
    site.pull()
    annotations = site.read()
    assert annotations.valid.column("annotator").to_pylist() == [site.server.experts[1].email] * len(tasks)
    reasons = {"empty": "no_main", "no list": "malformed", "other object": "malformed"}
    rows = annotations.quarantined.to_pylist()
    assert {row["annotation_id"]: row["reason"] for row in rows} == {
        number: reasons.get(name, name) for number, name in wrong.items()
    }
    assert {row["annotator"] for row in rows} == {site.server.experts[0].email}
    assert all(
        row["task_link"] == f"{site.admin.url}/projects/{site.project_id}/data?task={row['task_id']}" for row in rows
    )


def test_more_tasks_of_one_moment_than_a_page_and_filters_to_the_microsecond(site: Site) -> None:
    tasks = site.add_tasks(300)
    reader = TaskReader(site.admin, site.project_id)
    times = {task["id"]: task["updated_at"] for task in reader.stamped(0, 1000).tasks}
    assert sorted(times) == tasks
    for moment in sorted(set(times.values()))[:: max(1, len(set(times.values())) // 5)]:
        after = [number for number, time in times.items() if time > moment]
        found = reader.changed(server_time(moment), 0, 1000).tasks
        assert [task["id"] for task in found] == after
        assert reader.head(server_time(moment)).tasks == len(after)
    assert site.pull(page_size=7).tasks == 300
    assert site.store.task_count() == 300


def test_while_people_work_nothing_is_missed_and_nothing_is_doubled(
    site: Site, expert: Connection, other_expert: Connection
) -> None:
    tasks = site.add_tasks(60)
    stop = threading.Event()
    problems: list[BaseException] = []

    def working(person: Connection, order: list[int]) -> Callable[[], None]:
        def work() -> None:
            try:
                for place, task in enumerate(order):
                    number = submit(person, task)
                    if place % 3 == 1:
                        update(person, number, result=[choices("main", "Retro")])
                    if place % 5 == 2:
                        person.delete(f"/api/annotations/{number}")
                    if stop.is_set():
                        return
            except BaseException as error:  # for the test to see
                problems.append(error)
                raise

        return work

    people = [
        threading.Thread(target=working(expert, tasks)),
        threading.Thread(target=working(other_expert, tasks[::-1])),
    ]
    for thread in people:
        thread.start()
    try:
        while any(thread.is_alive() for thread in people):
            site.pull(page_size=10)
    finally:
        stop.set()
        for thread in people:
            thread.join()
    assert not problems
    time.sleep(OVERLAP.total_seconds())
    site.pull(page_size=10)
    assert site.mirrored() == site.on_server()
    versions = [(version.annotation_id, version.state, version.raw) for version in site.store.history()]
    assert len(set(versions)) == len(versions)
    assert not site.pull(ALWAYS, page_size=10)


def test_killed_exports_and_a_restarted_server_between_them(site: Site, expert: Connection) -> None:
    tasks = site.add_tasks(200)
    for task in tasks[::20]:
        submit(expert, task)
    command = [sys.executable, "-c", CHILD, site.admin.url, site.server.admin.token]
    command += [str(site.project_id), str(site.store.path)]
    for pages in (1, 3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(pages):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert site.store.cursor is None
    assert site.store.task_count() >= 80
    site.server.restart()
    late = submit(expert, tasks[1])
    rest = site.pull(page_size=20)
    assert rest.tasks <= 140  # what is left, and the page of the last kill
    assert late in site.mirrored()
    assert site.mirrored() == site.on_server()
    assert site.store.task_count() == 200
    assert not site.pull(ALWAYS)


def test_a_server_that_restarts_in_the_middle_is_waited_for(site: Site, expert: Connection) -> None:
    tasks = site.add_tasks(100)
    answers = {submit(expert, task) for task in tasks[::10]}
    restarts: list[threading.Thread] = []

    def restart_once(done: int, total: int) -> None:
        if not restarts:
            restarts.append(threading.Thread(target=site.server.restart))
            restarts[0].start()
            time.sleep(1)

    try:
        pulled = pull(site.admin, site.project_id, site.store, page_size=10, progress=restart_once)
    finally:
        restarts[0].join()
    assert pulled.tasks == 100
    assert set(site.mirrored()) == answers


def test_a_deleted_project_is_said_so_and_its_annotations_stay(site: Site, expert: Connection) -> None:
    number = submit(expert, site.add_tasks(1)[0])
    site.pull()
    site.admin.delete(f"/api/projects/{site.project_id}")
    with pytest.raises(StudioError, match=f"project {site.project_id} is not on {site.admin.url} any more"):
        site.pull()
    assert site.read().valid.column("annotation_id").to_pylist() == [str(number)]
