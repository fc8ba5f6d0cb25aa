"""``stylegraph reproduce``: a saved model made again from its inputs, and compared with itself."""

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pipeline.progress import Step
from pipeline.reproduction import Row, compare_models, find_model, look_at_inputs, make_again
from pipeline.settings import Settings
from pipeline.storage import Storage

MOST_LINES = 50  # of what is gone
SHOWN = ("sha256 of ", "test any@", "test all@", "test mean5", "test map", "validation mean5")  # beginnings of rows


def reproduce_model(settings: Settings, name: str, console: Console) -> int:
    """Train a model anew in a scratch place, print what came out beside what is saved; return 0 when all is the same.

    Where an input is gone, that is said, a line each, and nothing is trained.

    Raises:
        TableError, ModelingError: there is no such model, its files can't be read, or the training fails.
    """
    storage = Storage(settings.data.location)
    model = find_model(settings, storage, name)
    inputs = look_at_inputs(model, settings, storage)
    for line in inputs.changed:
        console.print(f"not as it was: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for line in inputs.gone[:MOST_LINES]:
        console.print(f"gone: {line}", style="red", markup=False, highlight=False, soft_wrap=True)
    if inputs.recipe is None:
        more = len(inputs.gone) - MOST_LINES
        console.print(
            f"{model.title} can't be made again" + (f": {more} more inputs are gone" if more > 0 else ""),
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return 1
    with storage.temporary_folder() as folder:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            seeds = make_again(model, inputs.recipe, storage, folder, _told(bar, f"training {model.title}"))
        return _say(model.title, compare_models(model, inputs.recipe, seeds, settings, storage, folder), console)


def _say(title: str, rows: list[Row], console: Console) -> int:
    """Print the table: the main rows, and all that differ."""
    table = Table(title=title, title_style="bold", title_justify="left")
    for heading in ("", "saved", "made again", ""):
        table.add_column(heading, overflow="fold")
    for row in rows:
        if not row.same or row.name.startswith(SHOWN):
            table.add_row(row.name, row.saved, row.new if not row.same else "the same", "" if row.same else "differs")
    console.print(table, markup=False, highlight=False)
    different = sum(not row.same for row in rows)
    message = (
        f"identical: weights and {sum(not row.name.startswith('sha256') for row in rows)} metrics"
        if not different
        else f"{different} of {len(rows)} differ"
    )
    console.print(message, style="red" if different else "green", markup=False, highlight=False, soft_wrap=True)
    return 1 if different else 0


def _told(bar: Progress, title: str) -> Step:
    task = bar.add_task(title, total=None)
    return lambda done, total: bar.update(task, completed=done, total=total)
