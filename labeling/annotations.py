"""What every label source produces: valid annotations, and beside them what was refused with the reason."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa

from labeling.config import CANT_TELL, NOT_FASHION
from labeling.tables import ANNOTATIONS, QUARANTINED_ANNOTATIONS
from labeling.taxonomy import Taxonomy

Answer = Literal["style", "not_fashion", "cant_tell"]

_TEXTS: dict[Answer, str] = {"not_fashion": NOT_FASHION, "cant_tell": CANT_TELL}
_NO_STYLE = {text.casefold(): answer for answer, text in _TEXTS.items()}


@dataclass(frozen=True)
class Annotation:
    """One person's valid answer for one image: a row of ``ANNOTATIONS``."""

    annotation_id: str
    task_id: str | None
    image_id: str
    labeled_image_id: str
    annotator: str
    answer: Answer
    main: str | None  # None unless the answer is a style
    subs: tuple[str, ...]
    review: str | None = None
    reviewer: str | None = None
    note: str | None = None
    lead_time: float | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True)
class Refused:
    """An answer that does not count: a row of ``QUARANTINED_ANNOTATIONS``."""

    annotation_id: str
    task_id: str | None
    image: str | None
    annotator: str | None
    reason: str
    detail: str
    task_link: str | None
    raw: str


@dataclass(frozen=True)
class Labels:
    """What an answer says: a style with its sub styles, or one of the two answers of their own."""

    answer: Answer
    main: str | None  # None unless the answer is a style
    subs: tuple[str, ...]  # in taxonomy order


@dataclass(frozen=True)
class Problem:
    """Why an answer is refused: a short code and one line that says what to do."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Annotations:
    """Everything that a label source holds: nothing that was read is in neither table."""

    valid: pa.Table  # ANNOTATIONS, sorted by image, annotator, annotation id
    quarantined: pa.Table  # QUARANTINED_ANNOTATIONS, sorted by task and annotation id, shorter ids first

    @classmethod
    def from_rows(cls, valid: Iterable[Annotation], refused: Iterable[Refused]) -> "Annotations":
        """Build both tables in their order."""
        good = sorted(valid, key=lambda row: (row.image_id, row.annotator, natural(row.annotation_id)))
        bad = sorted(refused, key=lambda row: (natural(row.task_id or ""), natural(row.annotation_id), row.reason))
        return cls(
            pa.Table.from_pylist([vars(row) for row in good], schema=ANNOTATIONS),
            pa.Table.from_pylist([vars(row) for row in bad], schema=QUARANTINED_ANNOTATIONS),
        )


def check_labels(mains: Sequence[str], subs: Sequence[str], taxonomy: Taxonomy) -> Labels | Problem:
    """Check one answer: exactly one main, known labels, the main not among the subs, no subs without a style.

    "Not a fashion image" and "Can't tell" are answers in the place of a main label. Returns the labels, the subs
    distinct and in taxonomy order, or the first problem.
    """
    without_style = {answer for text in mains if (answer := _no_style(text))}
    for text in (*(text for text in mains if not _no_style(text)), *subs):
        if taxonomy.canonical(text) is None:
            return Problem("unknown_label", f"{text!r} is not in the taxonomy; correct it, or add it to the taxonomy")
    known_mains = taxonomy.ordered(label for text in mains if (label := taxonomy.canonical(text)))
    known_subs = taxonomy.ordered(label for text in subs if (label := taxonomy.canonical(text)))
    chosen = [*known_mains, *(text for answer, text in _TEXTS.items() if answer in without_style)]
    if not chosen:
        return Problem("no_main", "no main label; choose exactly one")
    if len(chosen) > 1:
        return Problem("two_mains", f"{len(chosen)} main labels ({', '.join(chosen)}); choose exactly one")
    if without_style:
        if known_subs:
            return Problem("subs_without_style", f"{chosen[0]!r} has sub labels beside it; remove one or the other")
        return Labels(without_style.pop(), None, ())
    if known_mains[0] in known_subs:
        return Problem("main_in_subs", f"{known_mains[0]!r} is main and sub at once; remove it from the subs")
    return Labels("style", known_mains[0], tuple(known_subs))


def _no_style(text: str) -> Answer | None:
    """Return which answer of its own a text is, whatever its case and the space around it."""
    return _NO_STYLE.get(text.strip().replace("\u2019", "'").casefold())  # word processors curl the apostrophe


def as_json(value: Any) -> str:
    """Write a raw row for the quarantine, the same text for the same content."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)


def natural(text: str) -> tuple[int, str]:
    """Sort key that puts ``csv:9`` before ``csv:10``."""
    return len(text), text


def recency(row: Annotation) -> tuple[datetime, tuple[int, str]]:
    """Sort key by which the latest annotation is the greatest; one without a time is older than any with one."""
    moment = row.updated_at or row.created_at or datetime.min.replace(tzinfo=UTC)
    return moment, natural(row.annotation_id)
