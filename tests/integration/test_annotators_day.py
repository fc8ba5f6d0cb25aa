"""A day of two annotators and a reviewer on the pages of a real Label Studio, and what the tables say of it."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from labeling import FASHION_STYLES
from labeling.annotations import Annotations
from labeling.config import CONFLICT_MARK, CORRECT_MARK, NOT_FASHION, hotkeys
from labeling.consensus import consensus
from labeling.references import ImageIndex
from labeling.studio.answers import annotation_versions, read_store
from labeling.studio.corrections import clear_returned
from labeling.studio.pictures import LocalPictures
from labeling.studio.predictions import pre_annotations, push_predictions
from labeling.studio.project import Project, ensure_project
from labeling.studio.pull import pull
from labeling.studio.push import push_tasks
from labeling.studio.queue import Chosen
from labeling.studio.returns import Returns
from labeling.studio.server import RunningServer
from labeling.studio.settings import LabelStudioServer
from labeling.studio.store import StudioStore
from labeling.tables import LABEL_TASKS, PRE_ANNOTATIONS, QUEUED_TASKS, RETURNED_TASKS
from pipeline.demo.world import build_world
from tests.integration.label_studio_pages import Desk, shots_into

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]

TASKS = 8
SETTINGS = LabelStudioServer(project="An annotator's day", reconcile_hours=0)
WINDOW = "2019-07-01"
KEYS = hotkeys(FASHION_STYLES)
NOTE = "Looks more like Classic."

Row = dict[str, Any]


@dataclass
class Office:
    """The pipeline's side of the day: it queues, pulls, decides and sends back."""

    server: RunningServer
    project: Project
    rows: pa.Table
    folder: Path
    returned: pa.Table = field(default_factory=RETURNED_TASKS.empty_table)

    def task_ids(self) -> list[int]:
        return sorted(self.queue)

    @property
    def queue(self) -> dict[int, str]:
        """The image of each task."""
        with self.server.connection() as connection:
            listed = connection.get("/api/tasks", project=self.project.project_id, page=1, page_size=TASKS)["tasks"]
        return {task["id"]: task["data"]["image_id"] for task in listed}

    def export(self) -> Annotations:
        """Pull what is new and read it."""
        with self.server.connection() as connection, self._store() as store:
            pull(connection, self.project.project_id, store)
            back = [one for one in self.returned["annotation_id"].to_pylist() if one is not None]
            return read_store(
                store, self._index, FASHION_STYLES, connection.users(), self.project.task_link, sent_back=back
            )

    def labels(self, annotations: Annotations) -> pa.Table:
        return consensus(annotations.valid.to_pandas(), dict.fromkeys(self.rows["image_id"].to_pylist(), WINDOW))

    def send_back(self) -> list[Row]:
        """Do what the pipeline does after an export: settle what is done, and send back what is wrong."""
        annotations = self.export()
        valid, refused, labels = annotations.valid, annotations.quarantined, self.labels(annotations)
        project_id = self.project.project_id
        with self.server.connection() as connection:
            answers = SETTINGS.answers_per_image
            clear_returned(connection, project_id, FASHION_STYLES, self.returned, refused, labels, valid, answers)
            returns = Returns(connection, project_id, SETTINGS, FASHION_STYLES, self.returned)
            new = pa.concat_tables(
                [
                    returns.return_invalid(refused, valid),
                    returns.return_conflicts(labels, valid),
                ]
            )
        self.returned = pa.concat_tables([self.returned, new])
        return list(new.to_pylist())

    def versions(self) -> list[Row]:
        with self.server.connection() as connection, self._store() as store:
            batches = list(annotation_versions(store, self._index, connection.users()))
        return [row for batch in batches for row in batch.to_pylist()]

    def predict(self, answers: dict[int, tuple[str, ...]]) -> None:
        """Let a model say main and sub labels of some tasks."""
        images, labels = self.queue, list(FASHION_STYLES)
        probabilities = np.full((len(answers), len(labels)), 0.01)
        for place, (main, *subs) in enumerate(answers.values()):
            probabilities[place, labels.index(main)] = 0.9
            probabilities[place, [labels.index(sub) for sub in subs]] = 0.6
        table = pre_annotations(
            [images[task_id] for task_id in answers],
            labels,
            probabilities,
            {image_id: task_id for task_id, image_id in images.items()},
            model_version="model of yesterday",
            blind_share=0.0,
            predicted_at=datetime.now(UTC),
        )
        with self.server.connection() as connection:
            pushed = push_predictions(connection, self.project.project_id, table, PRE_ANNOTATIONS.empty_table())
        assert pushed.sent == len(answers)

    @property
    def _index(self) -> ImageIndex:
        return ImageIndex.from_tasks(self.rows.to_pandas())

    def _store(self) -> StudioStore:
        return StudioStore(self.folder / "mirror.sqlite")


