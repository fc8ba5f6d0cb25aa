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
_WHITE = bytes.fromhex(  # a PNG
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478da63f8ffff3f0005fe02fe331295140000"
    "000049454e44ae426082"
)


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


@contextmanager
def white_charts() -> Iterator[None]:
    """Let every chart be a white pixel: drawing them takes a fifth of a simulated year, and nobody looks at them."""
    from matplotlib.figure import Figure

    drawn = Figure.savefig
    Figure.savefig = lambda figure, buffer, **how: buffer.write(_WHITE)  # type: ignore[method-assign]
    try:
        yield
    finally:
        Figure.savefig = drawn  # type: ignore[method-assign]


def _do_not_wait(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
