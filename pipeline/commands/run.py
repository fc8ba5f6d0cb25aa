"""``stylegraph run``."""

from collections.abc import Sequence

from rich.console import Console

from pipeline import jobs
from pipeline.commands.report import print_report
from pipeline.display import Display
from pipeline.freshness import Freshness
from pipeline.graph import build_definitions
from pipeline.inputs import observe
from pipeline.instance import open_instance
from pipeline.run import (
    Outcome,
    Step,
    collection_steps,
    label_steps,
    model_steps,
    not_run,
    run_steps,
    withdrawal_steps,
)
from pipeline.settings import Settings
from pipeline.storage import Storage


def run_all(settings: Settings, console: Console, *, everything: bool = False) -> int:
    """Run what is not up to date, print the tables, and return the exit code: 0 only when every step went well.

    With ``everything``, every step is run. What was withdrawn is removed first.

    Raises:
        TableError: the data location cannot be written, in one line.
    """
    Storage(settings.data.location).require_access()
    first, skip = [*withdrawal_steps(settings), *collection_steps(settings), *label_steps()], not everything
    outcomes = run_stages(settings, first, console, skip_fresh=skip)
    if outcomes[-1].failure:
        outcomes += [not_run(step, outcomes[-1].step) for step in model_steps(settings)]
    elif waiting := waits_for_experts(settings):
        console.print(waiting, highlight=False, soft_wrap=True)
        return say_failures([outcome for outcome in outcomes if outcome.failure], console)
    else:
        outcomes += run_stages(settings, model_steps(settings), console, skip_fresh=skip)
    say_fresh(outcomes, console)
    failures = [outcome for outcome in outcomes if outcome.failure]
    if not any(outcome.step.key == "report" for outcome in failures):
        print_report(settings, console, without={o.step.partition for o in failures if o.step.job == jobs.MODEL})
    return say_failures(failures, console)


def waits_for_experts(settings: Settings) -> str | None:
    """Return what to tell people where a live Label Studio has tasks, but no expert has answered yet."""
    storage = Storage(settings.data.location)
    if settings.label_studio is None or storage.read_table("labels", columns=["main"]).column("main").drop_null():
        return None
    tasks = storage.read_table("queued_tasks", columns=["state"]).column("state").to_pylist().count("queued")
    return (
        f"{tasks:,} images wait in Label Studio, in the project {settings.label_studio.project!r}, and none has a "
        "label yet. Run this again when experts have answered, or switch on the sensor in `stylegraph dev`."
    )


def run_stages(
    settings: Settings, steps: Sequence[Step], console: Console, *, skip_fresh: bool = False
) -> list[Outcome]:
    """Run steps in the instance of the data location and show how they go; with ``skip_fresh``, only what is stale."""
    display, storage = Display(console), Storage(settings.data.location)
    definitions = build_definitions(settings, display)
    outcomes = []
    with open_instance(settings) as instance, display.shown(len(steps)):
        observe(instance, settings)
        freshness = Freshness(definitions, instance, storage) if skip_fresh else None
        for outcome in run_steps(steps, definitions, instance, display.started, freshness):
            display.ended(outcome)
            outcomes.append(outcome)
    return outcomes


def say_fresh(outcomes: Sequence[Outcome], console: Console) -> None:
    """Print in one line how many steps were not run, since nothing that they depend on has changed."""
    if count := sum(outcome.fresh for outcome in outcomes):
        line = f"{count} steps are up to date" if count > 1 else "1 step is up to date"
        console.print(f"{line} (`stylegraph run --all` runs them anyway).", style="dim", highlight=False)


def say_failures(failures: Sequence[Outcome], console: Console) -> int:
    """Print what went wrong, one line a step, and return the exit code."""
    for outcome in failures:
        if not outcome.skipped:
            line = f"{outcome.step.title}: {outcome.failure}"
            console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if failures:
        skipped = sum(outcome.skipped for outcome in failures)
        console.print(
            f"Steps that failed: {len(failures) - skipped}; not run because of them: {skipped}. "
            "Put right what the lines above say and run again; the rest is done.",
            style="red",
            soft_wrap=True,
        )
    return 1 if failures else 0
