"""The graph against a real Label Studio: tasks go out once, answers come in once, whatever happens in between."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from labeling.config import CANT_TELL, NOT_FASHION
from labeling.studio.connection import TOKEN_VARIABLE, URL_VARIABLE, Connection, StudioError
from labeling.studio.queue import is_blind
from labeling.studio.server import RunningServer
from labeling.studio.task_list import ListedTask
from labeling.tables import LABEL_TASKS
from pipeline import jobs
from pipeline.exported import Exported
from pipeline.partitions import model_key
from pipeline.reasons import REASON_TAG
from pipeline.run import Step
from tests.integration.label_studio_case import (
    COLLECT,
    FIRST_WINDOW,
    LABEL,
    QUEUE,
    STYLES,
    Case,
    collect,
    environment,
)
from tests.integration.label_studio_proxy import Proxy, proxy
from tests.integration.label_studio_tasks import answer
from tests.labeling.labeling_samples import choices, image_id, task_row

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

IMAGES = 48
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collect(tmp_path_factory.mktemp("collection"), IMAGES)


@pytest.fixture(scope="module")
def people(label_studio: RunningServer) -> Iterator[tuple[Connection, ...]]:
    """Two experts and the reviewer."""
    connections = [label_studio.connection(user) for user in (*label_studio.experts, label_studio.reviewer)]
    yield tuple(connections)
    for connection in connections:
        connection.close()


@pytest.fixture(scope="module")
def new_case(collection: Path, label_studio: RunningServer) -> Iterator[Callable[..., Case]]:
    """Make a copy of the collection with a project of its own; ``labels`` are lines of the settings' section."""
    with pytest.MonkeyPatch.context() as patch, label_studio.connection() as admin:
        patch.setenv(URL_VARIABLE, label_studio.url)
        patch.setenv(TOKEN_VARIABLE, label_studio.admin.token)

        def make(labels: str = "") -> Case:
            number = next(_numbers)
            folder = Path(shutil.copytree(collection, label_studio.document_root / f"pipeline {number}"))
            return Case(folder, f"Pipeline {number}", label_studio, admin, labels)

        yield make


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after two tries instead of half a minute."""
    monkeypatch.setattr("labeling.studio.connection.RETRIES", 1)


class Interruption:
    """Progress that calls something once, when a piece of work first says how far it has come."""

    def __init__(self, description: str, act: Callable[[], None]) -> None:
        self._description, self._act = description, act
        self.happened = False

    def step(self, description: str) -> Callable[[int, int], None]:
        def report(done: int, total: int) -> None:
            if description == self._description and not self.happened:
                self.happened = True
                self._act()

        return report


def test_images_are_queued_once_and_a_new_window_adds_only_its_own(new_case: Any) -> None:
    case = new_case()
    case.configure(replaced=FIRST_WINDOW)
    case.run(COLLECT, QUEUE)
    first = {task.image_id: task.task_id for task in case.tasks()}
    rows = case.rows("label_tasks")
    assert set(first) == {row["image_id"] for row in rows}
    assert {row["window"] for row in case.rows("queued_tasks")} == {"2019-07-01"}
    before = case.tables()
    case.run(QUEUE)
    case.run(COLLECT, QUEUE)
    assert {task.image_id: task.task_id for task in case.tasks()} == first
    assert case.tables() == before

    case.configure()
    case.run(COLLECT, QUEUE)
    tasks = case.tasks()
    queued = {row["image_id"]: row for row in case.rows("queued_tasks")}
    assert Counter(task.image_id for task in tasks) == Counter(row["image_id"] for row in case.rows("label_tasks"))
    assert {image: queued[image]["task_id"] for image in first} == first
    assert {queued[image]["window"] for image in set(queued) - set(first)} == {"2019-07-08"}
    assert all(row["blind"] == is_blind(row["image_id"], 0.3) for row in queued.values())
    picture = case.admin.request("GET", tasks[0].data["image"])
    assert picture.content == case.storage.image_path(tasks[0].image_id).read_bytes()


WRONG: dict[str, list[Any]] = {
    "two_mains": [choices("main", "Casual", "Sporty")],
    "no_main": [choices("subs", "Sporty")],
    "unknown_label": [choices("main", "Spacey")],
    "main_in_subs": [choices("main", "Casual"), choices("subs", "Casual", "Sporty")],
    "subs_without_style": [choices("main", NOT_FASHION), choices("subs", "Sporty")],
    "unknown_control": [choices("mood", "happy")],
    "malformed": [{**choices("main", "Casual"), "type": "labels"}],
    "unknown_choice": [choices("main", "Casual"), choices("review", "Maybe")],
}


def test_every_answer_ends_in_a_table_and_wrong_ones_go_back_until_they_are_right(new_case: Any, people: Any) -> None:
    expert, other, reviewer = people
    case = new_case("reconcile_hours = 0\nopen_tasks = 16")
    case.run(QUEUE)
    agreed, disputed, not_fashion, cant_tell, skipped, drafted, deleted, again, *for_wrong = case.task_ids()
    wrong = dict(zip(for_wrong, WRONG, strict=True))
    ids: dict[int, int] = {}
    for task in case.task_ids():  # the other expert's are all good
        label = {not_fashion: NOT_FASHION, cant_tell: CANT_TELL, disputed: "Romantic"}.get(task, "Casual")
        answer(other, task, label, ["Sporty"] if task == agreed else [])
    answer(expert, agreed, "Casual", ["Sporty"])
    answer(expert, disputed, "Sporty")
    answer(expert, not_fashion, NOT_FASHION)
    answer(expert, cant_tell, CANT_TELL)
    ids[skipped] = answer(expert, skipped, "Casual", was_cancelled=True)
    expert.post(f"/api/tasks/{drafted}/drafts", {"result": [choices("main", "Casual")], "lead_time": 1.0})
    ids[deleted] = answer(expert, deleted, "Casual")
    ids[again] = answer(expert, again, "Sporty")
    answer(expert, again, "Casual")
    for task, reason in wrong.items():
        ids[task] = answer(expert, task, result=WRONG[reason])
    case.run(LABEL)
    expert.delete(f"/api/annotations/{ids[deleted]}")
    case.run(LABEL)

    aside = {int(row["task_id"]): row for row in case.rows("quarantined_annotations")}
    reasons = {skipped: "skipped", drafted: "draft", deleted: "deleted", again: "superseded"}
    sent_back = dict.fromkeys(wrong, "sent_back")  # by the first of the two runs
    assert {task: row["reason"] for task, row in aside.items()} == reasons | sent_back
    for task, row in aside.items():
        assert row["annotator"] == "expert-1@example.invalid"
        assert row["task_link"] == f"{case.server.url}/projects/{case.project_id}/data?task={task}"
    returned = {row["task_id"]: row for row in case.rows("returned_tasks")}
    back = {task: (row["reason"], row["way"]) for task, row in returned.items()}
    assert back == {task: (reason, "to_annotator") for task, reason in wrong.items()} | {
        disputed: ("conflict", "to_another_annotator")
    }
    assert {returned[task]["annotator"] for task in wrong} == {"expert-1@example.invalid"}
    states = [(row["annotation_id"], row["state"]) for row in case.rows("annotation_versions")]
    assert states.count((str(ids[deleted]), "submitted")) == states.count((str(ids[deleted]), "deleted")) == 1
    for task in wrong:
        assert [state for number, state in states if number == str(ids[task])] == ["submitted", "skipped"]
    task_of = {row["image_id"]: row["task_id"] for row in case.rows("queued_tasks")}
    labels = {task_of[row["image_id"]]: row for row in case.rows("labels")}
    assert (labels[agreed]["main"], labels[agreed]["subs"], labels[agreed]["status"]) == (
        "Casual",
        ["Sporty"],
        "agreed",
    )
    assert (labels[disputed]["status"], labels[disputed]["mains"]) == ("conflict", ["Sporty", "Romantic"])
    assert (labels[not_fashion]["answer"], labels[cant_tell]["answer"]) == ("not_fashion", "cant_tell")
    assert labels[wrong_task(wrong, "two_mains")]["annotators"] == 1

    open_again = {task.task_id: task.data["attention"] for task in case.tasks() if not task.is_labeled}
    assert set(open_again) == {*wrong, disputed, skipped, drafted, deleted}
    assert all(open_again[task].startswith("Please correct: ") for task in wrong)
    assert next_task(other, case) is None  # nothing of it is for who was right
    assert next_task(expert, case) in {*wrong, skipped, drafted, deleted}
    for task in wrong:
        body = {"result": [choices("main", "Casual")], "was_cancelled": False}
        expert.patch(f"/api/annotations/{ids[task]}", body)
    answer(reviewer, disputed, "Sporty")
    case.run(LABEL)
    labels = {task_of[row["image_id"]]: row for row in case.rows("labels")}
    assert {(labels[task]["main"], labels[task]["annotators"]) for task in wrong} == {("Casual", 2)}
    assert (labels[disputed]["main"], labels[disputed]["annotators"]) == ("Sporty", 3)
    assert {task.data["attention"] for task in case.tasks()} == {""}
    before = case.tables()
    case.run(LABEL)
    assert case.tables() == before


def wrong_task(wrong: dict[int, str], reason: str) -> int:
    return next(task for task, name in wrong.items() if name == reason)


def next_task(person: Connection, case: Case) -> int | None:
    """The task that somebody gets when they press "Label"; None if there is none."""
    try:
        return int(person.get(f"/api/projects/{case.project_id}/next")["id"])
    except StudioError as error:
        if "404" in str(error) or "not found" in str(error):
            return None
        raise


def test_the_sensor_over_a_server_that_goes_away_and_comes_back(new_case: Any, people: Any, impatient: None) -> None:
    expert, other, _ = people
    case = new_case("open_tasks = 30\npage_size = 10")
    case.run(QUEUE)
    case.run(LABEL)
    assert case.look().skip_message == "no new work"
    tasks = case.task_ids()
    given = [answer(expert, task, "Casual") for task in tasks[:15]]
    first, same = case.look(), case.look()
    assert first.run_key == same.run_key
    assert first.tags["stylegraph/changed_tasks"] == "15"
    assert first.tags[REASON_TAG] == "15 tasks changed in Label Studio"
    before = case.tables()
    case.server.kill()
    try:
        assert f"cannot reach {case.server.url} (" in case.look().skip_message
        assert f"cannot reach {case.server.url} (" in case.failure(LABEL)
        assert case.tables() == before
    finally:
        case.server.start()
    assert case.look().run_key == first.run_key

    fall = Interruption("exporting what experts did", case.server.kill)
    try:
        assert f"cannot reach {case.server.url} (" in case.failure(LABEL, fall)
        assert fall.happened
        assert case.tables() == before
    finally:
        case.server.start()
    assert isinstance(case.look(), dg.RunRequest)
    given += [answer(other, task, "Casual") for task in tasks[:5]]
    case.run(LABEL)
    assert case.look().skip_message == "no new work"
    assert case.given() == sorted(map(str, given))
    assert len(case.rows("annotation_versions")) == 20
    case.run(LABEL)
    assert len(case.rows("annotation_versions")) == 20


def test_a_run_that_ends_between_annotations_and_labels_is_asked_for_again(
    new_case: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = new_case("open_tasks = 3")
    case.run(QUEUE)
    case.run(LABEL)
    answer(people[0], case.task_ids()[0], "Casual")

    def fail(*arguments: Any) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.assets.labels.consensus", fail)
        assert "no space left" in case.failure(LABEL)
    assert len(case.rows("annotations")) == 1
    assert isinstance(case.look(), dg.RunRequest)
    case.run(LABEL)
    assert len(case.rows("labels")) == 1
    assert case.look().skip_message == "no new work"


@pytest.fixture
def answered(new_case: Any, people: Any) -> Case:
    """A case with three tasks, one of them answered and exported."""
    return answered_case(new_case, people)


@pytest.fixture(scope="module")
def unchanged(new_case: Any, people: Any) -> Case:
    """The same, for tests that leave it as it is."""
    return answered_case(new_case, people)


def answered_case(new_case: Any, people: Any) -> Case:
    case: Case = new_case("open_tasks = 3\ntimeout = 2")
    case.run(QUEUE)
    answer(people[0], case.task_ids()[0], "Casual")
    case.run(LABEL)
    return case


def test_the_note_says_which_project_it_is(unchanged: Case) -> None:
    exported = Exported.read(unchanged.storage)
    assert exported is not None
    assert (exported.title, exported.stage) == (unchanged.title, "done")
    there = unchanged.admin.get(f"/api/projects/{exported.project.project_id}")
    assert (exported.project.url, exported.project.created_at) == (unchanged.server.url, there["created_at"])


def test_a_wrong_token(unchanged: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    before = unchanged.tables()
    monkeypatch.setenv(TOKEN_VARIABLE, "0" * 40)
    for line in (unchanged.failure(LABEL), unchanged.failure(QUEUE), unchanged.look().skip_message):
        assert f"{unchanged.server.url} does not know the token" in line
        assert TOKEN_VARIABLE in line
        assert "0" * 40 not in line
    assert unchanged.tables() == before


def test_a_personal_access_token_that_is_revoked(unchanged: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    token = unchanged.admin.post("/api/token/", {})["token"]
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    unchanged.run(LABEL)
    before = unchanged.tables()
    unchanged.admin.post("/api/token/blacklist", {"refresh": token})
    for line in (unchanged.failure(LABEL), unchanged.look().skip_message):
        assert f"the personal access token for {unchanged.server.url} was revoked" in line
        assert token not in line
    assert unchanged.tables() == before


def test_a_server_that_is_slow(
    unchanged: Case, label_studio: RunningServer, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    with proxy(label_studio.url) as slow:
        monkeypatch.setenv(URL_VARIABLE, slow.url)
        slow.watch = lambda method, path: time.sleep(2.5)
        for line in (unchanged.failure(LABEL), unchanged.look().skip_message):
            assert f"{slow.url} is too slow" in line
            assert "raise labels.timeout" in line


def test_a_project_that_is_deleted_on_the_server(answered: Case, people: Any) -> None:
    before = answered.tables()
    answered.admin.delete(f"/api/projects/{answered.project_id}")
    for line in (answered.failure(LABEL), answered.failure(QUEUE), answered.look().skip_message):
        assert f"the project '{answered.title}' (project {answered.project_id} of {answered.server.url}, " in line
        assert f"is not at {answered.server.url} any more; what was exported is kept" in line
    assert answered.tables() == before

    # As the message says: the images are queued again, in a project that is made anew.
    note = answered.folder / "data" / "label_studio"
    note.rename(note.with_name("label_studio of before"))
    answered.run(QUEUE)
    assert {row["image_id"] for row in answered.rows("queued_tasks")} == {task.image_id for task in answered.tasks()}
    assert len(answered.tasks()) == 3
    number = answer(people[0], answered.task_ids()[1], "Sporty")
    answered.run(LABEL)
    assert answered.given() == [str(number)]


def test_another_title_or_another_project_changes_nothing(answered: Case) -> None:
    before, tasks = answered.tables(), answered.task_ids()
    answered.configure(title="No such project")
    for step in (QUEUE, LABEL):
        line = answered.failure(step)
        assert "has the title that labels.project says; the tasks stand in project" in line
        assert f"which was called '{answered.title}': make both titles the same" in line
    other = answered.admin.post("/api/projects", {"title": "Somebody else's"})["id"]
    answered.configure(title="Somebody else's")
    for step in (QUEUE, LABEL):
        line = answered.failure(step)
        assert f"are about the project '{answered.title}' (project {answered.project_id} of" in line
        assert f"not about project {other} of {answered.server.url}" in line
        assert "correct labels.project" in line
    (answered.folder / "data" / "label_studio" / "exported.json").unlink()
    answered.admin.patch(f"/api/projects/{other}", {"title": "Younger"})
    answered.configure()
    line = answered.failure(QUEUE)  # the project of before, which the note does not vouch for
    assert "the table queued_tasks may be about another project than" in line
    assert answered.admin.get("/api/tasks", project=other)["total"] == 0
    assert answered.tables() == before
    assert [task["id"] for task in answered.admin.get("/api/tasks", project=other - 1)["tasks"]] == tasks


def test_a_project_renamed_on_both_sides_goes_on(answered: Case, people: Any) -> None:
    tasks = answered.task_ids()
    answered.admin.patch(f"/api/projects/{answered.project_id}", {"title": "Renamed by a person"})
    answered.configure(title="Renamed by a person")
    answered.run(QUEUE)
    answer(people[1], tasks[0], "Casual")
    answered.run(LABEL)
    assert answered.task_ids() == tasks
    assert len(answered.rows("annotations")) == 2


def test_a_task_that_a_person_deletes(new_case: Any, people: Any) -> None:
    case = new_case("open_tasks = 3")
    case.run(QUEUE)
    first, second, third = case.task_ids()
    number = answer(people[0], first, "Casual")
    kept = answer(people[0], second, "Casual")
    case.run(LABEL)
    images = {task.task_id: task.image_id for task in case.tasks()}
    case.admin.delete(f"/api/tasks/{first}")
    case.admin.delete(f"/api/tasks/{third}")
    case.run(LABEL)
    (row,) = case.rows("quarantined_annotations")
    assert (row["annotation_id"], row["reason"], row["annotator"]) == (
        str(number),
        "task_deleted",
        "expert-1@example.invalid",
    )
    assert [row["annotation_id"] for row in case.rows("annotations")] == [str(kept)]
    assert [row["image_id"] for row in case.rows("labels")] == [images[second]]
    case.run(QUEUE)
    queued = {row["image_id"]: row["state"] for row in case.rows("queued_tasks")}
    assert (queued[images[first]], queued[images[second]], queued[images[third]]) == ("deleted", "queued", "deleted")
    assert {images[first], images[third]}.isdisjoint(task.image_id for task in case.tasks())
    assert len(case.tasks()) == 3  # two further images took the free places


EXPORT = "fields=all"  # in the path of each request for a page of the export


def wait_for_tasks(case: Case, count: int) -> list[ListedTask]:
    """Return the tasks on the server when there are so many."""
    deadline = time.monotonic() + 20
    while len(tasks := case.tasks()) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    assert Counter(task.image_id for task in tasks) == Counter(row["image_id"] for row in case.rows("label_tasks"))
    return tasks


def start_run(case: Case, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline", "run", "--config", str(case.folder / "stylegraph.toml")],
        cwd=case.folder,
        env=environment(url, case.server.admin.token),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def killed_at(case: Case, before: Proxy, method: str, part: str, number: int) -> None:
    """Start a run and kill it when it sends its ``number``-th request with ``part`` in its path."""
    seen, reached = itertools.count(1), threading.Event()

    def watch(asked: str, path: str) -> None:
        if asked == method and part in path and next(seen) == number:
            os.kill(child.pid, signal.SIGKILL)
            reached.set()

    before.watch = watch
    child = start_run(case, before.url)
    output, _ = child.communicate(timeout=120)
    before.watch = lambda method, path: None
    assert child.returncode == -signal.SIGKILL, output
    assert reached.is_set()


def test_killed_while_it_queues_and_while_it_exports(
    new_case: Any, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expert, other, _ = people
    case = new_case("page_size = 10")
    with proxy(case.server.url) as between:
        killed_at(case, between, "POST", "/import", 1)
        assert not case.storage.has_table("queued_tasks")
        tasks = wait_for_tasks(case, IMAGES)  # what the killed run had sent arrives all the same
        killed_at(case, between, "GET", EXPORT, 3)
        assert not case.storage.has_table("annotations")
        given = [answer(expert, task.task_id, "Casual") for task in tasks[:30]]
        given += [answer(other, task.task_id, "Casual") for task in tasks[:10]]
        killed_at(case, between, "GET", EXPORT, 3)
        monkeypatch.setenv(URL_VARIABLE, between.url)
        case.run(COLLECT, LABEL)
    assert [task.task_id for task in case.tasks()] == [task.task_id for task in tasks]
    assert case.given() == sorted(map(str, given))
    assert len(case.rows("annotation_versions")) == len(given)
    assert len(case.rows("labels")) == 30


def test_five_thousand_of_six_thousand_vanish(new_case: Any, people: Any) -> None:
    case = new_case()
    rows = pa.Table.from_pylist([task_row(number) for number in range(6000)], schema=LABEL_TASKS)
    case.storage.write_table("label_tasks", rows)
    begin = time.monotonic()
    case.run(QUEUE)
    queued = time.monotonic() - begin
    task_of = {task.image_id: task.task_id for task in case.tasks()}
    assert len(task_of) == 6000
    vanishing = range(1000, 6000)
    answered_ones = [image_id(number) for number in vanishing[::500]]
    for image in answered_ones:
        answer(people[0], task_of[image], "Casual")
    case.storage.write_table("label_tasks", rows.slice(0, 1000))
    begin = time.monotonic()
    case.run(QUEUE)
    withdrawn = time.monotonic() - begin
    sys.stdout.write(f"6,000 images queued in {queued:.1f} s, 5,000 withdrawn in {withdrawn:.1f} s\n")
    left = {task.image_id: task.task_id for task in case.tasks()}
    expected = [*map(image_id, range(1000)), *answered_ones]
    assert left == {image: task_of[image] for image in expected}
    states = {row["image_id"]: row["state"] for row in case.rows("queued_tasks")}
    assert Counter(states.values()) == {"queued": 1010, "withdrawn": 4990}
    assert withdrawn < 60


MODEL = {
    'architectures = ["basic_cnn", "ml_gcn"]': 'architectures = ["basic_cnn"]',
    "image_size = [32, 32]": "image_size = [48, 48]",
}
TRAIN = (
    Step("set", jobs.LABEL_SET, "Data set", "top-3"),
    Step("model", jobs.MODEL, "Model", model_key("top-3", "basic_cnn")),
)
FIND = Step("suspicion", jobs.SUSPICION, "Suspicion", "top-3")
SHOW = Step("pre-annotations", jobs.PRE_ANNOTATION, "Predictions for experts")
RETURN = Step("returns", jobs.RETURN, "Back to reviewers")


def test_predictions_reach_experts_and_doubts_reviewers(new_case: Any, people: Any) -> None:
    expert, _, reviewer = people
    labels = "answers_per_image = 1\nleast_score = 0.0\nreview_suspicious = 3\npredict_with = 'top-3'"
    case = new_case(labels)
    case.configure(replaced=MODEL)
    case.run(QUEUE)
    tasks = case.tasks()
    to_answer = {task.task_id for task in tasks[: len(tasks) * 2 // 3]}
    for number, task in enumerate(task for task in tasks if task.task_id in to_answer):
        answer(expert, task.task_id, STYLES[number % 3], [STYLES[(number + 1) % 3]] if number % 2 else [])
    case.run(LABEL, *TRAIN, FIND, SHOW, RETURN)

    unlabelled = {task.image_id: task.task_id for task in tasks if task.task_id not in to_answer}
    predicted = {row["image_id"]: row for row in case.rows("pre_annotations")}
    assert set(predicted) == set(unlabelled)
    assert len({row["model_version"] for row in predicted.values()}) == 1
    shown = {image for image in unlabelled if not is_blind(image, 0.3)}
    assert 0 < len(shown) < len(unlabelled)
    on_server = case.admin.get("/api/predictions", project=case.project_id)
    assert Counter(one["task"] for one in on_server) == Counter(unlabelled[image] for image in shown)
    found = {one["task"]: one for one in on_server}
    for image in shown:
        prediction = found[unlabelled[image]]
        assert prediction["model_version"] == predicted[image]["model_version"]
        assert prediction["result"][0]["value"]["choices"] == [predicted[image]["main"]]

    doubts = [row for row in case.rows("returned_tasks") if row["reason"] == "suspicious"]
    assert len(doubts) == 3
    assert {row["way"] for row in doubts} == {"to_reviewer"}
    marked = {task.task_id: task.data["attention"] for task in case.tasks() if task.data["attention"]}
    assert marked == {row["task_id"]: row["detail"] for row in doubts}
    before = case.tables()
    case.run(RETURN)  # so many after a training, however often tasks are given back
    assert case.tables() == before
    case.run(FIND, RETURN)
    doubts = [row for row in case.rows("returned_tasks") if row["reason"] == "suspicious"]
    assert 3 < len(doubts) <= 6

    fates = itertools.cycle(["accepted", "changed", "rejected"])
    expected: Counter[tuple[bool, str]] = Counter()
    for image, fate in zip(sorted(unlabelled), fates, strict=False):
        row = predicted[image]
        others = [style for style in STYLES if style != row["main"]]
        subs = {"accepted": row["subs"], "changed": others[:1] if row["subs"] != others[:1] else others}
        main = others[0] if fate == "rejected" else row["main"]
        by = found[unlabelled[image]]["id"] if image in shown else None  # the screen says what filled it in
        answer(expert, unlabelled[image], main, subs.get(fate, []), parent_prediction=by)
        expected[image not in shown, fate] += 1
    (reviewed, *_) = doubts
    path = f"/api/annotations/{first_annotation(case, reviewed['task_id'])}"
    content = case.admin.get(path)["result"]
    reviewer.patch(path, {"result": [*content, choices("review", "Accepted")]})
    case.run(LABEL)
    totals = {row["blind"]: row for row in case.rows("prediction_acceptance") if row["label"] is None}
    for blind, row in totals.items():
        assert {fate: row[fate] for fate in ("accepted", "changed", "rejected")} == {
            fate: expected[blind, fate] for fate in ("accepted", "changed", "rejected")
        }
    assert set(totals) == {True, False}
    assert {task.task_id for task in case.tasks() if task.data["attention"]} == {row["task_id"] for row in doubts[1:]}
    reviews = {row["task_id"]: row["reviewer"] for row in case.rows("annotations") if row["review"]}
    assert reviews == {str(reviewed["task_id"]): "reviewer@example.invalid"}

    case.run(SHOW)  # everything is answered by now
    assert len(case.rows("pre_annotations")) == len(predicted)


def first_annotation(case: Case, task_id: int) -> str:
    return next(row["annotation_id"] for row in case.rows("annotations") if row["task_id"] == str(task_id))
