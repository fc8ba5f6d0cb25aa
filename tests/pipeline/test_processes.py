"""Processes are known by id and beginning, whatever else happens to the id."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from pipeline import processes
from pipeline.processes import process, this_process


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield child
    child.kill()
    child.wait()


def test_a_running_process_is_the_same_at_each_look(sleeper: subprocess.Popen[bytes]) -> None:
    assert process(sleeper.pid) == process(sleeper.pid)
    assert process(sleeper.pid).runs()
    assert this_process().runs()
    assert this_process() != process(sleeper.pid)


def test_a_killed_process_is_gone_before_anybody_waits_for_it(sleeper: subprocess.Popen[bytes]) -> None:
    found = process(sleeper.pid)
    os.kill(sleeper.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while found.runs() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not found.runs()  # a zombie, as this process has not taken leave of it
    assert not found.send(signal.SIGTERM)
    with pytest.raises(ProcessLookupError):
        process(sleeper.pid)


def test_another_process_with_the_same_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    earlier = replace(process(sleeper.pid), began="earlier")
    assert not earlier.runs()
    assert not earlier.end(1)
    assert sleeper.poll() is None


def test_another_machines_process_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    elsewhere = replace(process(sleeper.pid), host="elsewhere")
    assert not elsewhere.is_here
    assert not elsewhere.end(1)
    assert sleeper.poll() is None


def test_ending_kills_what_does_not_listen() -> None:
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
        assert process(child.pid).end(0.3)
        assert child.wait(10) == -signal.SIGKILL


def test_ps_says_the_same_where_there_is_no_proc(sleeper: subprocess.Popen[bytes]) -> None:
    assert processes._began_elsewhere(sleeper.pid) is not None
    assert processes._began_elsewhere(sleeper.pid) == processes._began_elsewhere(sleeper.pid)
    sleeper.kill()
    sleeper.wait()
    assert processes._began_elsewhere(sleeper.pid) is None
