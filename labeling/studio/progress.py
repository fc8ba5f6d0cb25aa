"""How far the export of a Label Studio project has come, and what it found."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Self

import orjson
from pydantic import TypeAdapter

OVERLAP = timedelta(seconds=10)  # a change is visible at most this long after the time that it bears


@dataclass(frozen=True)
class MirroredProject:
    """What tells one project from any other, also from one of the same number on a server that was set up anew."""

    url: str
    project_id: int
    created_at: str  # as the server writes it

    def __str__(self) -> str:
        return f"project {self.project_id} of {self.url}, created {self.created_at[:19]}"


@dataclass(frozen=True)
class TaskStamp:
    """What shows that a task is not as it was: cheap to list on the server."""

    updated_at: str  # as the server writes it
    submitted: int
    cancelled: int


@dataclass(frozen=True)
class SyncState:
    """How far the export has come.

    A change bears the time at which it was made but is visible only when it is committed, which may be some seconds
    later. So what was fetched up to ``swept`` is looked through again from ``settled`` on until enough time has passed.
    """

    swept: datetime | None = None  # server's time: every change up to it that was visible has been fetched
    swept_seen: datetime | None = None  # our time at which the server was first seen to have come to ``swept``
    settled: datetime | None = None  # server's time: nothing up to it can become visible any more
    target: datetime | None = None  # server's time: ``swept`` when the sweep that is going on is done
    target_seen: datetime | None = None  # our time at which the sweep began
    after_id: int = 0  # the sweep has fetched the tasks up to this one
    reconciled_at: datetime | None = None  # our time of the last reconciliation

    @property
    def settles_at(self) -> datetime | None:
        """Our time from which one more export finds what became visible late; None: nothing can have."""
        if self.swept is None or self.swept_seen is None or self.settled == self.swept:
            return None
        return self.swept_seen + OVERLAP

    def to_json(self) -> str:
        """Write all fields as JSON."""
        return orjson.dumps(self).decode()

    @classmethod
    def from_json(cls, content: str) -> Self:
        """Read what ``to_json`` wrote."""
        return TypeAdapter(cls).validate_json(content)


@dataclass(frozen=True)
class Changes:
    """What was new on the server, as counts."""

    tasks: int = 0  # fetched
    annotations_new: int = 0
    annotations_changed: int = 0
    annotations_deleted: int = 0
    skipped: int = 0  # of the new and changed ones
    drafts: int = 0  # new, changed or gone
    tasks_deleted: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Changes)))

    def __bool__(self) -> bool:
        """Whether anything was new; a task that was fetched again without being different is not."""
        return any(getattr(self, field.name) for field in fields(Changes) if field.name != "tasks")

    @classmethod
    def of(cls, *, new: Iterable[str] = (), changed: Iterable[str] = (), gone: Iterable[str] = ()) -> Self:
        """Count versions by the state that they have, or had when they went."""
        added, altered, lost = Counter(new), Counter(changed), Counter(gone)
        return cls(
            annotations_new=added["submitted"] + added["skipped"],
            annotations_changed=altered["submitted"] + altered["skipped"],
            annotations_deleted=lost["submitted"] + lost["skipped"],
            skipped=added["skipped"] + altered["skipped"],
            drafts=added["draft"] + altered["draft"] + lost["draft"],
        )
