"""Brings the mirror of a Label Studio project up to date: what is new, and now and then what is gone."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from labeling.studio.connection import Connection
from labeling.studio.errors import StudioError, StudioNotFound
from labeling.studio.listing import IDS_PER_REQUEST, Head, TaskReader, stamps
from labeling.studio.progress import OVERLAP, Changes, SyncState, TaskStamp
from labeling.studio.query import pages
from labeling.studio.store import StudioStore

Json = dict[str, Any]
Progress = Callable[[int, int], None]

__all__ = ["OVERLAP", "Pulled", "pull"]

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Pulled(Changes):
    """What an export found, as counts."""

    reconciled: bool = False


def _quiet(done: int, total: int) -> None:
    """Say nothing."""


def pull(
    connection: Connection,
    project_id: int,
    store: StudioStore,
    *,
    page_size: int = 1000,
    reconcile_after: timedelta = _DAY,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    progress: Progress = _quiet,
) -> Pulled:
    """Fetch everything that is new on the server into the mirror.

    Neither misses a change nor takes one in twice, whatever people do meanwhile; killed, it goes on where it was.
    Changes are found by the time that tasks bear. A reconciliation compares all tasks: it finds deleted tasks, drafts,
    and what a server made visible too late. There is one at the first time, after ``reconcile_after``, and whenever the
    number of tasks is not as expected.

    Args:
        connection: to the server, with the token of somebody who sees the whole project.
        project_id: of the project on the server.
        store: the mirror; it is bound to the project at the first time.
        page_size: tasks asked for at a time.
        reconcile_after: time since the last reconciliation after which there is another.
        now: our clock.
        progress: told the tasks fetched, and how many there are to fetch.

    Raises:
        StudioError: if the server cannot be used, or the project is gone.
        LabelingError: if the mirror is of another project, or another export into it is running.
    """
    with store.locked():
        try:
            return _Pull(TaskReader(connection, project_id), store, page_size, now, progress).run(reconcile_after)
        except StudioNotFound as error:
            raise StudioError(
                f"project {project_id} is not on {connection.url} any more, or not visible to the owner of the token; "
                f"all that was exported from it stays in {store.path.name} and in the tables. To go on with a new "
                "project, move that file away; to keep the labels, export them as a file first"
            ) from error


class _Pull:
    def __init__(
        self, reader: TaskReader, store: StudioStore, size: int, now: Callable[[], datetime], progress: Progress
    ):
        self._reader = reader
        self._store = store
        self._size = size
        self._now = now
        self._progress = progress
        self._changes = Changes()

    def run(self, reconcile_after: timedelta) -> Pulled:
        self._store.bind(self._reader.project())
        first, resumed = self._store.cursor is None, self._store.sync.target is not None
        head = self._reader.head()
        self._settle()
        self._sweep(head)
        if resumed:  # what the sweep that was cut short aimed at is not all there is by now
            self._settle()
            self._sweep(head)
        if self._is_final():
            self._settle()
        last = self._store.sync.reconciled_at
        due = last is None or self._now() - last >= reconcile_after
        agrees = self._store.task_count() == head.tasks or self._store.task_count() == self._reader.head().tasks
        if due or not agrees:
            if not (first and agrees):  # else everything was fetched just now
                self._reconcile()
            self._find_drafts()
            self._store.set_sync(replace(self._store.sync, reconciled_at=self._now()))
        return Pulled(**vars(self._changes), reconciled=due or not agrees)

    def _sweep(self, head: Head) -> None:
        """Fetch the tasks that changed after what was swept before; a sweep that was cut short goes on."""
        sync = self._store.sync
        target = sync.target or head.newest
        if target is None or (sync.swept is not None and target <= sync.swept):
            return
        if sync.target is None:
            sync = replace(sync, target=target, target_seen=self._now(), after_id=0)
        done, since = 0, sync.swept
        for page in pages(lambda after: self._reader.changed(since, after, self._size), sync.after_id):
            sync = replace(sync, after_id=page.tasks[-1]["id"]) if page.more else _swept(sync, target)
            self._save(page.tasks, sync)
            self._progress(done + len(page.tasks), done + page.total)
            done += len(page.tasks)

    def _settle(self) -> None:
        """Look again through what was swept but may still have become visible late."""
        sync = self._store.sync
        if sync.swept is None or sync.settled is None or sync.settled == sync.swept:
            return
        final, span = self._is_final(), (sync.settled, sync.swept)
        for page in pages(lambda after: self._reader.stamped(after, self._size, span)):
            found = stamps(page)
            self._fetch_different(found, self._store.stamps_of(found))
        if final:
            self._store.set_sync(replace(sync, settled=sync.swept))

    def _is_final(self) -> bool:
        """Whether so much time has passed that no change up to ``swept`` can become visible any more."""
        seen = self._store.sync.swept_seen
        return seen is not None and self._now() - seen >= OVERLAP

    def _reconcile(self) -> None:
        """Compare all tasks with the server's."""
        last, done = 0, 0
        for page in pages(lambda after: self._reader.stamped(after, self._size)):
            found = stamps(page)
            before, last = last, max(found, default=last)
            known = self._store.stamps(before, last if page.more else None)
            self._changes += self._store.mark_gone(known.keys() - found.keys(), self._now())
            self._fetch_different(found, known)
            self._progress(done + len(found), done + page.total)
            done += len(found)

    def _find_drafts(self) -> None:
        """Fetch all drafts: they do not move the time of their task."""
        drafted = self._store.drafted_tasks()
        for page in pages(lambda after: self._reader.drafted(after, self._size)):
            drafted.update(task["id"] for task in page.tasks)
        for ids in _chunks(sorted(drafted)):
            self._changes += self._store.save([], self._reader.drafts(ids), self._store.sync, self._now())

    def _fetch_different(self, found: Mapping[int, TaskStamp], known: Mapping[int, TaskStamp]) -> None:
        different = [task_id for task_id, stamp in found.items() if known.get(task_id) != stamp]
        for ids in _chunks(different):
            self._save(self._reader.tasks(ids), self._store.sync)

    def _save(self, tasks: Collection[Json], sync: SyncState) -> None:
        """Save tasks; of those that had drafts, the drafts too, since one that is submitted is no draft any more."""
        drafts: dict[int, list[Json]] = {}
        for ids in _chunks(sorted(self._store.drafted_tasks(among=[task["id"] for task in tasks]))):
            drafts |= self._reader.drafts(ids)
        self._changes += self._store.save(tasks, drafts, sync, self._now())


def _swept(sync: SyncState, target: datetime) -> SyncState:
    """Return the state after a whole sweep: what is older than the overlap was visible before it began."""
    settled = target - OVERLAP
    return SyncState(
        swept=target,
        swept_seen=sync.target_seen,
        settled=settled if sync.settled is None else max(settled, sync.settled),
        reconciled_at=sync.reconciled_at,
    )


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + IDS_PER_REQUEST] for start in range(0, len(ids), IDS_PER_REQUEST))
