"""What a crawl has done so far, so that it can go on after ``kill -9``.

One SQLite file per crawl window. What an answer brought (posts, the next pages, what the network must remember) is
written in one transaction, so a page is either dealt with or still to be asked for; the same holds for a picture.
Nothing but what is in flight is ever repeated. The tables are made from the journal, in order and in batches, so
memory does not grow with the number of posts. When the tables are written, the journal is removed.
"""

import fcntl
import hashlib
import json
import os
import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from crawlers.errors import CrawlError
from crawlers.networks.base import Page
from crawlers.page_writer import PageWriter, count_in
from crawlers.posts import ImageResult

_QUEUE_BATCH = 200  # pictures taken from the file at a time
_QUEUE_LIMIT = 2_000  # pictures that wait in memory while their servers rest
RESUMED_WITHIN = timedelta(hours=24)
"""A journal that was begun longer ago is not gone on with: its timelines have changed too much."""

_SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE pages (number INTEGER PRIMARY KEY, source INTEGER, page TEXT, failed INTEGER DEFAULT 0);
CREATE INDEX pages_waiting ON pages (source, failed, number);
CREATE TABLE started (source INTEGER PRIMARY KEY);
CREATE TABLE seen (source INTEGER, timeline TEXT, id TEXT, PRIMARY KEY (source, timeline, id)) WITHOUT ROWID;
CREATE TABLE memory (source INTEGER, timeline TEXT, state TEXT, PRIMARY KEY (source, timeline)) WITHOUT ROWID;
CREATE TABLE posts (
    source INTEGER, post_id TEXT, server TEXT, identity TEXT, rank INTEGER, reason TEXT, content TEXT,
    PRIMARY KEY (source, post_id)
) WITHOUT ROWID;
CREATE INDEX posts_by_identity ON posts (identity);
CREATE TABLE pictures (
    source INTEGER, post_id TEXT, media_index INTEGER, url TEXT, alt_text TEXT, address TEXT,
    PRIMARY KEY (source, post_id, media_index)
) WITHOUT ROWID;
CREATE TABLE downloads (
    source INTEGER, address TEXT, number INTEGER, fetch_url TEXT, server TEXT, sha256 TEXT, attempts INTEGER DEFAULT 0,
    result TEXT, outcomes TEXT DEFAULT '',
    PRIMARY KEY (source, address)
) WITHOUT ROWID;
CREATE INDEX downloads_waiting ON downloads (source, number) WHERE result IS NULL;
CREATE TABLE counts (
    source INTEGER, what TEXT, outcome TEXT, number INTEGER, PRIMARY KEY (source, what, outcome)
) WITHOUT ROWID;
CREATE TABLE failures (source INTEGER, server TEXT, timeline TEXT, reason TEXT, detail TEXT);
CREATE TABLE gone (post_id TEXT PRIMARY KEY, outcome TEXT, http_status INTEGER, noticed_at TEXT) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Download:
    """A picture to be fetched.

    Args:
        address: key of its address.
        fetch_url: where it is.
        server: host (and port) that is asked.
        sha256: what it must have, if the network says so.
        attempts: made by earlier crawls, which failed.
    """

    address: str
    fetch_url: str
    server: str
    sha256: str | None
    attempts: int


@dataclass
class _Queue:
    """Some of the pictures that wait, and the number up to which they were taken from the file."""

    waiting: deque[Download] = field(default_factory=deque)
    last: int = 0


@dataclass(frozen=True)
class PageFailure:
    """Something that makes a window incomplete, as a rule a page that could not be read after all attempts."""

    source: int
    server: str
    timeline: str
    reason: str
    detail: str

    @property
    def of_server(self) -> bool:
        """Can posts that the server has be among what was not read? Otherwise the settings name what is not there."""
        return self.reason != "missing"


