"""Predictions on a Label Studio server: what experts find ticked when they open a task.

The server takes the same prediction twice, drops what it does not like without a word, and gives experts only those of
the project's ``model_version``. So what stands is listed before anything is sent, and counted again afterwards.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from labeling.config import MAIN, SUBS
from labeling.studio.connection import Connection, StudioError, StudioNotFound
from labeling.studio.pre_annotations import import_body, pre_annotations, with_history
from labeling.studio.predicted import (
    ANY_TASK,
    WITH_PREDICTION,
    PredictedTask,
    check_listing,
    predicted_tasks,
    standing,
)
from labeling.studio.task_list import PAGE_SIZE, Progress, query_filter, silent
from labeling.tables import PRE_ANNOTATIONS

__all__ = ["PushedPredictions", "blind_with_prediction", "pre_annotations", "push_predictions"]

# After each import the server counts the predictions of all tasks of the project anew, however few were sent: about
# half a second for a thousand tasks that have some. So few requests with many rows; 20,000 are about 5 MB.
ROWS_PER_REQUEST = 20_000
IMPORT_SECONDS = 600.0  # that one such request may take, whatever the timeout of the others
CLEARED_PER_REQUEST = 500  # tasks; the server removes their predictions one by one, about 100 in a second
TRIES = 3  # of one import; before each the server is asked again what stands
MOST_NAMED = 3  # images in a message

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushedPredictions:
    """What became of the rows; ``sent`` to ``unqueued`` and the refused ones add up to all of them."""

    table: pa.Table  # PRE_ANNOTATIONS with history; task_id is null where experts see nothing and it is not on purpose
    sent: int
    stood: int  # on the server already
    blind: int  # kept from the experts on purpose
    answered: int  # someone has answered without seeing it; so will the others who answer for that image
    unsure: int  # score too low to be shown
    missing: int  # the task is gone, or shows another image by now
    unqueued: int  # no task yet
    refused: tuple[str, ...]  # images whose row the server dropped
    cleared: int  # tasks that became blind while they wait for answers: all their predictions were removed
    doubles: int  # predictions removed because they were there twice, as after two pushes at once


@dataclass
class _Push:
    """One run: where to, and what became of the rows so far."""

    connection: Connection
    project_id: int
    version: str
    least_score: float
    page_size: int
    tally: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)  # images whose row no expert sees, though it is not blind
    sent: set[int] = field(default_factory=set)  # tasks
    doubled: set[int] = field(default_factory=set)  # tasks
    lost: int = 0  # predictions of this version removed from tasks that became blind

    def part(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Bring one part of the rows, sorted by task, to the server."""
        for attempt in range(1, TRIES + 1):
            fates = self._fates(rows)
            waiting = [row for row in rows if fates[row["image_id"]] == "sent"]
            try:
                created = self._send(waiting)
                break
            except StudioError as error:
                if attempt == TRIES:
                    raise
                _logger.warning("%s; looking again at what stands", error)
        if created < len(waiting):
            self._note_refused(waiting, fates)
        self.tally.update(fates.values())
        self.sent |= {row["task_id"] for row in waiting if fates[row["image_id"]] == "sent"}
        self.unseen |= {image for image, fate in fates.items() if fate not in ("sent", "stood", "blind")}

    def _fates(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Say by image what is to become of each row, after removing predictions that have to be blind by now."""
        wanted = {row["task_id"] for row in rows}
        between = self._between(rows[0]["task_id"], rows[-1]["task_id"])
        tasks = {task.task_id: task for task in between if task.task_id in wanted}
        fates: dict[str, str] = {}
        blind: list[PredictedTask] = []
        for row in rows:
            task = tasks.get(row["task_id"])
            fate = fates[row["image_id"]] = _fate(row, task, self.least_score)
            if task is not None and fate == "blind" and task.versions and not task.is_labeled:
                blind.append(task)
            elif task is not None and fate != "missing" and task.has_doubles:
                self.doubled.add(task.task_id)
        for start in range(0, len(blind), CLEARED_PER_REQUEST):
            self._clear(blind[start : start + CLEARED_PER_REQUEST])
        return fates

    def _clear(self, tasks: Sequence[PredictedTask]) -> None:
        """Remove all predictions of some tasks. Never of none: the server takes that for all tasks of the project."""
        body = {"selectedItems": {"all": False, "included": [task.task_id for task in tasks]}}
        action = {"id": "delete_tasks_predictions", "project": self.project_id}
        self.connection.post("/api/dm/actions", body, retry=True, **action)
        self.tally["cleared"] += len(tasks)
        self.lost += sum(self.version in task.versions for task in tasks)

    def _send(self, rows: Sequence[Mapping[str, Any]]) -> int:
        if not rows:
            return 0
        path = f"/api/projects/{self.project_id}/import/predictions"
        body = [import_body(row) for row in rows]
        return int(self.connection.request("POST", path, json=body, timeout=IMPORT_SECONDS).json()["created"])

    def _note_refused(self, waiting: Sequence[Mapping[str, Any]], fates: dict[str, str]) -> None:
        tasks = self._between(waiting[0]["task_id"], waiting[-1]["task_id"])
        present = {task.task_id for task in tasks if self.version in task.versions}
        for row in waiting:
            if row["task_id"] not in present:
                fates[row["image_id"]] = "refused"
                self.refused.append(row["image_id"])

    def settle(self, before: int) -> None:
        """Compare the count on the server with what was done, and remove what is there twice.

        Raises:
            StudioError: if something that was sent is not there.
        """
        after = standing(self.connection, self.project_id, self.version)
        if self.sent and after != before - self.lost + len(self.sent):
            absent = set(self.sent)
            for task in self._between(min(absent), max(absent)):
                if self.version in task.versions:
                    absent.discard(task.task_id)
                if task.has_doubles:
                    self.doubled.add(task.task_id)
            if absent:
                raise StudioError(
                    f"{len(absent)} predictions of {self.version} were taken by the server and are not there, the "
                    f"first for task {min(absent)}: was something deleted meanwhile? Run this again"
                )
        for task_id in sorted(self.doubled):
            self._keep_one_of_each(task_id)

    def _keep_one_of_each(self, task_id: int) -> None:
        """Remove all but the first prediction of each version; two runs at once keep the same one."""
        seen: set[str] = set()
        found = self.connection.get("/api/predictions", task=task_id)
        for prediction in sorted(found, key=lambda prediction: int(prediction["id"])):
            if prediction["model_version"] in seen:
                with contextlib.suppress(StudioNotFound):  # the other run was faster
                    self.connection.delete(f"/api/predictions/{prediction['id']}")
                self.tally["doubles"] += 1
            seen.add(prediction["model_version"])

    def _between(self, first: int, last: int) -> Iterator[PredictedTask]:
        conditions = [ANY_TASK, query_filter("id", "less", "Number", last + 1)]
        return predicted_tasks(self.connection, self.project_id, conditions, self.page_size, first - 1)


def push_predictions(
    connection: Connection,
    project_id: int,
    table: pa.Table,
    previous: pa.Table,
    *,
    least_score: float = 0.0,
    page_size: int = PAGE_SIZE,
    progress: Progress = silent,
) -> PushedPredictions:
    """Show experts what a model would answer, and make its version the one that the project shows.

    Safe to stop, to repeat and to run twice at once: what stands on the server for the version is not sent again.
    Never sent: blind rows, rows without a task, with a score below ``least_score``, and of tasks that someone has
    answered. Predictions of any version on blind tasks that still wait for answers are removed.

    Args:
        connection: to the server.
        project_id: of the project that the tasks stand in.
        table: rows of ``PRE_ANNOTATIONS`` of one model version, at most one for each image.
        previous: the table that the last push returned, or an empty one.
        least_score: probability from which a prediction is shown.
        page_size: tasks asked for at a time.
        progress: is told how many rows with a task are done.

    Raises:
        StudioError: if there are several versions, a label is not in the project's labeling config (nothing is sent
            then), the server cannot be used, or something that it took is not there.
    """
    version = _only_version(table)
    push = _Push(connection, project_id, version, least_score, page_size)
    queued = table.filter(pc.is_valid(table["task_id"])).sort_by("task_id")
    if queued.num_rows:
        path = f"/api/projects/{project_id}"
        state = connection.get(path)
        _check_labels(table, state["parsed_label_config"])
        check_listing(connection, project_id)
        before = standing(connection, project_id, version)
        for start in range(0, queued.num_rows, ROWS_PER_REQUEST):
            rows = queued.slice(start, ROWS_PER_REQUEST).to_pylist()
            push.part(rows)
            progress(start + len(rows), queued.num_rows)
        push.settle(before)
        shown = state["model_version"] if state["show_collab_predictions"] else None
        if push.tally["sent"] + push.tally["stood"] and shown != version:
            connection.patch(path, {"model_version": version, "show_collab_predictions": True})
    push.tally["unqueued"] = table.num_rows - queued.num_rows
    return _pushed(push, table, previous)


def blind_with_prediction(
    connection: Connection, project_id: int, blind_task_ids: Collection[int], *, page_size: int = PAGE_SIZE
) -> list[int]:
    """Return the blind tasks that wait for answers and carry a prediction, sorted by id: there must be none."""
    blind = set(blind_task_ids)
    tasks = predicted_tasks(connection, project_id, [WITH_PREDICTION], page_size) if blind else ()
    return [task.task_id for task in tasks if task.task_id in blind and not task.is_labeled]


def _fate(row: Mapping[str, Any], task: PredictedTask | None, least_score: float) -> str:
    if task is None or task.image_id != row["image_id"]:  # SQLite gives the id of a deleted task to a new one
        return "missing"
    if row["blind"]:
        return "blind"
    if row["model_version"] in task.versions:
        return "stood"
    if task.answers:
        return "answered"
    return "unsure" if row["score"] < least_score else "sent"


def _only_version(table: pa.Table) -> str:
    versions = sorted(set(table["model_version"].to_pylist()))
    if len(versions) > 1:
        raise StudioError(f"predictions of {versions[0]} and {versions[1]} at once: push those of one model version")
    return versions[0] if versions else ""


def _check_labels(table: pa.Table, controls: Mapping[str, Any]) -> None:
    """Raise StudioError if the labeling screen does not have what a row would tick."""
    for control, labels in ((MAIN, table["main"]), (SUBS, pc.list_flatten(table["subs"]))):
        offered = set(controls.get(control, {}).get("labels", ()))
        if unknown := sorted(set(labels.to_pylist()) - offered):
            raise StudioError(
                f"the model predicts {unknown[0]!r}, which the labeling screen does not offer as {control} label: "
                "update the project to the taxonomy that the model was trained on, or train on the labels that it has"
            )


def _pushed(push: _Push, table: pa.Table, previous: pa.Table) -> PushedPredictions:
    tally = push.tally
    if push.refused:
        _logger.warning(
            "the server dropped %d predictions of %s without saying why, of images %s%s",
            len(push.refused),
            push.version,
            ", ".join(push.refused[:MOST_NAMED]),
            ", …" if len(push.refused) > MOST_NAMED else "",
        )
    images, tasks = table["image_id"].to_pylist(), table["task_id"].to_pylist()
    seen = [None if image in push.unseen else task for image, task in zip(images, tasks, strict=True)]
    place = PRE_ANNOTATIONS.get_field_index("task_id")
    marked = table.set_column(place, PRE_ANNOTATIONS.field(place), pa.array(seen, pa.int64()))
    return PushedPredictions(
        with_history(previous, marked),
        sent=tally["sent"],
        stood=tally["stood"],
        blind=tally["blind"],
        answered=tally["answered"],
        unsure=tally["unsure"],
        missing=tally["missing"],
        unqueued=tally["unqueued"],
        refused=tuple(push.refused),
        cleared=tally["cleared"],
        doubles=tally["doubles"],
    )
