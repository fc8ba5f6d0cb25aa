"""Asks a Label Studio server for tasks, a page at a time.

Pages are found by task id: the server orders by one field only, many tasks share a time, and page numbers shift while
people work. A task stays where it is in the order of ids, and once it has changed after a time it stays so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from labeling.studio.connection import Connection
from labeling.studio.errors import not_json
from labeling.studio.progress import MirroredProject, TaskStamp

Json = dict[str, Any]
Filter = dict[str, Any]

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
class Page:
    """Some tasks in the order of their ids, and how many there are with those after them."""

    tasks: list[Json]
    total: int

    @property
    def more(self) -> bool:
        """Whether there are tasks after these; a server may give fewer than it was asked for."""
        return bool(self.tasks) and self.total > len(self.tasks)

    def stamps(self) -> dict[int, TaskStamp]:
        """Return the stamp of each task by its id."""
        return {
            task["id"]: TaskStamp(task["updated_at"], task["total_annotations"], task["cancelled_annotations"])
            for task in self.tasks
        }


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
        filters = [] if since is None else [_changed_after(since)]
        response, page = self._ask(filters, 1, {"include": "id,updated_at"}, ordering="-tasks:updated_at")
        newest = server_time(page.tasks[0]["updated_at"]) if page.tasks else None
        return Head(_not_ahead(newest, response), page.total)

    def changed(self, since: datetime | None, after_id: int, size: int) -> Page:
        """Return tasks in full, with annotations, that changed after ``since``; None: all of them."""
        filters = [_after_id(after_id), *([] if since is None else [_changed_after(since)])]
        return self._ask(filters, size, {"include": _FIELDS, "fields": "all"})[1]

    def stamped(self, after_id: int, size: int, span: tuple[datetime, datetime] | None = None) -> Page:
        """Return tasks with their stamps only; with ``span``, those whose last change is in it, its start excluded."""
        filters = [_after_id(after_id)]
        if span is not None:
            filters += [
                _changed_after(span[0]),
                _filter("updated_at", "less_or_equal", "Datetime", _query_time(span[1])),
            ]
        return self._ask(filters, size, {"include": _STAMP})[1]

    def tasks(self, ids: Sequence[int]) -> list[Json]:
        """Return tasks in full by their ids, at most IDS_PER_REQUEST; those that are gone are left out."""
        filters = [_filter("id", "in_list", "List", list(ids))]
        return self._ask(filters, len(ids), {"include": _FIELDS, "fields": "all"})[1].tasks

    def drafted(self, after_id: int, size: int) -> Page:
        """Return ids of tasks on which somebody has a draft."""
        filters = [_filter("draft_exists", "equal", "Boolean", True), _after_id(after_id)]
        return self._ask(filters, size, {"include": "id"})[1]

    def drafts(self, ids: Sequence[int]) -> dict[int, list[Json]]:
        """Return every person's drafts of tasks by their ids, at most IDS_PER_REQUEST; a task without any has none.

        The list of tasks holds the drafts of the token's owner only; the export holds all of them.
        """
        params = [("exportType", "JSON"), ("download_all_tasks", "true"), *(("ids[]", str(number)) for number in ids)]
        path = f"/api/projects/{self.project_id}/export"
        exported = _decoded(self.connection.request("GET", path, params=params), self.connection.url, path)
        drafts: dict[int, list[Json]] = {number: [] for number in ids}
        drafts.update((task["id"], task["drafts"]) for task in exported)
        return drafts

    def _ask(
        self, filters: list[Filter], size: int, fields: dict[str, str], ordering: str = "tasks:id"
    ) -> tuple[httpx.Response, Page]:
        query = {"filters": {"conjunction": "and", "items": filters}, "ordering": [ordering]}
        params = {
            "project": str(self.project_id),
            "page_size": str(size),
            "resolve_uri": "false",
            "query": orjson.dumps(query).decode(),
            **fields,
        }
        response = self.connection.request("GET", "/api/tasks", params=params)
        answer = _decoded(response, self.connection.url, "/api/tasks")
        return response, Page(answer["tasks"], answer["total"])


def server_time(text: str) -> datetime:
    """Read a time as the server writes it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _query_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # the only format that the server takes


def _filter(field: str, operator: str, kind: str, value: Any) -> Filter:
    return {"filter": f"filter:tasks:{field}", "operator": operator, "type": kind, "value": value}


def _after_id(task_id: int) -> Filter:
    return _filter("id", "greater", "Number", task_id)


def _changed_after(moment: datetime) -> Filter:
    return _filter("updated_at", "greater", "Datetime", _query_time(moment))


def _not_ahead(newest: datetime | None, response: httpx.Response) -> datetime | None:
    """Hold a time back to the server's clock: one task with a time in the future would hide all changes until then."""
    if newest is None or "date" not in response.headers:
        return newest
    return min(newest, parsedate_to_datetime(response.headers["date"]) + timedelta(seconds=1))  # it knows whole seconds


def _decoded(response: httpx.Response, url: str, path: str) -> Any:
    try:
        return orjson.loads(response.content)
    except ValueError:
        raise not_json(response, url, f"GET {path}") from None