@pytest.fixture
def office(label_studio: RunningServer, tmp_path: Path) -> Office:
    """A project with eight tasks, with pictures that the server shows."""
    pictures = label_studio.document_root / "day" / "images"
    rows = _pictures(tmp_path / "world", pictures)
    source = LocalPictures(pictures, label_studio.document_root)
    with label_studio.connection() as connection:
        project = ensure_project(connection, SETTINGS, FASHION_STYLES, source)
        chosen = [Chosen(image_id, "newest") for image_id in rows["image_id"].to_pylist()]
        empty = QUEUED_TASKS.empty_table()
        queued = push_tasks(connection, project.project_id, SETTINGS, rows, chosen, empty, source)
    assert queued.num_rows == TASKS
    return Office(label_studio, project, rows, tmp_path)


def _pictures(world: Path, folder: Path) -> pa.Table:
    """Draw pictures into ``folder``; return them as rows of LABEL_TASKS."""
    planted = build_world(world, seed=7, posts=30, processes=1)
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in (world / "media").iterdir()}
    originals = sorted(key for key, image in planted.images.items() if image.origin is None and key in files)
    rows = []
    for image_id in originals[:TASKS]:
        place = Path(image_id[:2], image_id)
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files[image_id], folder / place)
        rows.append(
            {
                "image_id": image_id,
                "window": WINDOW,
                "image_path": f"images/{place}",
                "created_at": datetime(2019, 7, 2, tzinfo=UTC),
                "hashtags": ["ootd", "오오티디"],
                "alt_text": "A drawn person.",
                "names": [],
                "name_image_ids": [],
                "image_ids": [image_id],
            }
        )
    return pa.Table.from_pylist(rows, schema=LABEL_TASKS)


@pytest.fixture
def shots(tmp_path: Path) -> Callable[[Page, str], None]:
    return shots_into(Path(os.environ.get("STYLEGRAPH_SCREENSHOTS") or tmp_path / "screenshots"))


@pytest.fixture
def open_desk(browser: Browser, office: Office, shots: Callable[[Page, str], None]) -> Callable[..., Any]:
    """A function that gives a user a browser of their own."""
    return lambda user: closing(Desk(browser, office.server.url, user, shots))


def _expert_one_labels(desk: Desk, office: Office) -> None:
    """Mouse, keys, a forgotten main label, a skip, two predictions, and a picture without fashion."""
    mouse, keys, forgotten, skipped, taken, changed, no_fashion, next_one = office.task_ids()
    assert desk.open_tab(office.project, "To label") == office.task_ids()
    desk.shot("finds the tasks to label")
    desk.label_all(office.project)

    assert desk.task_id == mouse
    desk.choose("main", "Casual")
    desk.choose("subs", "Romantic", "Sexy")
    desk.shot("labels with the mouse")
    desk.submit()

    assert desk.task_id == keys
    desk.press(KEYS["main", "Romantic"], "main", "Romantic")
    desk.press(f"Shift+{KEYS['main', 'Casual'].upper()}", "subs", "Casual")
    desk.submit(by_key=True)

    assert desk.task_id == forgotten
    desk.choose("subs", "Elegant")
    desk.click_submit()
    expect(desk.dialog).to_contain_text("Choose one main style")
    desk.shot("is told that the main style is missing")
    desk.dialog.get_by_role("button", name="OK").click()
    expect(desk.dialog).to_be_hidden()
    assert desk.task_id == forgotten
    desk.choose("main", "Modern")
    desk.submit()

    assert desk.task_id == skipped
    desk.skip()

    assert desk.task_id == taken
    assert (desk.chosen("main"), desk.chosen("subs")) == (["Retro"], ["Casual"])
    desk.shot("finds a prediction ticked")
    desk.submit()

    assert desk.task_id == changed
    assert desk.chosen("main") == ["Modern"]
    desk.choose("main", "Elegant")
    assert desk.chosen("main") == ["Elegant"]
    desk.submit()

    assert desk.task_id == no_fashion
    desk.press(KEYS["main", NOT_FASHION], "main", NOT_FASHION)
    desk.shot("says that this is no fashion image")
    desk.submit(by_key=True)

    assert desk.task_id == next_one, "what was skipped has to wait until all else is done"