class Journal:
    """The journal of one crawl. Sources are numbered in the order of the job."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._running: dict[int, set[int]] = {}  # pages being asked for
        self._queues: dict[int, _Queue] = {}  # pictures that are fetched next
        self._last_number: int = connection.execute("SELECT coalesce(max(number), 0) FROM downloads").fetchone()[0]

    # the whole

    @property
    def began(self) -> datetime:
        """When the crawl began, also if it was killed since."""
        return datetime.fromisoformat(self._about("began"))

    @property
    def resumed(self) -> bool:
        """Does the journal go on with a crawl that was killed?"""
        return self._about("openings") != "1"

    def _about(self, name: str) -> str:
        row = self._connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0])

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    # pages

    def start(self, source: int, pages: Sequence[Page]) -> None:
        """Note the first pages of a source, unless that was done before the crawl was killed."""
        with self._writing() as connection:
            if connection.execute("INSERT OR IGNORE INTO started VALUES (?)", (source,)).rowcount:
                self._add_pages(source, pages)

    def _add_pages(self, source: int, pages: Iterable[Page]) -> None:
        rows = [(source, json.dumps(vars(page))) for page in pages]
        self._connection.executemany("INSERT INTO pages (source, page) VALUES (?, ?)", rows)

    def next_page(self, source: int) -> tuple[int, Page] | None:
        """Take a page to be asked for; the latest first, so that few wait at any moment."""
        running = self._running.setdefault(source, set())
        rows = self._connection.execute(
            "SELECT number, page FROM pages WHERE source = ? AND failed = 0 ORDER BY number DESC LIMIT ?",
            (source, len(running) + 1),
        )
        for number, page in rows:
            if number not in running:
                running.add(number)
                return number, Page(**json.loads(page))
        return None

    def pages_waiting(self, source: int) -> int:
        """Count the pages that are to be asked for or being asked for."""
        query = "SELECT count(*) FROM pages WHERE source = ? AND failed = 0"
        return int(self._connection.execute(query, (source,)).fetchone()[0])

    @contextmanager
    def page_read(self, source: int, number: int) -> Iterator[PageWriter]:
        """Write what a page brought, as a whole or not at all; after an error it is still being asked for."""
        with self._writing() as connection:
            writer = PageWriter(connection, source, self._last_number)
            yield writer
            writer.close()
            connection.execute("DELETE FROM pages WHERE number = ?", (number,))
            self._add_pages(source, writer.next_pages)
        self._last_number = writer.last_number
        self._running[source].discard(number)

    def page_failed(self, number: int, failure: PageFailure, statuses: Iterable[str]) -> None:
        """Note that a page cannot be read; it is kept and asked for again if the crawl has to be gone on with."""
        with self._writing() as connection:
            connection.execute("UPDATE pages SET failed = 1 WHERE number = ?", (number,))
            connection.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?, ?)",
                (failure.source, failure.server, failure.timeline, failure.reason, failure.detail),
            )
            count_in(connection, failure.source, Counter(("request", status) for status in statuses))
        self._running[failure.source].discard(number)

    def note_failure(self, failure: PageFailure) -> None:
        """Note that a timeline was not read to its end, though each of its pages was."""
        self._connection.execute("INSERT INTO failures VALUES (?, ?, ?, ?, ?)", tuple(vars(failure).values()))

    def failures(self) -> list[PageFailure]:
        """Return the pages that could not be read."""
        return [PageFailure(*row) for row in self._connection.execute("SELECT * FROM failures ORDER BY rowid")]

    # pictures

    def next_download(self, source: int, resting: frozenset[str]) -> Download | None:
        """Take a picture to be fetched, in the order of their posts, from a server that is not resting."""
        queue = self._queues.setdefault(source, _Queue())
        if not queue.waiting or all(download.server in resting for download in queue.waiting):
            self._refill(source, queue)
        for download in queue.waiting:
            if download.server not in resting:
                queue.waiting.remove(download)  # nearly always the first
                return download
        return None

    def _refill(self, source: int, queue: "_Queue") -> None:
        if len(queue.waiting) >= _QUEUE_LIMIT:
            return
        rows = self._connection.execute(
            "SELECT number, address, fetch_url, server, sha256, attempts FROM downloads "
            "WHERE source = ? AND result IS NULL AND number > ? ORDER BY number LIMIT ?",
            (source, queue.last, _QUEUE_BATCH),
        )
        for number, *rest in rows:
            queue.last = number
            queue.waiting.append(Download(*rest))

    def downloads_waiting(self, source: int) -> int:
        """Count the pictures that are to be fetched or being fetched."""
        query = "SELECT count(*) FROM downloads WHERE source = ? AND result IS NULL"
        return int(self._connection.execute(query, (source,)).fetchone()[0])

    def downloaded(self, source: int, address: str, result: ImageResult, outcomes: Iterable[str]) -> None:
        """Note how fetching a picture ended, and what came of each request for it."""
        self._connection.execute(
            "UPDATE downloads SET result = ?, outcomes = ?, fetch_url = '' WHERE source = ? AND address = ?",
            (json.dumps(result.to_record()), " ".join(outcomes), source, address),
        )

    def settled(self) -> Iterator[tuple[str, ImageResult]]:
        """Return the address and the result of each picture that was fetched or found known."""
        for address, result in self._connection.execute("SELECT address, result FROM downloads WHERE result NOT NULL"):
            yield address, ImageResult.from_record(json.loads(result))

    # archives

    @contextmanager
    def archive(self, source: int) -> Iterator[PageWriter]:
        """Write everything of an archive, which is read anew whenever the crawl is gone on with."""
        with self._writing() as connection:
            for table in ("posts", "pictures", "downloads", "counts"):
                connection.execute(f"DELETE FROM {table} WHERE source = ?", (source,))  # noqa: S608
            writer = PageWriter(connection, source, self._last_number)
            yield writer
            writer.close()
        self._last_number = writer.last_number

    # posts that are gone

    def was_met(self, source: int, post_id: str) -> bool:
        """Say whether a post was met in this crawl, or its absence was looked into already."""
        query = (
            "SELECT 1 FROM seen WHERE source = ? AND timeline = 'posts met' AND id = ? "
            "UNION SELECT 1 FROM gone WHERE post_id = ?"
        )
        return self._connection.execute(query, (source, post_id, post_id)).fetchone() is not None

    def note_gone(self, post_id: str, outcome: str, http_status: int | None) -> None:
        """Note what became of a post that an earlier crawl of the window had met."""
        now = datetime.now(UTC).isoformat()
        self._connection.execute(
            "INSERT OR REPLACE INTO gone VALUES (?, ?, ?, ?)", (post_id, outcome, http_status, now)
        )

    def gone(self) -> dict[str, tuple[str, int | None, datetime]]:
        """Return post_id -> outcome, HTTP status, when it was noticed."""
        rows = self._connection.execute("SELECT post_id, outcome, http_status, noticed_at FROM gone")
        return {row[0]: (row[1], row[2], datetime.fromisoformat(row[3])) for row in rows}

    # what the tables are made of

    def count(self, source: int, what: str, outcome: str, number: int = 1) -> None:
        """Count something."""
        with self._writing() as connection:
            count_in(connection, source, {(what, outcome): number})

    def counts(self) -> Iterator[tuple[int, str, str, int]]:
        """Return (source, what, outcome, number) of everything counted."""
        yield from self._connection.execute("SELECT source, what, outcome, number FROM counts")
        query = "SELECT source, outcomes, count(*) FROM downloads WHERE outcomes <> '' GROUP BY source, outcomes"
        for source, outcomes, number in self._connection.execute(query):
            for outcome in outcomes.split():
                yield source, "request", outcome, number

    def progress(self) -> tuple[int, int, int]:
        """Return the posts met, the pictures dealt with, and all pictures so far."""
        query = (
            "SELECT (SELECT coalesce(sum(number), 0) FROM counts WHERE what = 'seen'), "
            "(SELECT count(*) FROM downloads WHERE result NOT NULL), (SELECT count(*) FROM downloads)"
        )
        posts, done, all_ = self._connection.execute(query).fetchone()
        return int(posts), int(done), int(all_)

    def connection(self) -> sqlite3.Connection:
        """Return the connection, for reading."""
        return self._connection

    def close(self) -> None:
        """Close the file; the crawl can be gone on with."""
        self._connection.close()

    def remove(self) -> None:
        """Close and remove the file: the crawl's tables are written."""
        self._connection.close()
        _remove(self._path)


