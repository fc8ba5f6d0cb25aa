"""Asks a Label Studio server for the tasks that fulfil some conditions, a page at a time.

Pages are found by task id: the server orders by one field only, many tasks share a time, and page numbers shift while
people work. A task stays where it is in the order of ids, so that tasks which come or go meanwhile hide no others.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from labeling.studio.connection import Connection
from labeling.studio.errors import not_json

Json = dict[str, Any]
Filter = Mapping[str, Any]

BY_ID = "tasks:id"


@dataclass(frozen=True)
class Page:
    """Some tasks in the order of their ids, and how many there are with those after them."""

    tasks: list[Json]
    total: int
    date: str | None  # when the server answered, by its clock, as the header has it; None: it did not say

    @property
    def more(self) -> bool:
        """Whether there are tasks after these; a server may give fewer than it was asked for."""
        return bool(self.tasks) and self.total > len(self.tasks)


def query_filter(field: str, operator: str, kind: str, value: Any) -> Json:
    """Return one condition of the server's task queries."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def after_id(task_id: int) -> Json:
    """Return the condition that a task comes after another in the order of ids."""
    return query_filter("id", "greater", "Number", task_id)


def all_of(conditions: Collection[Filter]) -> Json:
    """Return conditions that all have to hold, as the server takes them."""
    return {"conjunction": "and", "items": list(conditions)}


def query_time(moment: datetime) -> str:
    """Write a time for a condition, in the only format that the server takes."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def ask(
    connection: Connection,
    project_id: int,
    conditions: Collection[Filter],
    size: int,
    include: str,
    *,
    annotations: bool = False,
    ordering: str = BY_ID,
) -> Page:
    """Return the first tasks that fulfil all conditions; a server may have a largest size of its own.

    Args:
        connection: to the server.
        project_id: of the project.
        conditions: see query_filter.
        size: tasks asked for.
        include: names of the fields wanted, of tasks and of annotations, with commas between them.
        annotations: whether the tasks come with their annotations.
        ordering: the field to order by; a minus before it turns the order round.

    Raises:
        StudioNotFound: if the project is gone.
        StudioError: if the server cannot be used.
    """
    params = {
        "project": str(project_id),
        "page_size": str(size),
        "fields": "all" if annotations else "task_only",
        "include": include,
        "resolve_uri": "false",
        "query": orjson.dumps({"filters": all_of(conditions), "ordering": [ordering]}).decode(),
    }
    response = connection.request("GET", "/api/tasks", params=params)
    try:
        answer = orjson.loads(response.content)
    except ValueError:
        raise not_json(response, connection.url, "GET /api/tasks") from None
    return Page(answer["tasks"], answer["total"], response.headers.get("date"))


def pages(ask_after: Callable[[int], Page], after: int = 0) -> Iterator[Page]:
    """Yield pages of tasks by id, each asked for by the id that it comes after; one is held at a time."""
    while True:
        page = ask_after(after)
        yield page
        if not page.more:
            return
        after = page.tasks[-1]["id"]
