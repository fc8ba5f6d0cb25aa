"""A collection of drawn pictures whose labels come from a project of the real server, run as the launcher does."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from labeling.studio.connection import TOKEN_VARIABLE, URL_VARIABLE, Connection
from labeling.studio.server import RunningServer
from labeling.studio.task_list import ListedTask, listed_tasks
from pipeline import jobs
from pipeline.exported import Exported
from pipeline.graph import build_definitions
from pipeline.instance import open_instance
from pipeline.progress import Progress
from pipeline.resources import now
from pipeline.run import Outcome, Step, collection_steps, label_steps, run_steps
from pipeline.sensors import NEW_WORK
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from tests.pipeline.small_case import write_case
from tests.pipeline.studio_case import live_settings

FIRST_WINDOW = {"end = 2019-07-15": "end = 2019-07-08"}
COLLECT = Step("collection", jobs.COLLECTION, "Near-duplicates")
QUEUE = Step("queue", jobs.QUEUE, "Queue")
(LABEL,) = label_steps()
STYLES = ("Casual", "Romantic", "Sporty")


def collect(folder: Path, images: int) -> Path:
    """Draw pictures, crawl both windows and make label tasks; return the folder, for copies of it."""
    settings = load_settings(write_case(folder, images))
    run(settings, collection_steps(settings))
    shutil.rmtree(folder / "data" / "dagster")
    return folder


def run(settings: Settings, steps: Sequence[Step], progress: Progress | None = None) -> list[Outcome]:
    """Run steps in the instance of the data location; all must go well."""
    outcomes = attempt(settings, steps, progress)
    failures = [outcome.failure for outcome in outcomes if outcome.failure]
    assert not failures, failures
    return outcomes


def attempt(settings: Settings, steps: Sequence[Step], progress: Progress | None = None) -> list[Outcome]:
    """Run steps in the instance of the data location, and return how they ended."""
    with open_instance(settings) as instance:
        return list(run_steps(steps, build_definitions(settings, progress), instance))


@dataclass
class Case:
    """One copy of the collection with a project of its own."""

    folder: Path
    title: str
    server: RunningServer
    admin: Connection
    labels: str = ""
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        self.configure()

    def configure(self, labels: str | None = None, title: str | None = None, **how: Any) -> None:
        """Write the settings anew."""
        root = f'document_root = "{self.server.document_root}"\n'
        labels = self.labels if labels is None else labels
        self.settings = live_settings(self.folder, title or self.title, root + labels, **how)

    @property
    def storage(self) -> Storage:
        return Storage(self.settings.data.location)

    @property
    def project_id(self) -> int:
        exported = Exported.read(self.storage)
        assert exported is not None
        return exported.project.project_id

    def run(self, *steps: Step, progress: Progress | None = None) -> list[Outcome]:
        return run(self.settings, steps, progress)

    def failure(self, step: Step, progress: Progress | None = None) -> str:
        """Run a step that must fail, and return its one line."""
        (outcome,) = attempt(self.settings, [step], progress)
        assert outcome.failure is not None
        assert "\n" not in outcome.failure
        return outcome.failure

    def look(self) -> Any:
        """Evaluate the sensor once."""
        with open_instance(self.settings) as instance:
            resources = {"settings": self.settings, "storage": self.storage, "clock": now}
            context = dg.build_sensor_context(instance=instance, resources=resources)
            return build_definitions(self.settings).resolve_sensor_def(NEW_WORK)(context)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return list(self.storage.read_table(table).to_pylist())

    def tasks(self) -> list[ListedTask]:
        """The tasks on the server."""
        return list(listed_tasks(self.admin, self.project_id))

    def task_ids(self) -> list[int]:
        return [task.task_id for task in self.tasks()]

    def tables(self) -> dict[str, bytes]:
        """Every table as bytes, by its path."""
        folder = self.folder / "data" / "tables"
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}

    def given(self) -> list[str]:
        """The ids of all answers in the two tables of annotations, sorted."""
        return sorted(
            row["annotation_id"] for row in [*self.rows("annotations"), *self.rows("quarantined_annotations")]
        )


def environment(url: str, token: str) -> dict[str, str]:
    """The environment of a child process that speaks with a server."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STYLEGRAPH_")}
    return inherited | {URL_VARIABLE: url, TOKEN_VARIABLE: token}
