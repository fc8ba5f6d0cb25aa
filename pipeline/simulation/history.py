"""Dagster's history of a simulation: the usual one, without what only matters to a history that must last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster._core.instance.ref import InstanceRef  # not exported at the top
from sqlalchemy import Engine, event
from sqlalchemy.pool import QueuePool

from pipeline.instance import instance_folder
from pipeline.settings import Settings
from pipeline.sqlite_history import SqliteHistory

_NO_LOGS = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


class PassingHistory(SqliteHistory):
    """The history of one process, which keeps its connections."""

    pool = QueuePool


@contextmanager
def passing_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of a data location while a simulation passes.

    SQLite does not wait for the disk: after a crash of the machine a simulation is begun anew. What steps print is not
    kept in files, for which each step would start a process.
    """
    event.listen(Engine, "connect", _do_not_wait)
    try:
        folder = str(instance_folder(settings))
        history = {"module": __name__, "class": PassingHistory.__name__, "config": {"base_dir": folder}}
        overrides = {"compute_logs": _NO_LOGS, "storage": {"custom": history}}
        reference = InstanceRef.from_dir(folder, overrides=overrides)
        with dg.DagsterInstance.from_ref(reference) as instance:
            yield instance
    finally:
        event.remove(Engine, "connect", _do_not_wait)


def _do_not_wait(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
