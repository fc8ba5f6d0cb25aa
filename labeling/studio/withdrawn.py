"""Images that must leave Label Studio and the mirror of its project."""

import re
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from labeling.errors import LabelingError

if TYPE_CHECKING:  # brings an HTTP client
    from labeling.studio.connection import Connection

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


def read_withdrawn(path: Path) -> frozenset[str]:
    """Read image ids, one a line; empty lines and what follows a ``#`` are passed over.

    Raises:
        LabelingError: if the file cannot be read, or a line is no image id. Nothing is withdrawn then.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LabelingError(f"cannot read the withdrawn images {path} ({error}); correct labels.withdrawn") from error
    ids = set()
    for number, line in enumerate(lines, start=1):
        entry = line.partition("#")[0].strip().lower()
        if not entry:
            continue
        if not _IMAGE_ID.fullmatch(entry):
            raise LabelingError(f"{path.name}, line {number}: {entry[:80]!r} is no image id (64 of 0-9 and a-f)")
        ids.add(entry)
    return frozenset(ids)


def forget_in_mirror(path: Path, image_ids: Collection[str], task_ids: Collection[int] = ()) -> set[int]:
    """Remove tasks that show these images from a mirror, with every version of every answer; return the tasks.

    The file is rewritten, so that nothing of them is left in it. Safe to repeat.

    Args:
        path: of the mirror; nobody may be exporting into it.
        image_ids: images that must leave.
        task_ids: tasks that are known to show them.
    """
    wanted = frozenset(image_ids)
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as database:
        database.execute("PRAGMA secure_delete = ON")
        shown = database.execute("SELECT task_id, data ->> 'image_id', data ->> 'image' FROM tasks")
        gone = {task_id for task_id, *names in shown if not wanted.isdisjoint(map(_image_of, names))}
        named = database.execute("SELECT version, task_id, image FROM versions").fetchall()
        gone |= set(task_ids)
        versions = [
            version
            for version, task_id, image in named
            # a server may give the number of a task to another one later
            if _image_of(image) in wanted or (task_id in gone and not _image_of(image))
        ]
        database.execute("BEGIN IMMEDIATE")
        database.executemany("DELETE FROM versions WHERE version = ?", [(version,) for version in versions])
        database.executemany("DELETE FROM tasks WHERE task_id = ?", [(task_id,) for task_id in sorted(gone)])
        database.execute("COMMIT")
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return gone


def remove_from_project(connection: "Connection", project_id: int, image_ids: Collection[str]) -> int:
    """Delete the tasks of images on the server, with answers and drafts; return how many tasks that were.

    A task that stays and shows the file of one of them (as the best of its cluster) shows none until the queue is
    pushed again.

    Raises:
        StudioError: the server cannot be used, or some of the tasks still stand afterwards.
    """
    from labeling.studio.task_list import change_data, listed_tasks, withdraw_tasks

    wanted = frozenset(image_ids)
    removed = withdraw_tasks(connection, project_id, wanted)
    for task in list(listed_tasks(connection, project_id)):
        if _image_of(task.data.get("image")) in wanted:
            change_data(connection, task.task_id, {"image": ""})
    return removed


def _image_of(name: object) -> str:
    """Return the image id that a name is or ends in, else an empty text."""
    found = re.search(r"[0-9a-f]{64}$", name.strip()) if isinstance(name, str) else None
    return found[0] if found else ""
