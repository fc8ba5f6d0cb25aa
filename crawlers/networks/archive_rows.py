"""Rows of an archive's posts file, CSV or Parquet, each with what is wrong with it."""

import csv
import math
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from crawlers.errors import CrawlError
from crawlers.sources import ArchiveSource

COLUMNS = ("image", "post_id", "created_at", "author", "hashtags", "url", "alt_text")


@dataclass(frozen=True)
class ArchiveRow:
    """A row of the posts file.

    Args:
        number: its place in the file; the first row after the header is 1.
        image: path of the picture inside the folder, normalised.
        repeats: number of the earlier row that names the same picture.
        problem: a reason to leave the row out (``bad_row``, ``bad_date``).
    """

    number: int
    image: str | None = None
    post_id: str | None = None
    created_at: datetime | None = None
    author: str | None = None
    hashtags: tuple[str, ...] = ()
    url: str | None = None
    alt_text: str | None = None
    repeats: int | None = None
    problem: str | None = None


def read_rows(source: ArchiveSource) -> list[ArchiveRow]:
    """Read all rows of a posts file, in the file's order.

    Raises:
        CrawlError: if the file cannot be read or has no column ``image``.
    """
    path = source.posts
    try:
        values = _parquet_values(source) if path.suffix.lower() in (".parquet", ".pq") else _csv_values(source)
        rows = []
        first_with: dict[str, int] = {}
        for number, value in enumerate(values, start=1):
            image = _text(value.get("image"))
            image = posixpath.normpath(image) if image else None
            repeats = first_with.setdefault(image, number) if image else number
            rows.append(_row(number, value, image, None if repeats == number else repeats))
    except OSError as error:
        raise CrawlError(f"source {source.name}: posts file {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise CrawlError(f"source {source.name}: posts file {path} is not UTF-8; save it as CSV in UTF-8") from error
    except (csv.Error, pa.ArrowException) as error:
        raise CrawlError(f"source {source.name}: posts file {path} cannot be read: {error}") from error
    return rows


def _row(number: int, value: Mapping[Any, Any], image: str | None, repeats: int | None) -> ArchiveRow:
    problem = "bad_row" if None in value else None  # more fields than the header has names
    created_at = None
    try:
        created_at = _time(value.get("created_at"))
    except (ValueError, OverflowError):
        problem = problem or "bad_date"
    return ArchiveRow(
        number=number,
        image=image,
        post_id=_text(value.get("post_id")),
        created_at=created_at,
        author=_text(value.get("author")),
        hashtags=_hashtags(value.get("hashtags")),
        url=_text(value.get("url")),
        alt_text=_text(value.get("alt_text")),
        repeats=repeats,
        problem=problem,
    )


def _check_columns(source: ArchiveSource, names: list[str]) -> None:
    if "image" not in names:
        found = ", ".join(names[:20]) or "none"
        raise CrawlError(f"source {source.name}: posts file {source.posts} has no column image; found: {found}")
    for name in COLUMNS:
        if names.count(name) > 1:
            raise CrawlError(f"source {source.name}: posts file {source.posts} has the column {name} twice")


def _csv_values(source: ArchiveSource) -> Iterator[Mapping[Any, Any]]:
    with Path(source.posts).open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        names = [name.strip() for name in reader.fieldnames or ()]
        _check_columns(source, names)
        reader.fieldnames = names
        yield from reader


def _parquet_values(source: ArchiveSource) -> Iterator[Mapping[Any, Any]]:
    with pq.ParquetFile(source.posts) as file:
        names = list(file.schema_arrow.names)
        _check_columns(source, names)
        for batch in file.iter_batches(columns=[name for name in COLUMNS if name in names], use_threads=False):
            yield from batch.to_pylist()


def _text(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def _time(value: Any) -> datetime | None:
    """Read a date, a time, or ISO 8601 text; what has no time zone is UTC."""
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, date):
        moment = datetime.combine(value, time())
    elif (text := _text(value)) is not None:
        moment = datetime.fromisoformat(text)
    else:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def _hashtags(value: Any) -> tuple[str, ...]:
    """Read hashtags: a list, or text in which space, comma, semicolon or a bar stands between them."""
    if isinstance(value, list):
        return tuple(tag for tag in value if isinstance(tag, str))
    text = _text(value)
    return tuple(tag for tag in re.split(r"[\s,;|]+", text) if tag) if text else ()
