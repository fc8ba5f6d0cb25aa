"""Writing to a crawl's journal what one page, or a whole archive, brought."""

import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from crawlers.networks.base import Page
from crawlers.posts import WITHDRAWN, ImageResult, MediaItem, Post


def address_key(media: MediaItem, author: str | None = None) -> str:
    """Return the key under which a picture's address is known.

    That is the sha256 of the address that its row shows. Where that is not the one it is fetched from, the same address
    stands for the pictures of several people, and ``author`` (their keyed hash) tells them apart.
    """
    whose = "" if media.fetch_url is None or author is None else f" {author}"
    return hashlib.sha256(f"{media.url}{whose}".encode("utf-8", "replace")).hexdigest()


class PageWriter:
    """Writes what one page, or a whole archive, brought; also the network's memory (a ``Memory``)."""

    def __init__(self, connection: sqlite3.Connection, source: int, last_number: int) -> None:
        self._connection, self._source = connection, source
        self.next_pages: list[Page] = []
        self.last_number = last_number
        self._counts: Counter[tuple[str, str]] = Counter()

    def unseen(self, timeline: str, ids: Iterable[str]) -> list[str]:
        """Note ids; return those that were not noted before, in order and without repeats."""
        statement = "INSERT OR IGNORE INTO seen VALUES (?, ?, ?)"
        return [id_ for id_ in ids if self._connection.execute(statement, (self._source, timeline, id_)).rowcount]

    def recall(self, timeline: str) -> dict[str, Any]:
        """Return what was last kept of a timeline, or an empty dict."""
        query = "SELECT state FROM memory WHERE source = ? AND timeline = ?"
        row = self._connection.execute(query, (self._source, timeline)).fetchone()
        return dict(json.loads(row[0])) if row else {}

    def keep(self, timeline: str, state: Mapping[str, Any]) -> None:
        """Keep the state of a timeline."""
        self._connection.execute(
            "INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (self._source, timeline, json.dumps(state))
        )

    def is_new(self, post_id: str) -> bool:
        """Note that a post was met; say whether it is the first time."""
        new = bool(self.unseen("posts met", [post_id]))
        if new:
            self.count("seen", "post")
        return new

    def pass_over(self, mark: str) -> None:
        """Count a withdrawn post, once however often it is met; ``mark`` tells it from others without its id."""
        if self.unseen("withdrawn posts", [mark]):
            self.count("post", WITHDRAWN)

    def add_post(self, post: Post, row: Mapping[str, Any]) -> bool:
        """Add a post with its row; say whether its pictures are needed (no better copy of it is there)."""
        identity = post.identity or post.post_id
        rank = post.server_rank
        self._connection.execute(
            "INSERT OR REPLACE INTO posts VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self._source, post.post_id, post.server, identity, rank, row["reason"], _json_row(row)),
        )
        query = (
            "SELECT 1 FROM posts WHERE identity = ? AND (reason = 'opted_out' "
            "OR (reason IS NULL AND (source, rank, post_id) < (?, ?, ?))) LIMIT 1"
        )
        better = self._connection.execute(query, (identity, self._source, rank, post.post_id)).fetchone()
        return row["reason"] is None and better is None

    def add_picture(self, post_id: str, media: MediaItem, server: str, address: str | None = None) -> str | None:
        """Add a picture of a post; return the key of its address if it is new in this source, else None."""
        address = address or address_key(media)
        self._connection.execute(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?, ?)",
            (self._source, post_id, media.index, media.url, media.alt_text, address),
        )
        new = self._connection.execute(
            "INSERT OR IGNORE INTO downloads (source, address, number, fetch_url, server, sha256) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (self._source, address, self.last_number + 1, media.fetch_url or media.url, server, media.sha256),
        ).rowcount
        self.last_number += new
        return address if new else None

    def settle(self, address: str, result: ImageResult) -> None:
        """Note the result of a picture that need not be fetched."""
        settle_in(self._connection, self._source, address, result)

    def tried(self, address: str, attempts: int) -> None:
        """Note how often earlier crawls tried to fetch a picture."""
        self._connection.execute(
            "UPDATE downloads SET attempts = ? WHERE source = ? AND address = ?", (attempts, self._source, address)
        )

    def count(self, what: str, outcome: str, number: int = 1) -> None:
        """Count something."""
        self._counts[what, outcome] += number

    def close(self) -> None:
        """Write what was counted."""
        count_in(self._connection, self._source, self._counts)


def settle_in(connection: sqlite3.Connection, source: int, address: str, result: ImageResult) -> None:
    """Write the result of a picture."""
    connection.execute(
        "UPDATE downloads SET result = ?, fetch_url = '' WHERE source = ? AND address = ?",
        (json.dumps(result.to_record()), source, address),
    )


def count_in(connection: sqlite3.Connection, source: int, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to what was counted of a source."""
    connection.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
        [(source, what, outcome, number) for (what, outcome), number in counts.items()],
    )


def _json_row(row: Mapping[str, Any]) -> str:
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
    return json.dumps(plain)
