"""Services are kept running, and stopped by their ids."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.supervisor import FIRST_PAUSE, Service, Supervisor, read_note

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


class Kept:
    def __init__(self, folder: Path, program: str) -> None:
        self.folder, self.said = folder, list[str]()
        self.service = Service("web", [sys.executable, "-c", program], folder / "web.log")
        self.supervisor = Supervisor([self.service], dict(os.environ), folder / "note.json", self.said.append)

    def until(self, what: Callable[[], bool], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.said
            self.supervisor.look()
            time.sleep(0.02)

    def ups(self) -> int:
        return self.service.log.read_text().count("up") if self.service.log.exists() else 0

    def pid(self) -> int:
        ((_, process),) = read_note(self.folder / "note.json")
        return process.pid


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    made = Kept(tmp_path, SLEEP)
    yield made
    made.supervisor.stop()


def test_what_is_killed_comes_again(kept: Kept) -> None:
    kept.supervisor.start()
    kept.until(lambda: kept.ups() == 1)
    first = kept.pid()
    os.kill(first, signal.SIGKILL)
    kept.until(lambda: kept.ups() == 2)
    assert kept.pid() != first
    assert kept.said == [f"web ended (killed by SIGKILL); it starts again in {FIRST_PAUSE:g} s, see {kept.service.log}"]


def test_what_fails_at_once_is_tried_more_and_more_rarely(tmp_path: Path) -> None:
    kept = Kept(tmp_path, "import sys; print('up', flush=True); sys.exit(3)")
    kept.supervisor.start()
    kept.until(lambda: len(kept.said) == 3)
    pauses = [line.partition("again in ")[2].split()[0] for line in kept.said]
    assert pauses == ["0.5", "1", "2"]
    assert "exit code 3" in kept.said[0]
    kept.supervisor.stop()
    assert kept.ups() == 3


def test_stopping_leaves_nothing_and_is_no_news(kept: Kept) -> None:
    kept.supervisor.start()
    kept.until(lambda: kept.ups() == 1)
    ((_, process),) = read_note(kept.folder / "note.json")
    kept.supervisor.stop()
    kept.supervisor.look()
    assert not process.runs()
    assert kept.said == []
    assert read_note(kept.folder / "note.json") == []


def test_a_restart_is_another_process(kept: Kept) -> None:
    kept.supervisor.start()
    kept.until(lambda: kept.ups() == 1)
    first = kept.pid()
    kept.supervisor.restart(["web"])
    kept.until(lambda: kept.ups() == 2)
    assert kept.pid() != first
    assert kept.said == []


def test_a_large_log_is_put_aside(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.supervisor.LARGE_LOG", 10)
    kept.service.log.write_text("a long story\n")
    kept.supervisor.start()
    kept.until(lambda: kept.ups() == 1)
    assert "story" not in kept.service.log.read_text()
    assert (kept.folder / "web.log.old").read_text() == "a long story\n"
