"""From the mirror of a project to the tables of annotations."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from labeling import FASHION_STYLES, Annotations
from labeling.reader import AnnotationReader, TaskReference
from labeling.studio.answers import annotation_versions, read_store
from labeling.studio.progress import SyncState
from labeling.studio.store import StudioStore
from labeling.tables import ANNOTATION_VERSIONS, ANNOTATIONS, QUARANTINED_ANNOTATIONS
from tests.labeling.labeling_samples import answer, choices, image_id, index_of, task, task_row

INDEX = index_of(*(task_row(number) for number in range(1, 10)))
USERS = {
    1: "admin@example.invalid",
    5: "expert-1@example.invalid",
    6: "expert-2@example.invalid",
    7: "r@example.invalid",
}
GOOD = [choices("main", "Casual"), choices("subs", "Sexy")]
REVIEWED = [*GOOD, choices("review", "Accepted")]
FIRST, SECOND = datetime(2024, 5, 3, tzinfo=UTC), datetime(2024, 5, 4, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StudioStore]:
    with StudioStore(tmp_path / "project.sqlite") as opened:
        yield opened


def seen(store: StudioStore, *tasks: dict[str, Any], at: datetime = FIRST, drafts: Any = None) -> None:
    counted = [
        {"updated_at": "2024-05-02T08:01:00Z", "total_annotations": 0, "cancelled_annotations": 0, **entry}
        for entry in tasks
    ]
    store.save(counted, drafts or {}, SyncState(), at)


def read(store: StudioStore, users: dict[int, str] = USERS, **options: Any) -> Annotations:
    annotations = read_store(
        store, INDEX, FASHION_STYLES, users, lambda number: f"http://studio.invalid/{number}", **options
    )
    assert annotations.valid.schema.equals(ANNOTATIONS)
    assert annotations.quarantined.schema.equals(QUARANTINED_ANNOTATIONS)
    return annotations


def test_people_have_their_addresses(store: StudioStore) -> None:
    seen(store, task(1, answer(8, REVIEWED, 5, updated_by=7)))
    (row,) = read(store).valid.to_pylist()
    assert (row["annotator"], row["review"], row["reviewer"]) == (USERS[5], "accepted", USERS[7])
    assert (row["task_id"], row["image_id"], row["answer"], row["main"]) == ("1", image_id(1), "style", "Casual")


def test_a_wrong_answer_is_set_aside_with_its_task_and_annotator(store: StudioStore) -> None:
    seen(store, task(1, answer(8, [], 5), answer(9, GOOD, 6)))
    annotations = read(store)
    assert annotations.valid.column("annotation_id").to_pylist() == ["9"]
    (refused,) = annotations.quarantined.to_pylist()
    assert (refused["reason"], refused["annotator"]) == ("no_main", USERS[5])
    assert (refused["task_id"], refused["task_link"]) == ("1", "http://studio.invalid/1")
    assert json.loads(refused["raw"])["id"] == 8


def test_an_annotator_or_reviewer_who_was_never_known(store: StudioStore) -> None:
    seen(store, task(1, answer(8, GOOD, 44)), task(2, answer(9, REVIEWED, 5, updated_by=44)))
    annotations = read(store)
    (refused,) = annotations.quarantined.to_pylist()
    assert (refused["annotation_id"], refused["reason"], refused["annotator"]) == ("8", "unknown_annotator", "44")
    assert "nobody knows who user 44 is" in refused["detail"]
    assert annotations.valid.column("review").to_pylist() == [None]


def test_only_the_newest_version_counts(store: StudioStore) -> None:
    seen(store, task(1, answer(8, GOOD, 5)))
    seen(store, task(1, answer(8, [choices("main", "Retro")], 5)), at=SECOND)
    annotations = read(store)
    assert annotations.valid.column("main").to_pylist() == ["Retro"]
    assert annotations.quarantined.num_rows == 0


def test_what_is_deleted_on_the_server_is_set_aside_as_it_was(store: StudioStore) -> None:
    seen(store, task(1, answer(8, GOOD, 5), answer(9, GOOD, 6)), task(2, answer(10, GOOD, 5)))
    seen(store, task(1, answer(9, GOOD, 6)), at=SECOND)
    store.mark_gone([2], SECOND)
    annotations = read(store)
    assert annotations.valid.column("annotation_id").to_pylist() == ["9"]
    refused = annotations.quarantined.to_pylist()
    assert [(row["annotation_id"], row["reason"]) for row in refused] == [("8", "deleted"), ("10", "task_deleted")]
    assert all(json.loads(row["raw"])["result"] == GOOD for row in refused)


def test_drafts_are_set_aside_while_they_are_there(store: StudioStore) -> None:
    seen(store, task(1), task(2), drafts={1: [{"id": 3, "user": USERS[5], "result": GOOD}], 2: [{"id": 4}]})
    seen(store, drafts={2: []}, at=SECOND)
    (refused,) = read(store).quarantined.to_pylist()
    assert (refused["annotation_id"], refused["reason"], refused["annotator"]) == ("draft:3", "draft", USERS[5])


def test_sent_back_until_the_annotator_answers_or_skips_again(store: StudioStore) -> None:
    ours = {"was_cancelled": True, "updated_by": 1}
    seen(
        store,
        task(1, answer(8, GOOD, 5, **ours)),  # waits
        task(2, answer(9, REVIEWED, 5, updated_by=5)),  # corrected, and the review of the first version is void
        task(3, answer(10, GOOD, 5, was_cancelled=True, updated_by=5)),  # skipped again
        task(4, answer(11, GOOD, 5, **ours)),  # cancelled by somebody, not by us
    )
    annotations = read(store, sent_back={"8", "9", "10"})
    assert [(row["annotation_id"], row["review"]) for row in annotations.valid.to_pylist()] == [("9", None)]
    refused = annotations.quarantined.to_pylist()
    assert [(row["annotation_id"], row["reason"]) for row in refused] == [
        ("8", "sent_back"),
        ("10", "skipped"),
        ("11", "skipped"),
    ]


def test_who_is_removed_from_the_organization_keeps_labels_and_reviews(store: StudioStore) -> None:
    seen(store, task(1, answer(8, GOOD, 6)), task(2, answer(9, REVIEWED, 5, updated_by=7)))
    before = read(store)
    left = {1: USERS[1], 5: USERS[5]}
    after = read(store, left)
    assert after.valid.equals(before.valid)
    assert after.valid.column("annotator").to_pylist() == [USERS[6], USERS[5]]
    assert after.valid.column("reviewer").to_pylist() == [None, USERS[7]]
    assert after.quarantined.num_rows == 0
    (batch,) = annotation_versions(store, INDEX, left)
    assert batch.column("annotator").to_pylist() == [USERS[6], USERS[5]]


WRONG = [choices("subs", "Sexy")]
BACK = {"was_cancelled": True, "updated_by": 1}
SKIPPED = {"was_cancelled": True, "updated_by": 5}


@pytest.mark.parametrize(
    ("versions", "reviewer"),
    [
        # corrected in place and accepted by the annotator; then the program makes it count again
        ([(WRONG, {}), (WRONG, BACK), (REVIEWED, SKIPPED), (REVIEWED, {"updated_by": 1})], None),
        # the same where the export did not see that it was sent back
        ([(WRONG, {}), (REVIEWED, SKIPPED), (REVIEWED, {"updated_by": 1})], None),
        # the same where it was sent back once more before it counted
        ([(REVIEWED, SKIPPED), (REVIEWED, BACK), (REVIEWED, SKIPPED), (REVIEWED, {"updated_by": 1})], None),
        # the annotator accepted it at first, and nobody looked at it since
        ([(REVIEWED, {}), (REVIEWED, BACK), (REVIEWED, {"updated_by": 1})], None),
        # corrected in place, then accepted by a reviewer before it counted again
        (
            [
                (WRONG, BACK),
                (GOOD, SKIPPED),
                (REVIEWED, {"was_cancelled": True, "updated_by": 7}),
                (REVIEWED, {"updated_by": 1}),
            ],
            USERS[7],
        ),
        # accepted by a reviewer once it counted again
        ([(WRONG, BACK), (GOOD, SKIPPED), (GOOD, {"updated_by": 1}), (REVIEWED, {"updated_by": 7})], USERS[7]),
    ],
)
def test_to_make_a_returned_answer_count_again_is_no_review_of_it(
    store: StudioStore, versions: list[tuple[Any, dict[str, Any]]], reviewer: str | None
) -> None:
    for result, fields in versions:
        seen(store, task(1, answer(8, result, 5, **fields)))
    (row,) = read(store, sent_back={"8"}).valid.to_pylist()
    assert (row["annotator"], row["main"], row["reviewer"]) == (USERS[5], "Casual", reviewer)
    assert row["review"] == (reviewer and "accepted")


def test_a_returned_answer_that_went_and_came_again_is_as_it_was(store: StudioStore) -> None:
    for fields in (BACK, SKIPPED, {"updated_by": 1}):
        seen(store, task(1, answer(8, REVIEWED, 5, **fields)))
    store.mark_gone([1], SECOND)
    seen(store, task(1, answer(8, REVIEWED, 5, updated_by=1)))
    assert read(store, sent_back={"8"}).valid.column("review").to_pylist() == [None]


def test_labels_that_a_reviewer_changed_count_and_are_said(
    store: StudioStore, caplog: pytest.LogCaptureFixture
) -> None:
    retro = [choices("main", "Retro"), choices("review", "Accepted")]
    seen(store, *(task(number, answer(number, GOOD, 5)) for number in (1, 2)), task(3, answer(3, WRONG, 5)))
    seen(
        store,
        task(1, answer(1, retro, 5, updated_by=7)),  # changed
        task(2, answer(2, REVIEWED, 5, updated_by=7)),  # as it was
        task(3, answer(3, REVIEWED, 5, updated_by=7)),  # put right
        task(4, answer(4, retro, 5, updated_by=7)),  # nobody knows what it was
    )
    valid = read(store).valid
    assert valid.column("main").to_pylist() == ["Retro", "Casual", "Casual", "Retro"]
    assert valid.column("review").to_pylist() == ["accepted"] * 4
    assert "2 answers count with labels that their reviewer changed" in caplog.text


def test_only_what_is_refused_is_asked_for_its_json() -> None:
    asked: list[int] = []

    def stored(number: int) -> str:
        asked.append(number)
        return f"stored {number}"

    reader = AnnotationReader(INDEX, FASHION_STYLES)
    given = [answer(1, GOOD, 5), answer(2, [], 6), answer(3, GOOD, 7), answer(4, GOOD, 7)]
    for raw in given:
        reader.add(raw, TaskReference("1", image_id(1)), "submitted", stored=partial(stored, raw["id"]))
    annotations = reader.result()
    assert sorted(asked) == [2, 3]
    assert annotations.quarantined.column("raw").to_pylist() == ["stored 2", "stored 3"]


def test_every_version_that_was_ever_seen_is_kept(store: StudioStore) -> None:
    first, later = answer(8, GOOD, 5), answer(8, [], 44, updated_at="2024-05-03T00:00:00.5Z")
    seen(store, task(1, first), task(40, answer(12, GOOD, 5)), drafts={1: [{"id": 3, "user": USERS[6]}]})
    seen(store, task(1, later), at=SECOND)
    seen(store, task(1), at=SECOND)
    table = pa.Table.from_batches(annotation_versions(store, INDEX, USERS))
    assert table.schema.equals(ANNOTATION_VERSIONS)
    rows = [
        (row["annotation_id"], row["image_id"], row["annotator"], row["state"], row["seen_at"])
        for row in table.to_pylist()
    ]
    assert rows == [
        ("8", image_id(1), USERS[5], "submitted", FIRST),
        ("12", None, USERS[5], "submitted", FIRST),
        ("draft:3", image_id(1), USERS[6], "draft", FIRST),
        ("8", image_id(1), "44", "submitted", SECOND),
        ("8", image_id(1), "44", "deleted", SECOND),
    ]
    assert [json.loads(text) for text in table.column("raw").to_pylist()[:4:3]] == [first, later]
    assert table.column("updated_at").to_pylist()[3] == datetime(2024, 5, 3, 0, 0, 0, 500_000, tzinfo=UTC)


def test_a_mirror_without_annotations_has_no_versions(store: StudioStore) -> None:
    seen(store, task(1))
    assert list(annotation_versions(store, INDEX, USERS)) == []
    assert read(store).valid.num_rows == 0


@pytest.mark.parametrize("state", ["skipped", "sent_back", "deleted"])
def test_what_was_put_aside_is_superseded_by_a_later_answer_of_the_same_person(store: StudioStore, state: str) -> None:
    first = answer(8, GOOD, 5, was_cancelled=state != "deleted", updated_by=1 if state == "sent_back" else 5)
    seen(store, task(1, first))
    seen(store, task(1, *([] if state == "deleted" else [first]), answer(9, GOOD, 5), answer(10, GOOD, 6)), at=SECOND)
    annotations = read(store, sent_back={"8"} if state == "sent_back" else set())
    assert annotations.valid.column("annotation_id").to_pylist() == ["9", "10"]
    (refused,) = annotations.quarantined.to_pylist()
    assert (refused["annotation_id"], refused["reason"]) == ("8", "superseded")
    assert refused["detail"] == f"{USERS[5]} answered again in annotation 9"
