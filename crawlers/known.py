"""Addresses of pictures that earlier crawls have dealt with, over all windows: what is known is not fetched again.

The tables of images are the truth; this file is an index of them, made anew from them where it is missing.
"""

import contextlib
import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlLimits
from crawlers.posts import WITHDRAWN, ImageFacts, ImageResult
from crawlers.storage import ImageStore

_BY_LIMIT = frozenset({"too_large", "too_many_pixels"})
_PERMANENT = frozenset({"animated", "other_content", "not_an_image", "opted_out", "undecodable"})
_GONE = frozenset({"http_400", "http_404", "http_410", "http_451"})
_COLUMNS = (
    "url", "image_id", "reason", "detail", "http_status", "attempts", "robots_txt", "x_robots_tag", "tdm_reservation",
    "format", "width", "height", "bytes", "fetched_at",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS addresses (address TEXT PRIMARY KEY, limits TEXT, result TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS imported (file TEXT PRIMARY KEY) WITHOUT ROWID;
"""


def is_passing(reason: str | None) -> bool:
    """Say whether a failure with this reason may pass, so that the next crawl should try again."""
    return reason is not None and reason not in _PERMANENT | _GONE | _BY_LIMIT


class KnownAddresses:
    """Results by the key of an address (:func:`crawlers.page_writer.address_key`)."""

    def __init__(self, connection: sqlite3.Connection, limits: CrawlLimits, store: ImageStore) -> None:
        self._connection, self._limits, self._store = connection, limits, store

    def find(self, address: str) -> tuple[ImageResult | None, int]:
        """Look an address up.

        Returns:
            The result, if the picture need not be fetched: it is stored, or fetching it again would end the same way.
            And the attempts that were made so far, to be added to further ones.
        """
        query = "SELECT limits, result FROM addresses WHERE address = ?"
        row = self._connection.execute(query, (address,)).fetchone()
        if row is None:
            return None, 0
        result = ImageResult.from_record(json.loads(row[1]))
        if result.facts is not None:
            stored = self._store.holds(result.facts.image_id, result.facts.bytes)
            return (result, 0) if stored and not self._too_large(result.facts) else (None, 0)
        if is_passing(result.reason) or (result.reason in _BY_LIMIT and row[0] != _limits_text(self._limits)):
            return None, result.attempts
        return result, 0

    def _too_large(self, facts: ImageFacts) -> bool:
        return facts.bytes > self._limits.max_bytes or facts.width * facts.height > self._limits.max_pixels

    def learn(self, results: Iterable[tuple[str, ImageResult]]) -> None:
        """Remember results, instead of what was known before."""
        limits = _limits_text(self._limits)
        rows = (
            (address, limits, json.dumps(result.to_record()))
            for address, result in results
            if result.reason != WITHDRAWN  # of a withdrawn picture nothing is remembered
        )
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR REPLACE INTO addresses VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def learn_tables(self, files: Sequence[Path]) -> None:
        """Read tables of images that were not read before."""
        for file in files:
            state = file.stat()
            name = f"{file} {state.st_size} {state.st_mtime_ns}"
            if self._connection.execute("SELECT 1 FROM imported WHERE file = ?", (name,)).fetchone():
                continue
            with pq.ParquetFile(file) as table:
                names = [column for column in _COLUMNS if column in table.schema_arrow.names]
                for batch in table.iter_batches(columns=names, use_threads=False):
                    rows = [row for row in batch.to_pylist() if row["url"]]
                    self._learn_new([(sha256(row.pop("url").encode()).hexdigest(), _result(row)) for row in rows])
            self._connection.execute("INSERT OR IGNORE INTO imported VALUES (?)", (name,))

    def _learn_new(self, results: Sequence[tuple[str, ImageResult]]) -> None:
        rows = [(address, "", json.dumps(result.to_record())) for address, result in results]
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany("INSERT OR IGNORE INTO addresses VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")


@contextlib.contextmanager
def known_addresses(folder: Path, limits: CrawlLimits, store: ImageStore) -> Iterator[KnownAddresses]:
    """Open the addresses that are known; several crawls may have them open.

    Raises:
        CrawlError: if the file is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "addresses.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, timeout=60)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
        yield KnownAddresses(connection, limits, store)
    except sqlite3.DatabaseError as error:
        raise CrawlError(f"{path} cannot be used ({error}); remove it, it is made anew from the tables") from error
    finally:
        connection.close()


def forget_addresses(folder: Path, image_ids: Collection[str], urls: Collection[str], authors: Collection[str]) -> None:
    """Forget addresses that led to these pictures, or that are these; the file is rewritten without them.

    Args:
        folder: of the known addresses. Nobody may be crawling.
        image_ids: pictures.
        urls: addresses as the tables of images show them.
        authors: keyed hashes of the people whose pictures they are.
    """
    path = folder / "addresses.sqlite"
    if not path.exists():
        return
    keys = [sha256(url.encode("utf-8", "replace")).hexdigest() for url in urls]
    keys += [
        sha256(f"{url} {author}".encode("utf-8", "replace")).hexdigest()  # as address_key makes them
        for url in urls
        for author in authors
    ]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
        gone = [
            (address,)
            for address, result in connection.execute("SELECT address, result FROM addresses")
            if ((json.loads(result)["facts"] or {}).get("image_id")) in image_ids
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM addresses WHERE address = ?", [*gone, *((key,) for key in keys)])
        connection.execute("COMMIT")
        connection.execute("VACUUM")  # freed pages hold what was deleted earlier
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _limits_text(limits: CrawlLimits) -> str:
    return f"{limits.max_bytes} {limits.max_pixels}"


def _result(row: dict[str, Any]) -> ImageResult:
    """Turn a row of a table of images, without its address, into the result that it was made of."""
    values = {name: row.pop(name, None) for name in ("image_id", "format", "width", "height", "bytes")}
    facts = ImageFacts(**values) if values["image_id"] else None
    return ImageResult(facts=facts, **row)