def _expert_one_changes_an_answer(desk: Desk, office: Office) -> None:
    keys = office.task_ids()[1]
    assert desk.open_tab(office.project, "All") == office.task_ids()
    desk.open_task(keys)
    assert (desk.chosen("main"), desk.chosen("subs")) == (["Romantic"], ["Casual"])
    desk.choose("main", "Natural")
    desk.shot("changes a label")
    desk.update()


def _expert_two_labels(desk: Desk, office: Office) -> None:
    """With keys only, in the order in which the server gives the tasks: disagrees on two, and breaks a rule once."""
    answers = [
        ("Sporty",), ("Natural", "Casual"), ("Classic",), ("Retro",), ("Retro", "Casual"), ("Elegant", "Elegant"),
        (NOT_FASHION,), ("Casual",),
    ]  # fmt: skip
    waiting = dict(zip(office.task_ids(), answers, strict=True))
    desk.label_all(office.project)
    while len(waiting) > 1:
        _answer_by_keys(desk, *waiting.pop(desk.task_id))
        desk.submit(by_key=True)
    _answer_by_keys(desk, *waiting.pop(desk.task_id))
    desk.submit_the_last()
    desk.shot("has answered all that there was")


def _answer_by_keys(desk: Desk, main: str, *subs: str) -> None:
    for sub in set(desk.chosen("subs")) - set(subs):
        desk.take_back("subs", sub)
    if desk.chosen("main") != [main]:  # the key of an answer that is chosen takes it back
        desk.press(KEYS["main", main], "main", main)
    for sub in set(subs) - set(desk.chosen("subs")):
        desk.press(f"Shift+{KEYS['main', sub].upper()}", "subs", sub)


def _expert_one_goes_on(desk: Desk, office: Office) -> None:
    *_, skipped, _, _, _, unsure = office.task_ids()
    desk.label_all(office.project)
    assert desk.task_id == unsure
    desk.choose("main", "Can't tell")
    desk.submit()
    assert desk.task_id == skipped, "what this expert skipped, and not what came back to the other"
    assert desk.attention == ""
    desk.shot("gets again what was skipped")


def _reviewer_decides(desk: Desk, office: Office) -> None:
    accepted, _, rejected, *_ = office.task_ids()
    experts = office.server.experts
    assert desk.open_tab(office.project, "Review: conflicts") == [accepted, rejected]
    desk.shot("finds the disagreements")
    desk.open_task(accepted)
    assert desk.attention.startswith(CONFLICT_MARK)
    assert {"Casual", "Sporty"} <= set(desk.attention.replace(",", " ").replace(".", " ").split())
    desk.look_at_answer_of(experts[1])
    assert desk.chosen("main") == ["Sporty"]
    desk.choose("review", "Accepted")
    desk.shot("accepts an answer")
    desk.update()
    desk.open_tab(office.project, "Review: conflicts")
    desk.open_task(rejected)
    desk.look_at_answer_of(experts[0])
    assert desk.chosen("main") == ["Modern"]
    desk.choose("review", "Rejected")
    desk.write_note(NOTE)
    desk.shot("rejects another with a note")
    desk.update()


def _expert_two_corrects(desk: Desk, office: Office) -> None:
    wrong = office.task_ids()[5]
    assert wrong in desk.open_tab(office.project, "Came back")
    desk.shot("finds what came back")
    desk.label_all(office.project)
    assert desk.task_id == wrong, "all else is answered, so what came back is next"
    assert desk.attention.startswith(CORRECT_MARK)
    assert "Elegant" in desk.attention
    desk.shot("reads why it came back")
    _answer_by_keys(desk, "Elegant", "Classic")
    desk.submit_the_last()


def test_what_people_do_in_the_browser_is_what_the_tables_say(office: Office, open_desk: Callable[..., Any]) -> None:
    one, two = office.server.experts
    tasks = office.task_ids()
    office.predict({tasks[4]: ("Retro", "Casual"), tasks[5]: ("Modern",)})
    with open_desk(one) as desk:
        _expert_one_labels(desk, office)
        first = office.export()
        assert first.valid.num_rows == TASKS - 2
        assert first.quarantined["reason"].to_pylist() == ["skipped"]
        _expert_one_changes_an_answer(desk, office)
    with open_desk(two) as desk:
        _expert_two_labels(desk, office)
    back = office.send_back()
    assert [(row["task_id"], row["annotator"], row["reason"], row["way"]) for row in back] == [
        (tasks[5], two.email, "main_in_subs", "to_annotator"),
        (tasks[0], None, "conflict", "to_another_annotator"),
        (tasks[2], None, "conflict", "to_another_annotator"),
    ]
    with open_desk(office.server.reviewer) as desk:
        _reviewer_decides(desk, office)
    with open_desk(one) as desk:
        _expert_one_goes_on(desk, office)
    with open_desk(two) as desk:
        _expert_two_corrects(desk, office)
    assert office.send_back() == []
    _check_tables(office, tasks)


