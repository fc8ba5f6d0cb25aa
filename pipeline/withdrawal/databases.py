"""Taking ids out of SQLite files, so that not even freed pages hold them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

Clean = Callable[[str], str]
_PATIENCE = 60.0  # seconds to wait for others that use the same file
_MAGIC = b"SQLite format 3\0"
_BATCH = 200  # rows changed in one transaction


def is_sqlite(path: Path) -> bool:
    """Say whether a file is a SQLite database."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def scrub_sqlite(path: Path, clean: Clean) -> int:
    """Clean every text of a SQLite file, then rewrite the file without what it once held; return how many changed.

    Raises:
        sqlite3.OperationalError: another process keeps the file locked for a minute.
    """
    with closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete = ON")  # what is freed from now on is overwritten
        changed = sum(_scrub_table(connection, table, clean) for table in _tables(connection))
        shrink(connection)
    return changed


def shrink(connection: sqlite3.Connection) -> None:
    """Rewrite a database file without its freed pages, and empty its write-ahead log."""
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _tables(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return [name for (name,) in rows]


def _scrub_table(connection: sqlite3.Connection, table: str, clean: Clean) -> int:
    """Clean the texts of one table, some rows at a time."""
    columns = [(row[1], row[5]) for row in connection.execute(f'PRAGMA table_info("{table}")')]
    names = [name for name, _ in columns]
    keys = _row_keys(connection, table, columns)
    query = "SELECT {} FROM {}".format(", ".join(_quoted([*keys, *names])), f'"{table}"')  # noqa: S608 - of the schema
    changes: list[tuple[tuple[Any, ...], dict[str, str]]] = []
    for row in connection.execute(query):
        found = {}
        for name, value in zip(names, row[len(keys) :], strict=True):
            if isinstance(value, str) and (cleaned := clean(value)) != value:
                found[name] = cleaned
        if found:
            changes.append((row[: len(keys)], found))
    where = " AND ".join(f"{key} IS ?" for key in _quoted(keys))
    for start in range(0, len(changes), _BATCH):
        connection.execute("BEGIN IMMEDIATE")
        for key, found in changes[start : start + _BATCH]:
            setting = ", ".join(f"{name} = ?" for name in _quoted(found))
            # two rows that are the same once cleaned: one of them is enough
            statement = f'UPDATE OR REPLACE "{table}" SET {setting} WHERE {where}'  # noqa: S608 - names of the schema
            connection.execute(statement, [*found.values(), *key])
        connection.execute("COMMIT")
    return len(changes)


def _row_keys(connection: sqlite3.Connection, table: str, columns: list[tuple[str, int]]) -> list[str]:
    """Return what identifies a row: the rowid, or the primary key where a table has no rowid."""
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    if "WITHOUT ROWID" not in sql.upper():
        return ["rowid"]
    return [name for name, place in sorted(columns, key=lambda column: column[1]) if place]


def _quoted(names: Any) -> Iterator[str]:
    return (f'"{name}"' if name != "rowid" else name for name in names)
