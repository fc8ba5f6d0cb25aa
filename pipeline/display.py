"""What the launcher shows on a terminal, and in a log file when there is no terminal."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from rich.text import Text

from pipeline.progress import Step as Report
from pipeline.run import Outcome, Step


class Display:
    """A bar for the whole job, a bar for the work at hand, and a line for each step that ended."""

    def __init__(self, console: Console) -> None:
        """``console`` is where lines go; bars are drawn only where it is a terminal."""
        self.console = console
        self._bars = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._whole = self._bars.add_task("everything", total=None)
        self._current = self._bars.add_task("", total=None, visible=False)

    @contextlib.contextmanager
    def shown(self, steps: int) -> Iterator[None]:
        """Show the bars while ``steps`` steps run."""
        self._bars.update(self._whole, total=steps, completed=0)
        with self._bars:
            yield

    def step(self, description: str) -> Report:
        """Return a function to call with (done, total): the work at hand."""
        self._bars.update(self._current, description=description, visible=True, completed=0, total=None)

        def report(done: int, total: int) -> None:
            self._bars.update(self._current, completed=done, total=total)

        return report

    def started(self, step: Step) -> None:
        """Show that a step begins."""
        self._bars.update(self._whole, description=step.title)
        self._bars.update(self._current, visible=False)

    def ended(self, outcome: Outcome) -> None:
        """Write a line about a step that ended."""
        self._bars.advance(self._whole)
        if outcome.fresh:
            return
        mark, style = ("!", "red") if outcome.failure else ("✓", "green")
        facts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in outcome.rows.items())
        line = Text.assemble((mark, style), f" {outcome.step.title:<32}{outcome.seconds:6.1f} s  ")
        line.append(outcome.failure or facts, style=style if outcome.failure else "dim")
        self.console.print(line, soft_wrap=True, highlight=False)
        for warning in outcome.warnings:
            self.console.print(Text(f"  ! {warning}", style="yellow"), soft_wrap=True, highlight=False)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], to: Console) -> None:
    """Print a small table; the first column is text, the others are right-aligned."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        table.add_row(*[str(cell) for cell in row])
    to.print(table)
