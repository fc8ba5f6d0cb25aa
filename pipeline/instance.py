"""The Dagster instance that belongs to a data location: one history of runs, shared by launcher and UI."""

from pathlib import Path

import dagster as dg

from pipeline.storage import Storage, write_file

CONFIGURATION = """\
telemetry:
  enabled: false
nux:
  enabled: false
"""


def instance_folder(storage: Storage) -> Path:
    """Return the folder of the instance, made with its configuration where it is new."""
    folder = storage.scratch.parent / "dagster" if storage.is_local else storage.scratch / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "dagster.yaml"
    if not configuration.exists():
        write_file(configuration, CONFIGURATION.encode())
    return folder


def open_instance(storage: Storage) -> dg.DagsterInstance:
    """Open the instance of a data location."""
    return dg.DagsterInstance.from_config(str(instance_folder(storage)))
