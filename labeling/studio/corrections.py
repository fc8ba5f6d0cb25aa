"""What follows when a task that came back is put right: its mark goes, and what the new answer replaced goes too."""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from labeling.annotations import Labels, check_labels
from labeling.config import ATTENTION, CONFLICT_MARK, CORRECT_MARK, SUSPICIOUS_MARK
from labeling.results import Result, moment, read_result
from labeling.studio.connection import Connection, StudioNotFound
from labeling.studio.returns import (
    CONFLICT,
    NEVER,
    RETURNABLE,
    SUSPICIOUS,
    by_person,
    sent_back_by_another,
    version_of,
)
from labeling.studio.task_list import ListedTask, change_data, listed_tasks, query_filter, selected_tasks
from labeling.taxonomy import Taxonomy

Row = dict[str, Any]
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cleared:
    """What was put in order on the server, as counts."""

    marks: int  # tasks that no longer say why they came back
    replaced: int  # skipped or returned annotations whose annotator has answered again: deleted
    counted: int  # returned annotations that were corrected in place: they count again
    closed: int  # tasks that no longer ask for the further answer that a conflict had asked for


def clear_returned(
    connection: Connection,
    project_id: int,
    taxonomy: Taxonomy,
    returned: pa.Table,
    quarantined: pa.Table,
    labels: pa.Table,
    annotations: pa.Table,
    answers_per_image: int,
) -> Cleared:
    """Put in order what has been settled since tasks came back; safe to repeat.

    - The mark of a task goes when its cause is gone: every returned answer was given anew or the task has enough
      answers without it; the conflict is resolved; a reviewer decided about the doubtful label, or it was changed.
    - Label Studio shows a skipped task to its annotator again and again until it has all its answers, also after they
      have answered. So the skipped or returned annotation is deleted once there is a younger answer of the same person.
      Its content is in the versions that were exported.
    - A returned annotation that its annotator changed in place to a valid answer is no longer skipped.
    - A task that asks for a further answer because of a conflict stops asking when the conflict is settled without it.

    Args:
        connection: to the server.
        project_id: of the project.
        taxonomy: the labels that may be given.
        returned: ``RETURNED_TASKS``.
        quarantined: ``QUARANTINED_ANNOTATIONS`` as exported now.
        labels: ``LABELS`` that follow from the export.
        annotations: ``ANNOTATIONS`` as exported now.
        answers_per_image: that a task without a conflict needs.
    """
    state = _State(returned.to_pylist(), quarantined.to_pylist(), labels.to_pylist(), annotations.to_pylist())
    counted = sum(_count_again(connection, row) for row in state.corrected_in_place(taxonomy))
    replaced = _delete_replaced(connection, project_id, state)
    closed = _close_settled(connection, project_id, state, answers_per_image)
    marks = 0
    marked = listed_tasks(connection, project_id, filters=[query_filter(f"data.{ATTENTION}", "empty", "String", False)])
    for task in list(marked):  # all at first: what is cleared leaves the filter
        if state.cause_is_gone(task):
            marks += change_data(connection, task.task_id, {ATTENTION: ""}) is not None
    cleared = Cleared(marks, replaced, counted, closed)
    _logger.info(
        "settled: %d marks, %d replaced annotations, %d corrected in place, %d closed tasks",
        *(marks, replaced, counted, closed),
    )
    return cleared


