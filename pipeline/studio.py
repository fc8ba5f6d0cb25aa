"""The live Label Studio project of a run: connection, project, and the mirror of what experts did there."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from labeling.studio.settings import LabelStudioServer
from labeling.taxonomy import Taxonomy
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError

if TYPE_CHECKING:  # the SDK takes a second to load; only assets that speak to a server need it
    from labeling.studio.connection import Connection
    from labeling.studio.pictures import PictureSource
    from labeling.studio.project import Project
    from labeling.studio.store import StudioStore

MIRROR_KEY = "label_studio/answers.sqlite"
EXPORTED_KEY = "label_studio/exported.json"


@dataclass(frozen=True)
class Studio:
    """One project on one server, while a step speaks with it."""

    settings: LabelStudioServer
    taxonomy: Taxonomy
    connection: "Connection"
    project: "Project"
    pictures: "PictureSource"


def taxonomy_of(settings: Settings) -> Taxonomy:
    """Return the labels of the settings, with the lines that describe those of the default taxonomy."""
    from labeling.styles import FASHION_STYLES

    lines = FASHION_STYLES.descriptions
    labels = settings.taxonomy.labels
    return Taxonomy(labels, {label: lines[label] for label in labels if label in lines})


@contextlib.contextmanager
def open_connection(settings: Settings) -> "Iterator[Connection]":
    """Connect to the server that the environment names.

    Raises:
        StudioError: address or token is missing.
    """
    from labeling.studio.connection import Connection

    with Connection.from_env(timeout=server_of(settings).timeout) as connection:
        yield connection


@contextlib.contextmanager
def open_studio(settings: Settings, storage: Storage, *, create: bool = False) -> Iterator[Studio]:
    """Find the project of the settings; with ``create`` make it, or bring it up to date.

    Raises:
        StudioError: the server cannot be used, or the project is not there (any more).
    """
    from labeling.studio.connection import StudioError
    from labeling.studio.project import ensure_project, find_project

    server, taxonomy = server_of(settings), taxonomy_of(settings)
    pictures = picture_source(server, storage)
    with open_connection(settings) as connection:
        project = find_project(connection, server.project)
        if project is None and storage.has_table("queued_tasks"):
            raise StudioError(
                f"the project {server.project!r} is not at {connection.url} any more; what was exported is kept. "
                "Restore it there, or name another project in labels.project and set data.location anew"
            )
        if create:
            project = ensure_project(connection, server, taxonomy, pictures)
        if project is None:
            raise StudioError(f"there is no project {server.project!r} yet: materialize queued_tasks first")
        yield Studio(server, taxonomy, connection, project, pictures)


@contextlib.contextmanager
def open_store(storage: Storage) -> "Iterator[StudioStore]":
    """Open the mirror of the project's tasks and answers."""
    from labeling.studio.store import StudioStore

    with storage.working_file(MIRROR_KEY) as path, StudioStore(path) as store:
        yield store


def picture_source(server: LabelStudioServer, storage: Storage) -> "PictureSource":
    """Say how the server gets at the pictures: its local files, or addresses that S3 signs for a short while."""
    from labeling.studio.pictures import LocalPictures, S3Pictures

    if storage.is_local:
        root = Path(storage.path("images")).parent
        return LocalPictures(root / "images", server.document_root or root)
    scheme, _, rest = storage.location.partition("://")
    if scheme not in {"s3", "s3a"}:
        raise TableError(
            f"data.location {storage.location}: Label Studio can show pictures of a folder or of s3:// only"
        )
    bucket, _, prefix = rest.strip("/").partition("/")
    return S3Pictures(bucket, prefix)


def server_of(settings: Settings) -> LabelStudioServer:
    """Return the settings of the live server; only assets that exist where there is one ask."""
    if settings.label_studio is None:
        raise ValueError("labels.kind is not label_studio")
    return settings.label_studio


@dataclass(frozen=True)
class Exported:
    """How far the export of a project has come: what the sensor must know without opening the mirror."""

    project_id: int
    cursor: datetime | None = None  # the server's time up to which every change was exported
    reconciled_at: datetime | None = None  # when deleted tasks and drafts were last looked for

    @classmethod
    def read(cls, storage: Storage) -> "Exported | None":
        """Return the note of the last export; None before the first task was queued."""
        if not storage.exists(EXPORTED_KEY):
            return None
        content = json.loads(storage.read_bytes(EXPORTED_KEY))
        moments = {name: _moment(content[name]) for name in ("cursor", "reconciled_at")}
        return cls(content["project_id"], **moments)

    def write(self, storage: Storage) -> None:
        """Keep the note."""
        moments = {name: getattr(self, name) for name in ("cursor", "reconciled_at")}
        content = {name: moment.isoformat() if moment else None for name, moment in moments.items()}
        storage.write_json(EXPORTED_KEY, {"project_id": self.project_id, **content})


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
