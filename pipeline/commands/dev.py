"""``stylegraph dev``: the Dagster UI on the instance of the last run."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from pipeline.commands.demo import demo_environment
from pipeline.instance import instance_folder
from pipeline.settings import CONFIG_VARIABLE, Settings
from pipeline.storage import Storage


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
        child = subprocess.Popen(command, env=environment, start_new_session=True)  # noqa: S603 - our own interpreter
        return _wait(child)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child that leads its own process group, and hand on what stops us."""

    def stop(number: int, frame: object) -> None:
        # `dagster dev` ends its own children on SIGINT only
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    code = child.wait()
    return 0 if code in (0, -signal.SIGINT, 130) else code
