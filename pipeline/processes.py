"""Processes of this machine, known by their id and the moment they began, so that an id used again fools nobody."""

import functools
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_STATE, _START = 0, 19  # fields of /proc/PID/stat after the name: state, and start in clock ticks since boot (proc(5))
_GONE = {"Z", "X", "x"}  # zombies and the dead: nothing runs there any more
_LOOK_AGAIN = 0.05  # seconds


@dataclass(frozen=True)
class Process:
    """A process: its id, a mark of the moment it began (opaque), its machine's name, and where its id is known."""

    pid: int
    began: str
    host: str  # for people: containers may share it, and a machine may get another
    place: str = ""  # see this_place

    @property
    def is_here(self) -> bool:
        """Whether its id is known here: on this machine, since it was started, and not inside another container."""
        return self.place == this_place()

    def runs(self) -> bool:
        """Say whether it still runs; a zombie does not. False where its id is not known here."""
        return self.is_here and began(self.pid) == self.began

    def send(self, number: int) -> bool:
        """Send it a signal; return whether it was there to get one."""
        if not self.runs():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def end(self, patience: float) -> bool:
        """Ask it to end, wait ``patience`` seconds, and kill it if it did not; return whether it was running.

        A child of this process must be reaped by whoever started it; a zombie counts as ended.
        """
        if not self.send(signal.SIGTERM):
            return False
        deadline = time.monotonic() + patience
        while self.runs() and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN)
        self.send(signal.SIGKILL)
        return True


def this_process() -> Process:
    """Return the process that asks."""
    return process(os.getpid())


def process(pid: int) -> Process:
    """Return the running process with an id. Raises ProcessLookupError if there is none."""
    mark = began(pid)
    if mark is None:
        raise ProcessLookupError(f"no process {pid}")
    return Process(pid, mark, this_host(), this_place())


def began(pid: int) -> str | None:
    """Return the mark of the moment a process began; None where none with this id runs."""
    return _began_linux(pid) if _has_proc() else _began_elsewhere(pid)


@functools.cache
def this_host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


@functools.cache
def this_place() -> str:
    """Return what is the same for all processes that know each other by their ids, and else different.

    On Linux a boot of a machine and in it a namespace of ids (pid_namespaces(7)): containers share the former alone.
    """
    if not _has_proc():
        return this_host()
    boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}:{(_PROC / 'self/ns/pid').stat().st_ino}"


def _began_linux(pid: int) -> str | None:
    try:
        content = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = content.rpartition(")")[2].split()  # the name before may hold anything, blanks and brackets included
    return None if fields[_STATE] in _GONE else fields[_START]


@functools.cache
def _has_proc() -> bool:
    return (_PROC / "self" / "stat").exists()


def _began_elsewhere(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split(maxsplit=1)  # noqa: S603 - POSIX
    return None if len(shown) < 2 or shown[0][0] in _GONE else shown[1].strip()
