"""Which tasks a project holds, for what is sent to it; and how tasks leave it or change."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, NamedTuple

from labeling.studio.connection import Connection, StudioError
from labeling.studio.query import after_id, all_of, ask, pages, query_filter, query_time

__all__ = [
    "MOST_SELECTED",
    "PAGE_SIZE",
    "ListedTask",
    "Progress",
    "change_data",
    "delete_tasks",
    "listed_pages",
    "listed_tasks",
    "made_alone",
    "query_filter",
    "selected_tasks",
    "silent",
    "withdraw_tasks",
]

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


def listed_tasks(
    connection: Connection,
    project_id: int,
    *,
    filters: Collection[Mapping[str, Any]] = (),
    page_size: int = PAGE_SIZE,
) -> Iterator[ListedTask]:
    """Yield the tasks that say which image they show, by ascending id; one page is held at a time.

    Args:
        connection: to the server.
        project_id: of the project.
        filters: conditions that all have to hold; see query_filter.
        page_size: tasks asked for at a time.
    """
    return chain.from_iterable(listed_pages(connection, project_id, filters=filters, page_size=page_size))


def listed_pages(
    connection: Connection,
    project_id: int,
    *,
    filters: Collection[Mapping[str, Any]] = (),
    page_size: int = PAGE_SIZE,
) -> Iterator[list[ListedTask]]:
    """Yield what listed_tasks yields, a page at a time."""
    others = 0
    for page in pages(lambda last: ask(connection, project_id, [*filters, after_id(last)], page_size, _FIELDS)):
        listed = [task for task in map(_listed, page.tasks) if task is not None]
        others += len(page.tasks) - len(listed)
        yield listed
    if others:
        _logger.info("project %d: %d tasks name no image; they are left alone", project_id, others)


def selected_tasks(connection: Connection, project_id: int, task_ids: Collection[int]) -> Iterator[ListedTask]:
    """Yield those of the tasks that stand on the server and say which image they show."""
    ordered = sorted(set(task_ids))
    for start in range(0, len(ordered), MOST_SELECTED):
        chosen = query_filter("id", "in_list", "List", ordered[start : start + MOST_SELECTED])
        yield from listed_tasks(connection, project_id, filters=[chosen], page_size=MOST_SELECTED)


def made_alone(connection: Connection, project_id: int, last_id: int, task_ids: Sequence[int]) -> datetime | None:
    """Return when the first of ``task_ids`` was made if they are all that the project holds after ``last_id``.

    A small request instead of a listing. It is sure of its answer only where the ids have no gap between them; else,
    as where the server does not agree, None.

    Args:
        connection: to the server.
        project_id: of the project.
        last_id: of the last task that was listed before these were sent; 0: none.
        task_ids: as the server returned them, ascending.
    """
    if not task_ids or list(task_ids) != list(range(task_ids[0], task_ids[0] + len(task_ids))):
        return None
    page = ask(connection, project_id, [after_id(last_id)], 1, "id,created_at")
    if page.total != len(task_ids) or page.tasks[0]["id"] != task_ids[0]:
        return None
    return datetime.fromisoformat(page.tasks[0]["created_at"])


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
    just_after = max(task.created_at for task in ordered) + timedelta(microseconds=1)
    conditions = [query_filter("created_at", "less", "Datetime", query_time(just_after))]
    if untouched_only:
        conditions += [
            query_filter("total_annotations", "equal", "Number", 0),
            query_filter("cancelled_annotations", "equal", "Number", 0),
            query_filter("draft_exists", "equal", "Boolean", False),
        ]
    for start in range(0, len(ordered), page_size):
        chunk = [task.task_id for task in ordered[start : start + page_size]]
        body = {
            "filters": all_of(conditions),
            "selectedItems": {"all": False, "included": chunk},
        }
        connection.post("/api/dm/actions", body, retry=True, id="delete_tasks", project=project_id)
        progress(min(start + page_size, len(ordered)), len(ordered))
    images = {task.task_id: task.image_id for task in ordered}
    least = after_id(ordered[0].task_id - 1)
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
