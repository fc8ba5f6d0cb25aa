"""Projects, tasks and answers on a real Label Studio, for tests."""

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from labeling import FASHION_STYLES, labeling_config
from labeling.studio.connection import Connection
from labeling.studio.pictures import LocalPictures
from labeling.studio.queue import Chosen
from labeling.tables import LABEL_TASKS, QUEUED_TASKS
from tests.labeling.labeling_samples import choices, task_row

NOTHING_QUEUED = QUEUED_TASKS.empty_table()
PICTURES = LocalPictures(Path("/srv/files/images"), Path("/srv/files"))  # nobody looks at them
_numbers = itertools.count(1)


def new_project(connection: Connection, answers: int = 2) -> int:
    """Make a project of our labeling screen, and return its id."""
    body = {
        "title": f"trial {next(_numbers)} {time.time():.0f}",
        "label_config": labeling_config(FASHION_STYLES),
        "maximum_annotations": answers,
        "skip_queue": "REQUEUE_FOR_ME",
    }
    return int(connection.post("/api/projects", body)["id"])


def rows_of(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=LABEL_TASKS)


def many(count: int) -> pa.Table:
    return rows_of(*(task_row(number) for number in range(count)))


def chosen_of(rows: pa.Table, how: str = "newest") -> list[Chosen]:
    return [Chosen(image, how) for image in rows.column("image_id").to_pylist()]


def answer(connection: Connection, task_id: int, main: str = "Retro", subs: Sequence[str] = (), **changes: Any) -> int:
    """Submit an answer as the owner of the token, and return the annotation's id."""
    result = [choices("main", main)] + ([choices("subs", *subs)] if subs else [])
    body = {"result": result, "lead_time": 5.0} | changes
    return int(connection.post(f"/api/tasks/{task_id}/annotations", body)["id"])
