"""Brings the queue to the server: each image once, whoever runs this how often, and whenever it is killed."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import orjson
import pyarrow as pa

from labeling.config import ATTENTION
from labeling.errors import LabelingError
from labeling.studio.connection import Connection, StudioError, StudioNotFound
from labeling.studio.errors import not_json
from labeling.studio.pictures import PictureSource
from labeling.studio.queue import Chosen
from labeling.studio.settings import LabelStudioServer
from labeling.studio.standing import Images, Row, Upkeep, fresh_tasks, of_this_project, queued_tasks, to_send, upkeep
from labeling.studio.task_list import (
    ListedTask,
    Progress,
    change_data,
    delete_tasks,
    listed_pages,
    listed_tasks,
    made_alone,
    query_filter,
    silent,
    withdraw_tasks,
)
from labeling.tasks import task_data

__all__ = ["listed_tasks", "push_tasks", "withdraw_tasks"]

SHOWN = ["image_id", "image_path", "created_at", "hashtags", "alt_text", "window"]  # columns that task_data reads
TASKS_PER_REQUEST = 2000  # to send; the server takes all of them or none, in about 0.4 s, and longer for each with more
MOST_FAILURES = 2  # repetitions of an import without a single new task on the server

Json = dict[str, Any]

_logger = logging.getLogger(__name__)


def push_tasks(
    connection: Connection,
    project_id: int,
    settings: LabelStudioServer,
    rows: pa.Table,
    chosen: Sequence[Chosen],
    previous: pa.Table,
    pictures: PictureSource,
    *,
    withdrawn: Collection[str] = (),
    progress: Progress = silent,
    tasks_per_request: int = TASKS_PER_REQUEST,
) -> pa.Table:
    """Make the project hold one task for each image of the queue, and return ``QUEUED_TASKS`` as it is then.

    The server is the truth: what stands there is listed first, only what is missing is sent, and all is listed again if
    an answer was lost or the server has other new tasks than those sent. So it does not matter whether another process
    runs this too, or was killed.

    - A cluster gets one task, also when its canonical image changes. If two images with tasks turn out to be
      near-duplicates, answered tasks stay and the other one leaves.
    - Duplicates that a parallel run has made are removed; those with an answer or a draft stay, and are logged.
    - A task that a person has deleted on the server is never sent again.
    - An image of ``withdrawn`` leaves with its answers, in every case. An image that only vanished from ``rows`` keeps
      its task if somebody has worked on it.
    - If the project is younger than rows of ``previous``, their tasks are lost with the old one and are sent again.
    - Tasks whose date, text or picture has changed in ``rows`` are updated.

    Args:
        connection: to the server.
        project_id: of the project.
        settings: of the server.
        rows: ``LABEL_TASKS``.
        chosen: images to queue, in order, as next_images chooses them.
        previous: ``QUEUED_TASKS`` as the last run returned it; empty at first.
        pictures: how the server reaches the pictures.
        withdrawn: images that must leave.
        progress: is told how many tasks were sent, of how many.
        tasks_per_request: sent at a time.

    Raises:
        LabelingError: if an image was chosen that ``rows`` does not have, or ``rows`` is empty though tasks are queued.
        StudioError: if the server cannot be used.
    """
    images = Images.of(rows, withdrawn)
    _check(images, chosen, previous)
    known, lost = _known(previous, connection, project_id)
    push = _Push(connection, project_id, settings, rows, pictures)
    standing, outdated = push.listed()
    missing = to_send([*lost, *chosen], images, known, {task.image_id for task in standing})
    if missing:
        sent = push.send(missing, tasks_per_request, progress)
        if made := made_alone(connection, project_id, max((task.task_id for task in standing), default=0), sent):
            standing += fresh_tasks(dict(zip(missing, sent, strict=True)), made, images, settings)
        else:
            standing, outdated = push.listed()
    _report_lost(lost, missing, {task.image_id for task in standing})
    plan = upkeep(standing, images, frozenset())
    if plan.unwanted:  # drafts can only save tasks from leaving
        plan = upkeep(standing, images, push.drafted())
    gone = push.clean(plan)
    push.update([task for task in plan.stay.values() if task.task_id in outdated])
    table = queued_tasks(known, plan.stay, gone, images, missing | dict(chosen), settings)
    _report(previous, table, plan)
    return table


class _Push:
    """The steps that need the server."""

    def __init__(
        self,
        connection: Connection,
        project_id: int,
        settings: LabelStudioServer,
        rows: pa.Table,
        pictures: PictureSource,
    ) -> None:
        self._connection, self._project_id, self._settings = connection, project_id, settings
        self._places = {image_id: place for place, image_id in enumerate(rows.column("image_id").to_pylist())}
        self._shown, self._pictures = rows.select(SHOWN).combine_chunks(), pictures

    def listed(self) -> tuple[list[ListedTask], set[int]]:
        """Return the tasks on the server, and the ids of those whose data is not what it should be."""
        tasks: list[ListedTask] = []
        outdated: set[int] = set()
        for page in listed_pages(self._connection, self._project_id, page_size=self._settings.page_size):
            wanted = self._data(task.image_id for task in page)
            outdated.update(task.task_id for task in page if not _same(task.data, wanted.get(task.image_id, {})))
            tasks.extend(task._replace(data={"window": task.data.get("window", "")}) for task in page)
        return tasks, outdated

    def send(self, missing: Mapping[str, str], tasks_per_request: int, progress: Progress) -> list[int]:
        """Import the tasks of the images in ``missing`` (with what they were chosen as), in parts.

        Returns the ids of the tasks in their order; none if an answer was lost or did not tell them.
        """
        left, failures, answered = list(missing), 0, True
        task_ids: list[int] = []
        progress(0, len(missing))
        while left:
            try:
                for number, body in self._bodies(missing, left, tasks_per_request):
                    task_ids += self._import(body)
                    left, failures = left[number:], 0
                    progress(len(missing) - len(left), len(missing))
            except StudioError as error:
                # The tasks may have arrived although the answer did not: see first, then go on with what is missing.
                answered = False
                arrived = {task.image_id for task in self._list()}
                still_left = [image_id for image_id in left if image_id not in arrived]
                failures = failures + 1 if len(still_left) == len(left) else 0
                if failures > MOST_FAILURES:
                    raise
                _logger.warning("%s; %d tasks are still missing, going on with them", error, len(still_left))
                left = still_left
                progress(len(missing) - len(left), len(missing))
        return task_ids if answered and len(task_ids) == len(missing) else []

    def _bodies(self, missing: Mapping[str, str], left: Sequence[str], size: int) -> Iterator[tuple[int, bytes]]:
        """Yield the tasks of images as JSON, in parts, each with its number of tasks.

        The next part is made while the server is busy with the one before.
        """

        def made(part: Sequence[str]) -> tuple[int, bytes]:
            data = self._data(part)
            tasks = [{"data": data[image_id], "meta": {"chosen_as": missing[image_id]}} for image_id in part]
            return len(tasks), orjson.dumps(tasks)

        with ThreadPoolExecutor(1) as worker:
            coming = worker.submit(made, left[:size])
            for start in range(size, len(left) + size, size):
                ready, coming = coming.result(), worker.submit(made, left[start : start + size])
                yield ready

    def _import(self, body: bytes) -> list[int]:
        """Send tasks and return their ids in the same order; none if the server does the work later."""
        path, headers = f"/api/projects/{self._project_id}/import", {"Content-Type": "application/json"}
        params = {"return_task_ids": "true"}
        response = self._connection.request("POST", path, content=body, headers=headers, params=params)
        try:
            return list(response.json().get("task_ids", ()))
        except ValueError:
            raise not_json(response, self._connection.url, f"POST {path}") from None

    def drafted(self) -> set[int]:
        """Return the ids of the tasks on which somebody has begun."""
        return {task.task_id for task in self._list(query_filter("draft_exists", "equal", "Boolean", True))}

    def clean(self, plan: Upkeep) -> set[str]:
        """Delete what has to leave; what got an answer just now stays. Returns the images without a task."""
        page_size = self._settings.page_size
        both = [(plan.withdrawn, False), (plan.unwanted, True)]
        gone: set[str] = set()
        for tasks, untouched_only in both:
            left = delete_tasks(
                self._connection, self._project_id, tasks, untouched_only=untouched_only, page_size=page_size
            )
            for task in tasks:
                if task.task_id in left:
                    plan.stay.setdefault(task.image_id, task)
                else:
                    gone.add(task.image_id)
        return gone - set(plan.stay)

    def update(self, tasks: Collection[ListedTask]) -> None:
        """Write the data of tasks anew, except what says why a task came back."""
        wanted = self._data(task.image_id for task in tasks)
        for task in tasks:
            data = {key: value for key, value in wanted[task.image_id].items() if key != ATTENTION}
            try:
                change_data(self._connection, task.task_id, data)
            except StudioNotFound:
                _logger.info("task %d was deleted meanwhile", task.task_id)
        if tasks:
            _logger.info("%d tasks were brought up to date", len(tasks))

    def _list(self, *filters: Mapping[str, Any]) -> Iterator[ListedTask]:
        return listed_tasks(self._connection, self._project_id, filters=filters, page_size=self._settings.page_size)

    def _data(self, image_ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return what the tasks of images show, without those that ``rows`` does not have."""
        places = [self._places[image_id] for image_id in image_ids if image_id in self._places]
        rows = self._shown.take(pa.array(places, pa.int64())).to_pylist()
        return {row["image_id"]: task_data(row, self._pictures.url) for row in rows}


