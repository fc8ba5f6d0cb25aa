"""Asks a Label Studio server, with one cheap request, whether there is anything to fetch."""

from dataclasses import dataclass
from datetime import datetime

from labeling.studio.connection import Connection
from labeling.studio.listing import TaskReader


@dataclass(frozen=True)
class Work:
    """What waits to be fetched; drafts and deleted tasks do not show here, a reconciliation finds them."""

    changed: int  # tasks
    newest: datetime | None  # the last change, by the server's clock; None if nothing changed


def new_work(connection: Connection, project_id: int, cursor: datetime | None) -> Work:
    """Return how much changed after ``cursor``, which is ``StudioStore.cursor``; None: since ever.

    Raises:
        StudioNotFound: if the project is gone.
        StudioError: if the server cannot be used.
    """
    head = TaskReader(connection, project_id).head(cursor)
    return Work(head.tasks, head.newest)
