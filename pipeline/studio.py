"""The live Label Studio project of a run: connection, project, and the mirror of what experts did there."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import dagster as dg

from labeling.studio.errors import URL_VARIABLE
from labeling.studio.progress import MirroredProject
from labeling.studio.settings import LabelStudioServer
from labeling.taxonomy import Taxonomy
from pipeline.exported import Exported
from pipeline.locks import label_studio_lock, one_at_a_time
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError

if TYPE_CHECKING:  # the SDK takes a second to load; only assets that speak to a server need it
    from labeling.studio.connection import Connection
    from labeling.studio.pictures import PictureSource
    from labeling.studio.project import Project
    from labeling.studio.store import StudioStore

MIRROR_KEY = "label_studio/answers.sqlite"
GLANCE_SECONDS = 15.0  # that a sensor may wait for one answer; Dagster gives all of it 60 seconds


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
def open_connection(settings: Settings, *, patient: bool = True) -> "Iterator[Connection]":
    """Connect to the server that the environment names; with ``patient`` off, no request is repeated or waits long.

    Raises:
        StudioError: address or token is missing.
    """
    from labeling.studio.connection import RETRIES, Connection

    timeout = server_of(settings).timeout
    with Connection.from_env(
        timeout=timeout if patient else min(timeout, GLANCE_SECONDS), retries=RETRIES if patient else 0
    ) as connection:
        yield connection


@contextlib.contextmanager
def turn(storage: Storage) -> Iterator[None]:
    """Keep other runs from writing to the project, and to the tables about it, at the same time."""
    say = dg.get_dagster_logger().info
    with one_at_a_time(label_studio_lock(storage), say, "another run is at work with Label Studio"):
        yield


@contextlib.contextmanager
def open_studio(settings: Settings, storage: Storage, *, create: bool = False) -> Iterator[Studio]:
    """Find the project of the settings; with ``create`` make it, or bring it up to date.

    Raises:
        StudioError: the server cannot be used, the project is not there (any more), or the tables are about another.
    """
    from labeling.studio.connection import StudioError
    from labeling.studio.project import ensure_project, find_project

    server, taxonomy = server_of(settings), taxonomy_of(settings)
    pictures = picture_source(server, storage)
    with open_connection(settings) as connection:
        project = find_project(connection, server.project)
        exported = Exported.read(storage)
        if exported is not None:
            require_project(exported, storage, connection, project and project.project_id)
        elif project is not None:
            _require_younger(storage, connection, project)
        if create:
            project = ensure_project(connection, server, taxonomy, pictures)
            if exported is None:  # before the first task, so that a table of tasks is never without a note
                Exported(identity(connection, project.project_id), server.project).write(storage)
        if project is None:
            raise StudioError(f"there is no project {server.project!r} yet: materialize queued_tasks first")
        if not create:
            _require_screen(connection, project, taxonomy)
        yield Studio(server, taxonomy, connection, project, pictures)


def identity(connection: "Connection", project_id: int) -> MirroredProject:
    """Return what tells a project from every other.

    Raises:
        StudioNotFound: it is gone.
    """
    from labeling.studio.listing import TaskReader

    return TaskReader(connection, project_id).project()


def require_project(exported: Exported, storage: Storage, connection: "Connection", found: int | None) -> None:
    """Make sure that a project is the one that the tables are about; ``found`` is its number, None: no such title.

    Raises:
        StudioError: it is another one, or gone; the message says what to do. Nothing was changed then.
    """
    from labeling.studio.connection import StudioError, StudioNotFound

    known = exported.project
    anew = (
        f"To begin anew, move {storage.path('label_studio')} away: the images are queued again, and labels come from "
        "the new project alone"
    )
    try:
        number = known.project_id if found is None else found
        there = identity(connection, number)
    except StudioNotFound as error:
        raise StudioError(
            f"the project {exported.title!r} ({known}) is not at {connection.url} any more; what was exported is kept. "
            f"Restore it, or correct {URL_VARIABLE}. {anew}"
        ) from error
    if (there.project_id, there.created_at) != (known.project_id, known.created_at):
        raise StudioError(
            f"the tables at {storage.location} are about the project {exported.title!r} ({known}), not about {there}: "
            f"correct labels.project, {URL_VARIABLE} or data.location. {anew}"
        )
    if found is None:
        raise StudioError(
            f"no project at {connection.url} has the title that labels.project says; the tasks stand in {there}, "
            f"which was called {exported.title!r}: make both titles the same"
        )


def _require_screen(connection: "Connection", project: "Project", taxonomy: Taxonomy) -> None:
    """Make sure that experts cannot choose what the taxonomy lacks: their answers would all be taken for wrong."""
    from labeling.studio.breaks import TaxonomyError, lost_labels

    config = connection.get(f"/api/projects/{project.project_id}", include="id,label_config")["label_config"]
    if lost := sorted(lost_labels(config, taxonomy)):
        raise TaxonomyError(
            f"experts can still choose {', '.join(map(repr, lost))}, which taxonomy.labels lacks: put it back, or "
            "materialize queued_tasks, which changes the screen unless answers would be lost"
        )


def _require_younger(storage: Storage, connection: "Connection", project: "Project") -> None:
    """Make sure that tasks queued without a note are not taken for tasks that a person deleted from this project."""
    from labeling.studio.connection import StudioError

    if not storage.has_table("queued_tasks"):
        return
    queued = storage.read_table("queued_tasks", columns=["queued_at"]).column("queued_at").to_pylist()
    there = identity(connection, project.project_id)
    if any(moment >= datetime.fromisoformat(there.created_at) for moment in queued):
        raise StudioError(
            f"the table queued_tasks may be about another project than {there}, which is older than the table: name a "
            f"new project in labels.project, or move {storage.path(storage.table_key('queued_tasks'))} away"
        )


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
        if server.document_root:
            seen_as = PurePosixPath(server.server_root) if server.server_root else None
            return LocalPictures(Path(storage.path("images")), server.document_root, seen_as)
        served = served_folder(storage)
        return LocalPictures(served / "images", served)
    scheme, _, rest = storage.location.partition("://")
    if scheme not in {"s3", "s3a"}:
        raise TableError(
            f"data.location {storage.location}: Label Studio can show pictures of a folder or of s3:// only"
        )
    bucket, _, prefix = rest.strip("/").partition("/")
    return S3Pictures(bucket, prefix, os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"))


def served_folder(storage: Storage) -> Path:
    """Return the folder that a Label Studio of one's own serves files from: a link to the pictures, and nothing else.

    Members of a server can make it show any file below its document root, so tables and models are kept out of there.
    """
    folder = Path(storage.path("served"))
    folder.mkdir(parents=True, exist_ok=True)
    Path(storage.path("images")).mkdir(exist_ok=True)
    with contextlib.suppress(FileExistsError):
        (folder / "images").symlink_to(Path("..", "images"))
    return folder


def server_of(settings: Settings) -> LabelStudioServer:
    """Return the settings of the live server; only assets that exist where there is one ask."""
    if settings.label_studio is None:
        raise ValueError("labels.kind is not label_studio")
    return settings.label_studio
