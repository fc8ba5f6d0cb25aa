"""Tasks that come back on a real Label Studio: to whom, with what words, how often, and how it ends."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from labeling import FASHION_STYLES, ImageIndex, consensus
from labeling.annotations import Annotations
from labeling.config import CANT_TELL, NOT_FASHION
from labeling.studio.answers import read_store
from labeling.studio.connection import Connection, StudioError
from labeling.studio.corrections import Cleared, clear_returned
from labeling.studio.predictions import pre_annotations, push_predictions
from labeling.studio.pull import pull
from labeling.studio.push import push_tasks
from labeling.studio.returns import Returns
from labeling.studio.settings import LabelStudioServer
from labeling.studio.store import StudioStore
from labeling.studio.task_list import listed_tasks
from labeling.tables import PRE_ANNOTATIONS, RETURNED_TASKS
from tests.integration.label_studio_tasks import NOTHING_QUEUED, PICTURES, answer, chosen_of, many, new_project
from tests.labeling.labeling_samples import choices

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

NO_SUSPICION = pa.table(
    {name: pa.array([], pa.string()) for name in ("image_id", "kind", "label", "given_main", "suggested_main")}
    | {"rank": pa.array([], pa.int32())}
)


@dataclass
class Round:
    """One project with its mirror and its tables, as the pipeline keeps them."""

    admin: Connection
    experts: tuple[Connection, ...]
    folder: Path
    images: int
    settings: LabelStudioServer = field(default_factory=LabelStudioServer)
    returned: pa.Table = field(default_factory=RETURNED_TASKS.empty_table)

    def __post_init__(self) -> None:
        rows = many(self.images)
        self.project = new_project(self.admin, self.settings.answers_per_image)
        push_tasks(self.admin, self.project, self.settings, rows, chosen_of(rows), NOTHING_QUEUED, PICTURES)
        self.index = ImageIndex.from_tasks(rows.to_pandas())
        self.store = StudioStore(self.folder / f"{self.project}.sqlite")
        self.tasks = {int(task.image_id, 16): task.task_id for task in listed_tasks(self.admin, self.project)}

    def export(self) -> Annotations:
        pull(self.admin, self.project, self.store, reconcile_after=timedelta(0))
        return read_store(
            self.store,
            self.index,
            FASHION_STYLES,
            self.admin.users(),
            lambda task_id: f"{self.admin.url}/{task_id}",
            [row["annotation_id"] for row in self.returned.to_pylist() if row["annotation_id"]],
        )

    def labels(self, export: Annotations) -> pa.Table:
        windows = dict.fromkeys(export.valid.column("image_id").to_pylist(), "2019-07-01")
        return consensus(export.valid.to_pandas(), windows)

    def returns(self) -> Returns:
        return Returns(self.admin, self.project, self.settings, FASHION_STYLES, self.returned)

    def send_back(self, suspicious: pa.Table = NO_SUSPICION) -> list[dict[str, Any]]:
        """What a run of the pipeline does after an export; returns the new rows."""
        export = self.export()
        labels = self.labels(export)
        rows = [
            self.returns().return_invalid(export.quarantined, export.valid),
            self.returns().return_conflicts(labels, export.valid),
            self.returns().return_suspicious(suspicious, export.valid),
        ]
        self.returned = pa.concat_tables([self.returned, *rows])
        return pa.concat_tables(rows).to_pylist()

    def settle(self) -> Cleared:
        export = self.export()
        return clear_returned(
            self.admin,
            self.project,
            FASHION_STYLES,
            self.returned,
            export.quarantined,
            self.labels(export),
            export.valid,
            self.settings.answers_per_image,
        )

    def next_task(self, person: Connection) -> dict[str, Any] | None:
        """The task that somebody gets when they press "Label"; None if there is none."""
        try:
            return dict(person.get(f"/api/projects/{self.project}/next"))
        except StudioError as error:
            if "404" in str(error) or "not found" in str(error):
                return None
            raise

    def attention(self) -> dict[int, str]:
        return {int(task.image_id, 16): task.data["attention"] for task in listed_tasks(self.admin, self.project)}

    def open_images(self) -> set[int]:
        return {int(task.image_id, 16) for task in listed_tasks(self.admin, self.project) if not task.is_labeled}


@pytest.fixture
def people(label_studio: Any) -> Any:
    """Connections of the admin and of three people who label: two experts and the reviewer."""
    users = [None, *label_studio.experts, label_studio.reviewer]
    admin, *others = [label_studio.connection(user) for user in users]
    yield admin, tuple(others)
    for connection in (admin, *others):
        connection.close()


def test_a_wrong_answer_comes_back_to_who_gave_it_until_it_is_right(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=1)
    task = work.tasks[0]
    wrong = answer(first, task, "Retro", ["Retro", "Casual"])
    answer(second, task, "Retro")
    assert work.next_task(first) is None  # the task has its two answers

    (row,) = work.send_back()
    assert (row["task_id"], row["annotation_id"], row["reason"]) == (task, str(wrong), "main_in_subs")
    assert (row["annotator"], row["way"]) == ("expert-1@example.invalid", "to_annotator")
    text = "Please correct: Retro was main and sub style at once; answer again, with it as one of the two."
    assert row["detail"] == text
    got = work.next_task(first)
    assert got is not None
    assert (got["id"], got["data"]["attention"]) == (task, text)
    assert work.next_task(second) is None
    kept = admin.get(f"/api/annotations/{wrong}")
    assert kept["was_cancelled"] is True
    assert [item["value"]["choices"] for item in kept["result"]] == [["Retro"], ["Retro", "Casual"]]

    assert work.send_back() == []  # the same version is not returned twice
    assert work.settle() == Cleared(marks=0, replaced=0, counted=0, closed=0)
    answer(first, task, "Casual", ["Casual"])  # on the screen a correction is a new annotation
    (row,) = work.send_back()
    assert row["annotation_id"] != str(wrong)
    assert "Casual was main and sub" in row["detail"]
    assert work.next_task(first) is not None

    answer(first, task, "Casual")
    assert work.send_back() == []
    export = work.export()
    assert export.valid.column("main").to_pylist() == ["Casual", "Retro"]  # it counts again
    assert work.settle().marks == 1
    assert work.attention() == {0: ""}


def test_a_correction_of_the_annotation_itself_counts_again(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=2)
    ids = [answer(first, work.tasks[number], "Retro", ["Retro"]) for number in range(2)]
    assert len(work.send_back()) == 2
    right = [choices("main", "Retro")]
    first.patch(f"/api/annotations/{ids[0]}", {"result": right, "was_cancelled": False})
    first.patch(f"/api/annotations/{ids[1]}", {"result": right})  # it was open on the screen when it was sent back
    assert work.settle() == Cleared(marks=1, replaced=0, counted=1, closed=0)
    assert work.send_back() == []
    assert work.export().valid.num_rows == 2
    assert work.settle() == Cleared(marks=1, replaced=0, counted=0, closed=0)
    assert work.attention() == {0: "", 1: ""}


def test_who_has_answered_again_is_not_asked_for_ever(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=1)
    wrong = answer(first, work.tasks[0], "Retro", ["Retro"])
    work.send_back()
    right = answer(first, work.tasks[0], "Retro")
    assert work.next_task(second) is None  # to Label Studio these are two answers
    assert work.settle() == Cleared(marks=1, replaced=1, counted=0, closed=0)
    assert work.next_task(second) is not None
    assert work.next_task(first) is None
    (task,) = listed_tasks(admin, work.project)
    assert (task.submitted, task.skipped) == (1, 0)
    assert admin.get(f"/api/annotations/{right}")["was_cancelled"] is False
    versions = [version.annotation_id for version in work.store.history()]
    assert str(wrong) in versions  # what was deleted is in the mirror


def test_every_problem_is_said_in_words_and_others_are_left_alone(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=8, settings=LabelStudioServer(language="ko"))
    two = [choices("main", "Retro"), choices("main", "Casual")]
    answer(first, work.tasks[0], result=two)
    answer(first, work.tasks[1], result=[choices("subs", "Retro")])
    answer(first, work.tasks[2], "Steampunk")
    answer(first, work.tasks[3], NOT_FASHION, ["Retro"])
    answer(first, work.tasks[4], result=[choices("mood", "Happy")])
    answer(first, work.tasks[5], result=[], was_cancelled=True)  # skipped by the annotator
    first.post(f"/api/tasks/{work.tasks[6]}/drafts", {"result": two, "lead_time": 1.0})
    answer(first, work.tasks[7], CANT_TELL)
    rows = work.send_back()
    assert [row["reason"] for row in rows] == [
        "two_mains",
        "no_main",
        "unknown_label",
        "subs_without_style",
        "unknown_control",
    ]
    said = work.attention()
    assert all(said[number].startswith("Please correct: 답을 고쳐서 다시 제출해 주세요. ") for number in range(5))
    assert "(레트로, 캐주얼)" in said[0]
    assert "(Steampunk)" in said[2]
    assert "'패션 이미지 아님'" in said[3]
    assert [said[number] for number in (5, 6, 7)] == ["", "", ""]
    assert "레트로" not in said[1]


def test_an_answer_that_changed_after_the_export_is_left_alone(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=2)
    ids = [answer(first, work.tasks[number], "Retro", ["Retro"]) for number in range(2)]
    export = work.export()
    first.patch(f"/api/annotations/{ids[0]}", {"result": [choices("main", "Retro")]})
    first.delete(f"/api/annotations/{ids[1]}")
    assert work.returns().return_invalid(export.quarantined, export.valid).num_rows == 0
    assert admin.get(f"/api/annotations/{ids[0]}")["was_cancelled"] is False
    assert work.attention() == {0: "", 1: ""}


def test_a_run_that_was_killed_before_its_table_was_written(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=2)
    wrong = answer(first, work.tasks[0], "Retro", ["Retro"])
    answer(first, work.tasks[1], "Retro")
    answer(second, work.tasks[1], "Casual")
    export = work.export()
    work.returns().return_invalid(export.quarantined, export.valid)
    work.returns().return_conflicts(work.labels(export), export.valid)
    at_once = work.returns().return_invalid(export.quarantined, export.valid)  # with the export of before
    assert at_once.num_rows == 0
    rows = work.send_back()
    assert [(row["task_id"], row["annotation_id"]) for row in rows] == [
        (work.tasks[0], str(wrong)),
        (work.tasks[1], None),
    ]
    assert rows[0]["detail"].startswith("Please correct: Retro was main and sub")
    assert [task.overlap for task in listed_tasks(admin, work.project)] == [2, 3]  # not raised twice
    assert work.send_back() == []
    assert work.settle() == Cleared(marks=0, replaced=0, counted=0, closed=0)


def test_a_conflict_goes_to_a_third_person_then_to_a_reviewer(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second, third), tmp_path, images=3, settings=LabelStudioServer(answers_per_image=1))
    # one answer each is enough here, so that three people and the limit of 1 + 2 can be tried
    for number, mains in enumerate((("Retro", "Casual"), ("Retro", "Casual"), ("Retro", "Retro"))):
        for person, main in zip((first, second), mains, strict=True):
            answer(person, work.tasks[number], main)
    assert work.open_images() == set()
    rows = work.send_back()
    assert [(row["task_id"], row["way"], row["detail"]) for row in rows] == [
        (work.tasks[0], "to_another_annotator", "Conflict: Retro or Casual"),
        (work.tasks[1], "to_another_annotator", "Conflict: Retro or Casual"),
    ]
    assert work.open_images() == {0, 1}
    assert work.next_task(first) is work.next_task(second) is None
    got = work.next_task(third)
    assert got is not None
    assert got["data"]["attention"] == "Conflict: Retro or Casual"
    assert work.send_back() == []

    answer(third, work.tasks[0], "Casual")
    answer(third, work.tasks[1], "Sexy")
    (row,) = work.send_back()
    assert (row["task_id"], row["way"]) == (work.tasks[1], "to_reviewer")  # 3 answers, 1 + 2 are the limit
    assert row["detail"] == "Conflict: Retro, Casual or Sexy"
    assert work.open_images() == set()
    assert work.send_back() == []
    assert work.settle().marks == 1
    assert work.attention() == {0: "", 1: "Conflict: Retro, Casual or Sexy", 2: ""}
    decided = admin.get(f"/api/tasks/{work.tasks[1]}")["annotations"][0]
    third.patch(f"/api/annotations/{decided['id']}", {"result": [*decided["result"], choices("review", "Accepted")]})
    assert work.settle().marks == 1
    assert set(work.attention().values()) == {""}


def disagree(people: tuple[Connection, Connection], task: int) -> tuple[int, int]:
    """Let two people give different answers; return their annotations."""
    first, second = people
    return answer(first, task, "Retro"), answer(second, task, "Casual")


def review(reviewer: Connection, annotation_id: int, decision: str = "Accepted") -> None:
    result = reviewer.get(f"/api/annotations/{annotation_id}")["result"]
    reviewer.patch(f"/api/annotations/{annotation_id}", {"result": [*result, choices("review", decision)]})


def test_a_conflict_that_is_settled_asks_nobody_any_more(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second), tmp_path, images=5)
    ids = [disagree((first, second), work.tasks[number]) for number in range(4)]
    assert [row["way"] for row in work.send_back()] == ["to_another_annotator"] * 4
    assert work.open_images() == {0, 1, 2, 3, 4}
    review(admin, ids[0][0])  # decided
    first.patch(f"/api/annotations/{ids[1][0]}", {"result": [choices("main", "Casual")]})  # agreed after all
    answer(third, work.tasks[2], result=[], was_cancelled=True)  # a skip, and then a decision
    review(admin, ids[2][1], "Rejected")

    assert work.settle() == Cleared(marks=3, replaced=0, counted=0, closed=3)
    assert work.open_images() == {3, 4}  # one is a conflict yet, one has no answer
    needed = {int(task.image_id, 16): task.overlap for task in listed_tasks(admin, work.project)}
    assert needed == {0: 2, 1: 2, 2: 2, 3: 3, 4: 2}
    assert work.settle() == Cleared(marks=0, replaced=0, counted=0, closed=0)
    for number in (3, 4):
        got = work.next_task(third)
        assert got is not None
        assert got["id"] == work.tasks[number]
        answer(third, work.tasks[number], "Casual")
    assert work.next_task(third) is None

    first.patch(f"/api/annotations/{ids[1][0]}", {"result": [choices("main", "Sexy")]})  # a conflict again
    (row,) = work.send_back()
    assert (row["task_id"], row["way"]) == (work.tasks[1], "to_another_annotator")
    got = work.next_task(third)
    assert got is not None
    assert got["id"] == work.tasks[1]


def test_a_settled_conflict_stays_open_for_an_answer_that_is_to_correct(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second, third), tmp_path, images=1)
    ids = disagree((first, second), work.tasks[0])
    work.send_back()
    answer(third, work.tasks[0], "Casual", ["Casual"])
    review(admin, ids[0])
    assert work.settle().closed == 0
    assert [row["reason"] for row in work.send_back()] == ["main_in_subs"]
    assert work.settle().closed == 0
    assert work.next_task(third) is not None
    answer(third, work.tasks[0], "Casual")
    assert work.settle().closed == 0  # it has all the answers that it had asked for
    assert work.open_images() == set()


def test_who_is_asked_about_a_conflict_finds_no_prediction_ticked(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second), tmp_path, images=2)
    images = many(2).column("image_id").to_pylist()
    labels = list(FASHION_STYLES)
    made = pre_annotations(
        images,
        labels,
        np.eye(len(labels))[[labels.index("Retro")] * 2],
        {image: work.tasks[number] for number, image in enumerate(images)},
        model_version="model 1",
        blind_share=0.0,
        predicted_at=datetime.now(UTC),
    )
    pushed = push_predictions(admin, work.project, made, PRE_ANNOTATIONS.empty_table())
    assert pushed.sent == 2
    got = work.next_task(first)
    assert got is not None
    (shown,) = got["predictions"]
    taken = answer(first, work.tasks[0], parent_prediction=shown["id"])
    answer(second, work.tasks[0], "Casual")
    assert [row["way"] for row in work.send_back()] == ["to_another_annotator"]
    again = push_predictions(admin, work.project, made, pushed.table)
    assert (again.sent, again.stood, again.answered) == (0, 1, 1)

    got = work.next_task(third)
    assert got is not None
    assert (got["id"], got["predictions"]) == (work.tasks[0], [])
    assert admin.get(f"/api/annotations/{taken}")["parent_prediction"] == shown["id"]
    answer(third, work.tasks[0], "Sexy")
    assert [row["way"] for row in work.send_back()] == ["to_another_annotator"]
    versions = [one["model_version"] for one in admin.get("/api/predictions", task=work.tasks[0])]
    assert versions == ["withheld: model 1"]
    got = work.next_task(third)
    assert got is not None
    assert [one["model_version"] for one in got["predictions"]] == ["model 1"]  # of the other task


def test_a_conflict_waits_for_the_correction_of_a_wrong_answer(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second, third), tmp_path, images=1, settings=LabelStudioServer(answers_per_image=3))
    answer(first, work.tasks[0], "Retro")
    answer(second, work.tasks[0], "Casual")
    answer(third, work.tasks[0], "Casual", ["Casual"])
    (row,) = work.send_back()
    assert row["reason"] == "main_in_subs"
    assert [task.overlap for task in listed_tasks(admin, work.project)] == [3]
    answer(third, work.tasks[0], "Casual")
    assert work.send_back() == []  # the majority has decided
    assert work.settle().marks == 1


def test_a_conflict_before_all_have_answered_is_none_yet(people: Any, tmp_path: Path) -> None:
    admin, (first, second, third) = people
    work = Round(admin, (first, second, third), tmp_path, images=1, settings=LabelStudioServer(answers_per_image=3))
    answer(first, work.tasks[0], "Retro")
    answer(second, work.tasks[0], "Casual")
    assert work.send_back() == []
    assert work.attention() == {0: ""}
    assert work.next_task(third) is not None


def suspect(rank: int, image: str, kind: str, label: str, given: str, suggested: str) -> dict[str, Any]:
    return {
        "rank": rank,
        "image_id": image,
        "kind": kind,
        "label": label,
        "given_main": given,
        "suggested_main": suggested,
    }


def test_doubtful_labels_are_shown_to_reviewers_once(people: Any, tmp_path: Path) -> None:
    admin, (first, second, reviewer) = people
    settings = LabelStudioServer(answers_per_image=1, review_suspicious=2)
    work = Round(admin, (first, second), tmp_path, images=5, settings=settings)
    for number in range(4):
        answer(first, work.tasks[number], "Retro")
    reviewed = admin.get(f"/api/tasks/{work.tasks[0]}")["annotations"][0]
    reviewer.patch(
        f"/api/annotations/{reviewed['id']}", {"result": [*reviewed["result"], choices("review", "Accepted")]}
    )
    ids = [row["image_id"] for row in many(5).to_pylist()]
    doubts = pa.Table.from_pylist(
        [
            suspect(4, ids[3], "wrong_main", "Retro", "Retro", "Casual"),
            suspect(1, ids[0], "wrong_main", "Retro", "Retro", "Casual"),  # a reviewer has decided
            suspect(2, ids[1], "wrong_main", "Retro", "Retro", "Sexy"),
            suspect(3, ids[2], "missing_label", "Casual", "Retro", "Retro"),
            suspect(5, ids[4], "wrong_main", "Retro", "Retro", "Sexy"),  # labelled elsewhere
            suspect(6, ids[1], "extra_label", "Casual", "Retro", "Retro"),
        ]
    )
    rows = work.send_back(doubts)
    assert [(row["task_id"], row["reason"], row["way"]) for row in rows] == [
        (work.tasks[1], "suspicious", "to_reviewer"),
        (work.tasks[2], "suspicious", "to_reviewer"),
    ]
    assert work.attention() == {
        0: "",
        1: "Suspicious: is Retro the main style? The model sees Sexy.",
        2: "Suspicious: the model also sees Casual.",
        3: "",
        4: "",
    }
    assert [row["task_id"] for row in work.send_back(doubts)] == [work.tasks[3]]  # the next one, none twice
    doubted = admin.get(f"/api/tasks/{work.tasks[1]}")["annotations"][0]
    reviewer.patch(f"/api/annotations/{doubted['id']}", {"result": [*doubted["result"], choices("review", "Accepted")]})
    assert work.settle().marks == 1
    assert work.attention()[1] == ""
    assert work.send_back(doubts) == []


def test_a_task_that_is_deleted_meanwhile_does_not_stop_the_others(people: Any, tmp_path: Path) -> None:
    admin, (first, second, _) = people
    work = Round(admin, (first, second), tmp_path, images=3)
    for number in range(3):
        answer(first, work.tasks[number], "Retro", ["Retro"])
    export = work.export()
    admin.delete(f"/api/tasks/{work.tasks[1]}")
    seen: list[tuple[int, int]] = []
    rows = work.returns().return_invalid(export.quarantined, export.valid, lambda *counts: seen.append(counts))
    assert rows.column("task_id").to_pylist() == [work.tasks[0], work.tasks[2]]
    assert seen[-1] == (3, 3)
