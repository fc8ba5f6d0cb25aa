"""What a command and all its descendants cost: seconds, CPU seconds and peak memory, from /proc (Linux only)."""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.02  # seconds between two looks at the memory
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """What a tree of processes cost; ``peak`` is the largest sum of resident memory, MB (10^6 bytes)."""

    seconds: float
    cpu: float
    peak: float

    def __add__(self, other: "Cost") -> "Cost":
        """Put two commands that run one after the other together."""
        return Cost(self.seconds + other.seconds, self.cpu + other.cpu, max(self.peak, other.peak))


def tree(root: int) -> Iterator[int]:
    """Return the process ids of a process and its descendants."""
    yield root
    for thread in Path(f"/proc/{root}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for child in thread.read_text().split():
                yield from tree(int(child))


def resident(root: int) -> float:
    """Return the resident memory of a tree, MB."""
    pages = 0
    for process in tree(root):
        with contextlib.suppress(OSError, IndexError):
            pages += int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * _PAGE / 1e6


def cost(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> Cost:
    """Run a command to its end.

    Args:
        folder: where it runs.
        log: file for what it prints.

    Raises:
        SystemExit: if it fails, with the end of what it printed.
    """
    os.sync()  # what an earlier command wrote is no cost of this one
    ended, peak = threading.Event(), 0.0
    with log.open("w+b") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=subprocess.STDOUT)

        def watch() -> None:
            nonlocal peak
            while not ended.wait(_EVERY):
                peak = max(peak, resident(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)  # the CPU seconds of descendants are in it, too
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            ended.set()
            watcher.join()
            if process.returncode is None:
                process.kill()
                process.wait()
    if process.returncode:
        end = log.read_text(errors="replace")[-2000:]
        raise SystemExit(f"{' '.join(command)[:300]} ended with {process.returncode}:\n{end}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)
