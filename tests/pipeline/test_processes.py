"""Processes are known by id and beginning, whatever else happens to the id."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import processes, signs_of_life
from pipeline.processes import Process, process, this_process

CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


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
    elsewhere = replace(process(sleeper.pid), place="elsewhere")
    assert not elsewhere.is_here
    assert not elsewhere.end(1)
    assert sleeper.poll() is None


def test_a_machine_that_is_renamed_knows_its_processes(sleeper: subprocess.Popen[bytes]) -> None:
    assert replace(process(sleeper.pid), host="before").runs()


@pytest.mark.skipif(
    shutil.which("unshare") is None or subprocess.run([*CONTAINER, "true"], capture_output=True).returncode != 0,
    reason="no namespaces of process ids for everybody here",
)
def test_a_container_is_known_by_its_sign_of_life_and_not_by_its_ids(tmp_path: Path) -> None:
    shows = (
        "import json, pathlib, sys, time; from dataclasses import asdict; from pipeline.processes import this_process\n"
        "from pipeline import signs_of_life; signs_of_life.show(pathlib.Path(sys.argv[1]), this_process())\n"
        "print(json.dumps(asdict(this_process())), flush=True); time.sleep(60)"
    )
    command = [*CONTAINER, sys.executable, "-c", shows, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as container:
        assert container.stdout is not None
        inside = Process(**json.loads(container.stdout.readline()))
        assert inside.host == this_process().host
        assert not inside.is_here  # its id is that of another process here, or of none
        assert signs_of_life.is_shown(tmp_path, inside)
        container.kill()
    deadline = time.monotonic() + 10
    while signs_of_life.is_shown(tmp_path, inside) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert signs_of_life.is_shown(tmp_path, inside) is False
    assert signs_of_life.is_shown(tmp_path / "another", inside) is None


def test_the_oldest_signs_of_life_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs_of_life, "MOST", 2)
    for number in range(3):
        path = tmp_path / f"before-{number}.alive"
        path.touch()
        os.utime(path, (number, number))
    signs_of_life.show(tmp_path, this_process())
    assert {path.name for path in tmp_path.iterdir()} > {"before-2.alive"}
    assert len(list(tmp_path.iterdir())) == 2
    assert signs_of_life.is_shown(tmp_path, this_process())


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
