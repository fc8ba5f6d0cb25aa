"""The mirror of one Label Studio project in a SQLite file: its tasks, and every version of every annotation ever seen.

What a page of the server's answer changes and how far the export has come are written in one transaction, so that a
process may be killed at any moment: the next one goes on after the last whole page. Nothing is ever removed; what is
gone from the server is marked with the time at which that was noticed.
"""

import fcntl
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from labeling.errors import LabelingError
from labeling.studio.mirror_tables import bring_up_to_date
from labeling.studio.progress import Changes, MirroredProject, SyncState, TaskStamp
from labeling.studio.rows import (
    FoundVersion,
    KnownVersion,
    StoredVersion,
    annotation_versions,
    as_text,
    draft_versions,
    task_row,
)

Json = dict[str, Any]

_UPSERT_TASK = """
INSERT INTO tasks (task_id, updated_at, submitted, cancelled, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (task_id) DO UPDATE SET updated_at = excluded.updated_at, submitted = excluded.submitted,
    cancelled = excluded.cancelled, data = excluded.data, gone_at = NULL
"""
_ADD_VERSION = """
INSERT INTO versions (annotation_id, task_id, state, raw, image, seen_at, latest)
VALUES (?1, ?2, ?3, ?4, coalesce(?5, (
    SELECT coalesce(nullif(data ->> 'image_id', ''), data ->> 'image') FROM tasks WHERE task_id = ?2
)), ?6, 1)
"""
_GONE = ("deleted", "task_deleted")


