"""Reads the fields of an annotation as Label Studio writes them; the server accepts any JSON, so nothing is trusted."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from labeling.annotations import Problem
from labeling.config import ACCEPTED, MAIN, NOTE, REJECTED, REVIEW, SUBS

Json = dict[str, Any]

_DECISIONS = {ACCEPTED: "accepted", REJECTED: "rejected"}
_TYPES = {MAIN: "choices", SUBS: "choices", REVIEW: "choices", NOTE: "textarea"}
_OBJECT = "image"  # what every control of the labeling config is about


@dataclass(frozen=True)
class Result:
    """What the controls of one annotation hold."""

    mains: list[str]
    subs: list[str]
    review: str | None  # accepted, rejected
    note: str | None


@dataclass(frozen=True)
class Person:
    """A user as an export names it: by number, or with the email address too."""

    number: str | None
    email: str | None


def read_result(result: Any) -> Result | Problem:
    """Collect what each control holds, or say why the result is none of the labeling config."""
    if not isinstance(result, list):
        return Problem("malformed", "the annotation has no list of results; export again, or label the image again")
    chosen: dict[str, list[str]] = {MAIN: [], SUBS: [], REVIEW: []}
    notes: list[str] = []
    for item in result:
        control = item.get("from_name") if isinstance(item, dict) else None
        if not isinstance(control, str) or control not in _TYPES:
            return Problem(
                "unknown_control", f"{control!r} is no control of the labeling config; label the image again"
            )
        if control == NOTE:
            notes.extend(_note(item.get("value")))
            continue
        texts = _choices(item, control)
        if isinstance(texts, Problem):
            return texts
        chosen[control].extend(texts)
    review = _decision(chosen[REVIEW])
    if isinstance(review, Problem):
        return review
    return Result(chosen[MAIN], chosen[SUBS], review, "\n".join(notes) or None)


def _choices(item: Json, control: str) -> list[str] | Problem:
    kind, about = item.get("type", _TYPES[control]), item.get("to_name", _OBJECT)
    if kind != _TYPES[control] or about != _OBJECT:
        return Problem(
            "malformed", f"the control {control!r} holds {kind!r} about {about!r}, not choices; label the image again"
        )
    value = item.get("value")
    texts = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(texts, list) or not all(isinstance(entry, str) for entry in texts):
        return Problem("malformed", f"the control {control!r} holds no list of choices; label the image again")
    return texts


def _note(value: Any) -> list[str]:
    """Return the lines of a note; one that cannot be read is no reason to lose the answer."""
    lines = value.get("text") if isinstance(value, dict) else None
    lines = [lines] if isinstance(lines, str) else lines
    return [line for line in lines if isinstance(line, str)] if isinstance(lines, list) else []


def _decision(choices: list[str]) -> str | Problem | None:
    """Read the review control: nothing, accepted or rejected."""
    distinct = sorted(set(choices))
    if not distinct:
        return None
    if len(distinct) > 1 or distinct[0] not in _DECISIONS:
        return Problem("unknown_choice", f"review is {', '.join(distinct)}; it must be {ACCEPTED} or {REJECTED}")
    return _DECISIONS[distinct[0]]


def text(value: Any) -> str | None:
    """Return a non-empty string or a number as text; anything else as None."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None


def person(value: Any) -> Person:
    """Read a user given as a number, an address, or an object with both."""
    if isinstance(value, dict):
        return Person(text(value.get("id")), text(value.get("email")) or text(value.get("username")))
    name = text(value)
    return Person(name, None) if isinstance(value, int) else Person(None, name)


def seconds(value: Any) -> float | None:
    """Return a number; anything else as None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def moment(value: Any) -> datetime | None:
    """Read an ISO time; without a zone it is UTC, which is what the server writes."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):  # no time, or one before the year 1
        return None
