import contextlib
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from labeling.studio.connection import Connection, StudioError
from labeling.studio.server import RunningServer, create_data_folder, install, load_users, running_server
from tests.integration.label_studio_server import ENVIRONMENT, SETUP_SECONDS, LabelStudioFiles

pytestmark = pytest.mark.integration

ENDS_WITHIN = 20  # seconds
SERVE = """
import sys
from pathlib import Path
from rich.console import Console
from labeling.errors import LabelingError
from pipeline.commands.label_studio import serve
folder, port, fresh = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "fresh"
try:
    sys.exit(serve(folder, folder / "files", port, fresh, Console(width=140)))
except LabelingError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
NOTE_SOCKETS = """
import os, sys
def note(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{event} {arguments[0] if event == 'socket.getaddrinfo' else arguments[1]}\\n")
sys.addaudithook(note)
"""


def members(group: int) -> list[int]:
    """Ids of the processes of a group that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal():
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(pgrp) == group and state != "Z":
                    found.append(int(entry.name))
    return found


def listening(group: int) -> set[str]:
    """Local addresses, in the kernel's hexadecimal, on which processes of a group listen."""
    inodes = set()
    for process in members(group):
        for link in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                inodes |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1] for line in lines if line[3] == "0A" and line[9] in inodes}


def wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + ENDS_WITHIN
    while members(group):
        assert time.monotonic() < deadline, f"still there: {members(group)}"
        time.sleep(0.1)


