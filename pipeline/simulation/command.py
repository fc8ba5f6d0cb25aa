"""The command: builds a year, lets it pass, and prints what was planted beside what was found."""

import argparse
import contextlib
import gc
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from pipeline.progress import Step
from pipeline.simulation.collection_verdicts import collection_verdicts, label_verdicts
from pipeline.simulation.plan import Year, year_of
from pipeline.simulation.training_verdicts import split_verdicts, training_verdicts
from pipeline.simulation.trend_verdicts import drift_verdicts, trend_verdicts
from pipeline.simulation.verdicts import Verdict
from pipeline.simulation.withdrawal_verdicts import withdrawal_verdicts
from pipeline.simulation.year import Lived, live

_WIDTH = 160  # columns where there is no terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate a year on 127.0.0.1; exit code 1 when something was not found as it was planted."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.simulation", description=main.__doc__)
    parser.add_argument("--weeks", type=int, default=Year().weeks, help="length of the year; 8 at least")
    parser.add_argument("--folder", type=Path, help="new folder that keeps everything; without it, nothing is kept")
    options = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a log shows each run when it ended
    try:
        year = year_of(options.weeks)
        with _folder(options.folder) as folder:
            return simulate(folder, year, console)
    except (ValueError, FileExistsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def simulate(folder: Path, year: Year, console: Console) -> int:
    """Let a year pass in an empty folder and print the verdicts; return the exit code."""
    warnings.filterwarnings("ignore", message=".*expected_writer_count")  # Dagster's own call
    gc.set_threshold(50_000, 20, 50)  # definitions and plans are large and live long: looking for garbage took a tenth
    begin = time.monotonic()
    shown = _Shown(console, year.weeks)
    with shown.bars:
        lived = live(folder, year, console, shown, shown.week_done)
    verdicts = judge(lived)
    print_verdicts(verdicts, console)
    minutes = (time.monotonic() - begin) / 60
    runs = len(lived.journal.runs)
    wrong = sum(not verdict.ok for verdict in verdicts)
    console.print(
        f"{year.weeks} weeks, {runs} runs, {minutes:.1f} minutes; {wrong} of {len(verdicts)} differ", highlight=False
    )
    return 1 if wrong else 0


def judge(lived: Lived) -> list[Verdict]:
    """Compare everything that was planted with what was found."""
    return [
        *collection_verdicts(lived),
        *label_verdicts(lived),
        *split_verdicts(lived),
        *training_verdicts(lived),
        *drift_verdicts(lived),
        *trend_verdicts(lived),
        *withdrawal_verdicts(lived),
    ]


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """Print one line for each thing."""
    table = Table(title="Planted and found", title_justify="left", title_style="bold")
    for column in ("what", "planted", "found", ""):
        table.add_column(column, overflow="fold")
    for one in verdicts:
        table.add_row(one.what, one.planted, one.found, "✓" if one.ok else "differs", style=None if one.ok else "red")
    console.print(table, highlight=False)


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    """Give an empty folder: the one that is wanted, or one that is removed afterwards."""
    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="stylegraph-year-") as temporary:
            yield Path(temporary)
        return
    if wanted.exists() and any(wanted.iterdir()):
        raise FileExistsError(f"{wanted} is not empty: give a new folder")
    wanted.mkdir(parents=True, exist_ok=True)
    yield wanted.resolve()


class _Shown:
    """A bar for the year and one for the work at hand, where there is a terminal."""

    def __init__(self, console: Console, weeks: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Bars(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._weeks = self.bars.add_task("weeks", total=weeks)
        self._work = self.bars.add_task("", total=None, visible=False)

    def week_done(self, weeks: int) -> None:
        """Show how many weeks have passed."""
        self.bars.update(self._weeks, completed=weeks)

    def step(self, description: str) -> Step:
        """Return a function to call with (done, total): the work at hand."""
        self.bars.update(self._work, description=description, visible=True, completed=0, total=None)

        def report(done: int, total: int) -> None:
            self.bars.update(self._work, completed=done, total=total)

        return report
