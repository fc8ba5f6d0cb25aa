"""The tables of the mirror, and how a file of an earlier version gets those that it lacks."""

import sqlite3

_TABLES = """
CREATE TABLE state (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    task_id INTEGER PRIMARY KEY,
    updated_at TEXT NOT NULL,     -- as the server writes it
    submitted INTEGER NOT NULL,   -- the server's counts of annotations
    cancelled INTEGER NOT NULL,
    data TEXT NOT NULL,           -- JSON
    gone_at TEXT                  -- when its deletion was noticed
);
CREATE TABLE versions (
    version INTEGER PRIMARY KEY,
    annotation_id TEXT NOT NULL,  -- of a draft: draft:<id>
    task_id INTEGER NOT NULL,
    state TEXT NOT NULL,          -- submitted, skipped, draft, deleted, task_deleted
    seen_at TEXT NOT NULL,
    latest INTEGER NOT NULL,      -- 1: the newest version of its annotation
    raw TEXT NOT NULL,            -- JSON, sorted keys; of what is gone: the last that was seen
    image TEXT                    -- as its task called it then; a server may give a task's number to another one later
);
CREATE INDEX latest_versions ON versions (task_id) WHERE latest;
CREATE INDEX open_drafts ON versions (task_id) WHERE latest AND state = 'draft';
"""
_HISTORY = """
CREATE TABLE people (
    user_id INTEGER PRIMARY KEY,
    email TEXT NOT NULL           -- the last that the server gave; it forgets those who are removed
);
CREATE INDEX versions_of ON versions (annotation_id);
"""
_STEPS = (_TABLES, _HISTORY)  # what each version of this file added to the one before


def bring_up_to_date(database: sqlite3.Connection) -> bool:
    """Make the tables that a new or older file lacks; it loses nothing. Returns False for a file of a newer version.

    To be called within a transaction.
    """
    (version,) = database.execute("PRAGMA user_version").fetchone()
    for step in _STEPS[version:]:
        for statement in step.split(";\n"):
            database.execute(statement)
    if version < len(_STEPS):
        database.execute(f"PRAGMA user_version = {len(_STEPS)}")
    return bool(version <= len(_STEPS))
