"""Checks every annotation that comes from Label Studio, since the server checks almost nothing.

One reader serves the exported file and the mirror of a live project. Skipped and deleted annotations, drafts and wrong
answers are refused with a reason; of several answers of one person for one image the latest counts.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from labeling.annotations import Annotation, Annotations, Problem, Refused, as_json, check_labels, natural, recency
from labeling.references import WITHDRAWN, ImageIndex, UnresolvedImage
from labeling.results import Json, Person, moment, person, read_result, seconds, text
from labeling.taxonomy import Taxonomy

logger = logging.getLogger(__name__)

State = Literal["submitted", "skipped", "draft", "deleted", "task_deleted"]

_SKIPPED = Problem("skipped", "the annotator skipped the image; nothing to do unless it should be labelled")
_SENT_BACK = Problem("sent_back", "sent back to the annotator, who has not corrected it yet")
_REFUSED_STATES: dict[State, Problem] = {
    "draft": Problem("draft", "not submitted yet; the annotator has to submit or delete it"),
    "deleted": Problem("deleted", "deleted in Label Studio; label the image again if that was a mistake"),
    "task_deleted": Problem("task_deleted", "its task was deleted in Label Studio; queue the image again if it counts"),
}
_OPEN_REASONS = ("skipped", "sent_back", "deleted")  # which a later answer of the same person settles


@dataclass(frozen=True, slots=True)
class TaskReference:
    """The task of an annotation: its number, and what it calls its image."""

    task_id: str | None
    image: str | None

    @classmethod
    def of(cls, task_id: object, data: object) -> "TaskReference":
        """Read the number and the data of a task, whatever their types."""
        fields = data if isinstance(data, dict) else {}
        return cls(text(task_id), text(fields.get("image_id")) or text(fields.get("image")))


@dataclass(frozen=True, slots=True)
class _Answer:
    """One annotation on its way through the checks."""

    annotation_id: str
    task: TaskReference
    person: Person
    editor: Person  # who changed it last
    raw: Callable[[], str]  # only what is refused is asked for it


def _superseded(latest: Annotation) -> Problem:
    return Problem("superseded", f"{latest.annotator} answered again in annotation {latest.annotation_id}")


class AnnotationReader:
    """Takes annotations one by one, and settles at the end who is who and which answers count."""

    def __init__(
        self,
        index: ImageIndex,
        taxonomy: Taxonomy,
        *,
        users: Mapping[int, str] | None = None,
        sent_back: Collection[str] = (),
        link: Callable[[int], str] | None = None,
    ):
        """Prepare to read.

        Args:
            index: finds the image that a task names.
            taxonomy: the labels that may be given.
            users: email address of every user that is known, by id; None if the input names its users itself.
            sent_back: ids of annotations that were cancelled to send them back to their annotators.
            link: from a task number to its address in Label Studio.
        """
        self._index = index
        self._taxonomy = taxonomy
        self._known = None if users is None else frozenset(users.values())
        self._sent_back = frozenset(sent_back)
        self._link = link
        self._emails: dict[str, str] = {str(number): email for number, email in (users or {}).items()}
        self._valid: list[tuple[_Answer, Annotation]] = []
        self._refused: list[tuple[_Answer, Problem]] = []

    def add(
        self,
        raw: object,
        task: TaskReference,
        state: State,
        fallback_id: str = "",
        *,
        edited_by: object = None,
        stored: Callable[[], str] | None = None,
    ) -> None:
        """Check one annotation or draft.

        Args:
            raw: the annotation as the server gives it.
            task: that it belongs to.
            state: what has become of it.
            fallback_id: its name if it has no id of its own.
            edited_by: who made its content what it is, where that is not the last who changed it.
            stored: returns its JSON, if that need not be kept until it is known whether it counts.
        """
        fields: Json = raw if isinstance(raw, dict) else {"result": raw}
        author = self._person(fields.get("user" if state == "draft" else "completed_by"))
        editor = self._person(fields.get("updated_by") if edited_by is None else edited_by)
        answer = _Answer(text(fields.get("id")) or fallback_id, task, author, editor, stored or _kept(fields))
        checked = self._check(answer, fields, state)
        if isinstance(checked, Problem):
            name = f"draft:{answer.annotation_id}" if state == "draft" else answer.annotation_id
            self._refused.append((replace(answer, annotation_id=name), checked))
        else:
            self._valid.append((answer, checked))

    def result(self) -> Annotations:
        """Settle which answer of a person is the latest and which reviews count."""
        groups: defaultdict[tuple[str, str], list[tuple[_Answer, Annotation]]] = defaultdict(list)
        void = 0
        for answer, annotation in self._valid:
            named = self._settled(answer, annotation)
            void += annotation.review is not None and named.review is None
            groups[named.image_id, named.annotator].append((answer, named))
        if void:
            logger.warning(
                "%d reviews do not count: made by the annotator, or the annotator changed the answer afterwards", void
            )
        valid: list[Annotation] = []
        latest_of: dict[tuple[str, str], Annotation] = {}
        refused: list[Refused] = []
        for person_and_image, group in groups.items():
            group.sort(key=lambda entry: recency(entry[1]))
            *older, (_, latest) = group
            valid.append(latest)
            latest_of[person_and_image] = latest
            refused.extend(self._refuse(answer, _superseded(latest)) for answer, _ in older)
        refused += [
            self._refuse(answer, self._replaced(answer, why, latest_of) or why) for answer, why in self._refused
        ]
        reasons = Counter(row.reason for row in refused)
        logger.info("%d annotations count; refused: %s", len(valid), dict(sorted(reasons.items())) or "none")
        return Annotations.from_rows(valid, refused)

    def _person(self, value: object) -> Person:
        user = person(value)
        if user.number is not None and user.email is not None:
            self._emails[user.number] = user.email  # the same user may appear with and without an address
        return user

    def _check(self, answer: _Answer, fields: Json, state: State) -> Annotation | Problem:
        problem = _REFUSED_STATES.get(state) or self._sender_problem(answer, fields)
        if problem is not None:
            return problem
        if answer.task.image is None:
            return Problem("unknown_image", "the task has neither data.image_id nor data.image; import it again")
        image = self._index.resolve(answer.task.image)
        if isinstance(image, UnresolvedImage):
            return Problem(image.reason, image.detail)
        read = read_result(fields.get("result"))
        if isinstance(read, Problem):
            return read
        labels = check_labels(read.mains, read.subs, self._taxonomy)
        if isinstance(labels, Problem):
            return labels
        return Annotation(
            answer.annotation_id,
            answer.task.task_id,
            image.image_id,
            image.labeled_image_id,
            annotator="",  # settled when all users are known
            answer=labels.answer,
            main=labels.main,
            subs=labels.subs,
            review=read.review,
            note=read.note,
            lead_time=seconds(fields.get("lead_time")),
            created_at=moment(fields.get("created_at")),
            updated_at=moment(fields.get("updated_at")),
        )

    def _sender_problem(self, answer: _Answer, fields: Json) -> Problem | None:
        """Say why an annotation counts for nobody: skipped, sent back, or of nobody that is known."""
        if fields.get("was_cancelled"):
            # an annotator who skips it again is the last to have changed it
            ours = answer.annotation_id in self._sent_back and answer.editor != answer.person
            return _SENT_BACK if ours else _SKIPPED
        if answer.person == Person(None, None):
            return Problem("no_annotator", "completed_by is empty; somebody has to submit it under an account")
        if self._known is not None and self._name(answer.person) not in self._known:
            return Problem(
                "unknown_annotator",
                f"nobody knows who user {self._name(answer.person)} is: removed from the organization before an export "
                "saw who it was; add the user again until the next export, or have the image labelled by somebody else",
            )
        return None

    def _settled(self, answer: _Answer, annotation: Annotation) -> Annotation:
        """Name the annotator and the reviewer; a review by the annotator, or by nobody that is known, is dropped."""
        annotator = self._name(answer.person)
        if annotation.review is None:
            return replace(annotation, annotator=annotator)
        # whoever changed an annotation last stands for all of it: an annotator who changes a reviewed answer voids the
        # review, although the reviewer's choice is still in the result
        reviewer = self._name(answer.editor)
        known = reviewer and (self._known is None or reviewer in self._known)
        if not known or reviewer == annotator:
            return replace(annotation, annotator=annotator, review=None)
        return replace(annotation, annotator=annotator, reviewer=reviewer)

    def _replaced(
        self, answer: _Answer, why: Problem, latest_of: Mapping[tuple[str, str], Annotation]
    ) -> Problem | None:
        """Say that the annotator has answered anew what was skipped, sent back or deleted; None if not."""
        if why.reason not in _OPEN_REASONS or answer.task.image is None:
            return None
        image = self._index.resolve(answer.task.image)
        if isinstance(image, UnresolvedImage):
            return None
        latest = latest_of.get((image.image_id, self._name(answer.person)))
        if latest is None or natural(latest.annotation_id) < natural(answer.annotation_id):
            return None
        return _superseded(latest)

    def _name(self, user: Person) -> str:
        return user.email or self._emails.get(user.number or "") or user.number or ""

    def _refuse(self, answer: _Answer, problem: Problem) -> Refused:
        task_id = answer.task.task_id
        if problem.reason == WITHDRAWN:  # nothing that names the image is kept
            return Refused(answer.annotation_id, None, None, None, problem.reason, problem.detail, None, "")
        return Refused(
            answer.annotation_id,
            task_id,
            answer.task.image,
            self._name(answer.person) or None,
            problem.reason,
            problem.detail,
            self._link(int(task_id)) if self._link is not None and task_id is not None else None,
            answer.raw(),
        )


def _kept(fields: Json) -> Callable[[], str]:
    content = as_json(fields)  # takes less memory than the fields
    return lambda: content
