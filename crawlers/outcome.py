"""From the journal of a crawl to its tables: sorted by their keys, in batches, each file whole or not at all."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crawlers.jobs import CrawlJob, CrawlResult
from crawlers.journal import Journal
from crawlers.posts import ImageResult
from crawlers.storage import remove_leftovers, replacing
from crawlers.tables import CRAWL_COUNTS, DELETED_POSTS, IMAGES, POSTS

_BATCH = 4_000  # rows
_CHOOSE = """
CREATE TEMP TABLE chosen AS SELECT source, post_id, reason, content, place, first_source FROM (
    SELECT *, row_number() OVER copies AS place, first_value(source) OVER copies AS first_source FROM main.posts
    WINDOW copies AS (
        PARTITION BY identity
        ORDER BY reason IS NULL OR reason <> 'opted_out', reason IS NOT NULL, source, rank, post_id
    )
)
"""
_POSTS = "SELECT content FROM chosen WHERE place = 1 ORDER BY post_id"
_IMAGES = """
SELECT post_id, media_index, url, alt_text, result FROM chosen
JOIN main.pictures USING (source, post_id) JOIN main.downloads USING (source, address)
WHERE place = 1 AND reason IS NULL ORDER BY post_id, media_index
"""
_IMAGE_COUNTS = """
SELECT source, result FROM chosen
JOIN main.pictures USING (source, post_id) JOIN main.downloads USING (source, address)
WHERE place = 1 AND reason IS NULL
"""


def write_tables(journal: Journal, job: CrawlJob) -> CrawlResult:
    """Write posts, images, counts and deleted_posts of a finished crawl to ``job.out``, each atomically.

    A post that two servers or sources showed is written once, as the first of them in the order of the settings had
    it; the others are counted as ``other_server`` or ``other_source``. A copy whose author opts out goes before all
    others, for a server may not know yet what another one has been told. Of a server that could not be read to its end,
    posts and pictures that the window's last crawl had, and this one has not met, are kept as they were.
    """
    connection = journal.connection()
    failures = journal.failures()
    names = [source.name for source in job.sources]
    failed = {(names[failure.source], failure.server) for failure in failures if failure.of_server}
    connection.executescript(f"DROP TABLE IF EXISTS temp.chosen; {_CHOOSE}")
    kept_posts, kept_images = _kept_from_before(connection, job, failed)
    counts = _counts(connection, journal, names)
    if kept_posts:
        counts["", "post", "kept_from_before"] = len(kept_posts)
    posts = _merged(_post_rows(connection), kept_posts, ("post_id",))
    images = _merged(_image_rows(connection, job.window.key), kept_images, ("post_id", "media_index"))
    tally = Counter[str]()
    # first, because it is made of the last crawl's tables, which the new ones may take the place of
    deleted = _deleted(connection, journal, job)
    _write(job.out / "deleted_posts.parquet", deleted, DELETED_POSTS)
    _write(job.out / "posts.parquet", _tallied(posts, tally, lambda row: "kept" if row["kept"] else "left out"), POSTS)
    _write(job.out / "images.parquet", _tallied(images, tally, lambda row: row["status"]), IMAGES)
    count_rows = (
        {"window": job.window.key, "source": source, "what": what, "outcome": outcome, "count": number}
        for (source, what, outcome), number in sorted(counts.items())
    )
    _write(job.out / "counts.parquet", count_rows, CRAWL_COUNTS)
    return CrawlResult(
        posts=tally["kept"] + tally["left out"],
        kept=tally["kept"],
        images=tally["ok"],
        failed=tally["failed"],
        deleted=len(deleted),
        counts=dict(sorted(counts.items())),
        incomplete=tuple(f"source {names[failure.source]}: {failure.detail}" for failure in failures),
        resumed=journal.resumed,
    )


def _post_rows(connection: sqlite3.Connection) -> Iterator[dict[str, Any]]:
    for (content,) in connection.execute(_POSTS):
        row = json.loads(content)
        for name in ("created_at", "edited_at", "crawled_at"):
            row[name] = datetime.fromisoformat(row[name]) if row[name] else None
        yield row


def _image_rows(connection: sqlite3.Connection, window: str) -> Iterator[dict[str, Any]]:
    for post_id, media_index, url, alt_text, result in connection.execute(_IMAGES):
        known = ImageResult.from_record(json.loads(result))
        yield known.to_row(post_id=post_id, media_index=media_index, url=url, alt_text=alt_text, window=window)


def _counts(connection: sqlite3.Connection, journal: Journal, names: Sequence[str]) -> Counter[tuple[str, str, str]]:
    counts = Counter[tuple[str, str, str]]()
    for source, what, outcome, number in journal.counts():
        counts[names[source], what, outcome] += number
    for source, reason, place, first in connection.execute("SELECT source, reason, place, first_source FROM chosen"):
        outcome = reason or "kept"
        if place > 1:
            outcome = "other_server" if first == source else "other_source"
        counts[names[source], "post", outcome] += 1
    for source, result in connection.execute(_IMAGE_COUNTS):
        counts[names[source], "image", json.loads(result)["reason"] or "ok"] += 1
    for failure in journal.failures():
        counts[names[failure.source], "page", failure.reason] += 1
    for outcome, _, _ in journal.gone().values():
        counts["", "gone", outcome] += 1
    return counts


def _kept_from_before(
    connection: sqlite3.Connection, job: CrawlJob, failed: set[tuple[str, str]]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rows of the last crawl for servers that failed now, without the posts that this crawl has.

    A post that another server shows now has another id there; it is known by its author, moment and hashtags.
    """
    if not failed:
        return [], []
    met = {row[0] for row in connection.execute("SELECT post_id FROM chosen")}
    shown: dict[tuple[Any, ...], set[str]] = {}
    for row in _post_rows(connection):
        shown.setdefault(_signature(row), set()).add(row["server"])
    posts = [
        row
        for row in earlier_rows(job, "posts", POSTS)
        if (row["source"], row["server"]) in failed
        and row["post_id"] not in met
        and not shown.get(_signature(row), set()) - {row["server"]}
    ]
    ids = {row["post_id"] for row in posts}
    images = [row for row in earlier_rows(job, "images", IMAGES) if row["post_id"] in ids]
    return posts, images


