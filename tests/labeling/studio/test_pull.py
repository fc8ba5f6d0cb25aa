"""What the export guarantees, on a model of the server that shows changes in any order and late."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labeling.errors import LabelingError
from labeling.studio.connection import Connection, StudioError
from labeling.studio.poll import new_work
from labeling.studio.pull import OVERLAP, Pulled, pull
from labeling.studio.store import StudioStore
from tests.labeling.studio.model_studio import ModelStudio

NEVER = timedelta(days=10_000)
AHEAD = timedelta(days=3)  # our clock is wrong, which must not matter


class Cut(Exception):  # noqa: N818
    """The process is killed at a request."""


@pytest.fixture
def studio() -> ModelStudio:
    return ModelStudio()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StudioStore]:
    with StudioStore(tmp_path / "project.sqlite") as opened:
        yield opened


def export(
    studio: ModelStudio, store: StudioStore, reconcile_after: timedelta = NEVER, page_size: int = 10, **options: Any
) -> Pulled:
    def now() -> datetime:
        return studio.now + AHEAD

    connection = cast(Connection, studio)
    return pull(connection, 3, store, page_size=page_size, reconcile_after=reconcile_after, now=now, **options)


def mirrored(store: StudioStore) -> dict[int, Any]:
    """The annotations that the mirror takes to be on the server."""
    return {
        int(version.annotation_id): orjson.loads(version.raw)
        for version in store.latest()
        if version.state in ("submitted", "skipped")
    }


def on_server(studio: ModelStudio) -> dict[int, Any]:
    return {annotation["id"]: annotation for task in studio.tasks.values() for annotation in task["annotations"]}


def assert_no_version_twice(store: StudioStore) -> None:
    by_annotation: dict[str, list[tuple[str, str]]] = {}
    for version in store.history():
        by_annotation.setdefault(version.annotation_id, []).append((version.state, version.raw))
    assert all(one != other for versions in by_annotation.values() for one, other in pairwise(versions))


EVENTS = st.one_of(
    st.tuples(st.just("answer"), st.integers(0, 9), st.sampled_from([0, 0, 2, 9.5])),
    st.tuples(st.just("edit"), st.integers(0, 9), st.sampled_from([0, 0, 2, 9.5])),
    st.tuples(st.just("delete answer"), st.integers(0, 9), st.sampled_from([0, 2])),
    st.tuples(st.just("new task"), st.just(0), st.sampled_from([0, 9.5])),
    st.tuples(st.just("delete task"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.1, 3, 30])),
    st.tuples(st.just("kill"), st.just(0), st.just(0)),
)


def happen(studio: ModelStudio, event: tuple[str, int, float]) -> None:
    what, place, late = event
    if what == "kill":
        raise Cut
    if what == "wait":
        studio.advance(late)
    elif what == "new task":
        studio.add_task(late)
    elif studio.tasks:
        task_id = sorted(studio.tasks)[place % len(studio.tasks)]
        annotations = studio.tasks[task_id]["annotations"]
        if what == "answer":
            studio.annotate(task_id, late=late)
        elif what == "delete task":
            del studio.tasks[task_id]
        elif annotations and what == "edit":
            studio.edit(task_id, annotations[0]["id"], late, lead_time=studio.requests)
        elif annotations:
            studio.delete_annotation(task_id, annotations[0]["id"], late)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(EVENTS, max_size=3), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_whatever_happens_while_it_pages_the_mirror_ends_up_as_the_server(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, int, float]]], size: int, largest: int
) -> None:
    studio = ModelStudio(largest_page=largest)
    for _ in range(6):
        studio.annotate(studio.add_task())
    waiting = list(rounds)

    def before_request(number: int) -> None:
        for event in waiting.pop(0) if waiting else ():
            happen(studio, event)

    studio.before_request = before_request
    with StudioStore(tmp_path_factory.mktemp("pull") / "project.sqlite") as store:
        while waiting:
            try:
                export(studio, store, page_size=size)
            except Cut:
                continue
        for _ in range(3):  # nobody works any more, and everything has become visible
            studio.advance(OVERLAP.total_seconds())
            export(studio, store, page_size=size)
        assert mirrored(store) == on_server(studio)
        assert store.task_count() == len(studio.tasks)
        assert_no_version_twice(store)
        asked = studio.requests
        assert not export(studio, store, page_size=size)
        assert studio.requests == asked + 2  # the project, its newest change


def test_the_first_export_takes_everything_once_and_the_next_nothing(studio: ModelStudio, store: StudioStore) -> None:
    for _ in range(25):
        studio.annotate(studio.add_task())
    pulled = export(studio, store)
    assert pulled == Pulled(tasks=25, annotations_new=25, reconciled=True)
    assert new_work(cast(Connection, studio), 3, store.cursor).changed == 0
    assert not export(studio, store)
    assert studio.fetched == 25


def test_many_tasks_of_one_moment_are_no_more_than_pages(studio: ModelStudio, store: StudioStore) -> None:
    for _ in range(95):
        studio.add_task()
    assert len({task["updated_at"] for task in studio.tasks.values()}) == 1
    seen: list[tuple[int, int]] = []
    assert export(studio, store, progress=lambda done, total: seen.append((done, total))).tasks == 95
    assert seen == [(10 * page, 95) for page in range(1, 10)] + [(95, 95)]


def test_what_is_new_changed_skipped_and_deleted_is_counted(studio: ModelStudio, store: StudioStore) -> None:
    first, second, third = (studio.add_task() for _ in range(3))
    edited, deleted = studio.annotate(first), studio.annotate(second)
    export(studio, store)
    studio.advance(60)
    studio.edit(first, edited, result=[])
    studio.delete_annotation(second, deleted)
    studio.annotate(third, was_cancelled=True)
    work = new_work(cast(Connection, studio), 3, store.cursor)
    assert (work.changed, work.newest) == (3, studio.now)
    assert export(studio, store) == Pulled(
        tasks=3, annotations_new=1, annotations_changed=1, annotations_deleted=1, skipped=1
    )
    assert [(version.annotation_id, version.state) for version in store.history()] == [
        (str(edited), "submitted"),
        (str(deleted), "submitted"),
        (str(deleted + 1), "skipped"),
        (str(edited), "submitted"),
        (str(deleted), "deleted"),
    ]


def test_deleted_tasks_show_at_once_by_their_number_and_keep_their_annotations(
    studio: ModelStudio, store: StudioStore
) -> None:
    tasks = [studio.add_task() for _ in range(5)]
    annotations = [studio.annotate(task) for task in tasks]
    export(studio, store)
    studio.advance(60)
    del studio.tasks[tasks[0]], studio.tasks[tasks[4]]
    pulled = export(studio, store)
    assert (pulled.tasks_deleted, pulled.tasks, pulled.reconciled) == (2, 0, True)
    gone = [(version.annotation_id, version.state) for version in store.latest() if version.state != "submitted"]
    assert gone == [(str(annotations[0]), "task_deleted"), (str(annotations[4]), "task_deleted")]
    assert not export(studio, store)


def test_a_draft_is_found_when_reconciling_and_gone_as_soon_as_it_is_submitted(
    studio: ModelStudio, store: StudioStore
) -> None:
    task = studio.add_task()
    export(studio, store)
    draft = studio.draft(task)
    assert not export(studio, store)
    assert export(studio, store, timedelta(0)).drafts == 1
    assert not export(studio, store, timedelta(0))  # though its age is written in another way by now
    assert [version.annotation_id for version in store.latest()] == [f"draft:{draft}"]
    studio.advance(60)
    studio.drafts.clear()
    studio.annotate(task)
    pulled = export(studio, store)
    assert (pulled.drafts, pulled.annotations_new, pulled.reconciled) == (1, 1, False)
    assert [version.state for version in store.latest()] == ["submitted", "deleted"]


def test_a_reconciliation_finds_what_became_visible_far_too_late(studio: ModelStudio, store: StudioStore) -> None:
    task, other = studio.add_task(), studio.add_task()
    late = studio.annotate(task, late=3600)
    studio.advance(60)
    studio.annotate(other)
    export(studio, store)
    studio.advance(7200)
    assert not export(studio, store)
    assert export(studio, store, timedelta(0)).annotations_new == 1
    assert late in mirrored(store)


def test_a_late_change_is_found_by_one_more_export_when_that_is_due(studio: ModelStudio, store: StudioStore) -> None:
    task, other = studio.add_task(), studio.add_task()
    studio.advance(60)
    late = studio.annotate(task, late=5)
    studio.advance(1)
    studio.annotate(other)
    assert store.sync.settles_at is None
    export(studio, store)
    due = store.sync.settles_at
    assert due == studio.now + AHEAD + OVERLAP  # by our clock
    studio.advance(OVERLAP.total_seconds())
    assert new_work(cast(Connection, studio), 3, store.cursor).changed == 0
    assert export(studio, store).annotations_new == 1
    assert late in mirrored(store)
    assert store.sync.settles_at is None
    assert not export(studio, store)
    assert store.sync.settles_at is None


def test_an_import_that_became_visible_far_too_late_shows_by_the_number_of_tasks(
    studio: ModelStudio, store: StudioStore
) -> None:
    studio.add_task(late=3600)
    studio.advance(60)
    studio.add_task()
    export(studio, store)
    studio.advance(7200)
    assert export(studio, store) == Pulled(tasks=1, reconciled=True)


def test_a_time_in_the_future_hides_nothing(studio: ModelStudio, store: StudioStore) -> None:
    task, other = studio.add_task(), studio.add_task()
    studio.tasks[other]["updated_at"] = "2031-01-01T00:00:00.000000Z"
    export(studio, store)
    studio.advance(60)
    studio.annotate(task)
    assert export(studio, store).annotations_new == 1


def test_an_export_that_was_cut_short_goes_on_after_its_last_page(studio: ModelStudio, store: StudioStore) -> None:
    for _ in range(40):
        studio.annotate(studio.add_task())

    def cut(number: int) -> None:
        if number == 5:
            raise Cut

    studio.before_request = cut
    with pytest.raises(Cut):
        export(studio, store)
    assert studio.fetched == 20
    assert store.cursor is None
    assert export(studio, store).annotations_new == 20
    assert studio.fetched == 40


def test_a_deleted_project_is_said_so_and_nothing_is_lost(studio: ModelStudio, store: StudioStore) -> None:
    studio.annotate(studio.add_task())
    export(studio, store)
    studio.deleted = True
    with pytest.raises(StudioError, match=r"project 3 is not on http://studio\.invalid any more") as caught:
        export(studio, store)
    assert "stays in project.sqlite and in the tables" in str(caught.value)
    assert len(mirrored(store)) == 1


def test_a_mirror_is_of_one_project(studio: ModelStudio, store: StudioStore) -> None:
    export(studio, store)
    studio.url = "https://other.invalid"
    with pytest.raises(LabelingError, match=r"is the mirror of project 3 of http://studio\.invalid") as caught:
        export(studio, store)
    assert "not of project 3 of https://other.invalid" in str(caught.value)
    assert "move the file away" in str(caught.value)


def test_two_exports_into_one_mirror_do_not_run_at_once(studio: ModelStudio, store: StudioStore) -> None:
    with (
        StudioStore(store.path) as other,
        other.locked(),
        pytest.raises(LabelingError, match=r"another export into .* is running; wait"),
    ):
        export(studio, store)
    export(studio, store)