def _check_tables(office: Office, tasks: list[int]) -> None:
    one, two = office.server.experts
    annotations = office.export()
    rows = annotations.valid.to_pylist()
    answers = {
        (tasks.index(int(row["task_id"])), row["annotator"]): (row["answer"], row["main"], row["subs"]) for row in rows
    }
    assert answers == {
        (0, one.email): ("style", "Casual", ["Romantic", "Sexy"]),
        (1, one.email): ("style", "Natural", ["Casual"]),
        (2, one.email): ("style", "Modern", ["Elegant"]),
        (4, one.email): ("style", "Retro", ["Casual"]),
        (5, one.email): ("style", "Elegant", []),
        (6, one.email): ("not_fashion", None, []),
        (7, one.email): ("cant_tell", None, []),
        (0, two.email): ("style", "Sporty", []),
        (1, two.email): ("style", "Natural", ["Casual"]),
        (2, two.email): ("style", "Classic", []),
        (3, two.email): ("style", "Retro", []),
        (4, two.email): ("style", "Retro", ["Casual"]),
        (5, two.email): ("style", "Elegant", ["Classic"]),
        (6, two.email): ("not_fashion", None, []),
        (7, two.email): ("style", "Casual", []),
    }
    fields = ("task_id", "annotator", "review", "reviewer", "note")
    assert sorted(tuple(row[field] for field in fields) for row in rows if row["review"]) == [
        (str(tasks[0]), two.email, "accepted", office.server.reviewer.email, None),
        (str(tasks[2]), one.email, "rejected", office.server.reviewer.email, NOTE),
    ]
    assert all(0 < row["lead_time"] < 300 for row in rows)
    place_of = {image_id: tasks.index(task_id) for task_id, image_id in office.queue.items()}
    decided = {
        place_of[row["image_id"]]: (row["status"], row["answer"], row["main"])
        for row in office.labels(annotations).to_pylist()
    }
    assert decided == {
        0: ("resolved_by_review", "style", "Sporty"),
        1: ("agreed", "style", "Natural"),
        2: ("resolved_by_review", "style", "Classic"),
        3: ("unreviewed", "style", "Retro"),
        4: ("agreed", "style", "Retro"),
        5: ("agreed", "style", "Elegant"),
        6: ("agreed", "not_fashion", None),
        7: ("unreviewed", "style", "Casual"),
    }
    _check_history(office, annotations, tasks)


def _check_history(office: Office, annotations: Annotations, tasks: list[int]) -> None:
    """Every version of every answer is kept, and nothing else is."""
    one, two = (user.email for user in office.server.experts)
    refused = annotations.quarantined.to_pylist()
    assert sorted((int(row["task_id"]), row["annotator"], row["reason"]) for row in refused) == [
        (tasks[3], one, "skipped"),
        (tasks[5], two, "superseded"),
    ]
    versions: dict[str, list[Row]] = {}
    for row in office.versions():
        versions.setdefault(row["annotation_id"], []).append(row)
    twice = ["submitted", "submitted"]
    changed = {
        (tasks.index(rows[0]["task_id"]), rows[0]["annotator"]): [row["state"] for row in rows]
        for rows in versions.values()
        if [row["state"] for row in rows] != ["submitted"]
    }
    assert changed == {
        (0, two): twice,  # accepted
        (1, one): twice,  # updated
        (2, one): twice,  # rejected
        (3, one): ["skipped"],
        (5, two): ["submitted", "skipped"],  # sent back; the corrected answer is another annotation
    }
    assert len(versions) == 2 * TASKS + 1
    updated = next(rows for rows in versions.values() if (rows[0]["task_id"], rows[0]["annotator"]) == (tasks[1], one))
    assert ["Romantic" in row["raw"] for row in updated] == [True, False]
    seen = {row["task_id"] for rows in versions.values() for row in rows if json.loads(row["raw"])["parent_prediction"]}
    assert seen == {tasks[4], tasks[5]}, "the answers that began with a prediction"