@contextmanager
def open_journal(folder: Path, window: str, fingerprint: str) -> Iterator[Journal]:
    """Open the journal of a window, going on with one that a killed crawl left behind.

    Args:
        folder: where journals lie.
        window: key of the window.
        fingerprint: says what is crawled; a journal of another fingerprint, or one begun more than
            :data:`RESUMED_WITHIN` ago, is thrown away.

    Raises:
        CrawlError: if another process crawls this window.
    """
    name = hashlib.sha256(window.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.sqlite"
    with (folder / f"{name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CrawlError(f"window {window} is being crawled by another process; wait until it has ended") from None
        journal = _opened(path, fingerprint)
        try:
            yield journal
        finally:
            journal.close()


def _opened(path: Path, fingerprint: str) -> Journal:
    now = datetime.now(UTC)
    if path.exists() and not _usable(path, fingerprint, now):
        _remove(path)
    new = not path.exists()
    if new:
        _remove(path)  # what a kill in the middle of a removal may have left
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)  # addresses in it may name people
    os.close(descriptor)
    connection = _connected(path)
    if new:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        about = {"fingerprint": fingerprint, "began": now.isoformat(), "openings": "0"}
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
        connection.execute("COMMIT")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE about SET value = CAST(value AS INTEGER) + 1 WHERE name = 'openings'")
    connection.execute("UPDATE pages SET failed = 0")
    connection.execute("DELETE FROM failures WHERE reason NOT IN ('stopped', 'missing')")
    connection.execute("COMMIT")
    return Journal(connection, path)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 8000")  # pages; each checkpoint holds the reactor up
    return connection


def _usable(path: Path, fingerprint: str, now: datetime) -> bool:
    """Say whether a journal that is there can be gone on with."""
    connection = _connected_or_none(path)
    if connection is None:
        return False
    try:
        about = dict(connection.execute("SELECT name, value FROM about"))
        sound = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
        age = now - datetime.fromisoformat(about["began"])
    except (sqlite3.DatabaseError, KeyError, ValueError):  # killed before it was complete, or damaged
        return False
    finally:
        connection.close()
    return sound and about.get("fingerprint") == fingerprint and age <= RESUMED_WITHIN


def _connected_or_none(path: Path) -> sqlite3.Connection | None:
    try:
        return _connected(path)
    except sqlite3.DatabaseError:
        return None


def _remove(path: Path) -> None:
    for ending in ("-wal", "-shm", ""):
        path.with_name(path.name + ending).unlink(missing_ok=True)
