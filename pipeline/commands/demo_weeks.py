"""``stylegraph demo --add-week`` and ``--label-week``: what goes on in the demo's world once it is there."""

import os
import re
from datetime import date
from pathlib import Path

from rich.console import Console

from pipeline.commands.demo_network import CONFIG_NAME, EXPORT_NAME, SEED, WORLD_NAME, demo_environment
from pipeline.demo.experts import add_to_export
from pipeline.demo.planted import Planted
from pipeline.demo.weeks import add_week, last_day_after
from pipeline.display import Display
from pipeline.settings import Settings, SettingsError, load_settings
from pipeline.storage import Storage, write_file

WINDOWS = re.compile(r"(?ms)(^\[windows\].*?^end\s*=\s*)(\d{4}-\d\d-\d\d)")


def add_one_week(folder: Path, console: Console) -> int:
    """Let one more week pass in the demo's world, and take it into the crawl windows of its settings.

    Killed between the two, the next call takes the week into the settings and adds none.

    Raises:
        SettingsError: there is no demo in ``folder``, or its settings have another end than its world.
    """
    folder = folder.resolve()
    config, world = folder / CONFIG_NAME, folder / WORLD_NAME
    _require_demo(config)
    end = load_settings(config).windows.end
    if end is not None and end >= last_day_after(world):
        display = Display(console)
        with display.shown(1):
            added = add_week(world, display.step("drawing pictures"))
        say = f"One more week on the demo's network: {len(added.posts):,} posts, {len(added.images):,} pictures"
        console.print(say, highlight=False)
    _move_end(config, last_day_after(world))
    console.print(
        f"The crawl windows go on to {last_day_after(world)} now. Services that are running find the new window by "
        "themselves, once automation is on; without them: stylegraph run",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def label_what_waits(folder: Path, console: Console) -> int:
    """Let the simulated experts answer what waits for them, in the demo's file or in its Label Studio.

    Raises:
        SettingsError: there is no demo in ``folder``.
        TableError: there are no tasks yet.
    """
    folder = folder.resolve()
    config = folder / CONFIG_NAME
    _require_demo(config)
    planted = Planted.load(folder / WORLD_NAME)
    settings = load_settings(config)
    if settings.label_studio is not None:
        _label_live(config, planted, console)
        return 0
    tasks = Storage(settings.data.location).read_table("label_tasks").to_pandas()
    answered = add_to_export(tasks, planted, folder / EXPORT_NAME, SEED)
    console.print(f"The simulated experts answered {answered:,} tasks", highlight=False)
    return 0


def _label_live(config: Path, planted: Planted, console: Console) -> None:
    from pipeline.commands.live_demo import experts_work, running_studio

    settings = load_settings(config)
    studio = running_studio(config.parent)
    if studio is not None:  # of services that run
        os.environ.update(studio)
        experts_work(config.parent, planted, SEED, settings, console)
        return
    with demo_environment(config, console, share=True) as environment:
        os.environ.update(environment)
        experts_work(config.parent, planted, SEED, settings, console)


def _move_end(config: Path, end: date) -> None:
    """Write the end of the crawl windows into a settings file, in one step; what else stands there stays."""
    text = config.read_text(encoding="utf-8")
    changed, found = WINDOWS.subn(rf"\g<1>{end}", text, count=1)
    if not found:
        raise SettingsError(f"{config}: [windows] has no end: set end = {end} there")
    if changed != text:
        write_file(config, changed.encode())
    _require_end(load_settings(config), config, end)


def _require_end(settings: Settings, config: Path, end: date) -> None:
    if settings.windows.end != end:
        raise SettingsError(
            f"windows.end is {settings.windows.end} in spite of {config}: the environment has STYLEGRAPH_WINDOWS__END"
        )


def _require_demo(config: Path) -> None:
    if not config.exists() or not (config.parent / WORLD_NAME).is_dir():
        raise SettingsError(f"{config.parent} holds no demo: run `stylegraph demo` first, or name its --folder")
