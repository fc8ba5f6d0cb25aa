"""Keeps a few processes running: starts them, starts again what died, and stops them by their ids."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipeline.processes import Process, process
from pipeline.storage import write_file

LOOK_SECONDS = 0.2  # between two looks at the processes
STEADY_SECONDS = 60.0  # a process that ran so long is no longer held to have just failed
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a process is started again; doubled each time
PATIENCE = 30.0  # seconds that processes may take to end
LARGE_LOG = 10_000_000  # bytes, from which a log is put aside when its process starts


@dataclass(frozen=True)
class Service:
    """A process to be kept running."""

    name: str
    command: Sequence[str]
    log: Path
    after: Path | None = None  # socket at which another service must answer before this one starts


@dataclass
class _Kept:
    """A service and its process, if it has one right now."""

    service: Service
    child: subprocess.Popen[bytes] | None = None
    process: Process | None = None
    started: float = 0.0  # monotonic seconds
    due: float = 0.0  # when to start it
    pause: float = FIRST_PAUSE
    told: bool = field(default=False)  # it was told to end, so that its end is no news


class Supervisor:
    """Runs services, all with the same environment."""

    def __init__(
        self, services: Sequence[Service], environment: Mapping[str, str], note: Path, say: Callable[[str], None]
    ) -> None:
        """``note`` is the file that names the processes, for whoever has to clear up after this process was killed."""
        self._kept = [_Kept(service) for service in services]
        self._environment, self._note, self._say = environment, note, say

    def start(self) -> None:
        """Start all services, after what an earlier supervisor left behind was ended."""
        self.end_leftovers()
        self.look()

    def end_leftovers(self) -> None:
        """End the processes that an earlier supervisor left behind when it was killed."""
        for name, left in read_note(self._note):
            if left.end(PATIENCE):
                self._say(f"{name} of an earlier start was still running (process {left.pid}): ended it")

    def look(self) -> None:
        """Take note of processes that ended, and start what is due."""
        now = time.monotonic()
        for kept in self._kept:
            if kept.child is not None and (code := kept.child.poll()) is not None:
                self._ended(kept, code, now)
            if kept.child is None and now >= kept.due and _answers(kept.service.after):
                self._start(kept, now)

    def restart(self, names: Sequence[str]) -> None:
        """Let services end and start again at once."""
        chosen = [kept for kept in self._kept if kept.service.name in names]
        for kept in chosen:
            self._tell(kept)
        self._await(chosen)
        for kept in chosen:
            kept.due, kept.pause = 0.0, FIRST_PAUSE
        self.look()

    def stop(self, names: Sequence[str] | None = None) -> None:
        """Let services end, all of them unless names are given; what takes too long is killed."""
        chosen = [kept for kept in self._kept if names is None or kept.service.name in names]
        for kept in chosen:
            self._tell(kept)
            kept.due = float("inf")
        self._await(chosen)
        self._write_note()

    def _start(self, kept: _Kept, now: float) -> None:
        log = kept.service.log
        log.parent.mkdir(parents=True, exist_ok=True)
        if log.exists() and log.stat().st_size > LARGE_LOG:
            log.replace(log.with_name(log.name + ".old"))
        with log.open("ab") as output:
            # a session of its own: Ctrl-C in the terminal goes to the supervisor alone, which ends them in order
            kept.child = subprocess.Popen(  # noqa: S603 - our own interpreter
                kept.service.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        kept.started, kept.told = now, False
        try:
            kept.process = process(kept.child.pid)
        except ProcessLookupError:  # it ended within the moment; the next look says so
            kept.process = None
        self._write_note()

    def _ended(self, kept: _Kept, code: int, now: float) -> None:
        kept.child = kept.process = None
        if kept.told:
            return
        if now - kept.started >= STEADY_SECONDS:
            kept.pause = FIRST_PAUSE
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._say(f"{kept.service.name} ended ({how}); it starts again in {kept.pause:g} s, see {kept.service.log}")
        kept.due = now + kept.pause
        kept.pause = min(2 * kept.pause, LONGEST_PAUSE)

    def _tell(self, kept: _Kept) -> None:
        kept.told = True
        if kept.child is not None and kept.child.poll() is None:
            kept.child.send_signal(signal.SIGTERM)

    def _await(self, chosen: Sequence[_Kept]) -> None:
        """Wait until processes that were told to end are gone."""
        deadline = time.monotonic() + PATIENCE
        for kept in chosen:
            if kept.child is None:
                continue
            try:
                kept.child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"{kept.service.name} does not end (process {kept.child.pid}): killed it")
                kept.child.kill()
                kept.child.wait()
            kept.child = kept.process = None

    def _write_note(self) -> None:
        running = [{"name": one.service.name, **asdict(one.process)} for one in self._kept if one.process is not None]
        write_file(self._note, (json.dumps(running, indent=1) + "\n").encode())


def _answers(address: Path | None) -> bool:
    """Say whether somebody listens at a socket; True where none is named."""
    if address is None:
        return True
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(address)) == 0


def read_note(note: Path) -> list[tuple[str, Process]]:
    """Return the processes that a supervisor noted, by the names of their services."""
    if not note.exists():
        return []
    entries = json.loads(note.read_text(encoding="utf-8"))
    return [(entry.pop("name"), Process(**entry)) for entry in entries]
