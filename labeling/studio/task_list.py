"""Which tasks a project holds, for what is sent to it; and how tasks leave it or change."""

import json
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from labeling.studio.connection import Connection, StudioError

PAGE_SIZE = 1000  # tasks
MOST_SELECTED = 100  # tasks that a GET names: their ids stand in the address

Progress = Callable[[int, int], None]
_FIELDS = "id,data,meta,is_labeled,total_annotations,cancelled_annotations,overlap,created_at"
_logger = logging.getLogger(__name__)


class ListedTask(NamedTuple):
    """One task of the project."""

    task_id: int
    image_id: str
    is_labeled: bool  # has all the answers that it needs
    submitted: int  # answers
    skipped: int  # annotations that were skipped or returned to their annotator
    overlap: int  # answers that it needs
    created_at: datetime  # by the server's clock
    data: dict[str, Any]
    meta: dict[str, Any]

    @property
    def touched(self) -> bool:
        """Whether it holds an annotation of any kind."""
        return bool(self.submitted or self.skipped)


def silent(done: int, total: int) -> None:
    """Report no progress."""


def query_filter(field: str, operator: str, kind: str, value: Any) -> dict[str, Any]:
    """Return one condition of the server's task queries."""
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def listed_tasks(
    connection: Connection,
    project_id: int,
    *,
    filters: Collection[Mapping[str, Any]] = (),
    page_size: int = PAGE_SIZE,
) -> Iterator[ListedTask]:
    """Yield the tasks that say which image they show, by ascending id; one page is held at a time.

    Each page starts after the last id of the page before, so that tasks which come or go meanwhile hide no others.

    Args:
        connection: to the server.
        project_id: of the project.
        filters: conditions that all have to hold; see query_filter.
        page_size: tasks asked for at a time.
    """
    last_id, others = 0, 0
    while True:
        conditions = [*filters, query_filter("id", "greater", "Number", last_id)]
        query = {"filters": {"conjunction": "and", "items": conditions}, "ordering": ["tasks:id"]}
        page = _page(connection, project_id, query, page_size)
        for task in page:
            listed = _listed(task)
            others += listed is None
            if listed is not None:
                yield listed
        if len(page) < page_size:
            break
        last_id = page[-1]["id"]
    if others:
        _logger.info("project %d: %d tasks name no image; they are left alone", project_id, others)


def selected_tasks(connection: Connection, project_id: int, task_ids: Collection[int]) -> Iterator[ListedTask]:
    """Yield those of the tasks that stand on the server and say which image they show."""
    ordered = sorted(set(task_ids))
    for start in range(0, len(ordered), MOST_SELECTED):
        query = {"selectedItems": {"all": False, "included": ordered[start : start + MOST_SELECTED]}}
        yield from filter(None, map(_listed, _page(connection, project_id, query, MOST_SELECTED)))


def delete_tasks(
    connection: Connection,
    project_id: int,
    tasks: Collection[ListedTask],
    *,
    untouched_only: bool,
    page_size: int = PAGE_SIZE,
    progress: Progress = silent,
) -> set[int]:
    """Delete tasks that were listed just now, and return the ids of those that still stand, found by listing again.

    What happened since the listing is respected by the server itself: a task that took the id of a deleted one (SQLite
    gives ids again) is younger than those listed, and stays.

    Args:
        connection: to the server.
        project_id: of the project.
        tasks: to delete, as just listed.
        untouched_only: leave tasks that hold an annotation or a draft by now.
        page_size: tasks deleted at a time.
        progress: is told how many are done.
    """
    if not tasks:
        return set()  # the server takes an empty selection for all tasks of the project
    ordered = sorted(tasks, key=lambda task: task.task_id)
    conditions = [query_filter("created_at", "less", "Datetime", _just_after(max(task.created_at for task in ordered)))]
    if untouched_only:
        conditions += [
            query_filter("total_annotations", "equal", "Number", 0),
            query_filter("cancelled_annotations", "equal", "Number", 0),
            query_filter("draft_exists", "equal", "Boolean", False),
        ]
    for start in range(0, len(ordered), page_size):
        chunk = [task.task_id for task in ordered[start : start + page_size]]
        body = {
            "filters": {"conjunction": "and", "items": conditions},
            "selectedItems": {"all": False, "included": chunk},
        }
        connection.post("/api/dm/actions", body, retry=True, id="delete_tasks", project=project_id)
        progress(min(start + page_size, len(ordered)), len(ordered))
    images = {task.task_id: task.image_id for task in ordered}
    least = query_filter("id", "greater", "Number", ordered[0].task_id - 1)
    most = query_filter("id", "less", "Number", ordered[-1].task_id + 1)
    left = listed_tasks(connection, project_id, filters=[least, most], page_size=page_size)
    return {task.task_id for task in left if images.get(task.task_id) == task.image_id}


def withdraw_tasks(
    connection: Connection, project_id: int, image_ids: Collection[str], progress: Progress = silent
) -> int:
    """Delete the tasks of images, with their answers, and return how many tasks were deleted; safe to repeat.

    Raises:
        StudioError: if some of them still stand afterwards.
    """
    wanted = set(image_ids)
    listed = listed_tasks(connection, project_id)
    tasks = [task._replace(data={}, meta={}) for task in listed if task.image_id in wanted]
    left = delete_tasks(connection, project_id, tasks, untouched_only=False, progress=progress)
    if left:
        raise StudioError(
            f"{len(left)} of {len(tasks)} withdrawn tasks still stand in project {project_id} on {connection.url} "
            f"(the first is {min(left)}): run this again"
        )
    return len(tasks)


def change_data(connection: Connection, task_id: int, changes: Mapping[str, str]) -> datetime | None:
    """Change some fields of a task's data; return the server's time of the change, None if there was none to make.

    Raises:
        StudioNotFound: if the task is gone.
    """
    # The server replaces the data as a whole. Resolved, it would have signed addresses in place of the pictures'.
    data = connection.get(f"/api/tasks/{task_id}", resolve_uri="false")["data"]
    if all(data.get(key) == value for key, value in changes.items()):
        return None
    changed = connection.patch(f"/api/tasks/{task_id}", {"data": {**data, **changes}})
    return datetime.fromisoformat(changed["updated_at"])


def _page(connection: Connection, project_id: int, query: Mapping[str, Any], size: int) -> list[dict[str, Any]]:
    answer = connection.get(
        "/api/tasks",
        project=project_id,
        page=1,
        page_size=size,
        fields="task_only",
        include=_FIELDS,
        resolve_uri="false",
        query=json.dumps(query),
    )
    tasks: list[dict[str, Any]] = answer["tasks"]
    return tasks


def _listed(task: Mapping[str, Any]) -> ListedTask | None:
    data = task["data"]
    if not isinstance(data, dict) or not isinstance(data.get("image_id"), str):
        return None
    return ListedTask(
        task["id"],
        data["image_id"],
        task["is_labeled"],
        task["total_annotations"],
        task["cancelled_annotations"],
        task["overlap"],
        datetime.fromisoformat(task["created_at"]),
        data,
        task["meta"] if isinstance(task["meta"], dict) else {},
    )


def _just_after(moment: datetime) -> str:
    return (moment + timedelta(microseconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
