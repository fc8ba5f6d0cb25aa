"""The rows of the mirror, and how the server's JSON becomes them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson

Json = dict[str, Any]

_VOLATILE = ("created_ago", "created_username")  # of drafts: no content, the first changes by itself


class FoundVersion(NamedTuple):
    """A version of an annotation or draft as it comes from the server."""

    annotation_id: str  # of a draft: draft:<id>
    task_id: int
    state: str
    raw: str
    image: str | None = None  # what its task called its image; None: what the task calls it now


class KnownVersion(NamedTuple):
    """The newest version of an annotation or draft in the mirror."""

    version: int
    task_id: int
    state: str
    raw: str
    image: str | None


@dataclass(frozen=True)
class StoredVersion:
    """One version of an annotation or draft, with what its task called its image when the version was new."""

    version: int  # they count up in the order in which they were seen
    annotation_id: str
    task_id: int
    state: str
    seen_at: datetime
    raw: str
    image: str | None


def task_row(task: Json) -> tuple[int, str, int, int, str]:
    """Return the row of a task without its annotations."""
    counts = task["total_annotations"], task["cancelled_annotations"]
    return task["id"], task["updated_at"], *counts, as_text(task["data"])


def annotation_versions(task: Json) -> Iterator[FoundVersion]:
    """Yield the annotations of a task."""
    for annotation in task["annotations"]:
        state = "skipped" if annotation["was_cancelled"] else "submitted"
        yield FoundVersion(str(annotation["id"]), task["id"], state, as_text(annotation))


def draft_versions(task_id: int, drafts: Iterable[Json]) -> Iterator[FoundVersion]:
    """Yield the drafts on a task."""
    for draft in drafts:
        content = {name: value for name, value in draft.items() if name not in _VOLATILE}
        yield FoundVersion(f"draft:{draft['id']}", task_id, "draft", as_text(content))


def as_text(value: Any) -> str:
    """Write JSON, the same text for the same content."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
