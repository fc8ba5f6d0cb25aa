"""A local Label Studio on 127.0.0.1, for trying and for tests: installation, data folder, start, stop, start again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from labeling.studio import guard
from labeling.studio.connection import Connection
from labeling.studio.errors import StudioError
from labeling.studio.install import LABEL_STUDIO_VERSION, executable, install
from labeling.studio.local_data import (
    TOKEN_NAME,
    USERS_NAME,
    User,
    Users,
    create_data_folder,
    load_users,
    server_environment,
)

__all__ = [
    "LABEL_STUDIO_VERSION",
    "TOKEN_NAME",
    "USERS_NAME",
    "RunningServer",
    "User",
    "Users",
    "create_data_folder",
    "install",
    "load_users",
    "require_free",
    "running_server",
]

HOST = "127.0.0.1"
LOG_NAME = "server.log"
START_SECONDS = 180.0
STOP_SECONDS = 15.0
LOG_LINES = 8  # of the server's log that an error shows


class RunningServer:
    """A Label Studio that was started here; it ends with this process at the latest."""

    def __init__(
        self, environment: Path, data: Path, document_root: Path, port: int, more: Mapping[str, str] | None = None
    ) -> None:
        self.url = f"http://{HOST}:{port}"
        self.port = port
        self.data_folder = data.absolute()
        self.document_root = document_root.absolute()
        self.log = self.data_folder / LOG_NAME
        users = load_users(self.data_folder)
        self.admin, self.experts, self.reviewer = users.admin, users.experts, users.reviewer
        self._command = [str(executable(environment.absolute())), "start", "--no-browser"]
        self._command += ["--internal-host", HOST, "--port", str(port)]
        self._environment = server_environment(self.data_folder, self.document_root, more)
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    def __repr__(self) -> str:
        return f"RunningServer({self.url!r})"

    @property
    def group(self) -> int | None:
        """Id of the process group that the server runs in; None when it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def connection(self, user: User | None = None) -> Connection:
        """Return a new connection, the admin's unless a user is given."""
        return Connection(self.url, (user or self.admin).token)

    def start(self) -> None:
        """Start the server and return when it answers. Raises StudioError with the end of its log if it does not."""
        require_free(self.port)
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - what install() put there, below our own interpreter
                [sys.executable, "-I", guard.__file__, str(os.getpid()), *self._command],
                cwd=self.data_folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """End the server as its owner would; it is killed if that takes longer than STOP_SECONDS."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server at once (SIGKILL), as a crash would."""
        self._end(signal.SIGUSR1)  # what the guard takes for that

    def restart(self) -> None:
        """Stop the server, start it again on the same port with the same data, and return when it answers."""
        self.stop()
        self.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the server to end by itself; return whether it has ended."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        return self.group is None

    def log_end(self) -> str:
        """Return the last lines that the server printed since it was started, as one line."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode("utf-8", "replace").splitlines()
        return " / ".join(line.strip() for line in lines[-LOG_LINES:] if line.strip())

    def _end(self, number: int) -> None:
        """Tell the guard to end the server, wait until both are gone, and kill the group if that takes too long."""
        if self._process is None:
            return
        self._process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            while time.monotonic() < deadline:
                if self.wait(0.1):
                    raise StudioError(f"Label Studio ended while it started; its log ends: {self.log_end()}")
                with contextlib.suppress(httpx.TransportError):
                    if client.get(f"{self.url}/health").is_success:
                        self._require_own_port()
                        return
        raise StudioError(f"Label Studio did not answer within {START_SECONDS:.0f} s; its log ends: {self.log_end()}")

    def _require_own_port(self) -> None:
        """Raise StudioError if another process took the port first: Label Studio then silently takes the next one."""
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            if f"Port {self.port} is in use".encode() in file.read():
                raise _busy(self.port)


@contextlib.contextmanager
def running_server(
    environment: Path,
    data: Path,
    document_root: Path,
    port: int | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[RunningServer]:
    """Run the server on 127.0.0.1 while the block runs.

    ``environment`` is what install() returned, ``data`` a folder of create_data_folder(); the server may serve pictures
    below ``document_root``. Without a port, a free one is taken; one that is busy is an error. ``more`` are further
    variables for the server. Raises StudioError.
    """
    document_root.mkdir(parents=True, exist_ok=True)
    server = RunningServer(environment, data, document_root, free_port() if port is None else port, more)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """Return a port on 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    """Raise StudioError if something listens on a port, or it cannot be had."""
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: a port just left is free
            probe.bind((HOST, port))
    except (OSError, OverflowError):
        raise _busy(port) from None


def _busy(port: int) -> StudioError:
    return StudioError(f"port {port} of {HOST} is taken or not allowed: end what listens on it, or choose another port")