class StudioStore:
    """Opens or creates the mirror at a path; one process at a time may write, any number may read.

    Raises:
        LabelingError: if the file is no mirror, or of another version of this program.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise LabelingError(
                f"{path} cannot be used as the mirror of a Label Studio project ({error}); move it away, and the next "
                "export fetches everything again"
            ) from error
        except LabelingError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from exporting into this mirror.

        Raises:
            LabelingError: if one is at it.
        """
        with self.path.with_name(self.path.name + ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LabelingError(
                    f"another export into {self.path} is running; wait until it is done, then run this again"
                ) from error
            yield

    @property
    def project(self) -> MirroredProject | None:
        """The project that this is the mirror of; None before the first export."""
        stored = self._state("project")
        return None if stored is None else MirroredProject(**orjson.loads(stored))

    def bind(self, project: MirroredProject) -> None:
        """Make this the mirror of a project.

        Raises:
            LabelingError: if it is the mirror of another one.
        """
        known = self.project
        if known is None:
            with self._transaction():
                self._set_state("project", as_text(vars(project)))
        elif known != project:
            raise LabelingError(
                f"{self.path} is the mirror of {known}, not of {project}: correct the server's address or the "
                "project, or move the file away to start a new mirror"
            )

    @property
    def sync(self) -> SyncState:
        """How far the export has come."""
        stored = self._state("sync")
        return SyncState() if stored is None else SyncState.from_json(stored)

    @property
    def cursor(self) -> datetime | None:
        """The server's time up to which every change has been fetched; None before the first export."""
        return self.sync.swept

    def set_sync(self, sync: SyncState) -> None:
        """Keep how far the export has come."""
        with self._transaction():
            self._set_state("sync", sync.to_json())

    def save(
        self, tasks: Collection[Json], drafts: Mapping[int, Collection[Json]], sync: SyncState, seen_at: datetime
    ) -> Changes:
        """Take in one page, and how far the export has come with it.

        Args:
            tasks: tasks with all their annotations, as the server gives them.
            drafts: all drafts of some tasks; of other tasks nothing is said about drafts.
            sync: what ``self.sync`` is from now on.
            seen_at: when the page was fetched.
        """
        fetched = {int(task["id"]) for task in tasks}
        found = {entry.annotation_id: entry for task in tasks for entry in annotation_versions(task)}
        found |= {
            entry.annotation_id: entry
            for task_id, listed in drafts.items()
            for entry in draft_versions(task_id, listed)
        }
        with self._transaction():
            known = self._latest({*fetched, *drafts})
            self._db.executemany(_UPSERT_TASK, map(task_row, tasks))
            changes = self._add(found.values(), known, seen_at)
            asked_for: Mapping[bool, Collection[int]] = {False: fetched, True: drafts}
            missing = {
                annotation_id: old
                for annotation_id, old in known.items()
                if annotation_id not in found and old.task_id in asked_for[old.state == "draft"]
            }
            changes += self._mark(missing, "deleted", seen_at)
            self._set_state("sync", sync.to_json())
        return changes + Changes(tasks=len(tasks))

    def mark_gone(self, task_ids: Collection[int], seen_at: datetime) -> Changes:
        """Mark tasks as deleted, and their annotations with them."""
        with self._transaction():
            self._db.executemany(
                "UPDATE tasks SET gone_at = ? WHERE task_id = ?", [(seen_at.isoformat(), number) for number in task_ids]
            )
            self._mark(self._latest(task_ids), "task_deleted", seen_at)
        return Changes(tasks_deleted=len(task_ids))

    def remember_people(self, users: Mapping[int, str]) -> None:
        """Keep the email address of each user by id, also for the time when the server does not give it any more."""
        known = self.people()
        if news := {number: email for number, email in users.items() if known.get(number) != email}:
            with self._transaction():
                self._db.executemany("INSERT OR REPLACE INTO people VALUES (?, ?)", news.items())

    def people(self) -> dict[int, str]:
        """Return the email address of every user who was ever remembered, by id."""
        return dict(self._db.execute("SELECT user_id, email FROM people"))

    def task_count(self) -> int:
        """Return how many tasks the server has, as far as is known here."""
        return int(self._db.execute("SELECT count(*) FROM tasks WHERE gone_at IS NULL").fetchone()[0])

    def stamps(self, after: int, last: int | None) -> dict[int, TaskStamp]:
        """Return the stamps of the tasks with ``after < id <= last``, or all after; deleted ones are left out."""
        rows = self._db.execute(
            "SELECT task_id, updated_at, submitted, cancelled FROM tasks "
            "WHERE gone_at IS NULL AND task_id > ? AND task_id <= ?",
            (after, 2**63 - 1 if last is None else last),
        )
        return {task_id: TaskStamp(*stamp) for task_id, *stamp in rows}

    def stamps_of(self, task_ids: Collection[int]) -> dict[int, TaskStamp]:
        """Return the stamps of some tasks; deleted and unknown ones are left out."""
        rows = self._db.execute(
            "SELECT task_id, updated_at, submitted, cancelled FROM tasks "
            "WHERE gone_at IS NULL AND task_id IN (SELECT value FROM json_each(?))",
            (as_text(list(task_ids)),),
        )
        return {task_id: TaskStamp(*stamp) for task_id, *stamp in rows}

    def drafted_tasks(self, among: Collection[int] | None = None) -> set[int]:
        """Return which tasks have drafts, as far as is known here; of all tasks, or of those given."""
        query = "SELECT DISTINCT task_id FROM versions WHERE latest AND state = 'draft'"
        if among is None:
            return {task_id for (task_id,) in self._db.execute(query)}
        query += " AND task_id IN (SELECT value FROM json_each(?))"
        return {task_id for (task_id,) in self._db.execute(query, (as_text(list(among)),))}

    def latest(self) -> Iterator[StoredVersion]:
        """Yield the newest version of every annotation and draft, by task."""
        yield from self._versions("WHERE latest ORDER BY task_id, version")

    def history(self) -> Iterator[StoredVersion]:
        """Yield every version of every annotation and draft, in the order in which they were seen."""
        yield from self._versions("ORDER BY version")

    def versions_of(self, annotation_ids: Collection[str]) -> Iterator[StoredVersion]:
        """Yield every version of some annotations, in the order in which they were seen."""
        yield from self._versions(
            "WHERE annotation_id IN (SELECT value FROM json_each(?)) ORDER BY version", as_text(sorted(annotation_ids))
        )

    def raw(self, version: int) -> str:
        """Return the JSON of a version."""
        return str(self._db.execute("SELECT raw FROM versions WHERE version = ?", (version,)).fetchone()[0])

    def _versions(self, condition: str, *values: str) -> Iterator[StoredVersion]:
        query = (
            "SELECT version, annotation_id, task_id, state, seen_at, raw, image "  # noqa: S608 - constant texts only
            f"FROM versions {condition}"
        )
        with closing(self._db.execute(query, values)) as rows:
            for version, annotation_id, task_id, state, seen_at, raw, image in rows:
                moment = datetime.fromisoformat(seen_at)
                yield StoredVersion(version, annotation_id, task_id, state, moment, raw, image)

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._transaction():
            if not bring_up_to_date(self._db):
                raise LabelingError(
                    f"{self.path} was written by a newer version of this program; use that one, or move the file away, "
                    "and the next export fetches everything again"
                )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        with self._db:  # commits, or rolls back
            yield

    def _state(self, name: str) -> str | None:
        row = self._db.execute("SELECT value FROM state WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def _set_state(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", (name, value))

    def _latest(self, task_ids: Collection[int]) -> dict[str, KnownVersion]:
        rows = self._db.execute(
            "SELECT annotation_id, version, task_id, state, raw, image FROM versions "
            "WHERE latest AND task_id IN (SELECT value FROM json_each(?))",
            (as_text(list(task_ids)),),
        )
        return {annotation_id: KnownVersion(*fields) for annotation_id, *fields in rows}

    def _add(self, found: Iterable[FoundVersion], known: Mapping[str, KnownVersion], seen_at: datetime) -> Changes:
        """Add what is new or not as it was; the same content again is nothing new."""
        new: list[FoundVersion] = []
        changed: list[FoundVersion] = []
        for entry in found:
            old = known.get(entry.annotation_id)
            if old is None:
                new.append(entry)
            elif (old.state, old.raw) != (entry.state, entry.raw):
                changed.append(entry)
        self._insert([*new, *changed], [known[entry.annotation_id].version for entry in changed], seen_at)
        return Changes.of(new=[entry.state for entry in new], changed=[entry.state for entry in changed])

    def _mark(self, known: Mapping[str, KnownVersion], state: str, seen_at: datetime) -> Changes:
        """Add a last version to what is gone from the server, unless it has one already."""
        gone = {annotation_id: old for annotation_id, old in known.items() if old.state not in _GONE}
        marks = [
            FoundVersion(annotation_id, old.task_id, state, old.raw, old.image) for annotation_id, old in gone.items()
        ]
        self._insert(marks, [old.version for old in gone.values()], seen_at)
        return Changes.of(gone=[old.state for old in gone.values()])

    def _insert(self, entries: Collection[FoundVersion], replaced: Iterable[int], seen_at: datetime) -> None:
        self._db.executemany("UPDATE versions SET latest = 0 WHERE version = ?", ((version,) for version in replaced))
        moment = seen_at.isoformat()
        self._db.executemany(_ADD_VERSION, ((*entry, moment) for entry in entries))
