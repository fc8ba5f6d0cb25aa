"""``stylegraph dev``: the Dagster UI on the instance of the last run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from pipeline.commands.demo import demo_environment
from pipeline.instance import instance_folder
from pipeline.settings import CONFIG_VARIABLE, Settings
from pipeline.storage import Storage

PATIENCE = 30  # seconds that the UI may take to end


def serve(config: Path, settings: Settings, port: int, console: Console) -> int:
    """Run ``dagster dev`` until it is stopped, with the demo's network beside it when the settings are the demo's."""
    instance = instance_folder(Storage(settings.data.location))
    with demo_environment(config, console) as demo:
        environment = {
            **os.environ,
            **demo,
            "DAGSTER_HOME": str(instance.resolve()),
            CONFIG_VARIABLE: str(config.resolve()),
        }
        command = [
            sys.executable,
            "-m",
            "dagster",
            "dev",
            "-m",
            "pipeline.definitions",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        console.print(f"Dagster UI: http://127.0.0.1:{port}  (settings: {config}; stop with Ctrl-C)", soft_wrap=True)
        return _run(command, environment)


def _run(command: list[str], environment: dict[str, str]) -> int:
    """Run a command in a process group of its own until it ends, and hand on what stops us."""
    stopped = False

    def stop(number: int, frame: object) -> None:
        nonlocal stopped
        stopped = True

    # a handler of ours is the default again in the child; a SIGINT ignored by a script's shell would stay ignored there
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    child = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own interpreter
    while not stopped and child.poll() is None:
        time.sleep(0.2)
    if not stopped:
        return child.returncode
    for number in (signal.SIGINT, signal.SIGKILL):  # `dagster dev` ends its own children on SIGINT only
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=PATIENCE)
            break
    return 0
