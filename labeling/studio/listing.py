"""What an export asks a Label Studio server: which tasks have changed, what they hold, and which of them have drafts.

Its pages go by task id (see labeling.studio.query), and a task that has changed after a time stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from labeling.studio.connection import Connection
from labeling.studio.errors import not_json
from labeling.studio.progress import MirroredProject, TaskStamp
from labeling.studio.query import BY_ID, Filter, Page, after_id, ask, pages, query_filter, query_time

__all__ = ["IDS_PER_REQUEST", "Head", "Page", "TaskReader", "server_time", "stamps"]

Json = dict[str, Any]

IDS_PER_REQUEST = 100  # the address of a request stays below 4 kB, which is what some servers take

_STAMP = "id,updated_at,total_annotations,cancelled_annotations"
_FIELDS = (  # of tasks and of annotations: the server takes one list for both
    f"{_STAMP},data,annotations,completed_by,updated_by,result,was_cancelled,lead_time,created_at,parent_prediction"
)


@dataclass(frozen=True)
class Head:
    """What a project looks like at the moment."""

    newest: datetime | None  # the last change, by the server's clock
    tasks: int


@dataclass(frozen=True)
class TaskReader:
    """Reads the tasks of one project. Every method raises StudioNotFound if the project is gone, else StudioError."""

    connection: Connection
    project_id: int

    def project(self) -> MirroredProject:
        """Return what identifies the project."""
        answer = self.connection.get(f"/api/projects/{self.project_id}", include="id,created_at")
        return MirroredProject(self.connection.url, self.project_id, answer["created_at"])

    def head(self, since: datetime | None = None) -> Head:
        """Return the last change and the number of tasks; with ``since``, of the tasks that changed after it."""
        conditions = [] if since is None else [_changed_after(since)]
        page = self._ask(conditions, 1, "id,updated_at", ordering="-tasks:updated_at")
        newest = server_time(page.tasks[0]["updated_at"]) if page.tasks else None
        return Head(_not_ahead(newest, page.date), page.total)

    def changed(self, since: datetime | None, after: int, size: int) -> Page:
        """Return tasks in full, with annotations, that changed after ``since``; None: all of them."""
        conditions = [after_id(after), *([] if since is None else [_changed_after(since)])]
        return self._ask(conditions, size, _FIELDS, annotations=True)

    def stamped(self, after: int, size: int, span: tuple[datetime, datetime] | None = None) -> Page:
        """Return tasks with their stamps only; with ``span``, those whose last change is in it, its start excluded."""
        conditions = [after_id(after)]
        if span is not None:
            until = query_filter("updated_at", "less_or_equal", "Datetime", query_time(span[1]))
            conditions += [_changed_after(span[0]), until]
        return self._ask(conditions, size, _STAMP)

    def tasks(self, ids: Sequence[int]) -> list[Json]:
        """Return tasks in full by their ids, at most IDS_PER_REQUEST; those that are gone are left out."""
        chosen = query_filter("id", "in_list", "List", list(ids))
        asked = pages(lambda after: self._ask([chosen, after_id(after)], len(ids), _FIELDS, annotations=True))
        return [task for page in asked for task in page.tasks]

    def drafted(self, after: int, size: int) -> Page:
        """Return ids of tasks on which somebody has a draft."""
        return self._ask([query_filter("draft_exists", "equal", "Boolean", True), after_id(after)], size, "id")

    def drafts(self, ids: Sequence[int]) -> dict[int, list[Json]]:
        """Return every person's drafts of tasks by their ids, at most IDS_PER_REQUEST; a task without any has none.

        The list of tasks holds the drafts of the token's owner only; the export holds all of them.
        """
        params = [("exportType", "JSON"), ("download_all_tasks", "true"), *(("ids[]", str(number)) for number in ids)]
        path = f"/api/projects/{self.project_id}/export"
        response = self.connection.request("GET", path, params=params)
        try:
            exported = orjson.loads(response.content)
        except ValueError:
            raise not_json(response, self.connection.url, f"GET {path}") from None
        drafts: dict[int, list[Json]] = {number: [] for number in ids}
        drafts.update((task["id"], task["drafts"]) for task in exported)
        return drafts

    def _ask(
        self, conditions: Sequence[Filter], size: int, include: str, *, annotations: bool = False, ordering: str = BY_ID
    ) -> Page:
        return ask(
            self.connection, self.project_id, conditions, size, include, annotations=annotations, ordering=ordering
        )


def stamps(page: Page) -> dict[int, TaskStamp]:
    """Return the stamp of each task of a page by its id."""
    return {
        task["id"]: TaskStamp(task["updated_at"], task["total_annotations"], task["cancelled_annotations"])
        for task in page.tasks
    }


def server_time(text: str) -> datetime:
    """Read a time as the server writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _changed_after(moment: datetime) -> Json:
    return query_filter("updated_at", "greater", "Datetime", query_time(moment))


def _not_ahead(newest: datetime | None, date: str | None) -> datetime | None:
    """Hold a time back to the server's clock: one task with a time in the future would hide all changes until then."""
    if newest is None or date is None:
        return newest
    try:
        clock = parsedate_to_datetime(date)
    except ValueError:  # made unreadable by what stands between
        return newest
    aware = clock if clock.tzinfo else clock.replace(tzinfo=UTC)
    return min(newest, aware + timedelta(seconds=1))  # it knows whole seconds
