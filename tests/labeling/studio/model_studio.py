"""A model of what a Label Studio server shows of a project, for what a real one does too rarely to be waited for.

Time stands still until a test moves it; a change bears the time at which it is made and may become visible later. That
the real server answers in this way is for tests/integration/test_label_studio_pull.py.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from operator import eq, gt, le
from typing import Any

import httpx

from labeling.studio.errors import StudioNotFound
from tests.labeling.labeling_samples import choices

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "greater": gt,
    "less_or_equal": le,
    "equal": eq,
    "in_list": lambda value, listed: value in listed,
    "not_contains": lambda value, listed: not any(part in value for part in listed),
}


@dataclass
class ModelStudio:
    """Takes the place of a Connection; ``before_request`` is called before each request, with its number."""

    now: datetime = datetime(2024, 5, 2, tzinfo=UTC)
    largest_page: int = 1000
    before_request: Callable[[int], None] = lambda number: None
    url: str = "http://studio.invalid"
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    drafts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    deleted: bool = False
    requests: int = 0
    fetched: int = 0  # tasks given in full
    _pending: list[tuple[datetime, Callable[[], None]]] = field(default_factory=list)
    _stamps: set[tuple[int, datetime]] = field(default_factory=set)
    _next: int = 0

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        due = sorted((entry for entry in self._pending if entry[0] <= self.now), key=lambda entry: entry[0])
        self._pending = [entry for entry in self._pending if entry[0] > self.now]
        for _, commit in due:
            commit()

    def add_task(self, late: float = 0) -> int:
        number = self._number()
        stamp = self._stamp(number)
        task = {"id": number, "updated_at": stamp, "data": {"image_id": f"{number:064x}"}, "annotations": []}
        self._commit(late, lambda: self.tasks.update({number: task}))
        return number

    def annotate(self, task_id: int, main: str = "Casual", late: float = 0, **fields: Any) -> int:
        number = self._number()
        stamp = self._stamp(task_id)
        annotation = {
            "id": number,
            "completed_by": 5,
            "updated_by": 5,
            "result": [choices("main", main)],
            "was_cancelled": False,
            "lead_time": 3.5,
            "created_at": stamp,
            "updated_at": stamp,
        } | fields
        self._change(task_id, stamp, late, lambda annotations: [*annotations, annotation])
        return number

    def edit(self, task_id: int, annotation_id: int, late: float = 0, **fields: Any) -> None:
        stamp = self._stamp(task_id)
        fields = {"updated_at": stamp, **fields}
        self._change(
            task_id,
            stamp,
            late,
            lambda annotations: [a | fields if a["id"] == annotation_id else a for a in annotations],
        )

    def delete_annotation(self, task_id: int, annotation_id: int, late: float = 0) -> None:
        self._change(
            task_id,
            self._stamp(task_id),
            late,
            lambda annotations: [a for a in annotations if a["id"] != annotation_id],
        )

    def draft(self, task_id: int) -> int:
        number = self._number()
        self.drafts.setdefault(task_id, []).append(
            {"id": number, "user": "expert-1@example.invalid", "result": [], "created_ago": f"{self.requests} minutes"}
        )
        return number

    def get(self, path: str, **params: Any) -> Any:
        return self.request("GET", path, params=params).json()

    def request(self, method: str, path: str, *, params: Any) -> httpx.Response:
        self.requests += 1
        self.before_request(self.requests)
        if self.deleted:
            raise StudioNotFound(f"{method} {path}: not found")
        if path == "/api/projects/3":
            return httpx.Response(200, json={"id": 3, "created_at": "2024-05-01T00:00:00.000000Z"})
        if path == "/api/projects/3/export":
            ids = [int(value) for name, value in params if name == "ids[]"]
            exported = [{"id": number, "drafts": self.drafts.get(number, [])} for number in ids if number in self.tasks]
            return httpx.Response(200, json=exported)
        assert path == "/api/tasks"
        return httpx.Response(200, json=self._listed(params), headers={"Date": format_datetime(self.now, usegmt=True)})

    def _listed(self, params: dict[str, str]) -> dict[str, Any]:
        query = json.loads(params["query"])
        found = [self._shown(task) for task in self.tasks.values() if self._matches(task, query["filters"]["items"])]
        (order,) = query["ordering"]
        found.sort(key=lambda task: task["id"])
        if order.endswith("updated_at"):
            found.sort(key=lambda task: task["updated_at"], reverse=order.startswith("-"))
        page = found[: min(int(params["page_size"]), self.largest_page)]
        wanted = set(params["include"].split(","))
        if "annotations" in wanted:
            self.fetched += len(page)
        return {"tasks": [{k: v for k, v in task.items() if k in wanted} for task in page], "total": len(found)}

    def _matches(self, task: dict[str, Any], items: list[dict[str, Any]]) -> bool:
        values = {**task, "draft_exists": bool(self.drafts.get(task["id"]))}
        return all(
            _OPERATORS[item["operator"]](values[item["filter"].removeprefix("filter:tasks:")], item["value"])
            for item in items
        )

    def _shown(self, task: dict[str, Any]) -> dict[str, Any]:
        cancelled = sum(annotation["was_cancelled"] for annotation in task["annotations"])
        return task | {
            "total_annotations": len(task["annotations"]) - cancelled,
            "cancelled_annotations": cancelled,
        }

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _stamp(self, task_id: int) -> str:
        """The time as the server writes it; tasks share times, but no task changes twice in a microsecond."""
        while (task_id, self.now) in self._stamps:
            self.now += timedelta(microseconds=1)
        self._stamps.add((task_id, self.now))
        return self.now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _change(
        self, task_id: int, stamp: str, late: float, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
    ) -> None:
        def commit() -> None:
            if task_id in self.tasks:
                task = self.tasks[task_id]
                self.tasks[task_id] = task | {"updated_at": stamp, "annotations": change(task["annotations"])}

        self._commit(late, commit)

    def _commit(self, late: float, commit: Callable[[], None]) -> None:
        if late:
            self._pending.append((self.now + timedelta(seconds=late), commit))
        else:
            commit()
