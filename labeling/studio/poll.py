"""Asks a Label Studio server, with one cheap request, whether there is anything to fetch."""

from dataclasses import dataclass
from datetime import datetime

from labeling.studio.connection import Connection
from labeling.studio.listing import TaskReader


@dataclass(frozen=True)
class Work:
    """What waits to be fetched."""

    changed: int  # tasks
    newest: datetime | None  # the last change, by the server's clock; None if nothing changed


def new_work(connection: Connection, project_id: int, cursor: datetime | None) -> Work:
    """Return how much changed after ``cursor``, which is ``StudioStore.cursor``; None: since ever.

    Three things do not show here. A change that was committed after the export but bears a time up to ``cursor`` is
    found by one more export from ``SyncState.settles_at`` on: whoever waits for work has to ask for it. Drafts and
    deleted tasks are found by a reconciliation.

    Raises:
        StudioNotFound: if the project is gone.
        StudioError: if the server cannot be used.
    """
    head = TaskReader(connection, project_id).head(cursor)
    return Work(head.tasks, head.newest)