class _State:
    """What the tables say about tasks that came back."""

    def __init__(self, returned: list[Row], quarantined: list[Row], labels: list[Row], annotations: list[Row]) -> None:
        self._returned = returned
        self._quarantined = [row for row in quarantined if row["task_id"] is not None]
        self._answers = [row for row in annotations if row["task_id"] is not None]
        self._answered = by_person(self._answers)
        in_conflict = {row["image_id"] for row in labels if row["status"] == CONFLICT}
        self._conflicts = {row["task_id"] for row in self._answers if row["image_id"] in in_conflict}
        to_correct = [row for row in self._quarantined if self._is_to_correct(row)]
        self._to_correct = {row["task_id"] for row in to_correct}
        self._wrong = {row["task_id"] for row in to_correct if row["reason"] != "skipped" or sent_back_by_another(row)}
        self._asked = {str(row["task_id"]) for row in returned if row["reason"] == CONFLICT}

    def cause_is_gone(self, task: ListedTask) -> bool:
        """Whether a task no longer needs the mark that it has; a text of somebody else's stays."""
        text, task_id = str(task.data.get(ATTENTION, "")), str(task.task_id)
        if text.startswith(CORRECT_MARK):
            return task.is_labeled or task_id not in self._to_correct
        if text.startswith(CONFLICT_MARK):
            return task_id not in self._conflicts
        return text.startswith(SUSPICIOUS_MARK) and self._is_decided(task_id)

    def is_settled(self, task: ListedTask) -> bool:
        """Whether nobody has to answer a task any more because of a conflict; a mere skip does not keep it open."""
        text, task_id = str(task.data.get(ATTENTION, "")), str(task.task_id)
        asked = task_id in self._asked or text.startswith(CONFLICT_MARK)
        return asked and task_id not in self._conflicts and task_id not in self._wrong

    def replaced(self) -> Iterator[Row]:
        """Yield skipped and returned answers whose annotator has answered the same task since."""
        for row in self._quarantined:
            put_aside = row["reason"] in ("skipped", "sent_back", "superseded")
            if put_aside and self._answered_since(row) and json.loads(row["raw"]).get("was_cancelled"):
                yield row

    def corrected_in_place(self, taxonomy: Taxonomy) -> Iterator[Row]:
        """Yield returned answers whose content is valid now though they still count as skipped."""
        returned_at = {row["annotation_id"]: row["returned_at"] for row in self._returned if row["annotation_id"]}
        for row in self._quarantined:
            if row["reason"] not in ("skipped", "sent_back") or row["annotation_id"] not in returned_at:
                continue
            if version_of(row) > returned_at[row["annotation_id"]] and _is_valid(row, taxonomy):
                yield row

    def _is_to_correct(self, row: Row) -> bool:
        if row["reason"] == "draft":  # begun again, not submitted yet
            people = {(str(back["task_id"]), back["annotator"]) for back in self._returned if back["annotation_id"]}
            return (row["task_id"], row["annotator"]) in people and not self._answered_since(row)
        return row["reason"] in (*RETURNABLE, "sent_back", "skipped") and not self._answered_since(row)

    def _answered_since(self, row: Row) -> bool:
        return self._answered.get((row["task_id"], row["annotator"] or ""), NEVER) > version_of(row)

    def _is_decided(self, task_id: str) -> bool:
        times = [
            row["returned_at"]
            for row in self._returned
            if str(row["task_id"]) == task_id and row["reason"] == SUSPICIOUS
        ]
        changed = [row for row in self._answers if row["task_id"] == task_id]
        return any(row["review"] for row in changed) or bool(
            times and any((row["updated_at"] or NEVER) > max(times) for row in changed)
        )


def _is_valid(row: Row, taxonomy: Taxonomy) -> bool:
    result = read_result(json.loads(row["raw"]).get("result"))
    return isinstance(result, Result) and isinstance(check_labels(result.mains, result.subs, taxonomy), Labels)


def _count_again(connection: Connection, row: Row) -> bool:
    if not _is_unchanged(connection, row):
        return False
    connection.patch(f"/api/annotations/{row['annotation_id']}", {"was_cancelled": False})
    return True


def _delete_replaced(connection: Connection, project_id: int, state: _State) -> int:
    rows = list(state.replaced())
    open_tasks = {
        str(task.task_id)
        for task in selected_tasks(connection, project_id, [int(row["task_id"]) for row in rows])
        if not task.is_labeled
    }
    deleted = 0
    for row in rows:
        if row["task_id"] in open_tasks and _is_unchanged(connection, row):
            connection.delete(f"/api/annotations/{row['annotation_id']}")
            deleted += 1
    return deleted


def _close_settled(connection: Connection, project_id: int, state: _State, answers_per_image: int) -> int:
    asking = [
        query_filter("overlap", "greater", "Number", answers_per_image),
        query_filter("completed_at", "empty", "Datetime", True),
    ]
    closed = 0
    for task in list(listed_tasks(connection, project_id, filters=asking)):  # all at first: they leave the filter
        if state.is_settled(task):
            needed = max(answers_per_image, task.submitted)
            # The server does not find out by itself that a task has the answers that it needs now.
            body = {"overlap": needed, "is_labeled": task.submitted >= needed}
            connection.patch(f"/api/tasks/{task.task_id}", body)
            closed += 1
    return closed


def _is_unchanged(connection: Connection, row: Row) -> bool:
    """Whether an annotation is still skipped and as it was exported."""
    try:
        annotation = connection.get(f"/api/annotations/{row['annotation_id']}")
    except StudioNotFound:
        return False
    return bool(annotation["was_cancelled"]) and moment(annotation["updated_at"]) == version_of(row)
