"""How far long work has come: on the terminal in the launcher, as log lines in a Dagster run."""

import time
from collections.abc import Callable
from typing import Protocol

Step = Callable[[int, int], None]


class Progress(Protocol):
    """Something that shows how far named pieces of work have come."""

    def step(self, description: str) -> Step:
        """Return a function to call with (done, total) while the work goes on."""


class LogProgress:
    """Writes a log line at most every ``seconds``, and one at the end."""

    def __init__(self, write: Callable[[str], None], seconds: float = 5.0) -> None:
        self._write = write
        self._seconds = seconds

    def step(self, description: str) -> Step:
        """Return a function to call with (done, total)."""
        last = time.monotonic()

        def report(done: int, total: int) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= self._seconds or done == total:
                last = now
                self._write(f"{description}: {done} of {total}")

        return report
