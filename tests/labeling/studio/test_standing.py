"""What has to be sent, what has to leave, and what the table of the queue says: without a server."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.studio.queue import Chosen
from labeling.studio.settings import LabelStudioServer
from labeling.studio.standing import Images, fresh_tasks, of_this_project, queued_tasks, to_send, upkeep
from labeling.studio.task_list import ListedTask
from labeling.tables import LABEL_TASKS, QUEUED_TASKS
from tests.labeling.labeling_samples import image_id, task_row

MONDAY = datetime(2024, 5, 6, tzinfo=UTC)
SETTINGS = LabelStudioServer(blind_share=0)


def images(*rows: dict[str, Any], withdrawn: tuple[int, ...] = ()) -> Images:
    table = pa.Table.from_pylist(list(rows), schema=LABEL_TASKS)
    return Images.of(table, [image_id(number) for number in withdrawn])


def standing(task_id: int, image: int, submitted: int = 0, skipped: int = 0, **changes: Any) -> ListedTask:
    moment = MONDAY + timedelta(minutes=task_id)
    return ListedTask(task_id, image_id(image), False, submitted, skipped, 2, moment, {}, {})._replace(**changes)


def queued(image: int, task_id: int, state: str = "queued", minutes: int = 0) -> dict[str, Any]:
    return {
        "image_id": image_id(image),
        "task_id": task_id,
        "window": "2019-07-01",
        "chosen_as": "rare",
        "blind": False,
        "state": state,
        "queued_at": MONDAY + timedelta(minutes=minutes),
    }


def chosen(*numbers: int) -> list[Chosen]:
    return [Chosen(image_id(number), "newest") for number in numbers]


def states(table: pa.Table) -> dict[int, str]:
    return {int(row["image_id"], 16): row["state"] for row in table.to_pylist()}


def run(known: list[dict[str, Any]], tasks: list[ListedTask], of: Images, drafted: frozenset[int] = frozenset()) -> Any:
    """What push_tasks does when every deletion succeeds: the table, and the ids of the tasks that left."""
    plan = upkeep(tasks, of, drafted)
    left = [*plan.withdrawn, *plan.unwanted]
    gone = {task.image_id for task in left} - set(plan.stay)
    return queued_tasks(known, plan.stay, gone, of, {}, SETTINGS), sorted(task.task_id for task in left)


def test_only_images_without_a_task_are_sent() -> None:
    missing = to_send(chosen(3, 1, 2), images(task_row(1), task_row(2), task_row(3)), [queued(1, 10)], [image_id(2)])
    assert missing == {image_id(3): "newest"}


@pytest.mark.parametrize("state", ["queued", "withdrawn", "deleted"])
def test_a_cluster_is_not_sent_again_for_another_of_its_images(state: str) -> None:
    of = images(task_row(1, aside=[5]), task_row(2))
    assert list(to_send(chosen(1, 2), of, [queued(5, 50, state)], [])) == [image_id(2)]
    assert list(to_send(chosen(1, 2), of, [], [image_id(5)])) == [image_id(2)]


def test_a_withdrawn_image_is_not_sent() -> None:
    assert to_send(chosen(1), images(task_row(1), withdrawn=(1,)), [], []) == {}


@pytest.mark.parametrize(
    ("tasks", "drafted", "left", "stays"),
    [
        ([standing(11, 1), standing(10, 1)], (), [11], 10),
        ([standing(10, 1), standing(11, 1, submitted=1)], (), [10], 11),
        ([standing(10, 1), standing(11, 1, skipped=1)], (), [10], 11),
        ([standing(10, 1), standing(11, 1)], (11,), [10], 11),
        ([standing(10, 1, skipped=1), standing(11, 1, submitted=1)], (), [], 11),
        ([standing(10, 1, submitted=1), standing(11, 1, submitted=1)], (), [], 10),
        ([standing(10, 1, submitted=1), standing(11, 1), standing(12, 1)], (12,), [11], 10),
    ],
)
def test_of_duplicates_the_one_that_somebody_worked_on_stays(
    tasks: list[ListedTask], drafted: tuple[int, ...], left: list[int], stays: int
) -> None:
    table, gone = run([], tasks, images(task_row(1)), frozenset(drafted))
    assert gone == left
    assert table.column("task_id").to_pylist() == [stays]
    doubles = upkeep(tasks, images(task_row(1)), frozenset(drafted)).doubles
    assert len(doubles) == len(tasks) - len(left) - 1


@pytest.mark.parametrize(
    ("tasks", "drafted", "expected"),
    [
        ([standing(10, 1), standing(20, 2)], (), {1: "queued", 2: "withdrawn"}),
        ([standing(10, 1), standing(20, 2, submitted=1)], (), {1: "withdrawn", 2: "queued"}),
        ([standing(10, 1, submitted=1), standing(20, 2, submitted=1)], (), {1: "queued", 2: "queued"}),
        ([standing(10, 1), standing(20, 2)], (20,), {1: "withdrawn", 2: "queued"}),
    ],
)
def test_of_images_that_became_near_duplicates_answered_ones_stay(
    tasks: list[ListedTask], drafted: tuple[int, ...], expected: dict[int, str]
) -> None:
    table, _ = run([queued(1, 10), queued(2, 20)], tasks, images(task_row(1, aside=[2])), frozenset(drafted))
    assert states(table) == expected


def test_a_cluster_whose_canonical_image_changed_keeps_its_task() -> None:
    table, gone = run([queued(5, 50)], [standing(50, 5)], images(task_row(1, aside=[5])))
    assert (states(table), gone) == ({5: "queued"}, [])


def test_a_withdrawn_image_leaves_with_its_answers_a_vanished_one_does_not() -> None:
    tasks = [standing(10, 1, submitted=2), standing(20, 2, submitted=1), standing(30, 3), standing(40, 4)]
    known = [queued(number, 10 * number) for number in (1, 2, 3, 4)]
    table, gone = run(known, tasks, images(task_row(1), task_row(4), withdrawn=(1,)))
    assert states(table) == {1: "withdrawn", 2: "queued", 3: "withdrawn", 4: "queued"}
    assert gone == [10, 30]


def test_a_task_that_no_longer_stands_was_deleted_by_a_person() -> None:
    table, _ = run([queued(1, 10), queued(2, 20), queued(3, 30)], [standing(20, 2)], images(task_row(1), task_row(2)))
    assert states(table) == {1: "deleted", 2: "queued", 3: "withdrawn"}  # 3 left the collection before


def test_the_deletion_of_a_killed_run_counts_as_withdrawn() -> None:
    table, _ = run([queued(1, 10)], [], images(task_row(1), withdrawn=(1,)))
    assert states(table) == {1: "withdrawn"}


def test_a_task_that_the_table_does_not_know_is_taken_in() -> None:
    tasks = [standing(10, 1, meta={"chosen_as": "random"}), standing(20, 9, submitted=1, data={"window": "2018-01-01"})]
    table, _ = run([], tasks, images(task_row(1)))
    first, second = table.to_pylist()
    assert (first["chosen_as"], first["window"]) == ("random", "2019-07-01")
    assert first["queued_at"] == MONDAY + timedelta(minutes=10)
    assert (second["state"], second["window"], second["chosen_as"]) == ("queued", "2018-01-01", "newest")


def test_what_a_row_said_stays_and_the_task_is_the_one_that_stands() -> None:
    table, _ = run([queued(1, 10, minutes=3)], [standing(77, 1)], images(task_row(1)))
    (row,) = table.to_pylist()
    assert (row["task_id"], row["chosen_as"], row["queued_at"]) == (77, "rare", MONDAY + timedelta(minutes=3))


def test_an_image_that_is_back_can_be_chosen_again_but_not_one_that_a_person_deleted() -> None:
    known = [queued(1, 10, "withdrawn"), queued(2, 20, "deleted"), queued(3, 30, "withdrawn")]
    table, _ = run(known, [], images(task_row(1), task_row(2), task_row(3), withdrawn=(3,)))
    assert states(table) == {2: "deleted", 3: "withdrawn"}


def test_tasks_of_an_older_project_are_lost_and_queued_again_in_their_order() -> None:
    rows = [queued(1, 5, minutes=9), queued(2, 4, minutes=1), queued(3, 3, "deleted"), queued(4, 9, minutes=20)]
    known, lost = of_this_project(rows, MONDAY + timedelta(minutes=10))
    assert [row["image_id"] for row in known] == [image_id(3), image_id(4)]
    assert [image for image, _ in lost] == [image_id(2), image_id(1)]


def test_tasks_sent_just_now_stand_as_if_they_had_been_listed() -> None:
    of = images(task_row(1), task_row(2))
    sent = fresh_tasks({image_id(2): 7, image_id(1): 8}, MONDAY, of, SETTINGS)
    listed = [
        standing(7, 2, created_at=MONDAY, data={"window": "2019-07-01"}),
        standing(8, 1, created_at=MONDAY, data={"window": "2019-07-01"}),
    ]
    assert sent == listed


worlds = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 1), st.integers(0, 1), st.booleans()), max_size=20
)  # image, submitted, skipped, drafted


@given(
    world=worlds,
    known=st.dictionaries(st.integers(0, 7), st.sampled_from(["queued", "withdrawn", "deleted"])),
    merged=st.booleans(),
    withdrawn=st.sets(st.integers(0, 7), max_size=2),
)
def test_laws(
    world: list[tuple[int, int, int, bool]], known: dict[int, str], merged: bool, withdrawn: set[int]
) -> None:
    tasks = [standing(10 + place, *row[:3]) for place, row in enumerate(world)]
    drafted = frozenset(10 + place for place, row in enumerate(world) if row[3])
    rows = [task_row(0, aside=[1, 2]), task_row(3)] if merged else [task_row(number) for number in range(6)]
    of = images(*rows, withdrawn=tuple(withdrawn))
    withdrawn = {int(image, 16) for image in of.withdrawn}  # and what is in a cluster with one of them
    table, left = run([queued(image, 1, state) for image, state in known.items()], tasks, of, drafted)
    without_drafts = upkeep(tasks, of, frozenset())
    assert without_drafts.unwanted or upkeep(tasks, of, drafted) == without_drafts  # then nobody asks for drafts
    assert table.schema.equals(QUEUED_TASKS)
    worked_on = {task.task_id for task in tasks if task.touched} | drafted
    of_withdrawn = {task.task_id for task in tasks if int(task.image_id, 16) in withdrawn}
    assert not (set(left) & worked_on) - of_withdrawn  # nothing that somebody did is lost
    assert of_withdrawn <= set(left)
    ids = table.column("image_id").to_pylist()
    assert ids == sorted(set(ids))
    staying = [task for task in tasks if task.task_id not in left]
    assert {task.image_id for task in staying} == {
        row["image_id"] for row in table.to_pylist() if row["state"] == "queued"
    }
    again, left_again = run(table.to_pylist(), staying, of, drafted)
    assert left_again == []
    assert again.equals(table)  # a second run changes nothing


def test_with_a_withdrawn_copy_leaves_the_task_of_its_cluster() -> None:
    cluster = task_row(1) | {"image_ids": [image_id(1), image_id(7)]}
    table, left = run([queued(1, 10)], [standing(10, 1, submitted=2)], images(cluster, withdrawn=(7,)))
    assert left == [10]
    assert states(table) == {1: "withdrawn"}
    assert to_send(chosen(1), images(cluster, withdrawn=(7,)), [], []) == {}
