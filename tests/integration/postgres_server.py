"""A PostgreSQL server of a test's own: data in a folder, a Unix socket and 127.0.0.1, and a password."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.running_services import free_port

BINARIES = "/usr/lib/postgresql"  # where Debian keeps them, by version


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    url: str
    password: str
    pid: int
    data: Path  # the folder of its files


def binaries() -> Path:
    """Return the folder of initdb and postgres, of the newest version that is installed."""
    found = sorted(Path(BINARIES).glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    assert on_path, "this test needs PostgreSQL: apt-get install postgresql"
    return Path(on_path).parent


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Run a server with a new database while the block runs; its files lie in ``folder``."""
    owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())  # it refuses to run as root
    folder.mkdir(mode=0o700)
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    password, port, data = secrets.token_urlsafe(24), free_port(), folder / "data"
    secret = folder / "password"
    secret.write_text(password)
    os.chown(secret, owner.pw_uid, owner.pw_gid)
    who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    initdb = [binaries() / "initdb", "--pgdata", data, "--username", "stylegraph", "--pwfile", secret]
    initdb += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, cwd=folder, **who)
    serve = [binaries() / "postgres", "-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1"]
    with (folder.parent / "postgres.log").open("wb") as log:
        server = subprocess.Popen([*serve, "-c", "fsync=off"], stdout=log, stderr=log, cwd=folder, **who)
    try:
        _wait(server, port)
        url = f"postgresql://stylegraph:{password}@127.0.0.1:{port}/postgres"
        yield Postgres(url, password, server.pid, data)
    finally:
        server.send_signal(signal.SIGINT)  # ends connections, and then itself
        server.wait(timeout=30)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    ready = [str(binaries() / "pg_isready"), "--host", "127.0.0.1", "--port", str(port), "--quiet"]
    deadline = time.monotonic() + 60
    while subprocess.run(ready).returncode != 0:
        assert server.poll() is None, "PostgreSQL ended"
        assert time.monotonic() < deadline, "PostgreSQL does not answer"
        time.sleep(0.1)
