"""Sends tasks back: wrong answers to who gave them, conflicts to one more expert, doubtful labels to a reviewer.

Everything here looks at the server before it changes something, and can be killed and run again: what is done already
is not done twice. Times are the server's, so that an answer's version can be compared with the moment at which an
earlier version was sent back.
"""

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from labeling.config import ATTENTION, CORRECT_MARK, SUSPICIOUS_MARK
from labeling.results import moment, person
from labeling.studio.connection import Connection, StudioNotFound
from labeling.studio.settings import LabelStudioServer
from labeling.studio.task_list import ListedTask, Progress, change_data, selected_tasks, silent
from labeling.studio.wording import Wording
from labeling.tables import RETURNED_TASKS
from labeling.taxonomy import Taxonomy

RETURNABLE = frozenset(("two_mains", "no_main", "unknown_label", "main_in_subs", "subs_without_style"))
RETURNABLE |= {"unknown_control", "malformed", "unknown_choice"}  # the annotator can put all of these right
CONFLICT, SUSPICIOUS = "conflict", "suspicious"
TO_ANNOTATOR, TO_ANOTHER, TO_REVIEWER = "to_annotator", "to_another_annotator", "to_reviewer"
WITHHELD = "withheld: "  # before the model version of a prediction that is not shown any more
MOST_EXTRA_ANSWERS = 2  # that a conflict may ask for; then a reviewer decides

