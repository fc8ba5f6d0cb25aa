"""The three services of a data location: code server, webserver and daemon, all on this machine alone.

The code server holds the graph for the settings in force, the webserver shows it, the daemon runs schedules, sensors,
automation, the queue of runs, and looks after their processes. Runs are processes of their own (``run_launcher``).
"""

import fcntl
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from pipeline.instance import instance_folder, open_instance, take_home
from pipeline.processes import Process
from pipeline.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings
from pipeline.storage import Storage, write_file
from pipeline.supervisor import Service, Supervisor

HOST = "127.0.0.1"
LOCATION = "stylegraph"  # name of the code; what is switched on is kept under it
MODULE = "pipeline.definitions"
CODE_SERVER, WEBSERVER, DAEMON = "code server", "webserver", "daemon"
LOGS = "service_logs"  # Dagster empties a folder called "logs"
LONGEST_SOCKET = 100  # bytes of a socket's path; the system allows 107
WATCH_SECONDS = 1.0  # between two looks at the settings file
RUN_PATIENCE = 20.0  # seconds that interrupted runs may take to end


class ServicesError(ValueError):
    """The services cannot be started; one line for people."""


def run_services(
    config: Path,
    settings: Settings,
    port: int,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    go_on: Callable[[], bool],
) -> None:
    """Keep the services running for as long as ``go_on`` says, then stop them and the runs that they launched.

    What the runs were at is begun again when the services start next. The code server is restarted when the settings
    file changes, the others where it changes what Dagster itself needs.

    Raises:
        ServicesError: the services of this data location run already, or the port is taken.
    """
    home = instance_folder(settings)
    with _only_one(home / "services.lock"):
        everything = {**environment, "DAGSTER_HOME": str(home.resolve()), CONFIG_VARIABLE: str(config.resolve())}
        workspace, address = home / "workspace.yaml", code_server_socket(home)
        write_workspace(workspace, address)
        supervisor = Supervisor(services(home, workspace, address, port), everything, home / "services.json", say)
        supervisor.end_leftovers()  # first: one of them may have the port
        _require_free(port)
        try:
            supervisor.start()
            _watch(config, home, supervisor, say, go_on)
        finally:
            supervisor.stop([WEBSERVER, DAEMON])
            interrupt_runs(settings, say)
            supervisor.stop()


def prepare(settings: Settings, address: Path) -> Path:
    """Get a data location's instance ready for services that others keep running; return its folder.

    ``address`` is the socket of the code server. Raises SettingsError as ``take_home`` and ``instance_folder`` do.
    """
    take_home(Storage(settings.data.location))
    home = instance_folder(settings)
    write_workspace(home / "workspace.yaml", address)
    return home


def write_workspace(path: Path, address: Path) -> None:
    """Write the file that tells webserver and daemon where the code server is."""
    location = {"grpc_server": {"socket": str(address), "location_name": LOCATION}}
    write_file(path, yaml.safe_dump({"load_from": [location]}).encode())


def services(home: Path, workspace: Path, address: Path, port: int) -> list[Service]:
    """Return the services of the instance in ``home``."""
    python, logs = [sys.executable, "-m"], home / LOGS
    code = ["dagster", "api", "grpc", "--socket", str(address), "--module-name", MODULE, "--location-name", LOCATION]
    # loading lazily, it answers at once, and the UI shows what is wrong with settings that cannot be loaded
    code += ["--lazy-load-user-code", "--use-python-environment-entry-point", "--log-level", "warning"]
    web = ["dagster_webserver", "--host", HOST, "--port", str(port), "--workspace", str(workspace)]
    daemon = ["dagster._daemon", "run", "--workspace", str(workspace)]
    return [
        Service(CODE_SERVER, [*python, *code], logs / "code_server.log"),
        Service(WEBSERVER, [*python, *web], logs / "webserver.log"),
        # without the graph, the daemon would give up for ever on runs that are to be begun again
        Service(DAEMON, [*python, *daemon], logs / "daemon.log", after=address),
    ]


def _watch(
    config: Path, home: Path, supervisor: Supervisor, say: Callable[[str], None], go_on: Callable[[], bool]
) -> None:
    seen = settled = _state(config)
    next_look = time.monotonic() + WATCH_SECONDS
    while go_on():
        time.sleep(0.2)
        supervisor.look()
        if time.monotonic() < next_look:
            continue
        next_look = time.monotonic() + WATCH_SECONDS
        before, seen = seen, _state(config)
        if seen != settled and seen == before:  # nobody is still writing
            settled = seen
            _restart(config, home, supervisor, say)


def _restart(config: Path, home: Path, supervisor: Supervisor, say: Callable[[str], None]) -> None:
    """Put changed settings in force."""
    configuration = home / "dagster.yaml"
    before = configuration.read_bytes()
    try:
        changed = load_settings(config)
        if instance_folder(changed).resolve() != home.resolve():
            say("data.location has changed: stop and start this command to go there")
            return
    except SettingsError as error:
        say(f"{error}\nThe services go on with the settings from before.")
        return
    everything = configuration.read_bytes() != before
    names = [CODE_SERVER, WEBSERVER, DAEMON] if everything else [CODE_SERVER]
    say(f"The settings have changed; starting anew: {', '.join(names)}")
    supervisor.restart(names)


def _state(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written or replaced; None where it is missing."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def interrupt_runs(settings: Settings, say: Callable[[str], None]) -> None:
    """Let the runs that the daemon launched end. They count as failed by chance: the next daemon begins them again."""
    workers = _launched_workers(settings)
    for run_id, worker in workers:
        if worker.end(RUN_PATIENCE):
            say(f"Run {run_id[:8]} was interrupted; it goes on when the services start again")


def _launched_workers(settings: Settings) -> list[tuple[str, Process]]:
    import dagster as dg  # only now: nothing else here needs it

    from pipeline.run_launcher import LAUNCHED_TAG, worker_of

    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    with open_instance(settings) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=under_way, tags={LAUNCHED_TAG: "true"}))
    found = [(run.run_id, worker_of(run.tags)) for run in runs]
    return [(run_id, worker) for run_id, worker in found if worker is not None]


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock of a location's services; the system takes it off a process that is killed."""
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServicesError(f"the services of {path.parent} run already: stop them first") from None
        yield


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the webserver does: a port just left is free
        try:
            probe.bind((HOST, port))
        except OSError:
            raise ServicesError(f"port {port} of {HOST} is taken: choose another with --port") from None


def code_server_socket(home: Path) -> Path:
    """Return where the code server is to be found: a socket that nobody else on this machine may open.

    Beside the instance, or where that path is too long for a socket, in a new folder for temporary files.
    """
    beside = home.resolve() / "code_server.sock"
    if len(str(beside).encode()) <= LONGEST_SOCKET:
        return beside
    return Path(tempfile.mkdtemp(prefix="stylegraph-")) / "code_server.sock"
