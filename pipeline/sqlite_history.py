"""Dagster's history in SQLite, as Dagster keeps it, with one engine for each file.

Dagster's own storages make an engine for each query, and an engine that is new has no statement compiled: that was a
tenth of the time of a run in which little is to be done. As there, no connection outlives its query.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite.sqlite_run_storage import SqliteRunStorage
from dagster._core.storage.schedules.sqlite.sqlite_schedule_storage import SqliteScheduleStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool, Pool

BUSY_SECONDS = 60  # that a query waits for another process which writes
MOST_ENGINES = 32  # each run has a file of its own


class _Engines:
    """The engines of the files that were used last."""

    def __init__(self, pool: type[Pool]) -> None:
        self._pool = pool
        self._known: dict[str, Engine] = {}

    def engine(self, address: str) -> Engine:
        """Return the engine of a file, which two threads may make at the same time: either will do."""
        known = self._known.get(address)
        if known is None:
            known = create_engine(address, poolclass=self._pool, connect_args={"timeout": BUSY_SECONDS})
            kept = dict(list(self._known.items())[1 - MOST_ENGINES :])
            for gone in self._known.keys() - kept.keys():
                self._known[gone].dispose()
            self._known = {**kept, address: known}
        return known

    @contextmanager
    def connection(self, address: str) -> Iterator[Connection]:
        """Give a new connection with a transaction."""
        with self.engine(address).connect() as connection, connection.begin():
            yield connection


class _OneFile:
    """A storage that keeps everything in one file."""

    def __init__(self, conn_string: str, pool: type[Pool]) -> None:
        """Use the file of an address, which has its tables."""
        self._address, self._engines = conn_string, _Engines(pool)
        super().__init__(conn_string)  # type: ignore[call-arg]  # of the storage that follows in the order of classes

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Give a connection for one query."""
        with self._engines.connection(self._address) as connection:
            yield connection


class RunHistory(_OneFile, SqliteRunStorage):
    """The runs."""


class ScheduleHistory(_OneFile, SqliteScheduleStorage):
    """What schedules, sensors and conditions remember."""


class EventHistory(SqliteEventLogStorage):
    """The events of each run, and an index of those about assets."""

    def __init__(self, base_dir: str, pool: type[Pool]) -> None:
        """Use the files in a folder."""
        self._engines = _Engines(pool)
        super().__init__(base_dir)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            address = self.conn_string_for_shard(shard)
            if shard not in self._initialized_dbs:
                self._initdb(self._engines.engine(address))
                self._initialized_dbs.add(shard)
            with self._engines.connection(address) as connection:
                yield connection


class SqliteHistory(DagsterSqliteStorage):
    """All three, in the places where Dagster itself has them."""

    pool: type[Pool] = NullPool  # no connection outlives its query

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        """Open the history below ``base_dir``, or begin one."""
        super().__init__(base_dir, inst_data)  # makes what is not there yet
        self._run_storage = RunHistory(self._run_storage._conn_string, self.pool)
        self._event_log_storage = EventHistory(self._event_log_storage._base_dir, self.pool)
        self._schedule_storage = ScheduleHistory(self._schedule_storage._conn_string, self.pool)

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """Open what dagster.yaml names."""
        return cls.from_local(inst_data=inst_data, **config_value)
