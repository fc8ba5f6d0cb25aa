"""The Dagster instance that belongs to a data location: one history of runs, shared by launcher, services and UI."""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.settings import Settings, SettingsError
from pipeline.storage import Storage, write_file

if TYPE_CHECKING:
    import dagster as dg

POSTGRES_VARIABLE = "STYLEGRAPH_DAGSTER_POSTGRES_URL"
HOME_VARIABLE = "DAGSTER_HOME"
OWNER = "data_location"  # file in a folder that DAGSTER_HOME names: the mark of the location whose history it is
NOTED_HOME = "dagster_home"  # file in a location's cache: that folder
HEADER = "# Written by stylegraph from its settings file whenever that changes; what is changed here by hand is lost.\n"
START_SECONDS = 90  # that a run's process may take to begin
CANCEL_SECONDS = 60  # that it may take to end when it is told to
LOOK_SECONDS = 5  # between two looks at the processes of runs
DEQUEUE_SECONDS = 1  # between two looks at the queue
KEEP_DAYS = 7  # that ticks which asked for nothing are kept


def instance_folder(settings: Settings) -> Path:
    """Return the folder of the instance, with its dagster.yaml as the settings ask for.

    Raises:
        SettingsError: it is to be kept in PostgreSQL, and the address or the package for that is missing.
    """
    folder = home_of(Storage(settings.data.location))
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    content = configuration_for(settings, folder.resolve()).encode()
    if not configuration.exists() or configuration.read_bytes() != content:
        write_file(configuration, content)
    _make_storage(folder, settings.dagster.storage)
    return folder


def home_of(storage: Storage) -> Path:
    """Return the folder of the instance of a data location, which may not be there.

    It lies beside the data; that of a remote location beside the local cache, or in the folder that was given to the
    location (``take_home``): the one that DAGSTER_HOME names, or a note in the cache. A shell may name that of another
    project.
    """
    if storage.is_local:
        return storage.scratch.parent / "dagster"
    noted = storage.scratch / NOTED_HOME
    for named in (os.environ.get(HOME_VARIABLE), noted.read_text(encoding="utf-8") if noted.exists() else None):
        if named and _owner(Path(named)) == _mark(storage):
            return Path(named)
    return storage.scratch / "dagster"


def take_home(storage: Storage) -> None:
    """Let DAGSTER_HOME, where it is set, be the folder of a location's instance from now on.

    Raises:
        SettingsError: it cannot be.
    """
    named = os.environ.get(HOME_VARIABLE)
    if not named or Path(named).resolve() == home_of(storage).resolve():
        return
    if storage.is_local:
        right = home_of(storage).resolve()
        raise SettingsError(f"DAGSTER_HOME is {named}, but the history lies beside the data: set DAGSTER_HOME={right}")
    home, before = Path(named), home_of(storage)
    configuration = home / "dagster.yaml"
    if configuration.exists() or _owner(home) is not None:
        ours = not configuration.exists() or configuration.read_text(encoding="utf-8").startswith(HEADER)
        whose = "another data location" if ours else "another project"
        raise SettingsError(f"DAGSTER_HOME={named} is the folder of {whose}: name a new one")
    if _has_runs(before):
        raise SettingsError(
            f"the history of {storage.location} lies in {before}: set DAGSTER_HOME={before}, or stop everything, move "
            f"the content of that folder to {named}, but for dagster.yaml, remove it, and start again"
        )
    write_file(home / OWNER, _mark(storage).encode())
    write_file(storage.scratch / NOTED_HOME, str(home.resolve()).encode())


def _has_runs(folder: Path) -> bool:
    """Say whether a folder holds a history of runs in SQLite."""
    database = folder / "history" / "runs.db"
    if not database.exists():
        return False
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None


def _owner(home: Path) -> str | None:
    """Return the mark of the remote location that a folder was given to."""
    path = home / OWNER
    return path.read_text(encoding="ascii") if path.exists() else None


def _mark(storage: Storage) -> str:
    return hashlib.sha256(storage.location.rstrip("/").encode()).hexdigest()[:16]


def open_instance(settings: Settings) -> "dg.DagsterInstance":
    """Open the instance of a data location. Raises SettingsError as ``instance_folder`` does."""
    import dagster as dg  # not at the top: the services start before this process has loaded it

    return dg.DagsterInstance.from_config(str(instance_folder(settings)))


def _make_storage(folder: Path, kind: str) -> None:
    """Let one process alone make the tables of the history: two at once leave them so that nobody can open them."""
    note = folder / "storage_made"
    if note.exists() and note.read_text() == kind:
        return
    import dagster as dg

    with (folder / "storage.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        dg.DagsterInstance.from_config(str(folder)).dispose()
        write_file(note, kind.encode())


def configuration_for(settings: Settings, folder: Path) -> str:
    """Return dagster.yaml for the settings and the folder that it is written to. No secret stands in it."""
    automation = settings.automation
    training = {"key": "stylegraph/training", "value": "true", "limit": 1}
    content: dict[str, Any] = {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "run_launcher": {"module": "pipeline.run_launcher", "class": "DetachedRunLauncher"},
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {"dequeue_interval_seconds": DEQUEUE_SECONDS},
        },
        "concurrency": {
            "runs": {"max_concurrent_runs": automation.runs_at_once, "tag_concurrency_limits": [training]},
            # what a person asks for has no tag, but what trains is in a pool; a killed run has no slot to give back
            "pools": {"granularity": "run", "default_limit": 1},
        },
        "run_monitoring": {
            "enabled": True,
            "start_timeout_seconds": START_SECONDS,
            "cancel_timeout_seconds": CANCEL_SECONDS,
            "poll_interval_seconds": LOOK_SECONDS,
        },
        # A run whose process died is begun again where it stopped. What an asset itself says is wrong stays wrong; what
        # may pass by itself (a server that does not answer) is tried again inside the run.
        "run_retries": {
            "enabled": automation.retries > 0,
            "max_retries": automation.retries,
            "retry_on_asset_or_op_failure": False,
        },
        "freshness": {"enabled": True},
        "retention": {name: {"purge_after_days": {"skipped": KEEP_DAYS}} for name in _TICKING},
    }
    if settings.dagster.storage == "postgres":
        _require_postgres()
        content["storage"] = {"postgres": {"postgres_url": {"env": POSTGRES_VARIABLE}}}
    else:
        history = {"module": "pipeline.sqlite_history", "class": "SqliteHistory", "config": {"base_dir": str(folder)}}
        content["storage"] = {"custom": history}
    return HEADER + str(yaml.safe_dump(content, sort_keys=False))


_TICKING = ("schedule", "sensor", "auto_materialize")


def _require_postgres() -> None:
    if not os.environ.get(POSTGRES_VARIABLE):
        raise SettingsError(
            f'dagster.storage = "postgres" needs the address of a database in the environment: '
            f"{POSTGRES_VARIABLE}=postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    if importlib.util.find_spec("dagster_postgres") is None:
        raise SettingsError(
            'dagster.storage = "postgres" needs packages: pip install "stylegraph[postgres]" && '
            "pip install --no-deps dagster-postgres==0.29.27"
        )