Row = dict[str, Any]
NEVER = datetime.min.replace(tzinfo=UTC)
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Returns:
    """Sends tasks of one project back; each method returns the new rows of ``RETURNED_TASKS``.

    Attributes:
        connection: to the server, with the token of a user who may change other people's annotations.
        project_id: of the project.
        settings: of the server.
        taxonomy: the labels that may be given.
        previous: ``RETURNED_TASKS`` of all runs before.
    """

    connection: Connection
    project_id: int
    settings: LabelStudioServer
    taxonomy: Taxonomy
    previous: pa.Table

    def return_invalid(self, quarantined: pa.Table, annotations: pa.Table, progress: Progress = silent) -> pa.Table:
        """Send answers that break a rule back to their annotators, with what is wrong in words.

        The annotation keeps its content but counts as skipped, which opens the task for its annotator again. A
        correction that is wrong too comes back in its turn, as it is younger than the last return. An answer that has
        changed since it was exported is left for the next time, one that its annotator has already replaced for good.
        What a killed run sent back is taken into the rows.

        Args:
            quarantined: ``QUARANTINED_ANNOTATIONS``.
            annotations: ``ANNOTATIONS`` of the same export.
            progress: is told how many tasks are done.
        """
        wrong = self._wrong_answers(quarantined, by_person(annotations.to_pylist()))
        tasks = {task.task_id: task for task in selected_tasks(self.connection, self.project_id, wrong)}
        rows: list[Row] = []
        for number, (task_id, answers) in enumerate(wrong.items(), start=1):
            if task_id in tasks:
                rows += _while_it_stands(self._return_answers(tasks[task_id], answers))
            progress(number, len(wrong))
        return _table(rows)

    def return_conflicts(self, labels: pa.Table, annotations: pa.Table, progress: Progress = silent) -> pa.Table:
        """Ask one more expert about each image on which they disagree, and say between what.

        A task gets at most two answers more than ``settings.answers_per_image``, and none where reviewers disagree:
        then the mark is for a reviewer. A task that does not have its regular answers yet, or one that is being
        corrected, has to wait. Who is asked finds no prediction ticked: the model shall not tip the scales.

        Args:
            labels: ``LABELS``.
            annotations: ``ANNOTATIONS`` that they follow from.
            progress: is told how many conflicts are done.
        """
        answers = _by_image(annotations)
        conflicts = [row for row in labels.to_pylist() if row["status"] == CONFLICT and row["image_id"] in answers]
        of_task = {_main_task(answers[row["image_id"]]): row for row in conflicts}
        rows: list[Row] = []
        tasks = selected_tasks(self.connection, self.project_id, of_task)
        for number, task in enumerate(tasks, start=1):
            label = of_task[task.task_id]
            rows += _while_it_stands(self._return_conflict(task, label["mains"], answers[label["image_id"]]))
            progress(number, len(of_task))
        return _table(rows)

    def return_suspicious(self, suspicious: pa.Table, annotations: pa.Table, progress: Progress = silent) -> pa.Table:
        """Show reviewers the labels that the model doubts most: at most ``settings.review_suspicious`` images.

        Images that a reviewer has looked at, and those shown before whose answers have not changed since, are passed
        over; tasks that came back for another reason have to wait.

        Args:
            suspicious: rows of ``SUSPICIOUS_LABELS``.
            annotations: ``ANNOTATIONS`` that the labels follow from.
            progress: is told how many images are done.
        """
        answers = _by_image(annotations)
        of_task: dict[int, Row] = {}
        for row in sorted(suspicious.to_pylist(), key=lambda row: row["rank"]):
            given = answers.get(row["image_id"], [])
            if given and not any(answer["review"] for answer in given):
                task_id = _main_task(given)
                if self._is_news(task_id, SUSPICIOUS, _latest(given)):
                    of_task.setdefault(task_id, row)
        tasks = {task.task_id: task for task in selected_tasks(self.connection, self.project_id, of_task)}
        free = [task_id for task_id in of_task if task_id in tasks and _is_free(tasks[task_id], SUSPICIOUS_MARK)]
        free = free[: self.settings.review_suspicious]
        rows: list[Row] = []
        for number, task_id in enumerate(free, start=1):
            row = of_task[task_id]
            rows += _while_it_stands(self._return_doubt(tasks[task_id], row, answers[row["image_id"]]))
            progress(number, len(free))
        return _table(rows)

    @cached_property
    def _words(self) -> Wording:
        return Wording(self.taxonomy, self.settings.language)

    @cached_property
    def _returned(self) -> dict[tuple[str, str], datetime]:
        """When each annotation, and each task for each reason, came back last."""
        latest: dict[tuple[str, str], datetime] = {}
        for row in self.previous.to_pylist():
            key = _key(row["task_id"], row["reason"], row["annotation_id"])
            latest[key] = max(row["returned_at"], latest.get(key, NEVER))
        return latest

    def _is_news(self, task_id: int | str, reason: str, version: datetime, annotation_id: str | None = None) -> bool:
        return version > self._returned.get(_key(task_id, reason, annotation_id), NEVER)

    def _wrong_answers(
        self, quarantined: pa.Table, answered: Mapping[tuple[str, str], datetime]
    ) -> dict[int, list[Row]]:
        """Return the rows to send back by task, each with the ``version`` of its annotation."""
        wrong: defaultdict[int, list[Row]] = defaultdict(list)
        for row in quarantined.to_pylist():
            if row["task_id"] is None or not (row["reason"] in RETURNABLE or sent_back_by_another(row)):
                continue
            version = version_of(row)
            if answered.get((row["task_id"], row["annotator"] or ""), NEVER) > version:
                continue
            if self._is_news(row["task_id"], row["reason"], version, row["annotation_id"]):
                wrong[int(row["task_id"])].append(row | {"version": version})
        return dict(wrong)

    def _return_answers(self, task: ListedTask, answers: Iterable[Row]) -> Iterator[Row]:
        current = [row for row in answers if self._is_current(row)]
        marked = str(task.data.get(ATTENTION, ""))
        for row in current:
            if row["reason"] not in RETURNABLE and marked.startswith(CORRECT_MARK):  # by a run that was killed
                yield _row(task, row["reason"], marked, TO_ANNOTATOR, row["version"], row)
        wrong = [row for row in current if row["reason"] in RETURNABLE]
        if not wrong:
            return
        text = self._words.correct([(row["reason"], row["raw"]) for row in wrong])
        # First the reason, then the return: nobody gets a task back without being told why.
        self._mark(task, text)
        for row in wrong:
            returned = self.connection.patch(f"/api/annotations/{row['annotation_id']}", {"was_cancelled": True})
            yield _row(task, row["reason"], text, TO_ANNOTATOR, moment(returned["updated_at"]) or NEVER, row)

    def _is_current(self, row: Row) -> bool:
        """Whether the server still has the annotation in the version that was judged."""
        try:
            annotation = self.connection.get(f"/api/annotations/{row['annotation_id']}")
        except StudioNotFound:
            return False
        return bool(moment(annotation["updated_at"]) == row["version"])

    def _return_conflict(self, task: ListedTask, values: list[str], answers: list[Row]) -> Iterator[Row]:
        waits = not task.is_labeled and task.overlap <= self.settings.answers_per_image
        if waits or str(task.data.get(ATTENTION, "")).startswith(CORRECT_MARK):
            return
        text = self._words.conflict(values)
        since = max(self._mark(task, text), _latest(answers))
        accepted = {(row["answer"], row["main"]) for row in answers if row["review"] == "accepted"}
        answered = max(task.overlap, task.submitted)  # the server keeps others out while it counts as many answers
        to_another = answered < self.settings.answers_per_image + MOST_EXTRA_ANSWERS and len(accepted) < 2
        if task.is_labeled and to_another:
            self._withhold_predictions(task)
            # The server does not find out by itself that a task needs more answers than it has.
            body = {"overlap": answered + 1, "is_labeled": False}
            changed = self.connection.patch(f"/api/tasks/{task.task_id}", body)
            since = max(since, moment(changed["updated_at"]) or NEVER)
        if self._is_news(task.task_id, CONFLICT, _latest(answers)):
            yield _row(task, CONFLICT, text, TO_ANOTHER if to_another or not task.is_labeled else TO_REVIEWER, since)

    def _return_doubt(self, task: ListedTask, row: Row, answers: list[Row]) -> Iterator[Row]:
        text = self._words.suspicious(row["kind"], row["label"], row["given_main"], row["suggested_main"])
        yield _row(task, SUSPICIOUS, text, TO_REVIEWER, max(self._mark(task, text), _latest(answers)))

    def _withhold_predictions(self, task: ListedTask) -> None:
        """Keep a model's answer from who is asked: the server offers those of the project's version only."""
        # Not deleted: it is the origin of answers. No push puts it back, as a task with answers gets none.
        for prediction in self.connection.get("/api/predictions", task=task.task_id):
            if not (version := prediction["model_version"] or "").startswith(WITHHELD):
                self.connection.patch(f"/api/predictions/{prediction['id']}", {"model_version": WITHHELD + version})

    def _mark(self, task: ListedTask, text: str) -> datetime:
        """Write why a task came back; return when, or a time before all others if that stands there already."""
        if task.data.get(ATTENTION) == text:
            return NEVER
        return change_data(self.connection, task.task_id, {ATTENTION: text}) or NEVER


