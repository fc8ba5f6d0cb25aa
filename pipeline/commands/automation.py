"""``stylegraph automation``: what happens by itself, switched on and off whether the services run or not."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pipeline.display import print_table
from pipeline.instance import open_instance
from pipeline.services import LOCATION, MODULE
from pipeline.settings import Settings, SettingsError

if TYPE_CHECKING:
    import dagster as dg
    from dagster._core.remote_representation.external import RemoteRepository, RemoteSchedule, RemoteSensor

    Switch = RemoteSchedule | RemoteSensor


def switch(settings: Settings, names: Sequence[str], console: Console, *, on: bool) -> int:
    """Switch schedules and sensors on or off, all of them unless names are given; return the exit code.

    Raises:
        SettingsError: a name is not one of them.
    """
    with open_instance(settings) as instance:
        repository = _repository(instance)
        for one in _chosen(repository, names):
            _switch(instance, one, on=on)
        _show(instance, repository, console)
    if on:
        console.print("It works for as long as the services run: stylegraph dev, or see docs/operations.md")
    return 0


def status(settings: Settings, console: Console) -> int:
    """Print what is on and what is off; return the exit code."""
    with open_instance(settings) as instance:
        _show(instance, _repository(instance), console)
    return 0


def _repository(instance: "dg.DagsterInstance") -> "RemoteRepository":
    """Load the graph under the name that it has for the services, so that they see what is switched here."""
    from dagster._core.remote_origin import InProcessCodeLocationOrigin
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    target = LoadableTargetOrigin(executable_path=sys.executable, module_name=MODULE, working_directory=str(Path.cwd()))
    location = InProcessCodeLocationOrigin(target, location_name=LOCATION).create_location(instance)
    (repository,) = location.get_repositories().values()
    return repository


def _chosen(repository: "RemoteRepository", names: Sequence[str]) -> "list[Switch]":
    known: dict[str, Switch] = {one.name: one for one in (*repository.get_schedules(), *repository.get_sensors())}
    for name in names:
        if name not in known:
            raise SettingsError(f"nothing that works by itself is called {name!r}; there are: {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def _switch(instance: "dg.DagsterInstance", one: "Switch", *, on: bool) -> None:
    from dagster._core.remote_representation.external import RemoteSchedule

    if isinstance(one, RemoteSchedule):
        if on:
            instance.start_schedule(one)
        else:
            instance.stop_schedule(one.get_remote_origin_id(), one.selector_id, one)
    elif on:
        instance.start_sensor(one)
    else:
        instance.stop_sensor(one.get_remote_origin_id(), one.selector_id, one)


def _show(instance: "dg.DagsterInstance", repository: "RemoteRepository", console: Console) -> None:
    stored = {state.selector_id: state for state in instance.all_instigator_state()}
    rows = []
    for one in _chosen(repository, ()):
        state = one.get_current_instigator_state(stored.get(one.selector_id))
        rows.append([one.name, "on" if state.is_running else "off", _when(one)])
    print_table("What happens by itself", ["name", "", "looks"], rows, console)


def _when(one: Any) -> str:
    if hasattr(one, "cron_schedule"):
        crons = [one.cron_schedule] if isinstance(one.cron_schedule, str) else one.cron_schedule
        return f"{' and '.join(crons)} ({one.execution_timezone or 'UTC'})"
    return f"every {one.min_interval_seconds} s"
