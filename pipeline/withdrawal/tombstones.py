"""The table of withdrawals: who asks for what is written here first, and stays here for ever, as keyed hashes."""

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from crawlers.identity import key_from_env
from crawlers.withdrawals import Kind, Withdrawn, keyed_hash, masked, new_tombstone_id
from pipeline.locks import one_at_a_time
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TABLES

TABLE = "withdrawals"


@dataclass(frozen=True)
class Request:
    """One request of a person: what it is called, why, and when."""

    request: str
    reason: str
    requested_at: datetime
    done_at: datetime | None = None

    @classmethod
    def new(cls, reason: str, now: datetime | None = None) -> "Request":
        """Return a request that is made now."""
        return cls(secrets.token_hex(6), reason, now or datetime.now(UTC))


@dataclass(frozen=True)
class Look:
    """The 256-bit perceptual hashes of a picture, whole and without its border."""

    plain: bytes
    trim: bytes


def read(storage: Storage) -> pa.Table:
    """Return the table; empty before the first withdrawal."""
    return storage.read_table(TABLE) if storage.has_table(TABLE) else TABLES[TABLE].schema.empty_table()


def made(storage: Storage) -> pa.Table:
    """Return the table, made empty where there is none yet."""
    with writing(storage):
        return read(storage) if storage.has_table(TABLE) else storage.write_table(TABLE, read(storage))


def pending(storage: Storage) -> tuple[str, ...]:
    """Return the requests that are not carried out yet, oldest first."""
    return tuple(request.request for request in requests(storage) if request.done_at is None)


def requests(storage: Storage) -> list[Request]:
    """Return all requests, oldest first; one is done when all of its tombstones are."""
    found: dict[str, Request] = {}
    for row in read(storage).sort_by("requested_at").to_pylist():
        earlier = found.get(row["request"])
        done = row["done_at"] if earlier is None or earlier.done_at is not None else None
        found[row["request"]] = Request(row["request"], row["reason"], row["requested_at"], done)
    return list(found.values())


def withdrawn(settings: Settings, storage: Storage) -> Withdrawn:
    """Return what was ever withdrawn, also what is not carried out yet.

    Raises:
        CrawlError: there is something, and the key of the environment is missing or another one.
    """
    table = read(storage)
    if not table.num_rows:
        return Withdrawn(b"")
    return Withdrawn.of(table, key_from_env(os.environ), settings.deduplication.duplicate_bits)


def rows_for(
    key: bytes, request: Request, kind: Kind, values: Iterable[str], known: Withdrawn
) -> Iterator[dict[str, Any]]:
    """Yield the tombstones of values that have none yet."""
    for value in sorted(set(values)):
        hashed = keyed_hash(key, kind, value)
        if hashed not in known.hashes.get(kind, ()):
            yield _row(key, request, kind, keyed_hash=hashed)


def look_rows(key: bytes, request: Request, looks: Iterable[Look], known: Withdrawn) -> Iterator[dict[str, Any]]:
    """Yield the tombstones of looks that have none yet."""
    hidden = {look.tobytes() for look in known.looks}
    for look in sorted(set(looks), key=lambda look: (look.plain, look.trim)):
        if look.plain in hidden and look.trim in hidden:
            continue
        row = _row(key, request, "look")
        row["masked_phash256"] = masked(key, row["tombstone_id"], look.plain, "plain")
        row["masked_trim_phash256"] = masked(key, row["tombstone_id"], look.trim, "trim")
        yield row


def _row(key: bytes, request: Request, kind: Kind, **values: Any) -> dict[str, Any]:
    return {
        "tombstone_id": new_tombstone_id(key),
        "kind": kind,
        "keyed_hash": None,
        "masked_phash256": None,
        "masked_trim_phash256": None,
        "request": request.request,
        "reason": request.reason,
        "requested_at": request.requested_at,
        "done_at": None,
        **values,
    }


@contextmanager
def writing(storage: Storage) -> Iterator[None]:
    """Keep others from changing the table between reading and writing it."""
    say = dg.get_dagster_logger().info
    with one_at_a_time(storage.cache_folder("withdrawal") / "table.lock", say, "another withdrawal is written down"):
        yield


def add(storage: Storage, rows: Sequence[dict[str, Any]]) -> None:
    """Write tombstones down; the caller holds :func:`writing`."""
    if rows:
        schema = TABLES[TABLE].schema
        storage.write_table(TABLE, pa.concat_tables([read(storage), pa.Table.from_pylist(rows, schema=schema)]))


def mark_done(storage: Storage, names: Iterable[str], moment: datetime) -> None:
    """Note that requests were carried out."""
    done = set(names)
    with writing(storage):
        rows = read(storage).to_pylist()
        for row in rows:
            if row["request"] in done and row["done_at"] is None:
                row["done_at"] = moment
        storage.write_table(TABLE, pa.Table.from_pylist(rows, schema=TABLES[TABLE].schema))
