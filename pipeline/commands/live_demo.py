"""The part of the demo in which simulated experts work in a live Label Studio."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import httpx
from rich.console import Console

from labeling.studio.connection import TOKEN_VARIABLE, URL_VARIABLE
from pipeline import jobs
from pipeline.commands.ports import kept_port
from pipeline.commands.run import run_stages
from pipeline.demo.planted import Planted
from pipeline.demo.work import Work
from pipeline.display import Display
from pipeline.graph import build_definitions
from pipeline.instance import open_instance
from pipeline.resources import now
from pipeline.run import Outcome, Step, label_steps, model_steps
from pipeline.sensors import NEW_WORK
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_studio, served_folder

SERVER_ENVIRONMENT = ".label-studio/env"  # shared with `stylegraph label-studio`
SERVER_FOLDER = "label_studio_server"
USERS_NAME = "users.json"
PORT_NOTE = "label_studio_port"
ROUNDS = 2  # first answers, and what came back


@contextlib.contextmanager
def label_studio_environment(folder: Path, settings: Settings, console: Console) -> Iterator[dict[str, str]]:
    """Give address and token of a server while the block runs: the environment's, else one of the demo's own."""
    if os.environ.get(URL_VARIABLE):
        yield {}
        return
    from labeling.studio.server import create_data_folder, install, running_server

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    environment = install(Path(SERVER_ENVIRONMENT), say)
    data = folder / SERVER_FOLDER
    if not data.exists():
        create_data_folder(environment, data, say)
    root = served_folder(Storage(settings.data.location))
    # always the same port: the mirror of the project knows it by its address
    with running_server(environment, data, root, kept_port(folder / PORT_NOTE)) as server:
        say(f"Label Studio: {server.url} (users and passwords: {data / USERS_NAME})")
        yield {URL_VARIABLE: server.url, TOKEN_VARIABLE: server.admin.token}


def running_studio(folder: Path) -> dict[str, str] | None:
    """Return address and token of the demo's own Label Studio, or the environment's; None where neither runs."""
    if os.environ.get(URL_VARIABLE):
        return {}
    from labeling.studio.server import load_users

    note = folder / PORT_NOTE
    if not note.exists() or not (folder / SERVER_FOLDER).exists():
        return None
    url = f"http://127.0.0.1:{note.read_text().strip()}"
    try:
        if not httpx.get(f"{url}/health", timeout=5.0, trust_env=False).is_success:
            return None
    except httpx.TransportError:
        return None
    return {URL_VARIABLE: url, TOKEN_VARIABLE: load_users(folder / SERVER_FOLDER).admin.token}


def work_in_label_studio(
    folder: Path, planted: Planted, seed: int, settings: Settings, console: Console
) -> tuple[Work, list[Outcome]]:
    """Let the experts answer what waits, export it as the sensor asks, and train; then let them meet predictions.

    Returns what stands in the project by their hands, and how each step ended.
    """
    outcomes: list[Outcome] = []
    for _ in range(ROUNDS):
        work = experts_work(folder, planted, seed, settings, console)
        outcomes += _what_the_sensor_asks(settings, console)
    *training, report = model_steps(settings)
    predicting = [
        Step("queue", jobs.QUEUE, "Further images for experts"),
        Step("predictions", jobs.PRE_ANNOTATION, "Predictions beside them", needs_all=("queue",)),
    ]
    outcomes += run_stages(settings, [*training, *predicting], console)
    if not any(outcome.failure for outcome in outcomes):
        work = experts_work(folder, planted, seed, settings, console)
        outcomes += _what_the_sensor_asks(settings, console)
    return work, outcomes + run_stages(settings, [report], console)


def experts_work(folder: Path, planted: Planted, seed: int, settings: Settings, console: Console) -> Work:
    """Let the experts do what is open in the project of the settings; return what stands there by their hands."""
    from pipeline.demo.studio_experts import answer_all, expert_access

    display = Display(console)
    with open_studio(settings, Storage(settings.data.location)) as studio, display.shown(1):
        access = expert_access(studio.connection, folder)
        progress = display.step("simulated experts at work")
        work = answer_all(studio.connection.url, access, studio.project.project_id, planted, seed, progress)
    console.print(f"Simulated experts did {work.steps:,} things in Label Studio", highlight=False)
    return work


def _what_the_sensor_asks(settings: Settings, console: Console) -> list[Outcome]:
    """Look once through the sensor's eyes and run what it asks for."""
    definitions = build_definitions(settings)
    storage = Storage(settings.data.location)
    with open_instance(settings) as instance:
        context = dg.build_sensor_context(
            instance=instance, resources={"settings": settings, "storage": storage, "clock": now}
        )
        tick = definitions.resolve_sensor_def(NEW_WORK).evaluate_tick(context)
    if tick.run_requests:
        return run_stages(settings, [Step("labels", jobs.LABELS, "Experts' labels, by the sensor")], console)
    console.print(f"The sensor asks for no run: {tick.skip_message}", highlight=False, soft_wrap=True)
    return run_stages(settings, label_steps(), console)