def _check(images: Images, chosen: Sequence[Chosen], previous: pa.Table) -> None:
    for image_id, _ in chosen:
        if image_id not in images.windows:
            raise LabelingError(f"image {image_id} was chosen but is not in label_tasks; materialize both again")
    if not images.windows and previous.num_rows:
        raise LabelingError(
            f"label_tasks is empty though {previous.num_rows} images have been queued; materialize it again"
        )


def _known(previous: pa.Table, connection: Connection, project_id: int) -> tuple[list[Row], list[Chosen]]:
    if not previous.num_rows:
        return [], []
    project = connection.get(f"/api/projects/{project_id}", include="created_at")
    return of_this_project(previous.to_pylist(), datetime.fromisoformat(project["created_at"]))


def _same(data: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    return all(data.get(key) == value for key, value in wanted.items() if key != ATTENTION)


def _report_lost(lost: Sequence[Chosen], missing: Mapping[str, str], standing: Collection[str]) -> None:
    if lost:
        _logger.warning("the project is new: %d tasks of an older one were queued again", len(lost))
    if absent := [image_id for image_id in missing if image_id not in standing]:
        _logger.warning("%d tasks that were sent do not stand on the server; run this again", len(absent))


def _report(previous: pa.Table, table: pa.Table, plan: Upkeep) -> None:
    before = dict(zip(*(previous.column(name).to_pylist() for name in ("image_id", "state")), strict=True))
    after = dict(zip(*(table.column(name).to_pylist() for name in ("image_id", "state")), strict=True))
    for state, what in (("deleted", "deleted on the server by a person"), ("withdrawn", "withdrawn")):
        fresh = [image_id for image_id, now in after.items() if now == state and before.get(image_id) != state]
        if fresh:
            _logger.info("%d tasks were %s; they are not queued again", len(fresh), what)
    if plan.doubles:
        ids = ", ".join(str(task.task_id) for task in plan.doubles[:10])
        _logger.warning(
            "%d images have a second task with answers or a draft, which stays (tasks %s)", len(plan.doubles), ids
        )
    if before and "queued" not in after.values():
        _logger.warning("the project has no task left, so Label Studio has removed its tabs")
