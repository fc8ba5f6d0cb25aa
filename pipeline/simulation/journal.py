"""What happened in a simulated year, written down as it happened: much of it stands in no table at the end."""

from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd
from rich.console import Console
from rich.text import Text

from modeling.label_sets import data_set_version
from pipeline.simulation.configuration import LABEL_SET
from pipeline.simulation.daemon import Tick
from pipeline.simulation.runs import Ran
from pipeline.storage import Storage

_MOST_ASSETS = 3  # named in a line


@dataclass(frozen=True)
class MadeDataSet:
    """A data set, as it was made once, or left by a withdrawal."""

    at: datetime
    job: str | None
    version: str
    rows: pd.DataFrame  # DATA_SET


@dataclass
class Journal:
    """Collects what runs did, and prints a line for each."""

    storage: Storage
    console: Console
    runs: list[Ran] = field(default_factory=list)
    data_sets: list[MadeDataSet] = field(default_factory=list)
    drifted: list[tuple[datetime, pd.DataFrame]] = field(default_factory=list)  # DRIFT, each time it was made
    _idle: dict[str, str] = field(default_factory=dict)  # what a schedule said last, since the last run

    def ran(self, ran: Ran) -> None:
        """Write down a run, and what would be overwritten by a later one."""
        self.runs.append(ran)
        self._idle.clear()
        if "data_set" in ran.assets:
            table = self.storage.read_table("data_set", (LABEL_SET,))
            self.data_sets.append(MadeDataSet(ran.at, ran.job, data_set_version(table), table.to_pandas()))
        if "drift" in ran.assets:
            self.drifted.append((ran.at, self.storage.read_table("drift").to_pandas()))
        self.say(ran.at, ran.by, _words(ran), f"{ran.seconds:5.1f} s")
        if ran.failure:
            self.console.print(Text(f"    failed: {ran.failure}", style="red"), soft_wrap=True)
        for check in ran.failed_checks:
            line = f"    check {check.name} of {check.asset}: {check.description}"
            self.console.print(Text(line, style="yellow"), soft_wrap=True)

    def skipped(self, tick: Tick) -> None:
        """Print why a look asked for nothing, once until something runs."""
        if self._idle.get(tick.name) != tick.message:
            self._idle[tick.name] = tick.message
            self.say(tick.at, tick.name, f"nothing: {tick.message}")

    def say(self, at: datetime, who: str, what: str, seconds: str = "") -> None:
        """Print what happened at a simulated time."""
        line = Text.assemble((f"{at:%Y-%m-%d %H:%M}", "cyan"), f"  {who:<20}{seconds:>8}  ", what)
        self.console.print(line, soft_wrap=True, highlight=False)


def _words(ran: Ran) -> str:
    """Say what a run made, and why."""
    what = ran.job or ", ".join(ran.assets[:_MOST_ASSETS]) or ", ".join(f"check {name}" for name in ran.checks)
    if ran.job is None and len(ran.assets) > _MOST_ASSETS:
        what += f" and {len(ran.assets) - _MOST_ASSETS} more"
    return " ".join(filter(None, [what or "nothing", ran.partitions, f"({ran.reason})" if ran.reason else ""]))
