"""What of a local server can be tried without one; the rest is in tests/integration/test_label_studio_server.py."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from labeling.studio import guard
from labeling.studio.connection import StudioError
from labeling.studio.local_data import server_environment
from labeling.studio.server import free_port, require_free

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


def guarded(parent: int, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-I", guard.__file__, str(parent), sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestGuard:
    def test_it_ends_with_the_command(self) -> None:
        with guarded(os.getpid(), "raise SystemExit(7)") as child:
            assert child.wait(10) == 7

    def test_another_parent_ends_the_command(self) -> None:
        with guarded(os.getpid() + 1, "import time; time.sleep(60)") as child:
            assert child.wait(10) == 128 + signal.SIGTERM

    def test_told_to_stop_it_ends_after_the_command(self) -> None:
        code = "import time; print('ready', flush=True); time.sleep(60)"
        with guarded(os.getpid(), code) as child:
            assert child.stdout is not None
            child.stdout.readline()
            child.terminate()
            assert child.wait(10) == 128 + signal.SIGTERM

    def test_a_command_that_ignores_sigterm_is_killed_at_once_when_asked(self) -> None:
        with guarded(os.getpid(), STUBBORN) as child:
            assert child.stdout is not None
            child.stdout.readline()
            started = time.monotonic()
            child.send_signal(signal.SIGUSR1)
            assert child.stdout.read() == ""  # closed: the command itself has ended
            assert time.monotonic() - started < guard.PATIENCE / 2


def test_the_server_sees_nothing_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STYLEGRAPH_LABEL_STUDIO_TOKEN", "LABEL_STUDIO_PASSWORD", "DJANGO_DB", "PYTHONPATH"):
        monkeypatch.setenv(name, "ours")
    environment = server_environment(tmp_path, tmp_path / "files", {"AWS_REGION": "theirs"})
    assert "ours" not in environment.values()
    assert environment["HOME"] == str(tmp_path)
    assert environment["AWS_REGION"] == "theirs"
    assert environment["LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT"] == str(tmp_path / "files")
    assert environment["LABEL_STUDIO_COLLECT_ANALYTICS"] == "false"


def test_ports() -> None:
    require_free(free_port())
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StudioError, match=f"port {port} of 127.0.0.1 is taken"):
            require_free(port)
    with pytest.raises(StudioError, match="port 70000"):
        require_free(70000)
