"""``stylegraph dev``: the services of a data location, with the UI at 127.0.0.1."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from pipeline.commands.demo_network import demo_environment, is_demo
from pipeline.services import HOST, ServicesError, run_services
from pipeline.settings import Settings


def serve(config: Path, settings: Settings, port: int, console: Console) -> int:
    """Run the services until they are stopped, with the demo's network beside them when the settings are the demo's.

    Returns the exit code: 2 where they cannot be started.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    stopped: list[int] = []
    beside = demo_environment(config, console) if is_demo(config) else contextlib.nullcontext({})
    with _stopping(stopped), beside as demo:
        say(f"Dagster UI: http://{HOST}:{port}  (settings: {config}; stop with Ctrl-C)")
        try:
            run_services(config, settings, port, {**os.environ, **demo}, say, lambda: not stopped)
        except ServicesError as error:
            say(str(error))
            return 2
    return 0


@contextlib.contextmanager
def _stopping(stopped: list[int]) -> Iterator[None]:
    """Note in ``stopped`` that a signal asked to end, also where a script's shell let SIGINT be ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda got, frame: stopped.append(got)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