def _while_it_stands(rows: Iterator[Row]) -> Iterator[Row]:
    """Yield the rows of one task until somebody deletes it."""
    try:
        yield from rows
    except StudioNotFound as error:
        _logger.info("a task was deleted while it was to come back: %s", error)


def sent_back_by_another(row: Row) -> bool:
    """Whether a quarantined answer was cancelled by somebody else than its annotator, and still has its content."""
    if row["reason"] not in ("skipped", "sent_back"):
        return False
    raw = json.loads(row["raw"])
    editor, author = person(raw.get("updated_by")).number, person(raw.get("completed_by")).number
    return bool(raw.get("result")) and editor not in (None, author)


def _key(task_id: int | str, reason: str, annotation_id: str | None) -> tuple[str, str]:
    return ("annotation", annotation_id) if annotation_id is not None else (reason, str(task_id))


def by_person(rows: Iterable[Row]) -> dict[tuple[str, str], datetime]:
    """Return when each person last answered each task; rows of ``ANNOTATIONS``."""
    answered: dict[tuple[str, str], datetime] = {}
    for row in rows:
        key = (row["task_id"] or "", row["annotator"])
        answered[key] = max(row["updated_at"] or NEVER, answered.get(key, NEVER))
    return answered


def version_of(row: Row) -> datetime:
    """Return when a quarantined answer was changed last."""
    return moment(json.loads(row["raw"]).get("updated_at")) or NEVER


def _by_image(annotations: pa.Table) -> dict[str, list[Row]]:
    """Return the answers that were given in Label Studio, by image."""
    answers: defaultdict[str, list[Row]] = defaultdict(list)
    for row in annotations.to_pylist():
        if row["task_id"] is not None:
            answers[row["image_id"]].append(row)
    return dict(answers)


def _main_task(answers: Iterable[Row]) -> int:
    """Return the task with most of an image's answers; an image has two where near-duplicates were both labelled."""
    counts = Counter(int(row["task_id"]) for row in answers)
    return min(counts, key=lambda task_id: (-counts[task_id], task_id))


def _latest(answers: Iterable[Row]) -> datetime:
    return max((row["updated_at"] or NEVER for row in answers), default=NEVER)


def _is_free(task: ListedTask, mark: str) -> bool:
    text = str(task.data.get(ATTENTION, ""))
    return not text or text.startswith(mark)


def _row(task: ListedTask, reason: str, detail: str, way: str, returned_at: datetime, answer: Row | None = None) -> Row:
    return {
        "task_id": task.task_id,
        "image_id": task.image_id,
        "annotation_id": answer["annotation_id"] if answer else None,
        "annotator": answer["annotator"] if answer else None,
        "reason": reason,
        "detail": detail,
        "way": way,
        "returned_at": returned_at,
    }


def _table(rows: list[Row]) -> pa.Table:
    if rows:
        ways = Counter(row["way"] for row in rows)
        _logger.info("returned: %s", ", ".join(f"{count} {way}" for way, count in sorted(ways.items())))
    return pa.Table.from_pylist(rows, schema=RETURNED_TASKS)
