"""A simulated year from its first post to its last run."""

import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from dagster._core.storage.tags import PARTITION_NAME_TAG
from rich.console import Console

from pipeline import jobs
from pipeline.commands.withdraw import Asked, withdraw
from pipeline.graph import build_definitions
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.simulation.configuration import LABEL_SET, WEIGHTS_NAME, Configuration
from pipeline.simulation.daemon import Daemon, SimulatedClock
from pipeline.simulation.history import passing_instance, white_charts
from pipeline.simulation.journal import Journal
from pipeline.simulation.network import YearServer, running_year
from pipeline.simulation.plan import NEW, Year
from pipeline.simulation.pretraining import pretrain
from pipeline.simulation.team import Team
from pipeline.simulation.world import SimulatedWorld, build_year
from pipeline.storage import Storage

CONFIG_NAME = "stylegraph.toml"
WORLD_NAME = "network"
KEY_VARIABLE = "STYLEGRAPH_HMAC_KEY"
REASON = "the author asked for it"
HOST = "127.0.0.1"  # that handles of the network belong to
_DAY = timedelta(days=1)


@dataclass
class Lived:
    """A year that has passed: what was planted in it, and where to look for what was found."""

    year: Year
    world: SimulatedWorld
    team: Team
    journal: Journal
    settings: Settings
    storage: Storage
    config: Path
    labelled_by_week: list[int] = field(default_factory=list)
    unknown: tuple[int, int] = (0, 0)  # answers with the new style before the settings had it, and how many set aside


def live(folder: Path, year: Year, console: Console, progress: Progress, week_done: Callable[[int], None]) -> Lived:
    """Let a year pass in ``folder``, which is made or empty; ``week_done`` is told the number of weeks that passed.

    Everything that is done is done by the graph's own schedules, sensors and conditions, but for what people do:
    labelling, changing settings, withdrawing, and asking for a training.
    """
    os.environ.setdefault(KEY_VARIABLE, secrets.token_hex(32))
    world = build_year(folder / WORLD_NAME, year, progress=progress.step("drawing pictures"))
    pretrain(folder / WEIGHTS_NAME, progress.step("training a backbone on other pictures"))
    clock = SimulatedClock(year.begin(0))
    with running_year(folder / WORLD_NAME, clock) as server:
        settings = Configuration().write(folder / CONFIG_NAME, year, server.url)
        storage = Storage(settings.data.location)
        journal = Journal(storage, console)
        team = Team(world, Path(settings.labels.path), year.seed)
        team.write()  # an export without answers, as of a project that has just begun
        lived = Lived(year, world, team, journal, settings, storage, folder / CONFIG_NAME)
        with white_charts(), passing_instance(settings) as instance:
            daemon = Daemon(instance, clock, journal.ran, journal.skipped)
            passing = _Passing(lived, folder / CONFIG_NAME, server, clock, daemon, progress, console)
            passing.configure(Configuration())
            for week in range(year.weeks):
                passing.week(week)
                week_done(week + 1)
    return lived


@dataclass
class _Passing:
    """A year while it passes."""

    lived: Lived
    config: Path
    server: YearServer
    clock: SimulatedClock
    daemon: Daemon
    progress: Progress
    console: Console
    configuration: Configuration = field(default_factory=Configuration)

    def configure(self, configuration: Configuration) -> None:
        """Change the settings file, as a person does; the code is loaded again with it."""
        self.configuration = configuration
        self.lived.settings = configuration.write(self.config, self.lived.year, self.server.url)
        self.daemon.load(build_definitions(self.lived.settings, self.progress, self.clock))

    def week(self, week: int) -> None:
        """Let the days after a week pass: Monday crawls it, Wednesday brings labels, on Thursday people act."""
        year = self.lived.year
        self.server.down = week == year.outage
        if self.server.down:
            self.say("the server is down")
        if week == year.addition:
            self.lived.unknown = (_naming(self.lived.team, NEW), self._set_aside(NEW))
            self.configure(replace(self.configuration, with_new_style=True))
            self.say(f"the taxonomy gets the style {NEW}")
        self.daemon.pass_time(year.crawled_at(week) + timedelta(hours=2))
        self.server.down = False
        self.daemon.pass_time(year.labelled_at(week))
        self._label(week)
        self.daemon.pass_time(year.acted_at(week))
        if week == year.withdrawal:
            self._withdraw()
        if week == year.mistake:
            self._train_by_mistake()

    def say(self, what: str) -> None:
        """Print what people or the world do."""
        self.lived.journal.say(self.clock.now, "", f"* {what}")

    def _set_aside(self, style: str) -> int:
        """Count the annotations in quarantine for a label that nobody may give, and that name ``style``."""
        rows = self.lived.storage.read_table("quarantined_annotations", columns=["reason", "raw"]).to_pylist()
        return sum(row["reason"] == "unknown_label" and f'"{style}"' in row["raw"] for row in rows)

    def _label(self, week: int) -> None:
        """Let the team work."""
        labelled = 0
        if week in self.lived.year.holidays:
            self.say("the labelling team is on holiday")
        elif self.lived.storage.has_table("label_tasks"):
            tasks = self.lived.storage.read_table("label_tasks").to_pandas()
            labelled = self.lived.team.work(tasks, self.lived.year.labelled, self.clock.now)
            self.say(f"the labelling team hands over {labelled} images")
        self.lived.labelled_by_week.append(labelled)
        self.daemon.look()

    def _withdraw(self) -> None:
        author = self.lived.world.withdrawn_author
        self.say(f"{author} withdraws")
        withdraw(self.lived.settings, Asked(authors=[author], server=HOST, reason=REASON), self.console, now=False)
        self.daemon.look()

    def _train_by_mistake(self) -> None:
        """Let a person ask for a training with settings that learn nothing, see it, and put them right."""
        self.configure(replace(self.configuration, mistaken=True))
        self.say("a person trains with a wrong learning rate")
        self.daemon.run_job(jobs.ASK_FOR_TRAINING, "a person", {PARTITION_NAME_TAG: LABEL_SET})
        self.daemon.look()
        self.configure(replace(self.configuration, mistaken=False))
        self.daemon.pass_time(self.clock.now + _DAY)


def _naming(team: Team, style: str) -> int:
    """Count the answers that name a style."""
    return sum(f'"{style}"' in json.dumps(one["result"]) for _, one in team.answers())
