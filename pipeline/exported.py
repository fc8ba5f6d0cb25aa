"""How far the export of the live project has come: a note beside the tables, which the sensor reads."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Literal

from labeling.studio.progress import MirroredProject
from pipeline.storage import Storage

EXPORTED_KEY = "label_studio/exported.json"
MOMENTS = ("cursor", "reconciled_at", "settles_at")

Stage = Literal["exported", "labelled", "done"]


@dataclass(frozen=True)
class Exported:
    """Which project the tables are about, and how far they follow from it."""

    project: MirroredProject
    title: str
    cursor: datetime | None = None  # the server's time up to which every change is in the tables of annotations
    reconciled_at: datetime | None = None  # when deleted tasks and drafts were last looked for
    # What follows from the export so far: annotations only; labels too; tasks were also given back.
    stage: Stage = "done"
    settles_at: datetime | None = None  # from when on one more export finds what was committed late

    @classmethod
    def read(cls, storage: Storage) -> "Exported | None":
        """Return the note; None before the first task was queued."""
        if not storage.exists(EXPORTED_KEY):
            return None
        content = json.loads(storage.read_bytes(EXPORTED_KEY))
        moments = {name: _moment(content.get(name)) for name in MOMENTS}
        return cls(MirroredProject(**content["project"]), content["title"], **moments, stage=content["stage"])

    def write(self, storage: Storage) -> None:
        """Keep the note."""
        content = asdict(self)
        for name in MOMENTS:
            content[name] = content[name] and content[name].isoformat()
        storage.write_json(EXPORTED_KEY, content)

    def advance(self, storage: Storage, stage: Stage) -> None:
        """Note that ``stage`` is reached from the one before it, unless another export has come between."""
        before: dict[Stage, Stage] = {"labelled": "exported", "done": "labelled"}
        if before.get(stage) == self.stage and Exported.read(storage) == self:
            replace(self, stage=stage).write(storage)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
