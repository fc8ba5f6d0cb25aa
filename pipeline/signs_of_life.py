"""Signs of life: a locked file for each process that works on a run, for those who cannot see it by its id.

The system takes the lock off a process that is killed. Containers that share the instance's folder see each other's
locks, but not each other's processes; after a restart of machine or container the file is there, and nobody holds it.
"""

import fcntl
import os
from pathlib import Path

from pipeline.processes import Process

ENDING = ".alive"
MOST = 500  # files in the folder; beyond them the oldest are removed that nobody holds
_shown: dict[Path, int] = {}  # open files of this process, which it never closes


def show(folder: Path, process: Process) -> None:
    """Let ``process``, which must be the one that asks, show that it lives for as long as it does."""
    path = _path(folder, process)
    if path in _shown:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob(f"*{ENDING}"), key=_modified)[: -MOST + 1]:
        if _is_locked(old) is False:
            old.unlink(missing_ok=True)
    _shown[path] = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(_shown[path], fcntl.LOCK_EX)


def is_shown(folder: Path, process: Process) -> bool | None:
    """Say whether a process shows that it lives; None where that cannot be seen."""
    return _is_locked(_path(folder, process))


def _is_locked(path: Path) -> bool | None:
    """Say whether a file is locked; None where that cannot be seen."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, PermissionError):
        return None
    except BlockingIOError:
        return True
    return False


def _path(folder: Path, process: Process) -> Path:
    return folder / f"{process.place}-{process.pid}-{process.began}{ENDING}"


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process tidies up, too
        return 0.0
