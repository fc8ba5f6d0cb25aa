"""Paging through the tasks of a project, on a model of a server that gives less than it is asked for."""

from typing import cast

import pytest

from labeling.studio.connection import Connection, StudioError
from labeling.studio.listing import TaskReader
from labeling.studio.predicted import ANY_TASK, predicted_tasks
from labeling.studio.query import after_id, ask, pages, query_filter
from labeling.studio.task_list import listed_pages, listed_tasks, selected_tasks
from tests.labeling.studio.misbehaving import Answer, misbehaving
from tests.labeling.studio.model_studio import ModelStudio

TASKS = 25


@pytest.fixture(params=[1, 7, 1000], ids=lambda largest: f"pages of {largest}")
def studio(request: pytest.FixtureRequest) -> ModelStudio:
    made = ModelStudio(largest_page=request.param)
    fields = {"meta": {}, "is_labeled": False, "overlap": 2, "created_at": "2024-05-02T00:00:00.000000Z"}
    for _ in range(TASKS):
        number = made.add_task()
        made.tasks[number] |= fields | {"total_predictions": 1, "predictions_model_versions": "v1"}
    return made


def connection(studio: ModelStudio) -> Connection:
    return cast(Connection, studio)


def test_a_server_with_small_pages_of_its_own_hides_no_tasks(studio: ModelStudio) -> None:
    numbers = list(studio.tasks)
    assert [task.task_id for task in listed_tasks(connection(studio), 3)] == numbers
    assert [task.task_id for page in listed_pages(connection(studio), 3) for task in page] == numbers
    predicted = predicted_tasks(connection(studio), 3, [ANY_TASK], 1000)
    assert [(task.task_id, task.versions) for task in predicted] == [(number, {"v1"}) for number in numbers]
    after = predicted_tasks(connection(studio), 3, [ANY_TASK], 1000, numbers[9])
    assert [task.task_id for task in after] == numbers[10:]
    chosen = numbers[3:20]
    assert [task.task_id for task in selected_tasks(connection(studio), 3, [*chosen, 999])] == chosen
    assert [task["id"] for task in TaskReader(connection(studio), 3).tasks([*chosen, 999])] == chosen


def test_a_task_that_names_no_image_is_passed_over(studio: ModelStudio) -> None:
    first, *others = studio.tasks
    studio.tasks[first]["data"] = {"text": "of another project"}
    assert [task.task_id for task in listed_tasks(connection(studio), 3)] == others


def test_tasks_that_go_while_it_pages_hide_no_others(studio: ModelStudio) -> None:
    found: list[int] = []
    for page in pages(lambda last: ask(connection(studio), 3, [after_id(last)], 5, "id")):
        found += [task["id"] for task in page.tasks]
        studio.tasks.pop(page.tasks[0]["id"], None)
    assert found == list(range(1, TASKS + 1))


def test_the_last_page_costs_no_further_request() -> None:
    studio = ModelStudio()
    for _ in range(20):
        studio.add_task()
    assert [len(page.tasks) for page in pages(lambda last: ask(connection(studio), 3, [after_id(last)], 10, "id"))] == [
        10,
        10,
    ]
    assert studio.requests == 2
    none = query_filter("id", "in_list", "List", [])
    (page,) = pages(lambda last: ask(connection(studio), 3, [none, after_id(last)], 10, "id"))
    assert (page.tasks, page.total) == ([], 0)


def test_a_login_page_in_front_of_the_server_is_one_clear_line() -> None:
    with misbehaving() as server, Connection(server.url, "0" * 40) as opened:
        server.answer("/api/tasks", Answer(body="<html>", headers={"Content-Type": "text/html"}))
        with pytest.raises(StudioError, match="text/html instead of JSON"):
            ask(opened, 3, [], 10, "id")