def form_token(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


def test_everyone_can_log_in_and_nobody_can_sign_up(label_studio: RunningServer) -> None:
    people = (label_studio.admin, *label_studio.experts, label_studio.reviewer)
    for password, lets_in in (("right", True), ("wrong", False)):
        for user in people:
            with httpx.Client(base_url=label_studio.url, headers={"Referer": label_studio.url}) as client:
                secret = user.password if password == "right" else "not-the-password"
                form = {"csrfmiddlewaretoken": form_token(client, "/user/login/"), "email": user.email}
                client.post("/user/login/", data={**form, "password": secret})
                assert (client.get("/api/current-user/whoami").status_code == 200) is lets_in
    with httpx.Client(base_url=label_studio.url, headers={"Referer": label_studio.url}) as client:
        form = {"csrfmiddlewaretoken": form_token(client, "/user/login/"), "email": "guest@example.invalid"}
        answer = client.post("/user/signup/", data={**form, "password": "a-long-password"})
        assert answer.status_code == 403
        assert client.get("/api/current-user/whoami").status_code == 401
    with label_studio.connection() as connection:
        known = set(connection.users().values())  # other tests may have signed up with the link
    assert known >= {user.email for user in people}
    assert "guest@example.invalid" not in known


def test_it_listens_on_loopback_only(label_studio: RunningServer) -> None:
    assert label_studio.group is not None
    assert listening(label_studio.group) == {f"0100007F:{label_studio.port:04X}"}


def test_secrets_are_in_files_of_the_owner_only(label_studio: RunningServer) -> None:
    data = label_studio.data_folder
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    for name in ("users.json", "admin.token", ".env"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    people = [label_studio.admin, *label_studio.experts, label_studio.reviewer]
    secrets = [secret for user in people for secret in (user.password, user.token)]
    assert len(set(secrets)) == 8
    assert label_studio.group is not None
    commands = "".join(Path(f"/proc/{process}/cmdline").read_text() for process in members(label_studio.group))
    assert "label-studio" in commands
    shown = commands + label_studio.log.read_text() + repr(people) + repr(label_studio)
    assert not [secret for secret in secrets if secret in shown]


def test_a_restart_keeps_data_and_port(label_studio: RunningServer) -> None:
    with label_studio.connection() as connection:
        project = connection.post("/api/projects", {"title": "kept over a restart"})["id"]
        url, group = label_studio.url, label_studio.group
        label_studio.restart()
        assert label_studio.url == url
        assert label_studio.group != group
        assert connection.get(f"/api/projects/{project}")["title"] == "kept over a restart"
    assert group is not None
    wait_until_gone(group)


def test_stop_ends_it_and_frees_the_port(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    with label_studio_files.server(tmp_path) as server:
        group = server.group
        assert group is not None
        server.stop()
        assert not members(group)
        assert server.group is None
        server.stop()
        server.start()
        group = server.group
    assert group is not None
    wait_until_gone(group)


def test_no_request_leaves_the_machine(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NOTE_SOCKETS)
    more = {"PYTHONPATH": str(tmp_path / "site"), "NOTES": str(notes)}
    with label_studio_files.server(tmp_path, more=more) as server:
        with server.connection() as connection:
            connection.version()
            connection.delete(f"/api/projects/{connection.post('/api/projects', {'title': 'local'})['id']}")
        seen = set(notes.read_text().splitlines())
        assert f"socket.bind ('127.0.0.1', {server.port})" in seen
    addresses = {line.partition(" ")[2] for line in seen}
    # Label Studio knocks on its port before it binds; its HTTP library tries whether there is IPv6
    local = re.compile(r"\('(127\.0\.0\.1|localhost|::1)', \d+\)|localhost|127\.0\.0\.1")
    assert [address for address in addresses if not local.fullmatch(address)] == []


def test_a_busy_port_is_named(
    label_studio: RunningServer, label_studio_files: LabelStudioFiles, tmp_path: Path
) -> None:
    with (
        pytest.raises(StudioError, match=f"port {label_studio.port} of 127.0.0.1 is taken"),
        label_studio_files.server(tmp_path, port=label_studio.port),
    ):
        pytest.fail("it started")


def test_a_server_that_dies_at_start_shows_its_log(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    data = label_studio_files.copy(tmp_path / "data")
    (data / "label_studio.sqlite3").write_bytes(b"no database" * 1000)
    with (
        pytest.raises(StudioError, match=r"ended while it started; its log ends: .*not a database") as error,
        running_server(label_studio_files.environment, data, tmp_path / "files"),
    ):
        pytest.fail("it started")
    assert "\n" not in str(error.value)


def test_a_killed_parent_leaves_no_server(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    data = label_studio_files.copy(tmp_path / "data")
    code = (
        "import sys, time; from pathlib import Path; from labeling.studio.server import running_server\n"
        "with running_server(*map(Path, sys.argv[1:])) as server: print(server.group, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, label_studio_files.environment, data, tmp_path / "files"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        group = int(parent.stdout.readline())
        assert len(members(group)) == 2
        parent.kill()
    wait_until_gone(group)


def test_data_folders_that_are_none(label_studio_files: LabelStudioFiles, tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="is no data folder of a local Label Studio"):
        load_users(tmp_path)
    with pytest.raises(StudioError, match="exists"):
        create_data_folder(label_studio_files.environment, label_studio_files.template)


class TestInstall:
    def test_an_installation_that_fails_does_not_count(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "env"
        folder.mkdir()
        (folder / ".ready").write_text("of other versions")
        for name, value in (("PIP_INDEX_URL", "http://127.0.0.1:1/simple"), ("PIP_RETRIES", "0")):
            monkeypatch.setenv(name, value)
        said: list[str] = []
        with pytest.raises(StudioError, match="Label Studio could not be installed"):
            install(folder, said.append)
        assert not (folder / ".ready").exists()
        assert len(said) == 1

    def test_one_that_is_there_is_taken(self, label_studio_files: LabelStudioFiles) -> None:
        said: list[str] = []
        assert install(label_studio_files.environment, said.append) == ENVIRONMENT
        assert not said


@contextlib.contextmanager
def serving(folder: Path, port: int, fresh: str = "") -> Iterator[subprocess.Popen[str]]:
    """`serve` in a process of its own, as a terminal would start it."""
    child = subprocess.Popen(
        [sys.executable, "-c", SERVE, folder, str(port), fresh],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


def read_until(child: subprocess.Popen[str], text: str) -> str:
    assert child.stdout is not None
    shown = ""
    for line in child.stdout:
        shown += line
        if text in line:
            return shown
    pytest.fail(f"no {text!r} in {shown}")


def a_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def folder(label_studio_files: LabelStudioFiles, tmp_path: Path) -> Path:
    """A folder of `stylegraph label-studio`, with the server installed and data of an earlier start."""
    folder = tmp_path / "of people's own"
    folder.mkdir()
    (folder / "env").symlink_to(label_studio_files.environment)
    shutil.copytree(label_studio_files.template, folder / "data")
    return folder


class TestServe:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_says_how_to_connect_and_stops_cleanly(self, folder: Path, number: signal.Signals) -> None:
        port = a_port()
        with serving(folder, port) as child:
            shown = read_until(child, "stylegraph doctor")
            exports = "\n".join(line for line in shown.splitlines() if "export " in line)
            script = f'{exports}\nprintf %s "$STYLEGRAPH_LABEL_STUDIO_URL $STYLEGRAPH_LABEL_STUDIO_TOKEN"'
            said = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout
            url, token = said.split()
            with Connection(url, token) as connection:
                users = connection.users()
            second = subprocess.run(
                [sys.executable, "-c", SERVE, folder, str(a_port()), ""], capture_output=True, text=True
            )
            assert "runs already: stop it first" in second.stderr
            child.send_signal(number)
            rest = child.communicate(timeout=ENDS_WITHIN)[0]
            assert child.returncode == 0, rest
        assert "stopped" in rest
        known = load_users(folder / "data")
        assert all(email in shown for email in users.values())
        assert not [user for user in known if user.password in shown + rest or user.token in shown + rest]
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)

    def test_a_busy_port_is_an_error_before_anything_is_installed(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with serving(tmp_path, port) as child:
                said = child.communicate(timeout=60)[0]
        assert f"StudioError: port {port} of 127.0.0.1 is taken" in said
        assert not (tmp_path / "env").exists()

    @pytest.mark.timeout(SETUP_SECONDS)
    def test_fresh_puts_the_old_data_aside(self, folder: Path) -> None:
        before = load_users(folder / "data")
        with serving(folder, a_port(), "fresh") as child:
            shown = read_until(child, "stylegraph doctor")
            child.terminate()
            child.communicate(timeout=ENDS_WITHIN)
        (aside,) = folder.glob("data-*")
        assert str(aside) in shown
        assert load_users(aside) == before
        assert load_users(folder / "data").admin.token != before.admin.token
