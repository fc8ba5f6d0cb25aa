"""Reads Label Studio's full JSON export: every annotation is checked, since the server checks almost nothing.

The file is read as a stream of tasks. Cancelled annotations, drafts and wrong answers are refused with a reason;
predictions are not read.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import SEEK_CUR
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import ijson  # type: ignore[import-untyped]  # publishes no types

from labeling.annotations import Annotation, Annotations, Problem, Refused, as_json, check_labels, recency
from labeling.config import ACCEPTED, MAIN, NOTE, REJECTED, REVIEW, SUBS
from labeling.errors import LabelingError
from labeling.references import ImageIndex, UnresolvedImage
from labeling.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

_BOM = b"\xef\xbb\xbf"
_DECISIONS = {ACCEPTED: "accepted", REJECTED: "rejected"}

Json = dict[str, Any]


def read_label_studio_export(path: Path, index: ImageIndex, taxonomy: Taxonomy) -> Annotations:
    """Read the export at ``path`` (format "JSON") into valid and quarantined annotations.

    Where an annotator answered twice for the same near-duplicate cluster, the latest answer counts and the older ones
    are refused as ``superseded``.

    Raises:
        LabelingError: if the file is missing, is no JSON, or is another export format.
    """
    reader = _Reader(index, taxonomy)
    for task in _tasks(path):
        reader.read_task(task)
    annotations = reader.result()
    logger.info(
        "%s: %d annotations, %d refused", path.name, annotations.valid.num_rows, annotations.quarantined.num_rows
    )
    return annotations


def _tasks(path: Path) -> Iterator[Json]:
    """Yield the tasks of the export one by one; an entry that is no task comes as an annotation without one."""
    try:
        with path.open("rb") as file:
            is_object = _skip_to_content(file) == b"{"
            entries = ijson.items(file, "item", use_float=True)
            head = [] if is_object else list(islice(entries, 1))
            if is_object or (head and not _is_task(head[0])):
                raise LabelingError(
                    f"{path.name} is no full Label Studio export (a list of tasks, each with data and annotations); "
                    "export again with the format JSON, not JSON-MIN"
                )
            for task in chain(head, entries):
                yield task if isinstance(task, dict) else {"data": {}, "annotations": [task]}
    except OSError as error:
        raise LabelingError(f"cannot read the label export {path}: {error.strerror}; correct its path") from error
    except (ijson.JSONError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise LabelingError(f"{path.name} is not complete JSON ({line}); export it again") from error


def _skip_to_content(file: BinaryIO) -> bytes:
    """Skip a byte order mark and white space; return the first byte after them without reading it."""
    if file.read(len(_BOM)) != _BOM:
        file.seek(0)
    while (byte := file.read(1)).isspace():
        pass
    file.seek(-len(byte), SEEK_CUR)
    return byte


def _is_task(entry: Any) -> bool:
    answers = {"annotations", "completions"}
    return isinstance(entry, dict) and isinstance(entry.get("data"), dict) and not answers.isdisjoint(entry)


@dataclass(frozen=True)
class _Person:
    """A user as an export names it: by number, or with the email address too."""

    number: str | None
    email: str | None


@dataclass(frozen=True)
class _Answer:
    """One annotation on its way through the checks."""

    annotation_id: str
    task_id: str | None
    image: str | None
    person: _Person
    reviewer: _Person
    raw: Json


class _Reader:
    def __init__(self, index: ImageIndex, taxonomy: Taxonomy):
        self._index = index
        self._taxonomy = taxonomy
        self._emails: dict[str, str] = {}  # by user number: the same user may appear with and without address
        self._valid: list[tuple[_Answer, Annotation]] = []
        self._refused: list[tuple[_Answer, Problem]] = []

    def read_task(self, task: Json) -> None:
        """Check every annotation and draft of one task."""
        data = task.get("data")
        data = data if isinstance(data, dict) else {}
        image = _text(data.get("image_id")) or _text(data.get("image"))
        task_id = _text(task.get("id"))
        for place, raw in enumerate(_listed(task.get("annotations", task.get("completions")))):
            answer = self._answer(raw, task_id, image, f"{task_id}:{place}", "completed_by")
            checked = self._check(answer)
            if isinstance(checked, Problem):
                self._refused.append((answer, checked))
            else:
                self._valid.append((answer, checked))
        for place, raw in enumerate(_listed(task.get("drafts"))):
            answer = self._answer(raw, task_id, image, f"{task_id}:{place}", "user")
            answer = replace(answer, annotation_id=f"draft:{answer.annotation_id}")
            self._refused.append(
                (answer, Problem("draft", "not submitted yet; the annotator has to submit or delete it"))
            )

    def result(self) -> Annotations:
        """Settle who is who and which answer of a person is the latest."""
        groups: defaultdict[tuple[str, str], list[tuple[_Answer, Annotation]]] = defaultdict(list)
        for answer, annotation in self._valid:
            named = replace(
                annotation, annotator=self._name(answer.person), reviewer=self._name(answer.reviewer) or None
            )
            groups[named.image_id, named.annotator].append((answer, named))
        valid: list[Annotation] = []
        refused = [self._refuse(answer, problem) for answer, problem in self._refused]
        for group in groups.values():
            group.sort(key=lambda entry: recency(entry[1]))
            *older, (_, latest) = group
            valid.append(latest)
            problem = Problem("superseded", f"{latest.annotator} answered again in annotation {latest.annotation_id}")
            refused.extend(self._refuse(answer, problem) for answer, _ in older)
        return Annotations.from_rows(valid, refused)

    def _answer(self, raw: Any, task_id: str | None, image: str | None, fallback: str, by: str) -> _Answer:
        fields = raw if isinstance(raw, dict) else {"result": raw}
        person, reviewer = _person(fields.get(by)), _person(fields.get("updated_by"))
        for user in (person, reviewer):
            if user.number is not None and user.email is not None:
                self._emails[user.number] = user.email
        return _Answer(_text(fields.get("id")) or fallback, task_id, image, person, reviewer, fields)

    def _check(self, answer: _Answer) -> Annotation | Problem:
        if answer.raw.get("was_cancelled"):
            return Problem("skipped", "the annotator skipped the image; nothing to do unless it should be labelled")
        if answer.person == _Person(None, None):
            return Problem("no_annotator", "completed_by is empty; somebody has to submit it under an account")
        if answer.image is None:
            return Problem("unknown_image", "the task has neither data.image_id nor data.image; import it again")
        image = self._index.resolve(answer.image)
        if isinstance(image, UnresolvedImage):
            return Problem(image.reason, image.detail)
        choices = _choices(answer.raw.get("result"))
        if isinstance(choices, Problem):
            return choices
        labels = check_labels(choices[MAIN], choices[SUBS], self._taxonomy)
        if isinstance(labels, Problem):
            return labels
        review = _decision(choices[REVIEW])
        if isinstance(review, Problem):
            return review
        return Annotation(
            answer.annotation_id,
            answer.task_id,
            image.image_id,
            image.labeled_image_id,
            annotator="",  # settled when all users are known
            main=labels[0],
            subs=labels[1],
            review=review,
            lead_time=_seconds(answer.raw.get("lead_time")),
            created_at=_moment(answer.raw.get("created_at")),
            updated_at=_moment(answer.raw.get("updated_at")),
        )

    def _name(self, person: _Person) -> str:
        return person.email or self._emails.get(person.number or "") or person.number or ""

    def _refuse(self, answer: _Answer, problem: Problem) -> Refused:
        return Refused(
            answer.annotation_id,
            answer.task_id,
            answer.image,
            self._name(answer.person) or None,
            problem.reason,
            problem.detail,
            as_json(answer.raw),
        )


def _choices(result: Any) -> dict[str, list[str]] | Problem:
    """Collect the choices of each control."""
    chosen: dict[str, list[str]] = {MAIN: [], SUBS: [], REVIEW: []}
    if not isinstance(result, list):
        return Problem("malformed", "the annotation has no list of results; export again, or label the image again")
    for item in result:
        control = item.get("from_name") if isinstance(item, dict) else None
        if control == NOTE:
            continue
        if control not in chosen:
            return Problem(
                "unknown_control", f"{control!r} is no control of the labeling config; label the image again"
            )
        value = item.get("value")
        texts = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            return Problem("malformed", f"the control {control!r} holds no list of choices; label the image again")
        chosen[control].extend(texts)
    return chosen


def _decision(choices: list[str]) -> str | Problem | None:
    """Read the review control: nothing, accepted or rejected."""
    distinct = sorted(set(choices))
    if not distinct:
        return None
    if len(distinct) > 1 or distinct[0] not in _DECISIONS:
        return Problem("unknown_choice", f"review is {', '.join(distinct)}; it must be {ACCEPTED} or {REJECTED}")
    return _DECISIONS[distinct[0]]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    """Return a non-empty string or a number as text; anything else as None."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def _person(value: Any) -> _Person:
    """Read a user given as a number, an address, or an object with both."""
    if isinstance(value, dict):
        return _Person(_text(value.get("id")), _text(value.get("email")) or _text(value.get("username")))
    text = _text(value)
    return _Person(text, None) if isinstance(value, int) else _Person(None, text)


def _seconds(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _moment(value: Any) -> datetime | None:
    """Read an ISO time; without a zone it is UTC, which is what the server writes."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