def _signature(row: Mapping[str, Any]) -> tuple[Any, ...]:
    if row["author_hmac"] is None or row["created_at"] is None:
        return (row["post_id"],)
    names = ("network", "author_hmac", "created_at", "boost", "image_count")
    return (*(row[name] for name in names), *row["hashtags"])


def _deleted(connection: sqlite3.Connection, journal: Journal, job: CrawlJob) -> list[dict[str, Any]]:
    """Return what is known of posts that are gone: noticed now, or by an earlier crawl and not met again since."""
    met = {row[0] for row in connection.execute("SELECT post_id FROM chosen")}
    rows = {
        row["post_id"]: row for row in earlier_rows(job, "deleted_posts", DELETED_POSTS) if row["post_id"] not in met
    }
    gone = journal.gone()
    images: dict[str, list[str]] = {}
    for row in earlier_rows(job, "images", IMAGES) if gone else ():
        if row["post_id"] in gone and row["image_id"]:
            images.setdefault(row["post_id"], []).append(row["image_id"])
    for row in earlier_rows(job, "posts", POSTS) if gone else ():
        if row["post_id"] in gone:
            outcome, status, noticed = gone[row["post_id"]]
            rows[row["post_id"]] = {
                **{name: row[name] for name in ("post_id", "network", "source", "server", "window")},
                "outcome": outcome,
                "http_status": status,
                "image_ids": images.get(row["post_id"], []),
                "last_crawled_at": row["crawled_at"],
                "noticed_at": noticed.astimezone(UTC),
            }
    return [rows[post_id] for post_id in sorted(rows)]


def earlier_rows(job: CrawlJob, table: str, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    """Return the rows that the window's last crawl wrote to a table; columns that it lacked are empty."""
    path = job.previous_folder / f"{table}.parquet"
    if not path.exists():
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_BATCH, use_threads=False):
            for row in batch.to_pylist():
                if row["window"] != job.window.key:
                    continue
                yield {field.name: row.get(field.name, _empty(field)) for field in schema}


def _empty(field: pa.Field) -> Any:
    if field.nullable:
        return None
    return [] if pa.types.is_list(field.type) else False if pa.types.is_boolean(field.type) else None


def _merged(
    rows: Iterator[dict[str, Any]], kept: Sequence[dict[str, Any]], key: tuple[str, ...]
) -> Iterator[dict[str, Any]]:
    """Put rows that are kept from before into sorted rows, at their places."""
    waiting = sorted(kept, key=lambda row: tuple(row[name] for name in key), reverse=True)
    for row in rows:
        while waiting and tuple(waiting[-1][name] for name in key) < tuple(row[name] for name in key):
            yield waiting.pop()
        yield row
    while waiting:
        yield waiting.pop()


def _tallied(rows: Iterable[dict[str, Any]], tally: Counter[str], what: Any) -> Iterator[dict[str, Any]]:
    for row in rows:
        tally[what(row)] += 1
        yield row


def _write(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write a Parquet file in batches of bounded size."""
    remove_leftovers(path)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        batch: list[Mapping[str, Any]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _BATCH:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
