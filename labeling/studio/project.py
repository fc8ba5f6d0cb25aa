"""The project on a Label Studio server: found by its title, created, and kept as the settings say."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labeling.config import labeling_config
from labeling.guide import style_guide
from labeling.studio.breaks import TaxonomyBreak, TaxonomyError, breaking_changes
from labeling.studio.connection import Connection, StudioError, StudioNotFound
from labeling.studio.pictures import PictureSource
from labeling.studio.settings import LabelStudioServer
from labeling.studio.tabs import missing_tabs, project_tabs
from labeling.taxonomy import Taxonomy

_LISTED = 100  # projects; the server gives no more at a time
_PLACE = ("path", "bucket", "prefix")  # fields that say which pictures a storage serves
_MADE_BY = "stylegraph "  # how the description of our storages begins


@dataclass(frozen=True)
class Project:
    """A project and the address of its page."""

    project_id: int
    url: str

    def task_link(self, task_id: int) -> str:
        """Return the address that opens a task in the data manager."""
        return f"{self.url}/data?task={task_id}"


def find_project(connection: Connection, title: str) -> Project | None:
    """Return the project with exactly this title, None if there is none.

    Raises:
        StudioError: if several have it, or the server cannot be used.
    """
    ids = _project_ids(connection, title)
    if len(ids) > 1:
        listed = ", ".join(map(str, ids))
        raise StudioError(
            f"{connection.url} has {len(ids)} projects with the title {title!r} (ids {listed}): rename or delete all "
            "but one, or name another in labels.project"
        )
    return _project(connection, ids[0]) if ids else None


def ensure_project(
    connection: Connection, settings: LabelStudioServer, taxonomy: Taxonomy, pictures: PictureSource
) -> Project:
    """Create the project, or change it where it differs; where nothing differs, nothing is sent.

    Several processes may do this at once: if they create a project, a storage or a tab twice, the older one stays. What
    people add to the project, such as tabs or a model version, is left alone.

    Raises:
        TaxonomyError: if submitted annotations or drafts use labels that the taxonomy lacks; nothing was changed then.
        StudioError: if several projects have the title, or the server cannot be used or refuses a change.
    """
    wanted = _wanted(settings, taxonomy)
    project = find_project(connection, settings.project)
    if project is None:
        project = _create(connection, wanted)
    _update(connection, project, wanted, taxonomy, settings.page_size)
    _ensure_storage(connection, project.project_id, pictures)
    _ensure_tabs(connection, project.project_id, settings)
    return project


def _wanted(settings: LabelStudioServer, taxonomy: Taxonomy) -> dict[str, Any]:
    """Return the fields of the project that are ours."""
    return {
        "title": settings.project,
        "label_config": labeling_config(taxonomy, settings.language).strip(),  # as the server stores it
        "expert_instruction": style_guide(taxonomy, settings.language),
        "show_instruction": True,  # once each time that somebody starts to label, not at every task
        "maximum_annotations": settings.answers_per_image,
        "skip_queue": "REQUEUE_FOR_ME",
        "sampling": "Sequential sampling",
        "show_collab_predictions": settings.pre_annotations,
        "enable_empty_annotation": False,
        "show_skip_button": True,
    }


def _create(connection: Connection, wanted: Mapping[str, Any]) -> Project:
    created = connection.post("/api/projects", dict(wanted))["id"]
    first, *others = _project_ids(connection, wanted["title"])
    if created in others:  # another process was quicker
        # Nobody has seen ours yet, so nobody has put tasks into it.
        _delete(connection, f"/api/projects/{created}")
    return _project(connection, first)


def _update(
    connection: Connection, project: Project, wanted: Mapping[str, Any], taxonomy: Taxonomy, page_size: int
) -> None:
    address = f"/api/projects/{project.project_id}"
    current = connection.get(address, include=",".join(("id", *wanted)))
    changes = {field: value for field, value in wanted.items() if current[field] != value}
    if "label_config" in changes:
        breaks = breaking_changes(connection, project.project_id, taxonomy, page_size=page_size)
        if breaks:
            raise TaxonomyError(_refusal(project, wanted["title"], breaks))
    if "maximum_annotations" in changes:
        for number in _steps_to(changes["maximum_annotations"], current["maximum_annotations"]):
            connection.patch(address, {"maximum_annotations": number})
    if changes:
        connection.patch(address, changes)


def _steps_to(wanted: int, current: int) -> tuple[int, ...]:
    """Return the numbers of answers to set before the wanted one, so that it comes to hold for every task.

    When the number changes, the server changes tasks that need more than one answer and no others, if there is any such
    task: one that went to a further expert would keep the rest from changing. A change to 1 goes to all tasks.
    """
    if wanted == 1:
        return ()
    return (wanted + 1, 1) if current == 1 else (1,)


def _refusal(project: Project, title: str, breaks: Iterable[TaxonomyBreak]) -> str:
    uses = "; ".join(f"{lost}, e.g. {', '.join(map(project.task_link, lost.task_ids))}" for lost in breaks)
    return (
        f"labels that answers in the project {title!r} use are not in the taxonomy any more: {uses}. Keep them in "
        "taxonomy.labels, or change those answers first; nothing was changed"
    )


def _ensure_storage(connection: Connection, project_id: int, pictures: PictureSource) -> None:
    """Make the server serve the pictures, once; a storage that people made for the same place serves as well."""
    address, body = pictures.storage_payload(project_id)
    body = {**body, "description": _MADE_BY + _digest(body)}
    same = _storages(connection, address, body)
    if not same:
        created = connection.post(address, body)["id"]
        if created != _storages(connection, address, body)[0]["id"]:
            _delete(connection, f"{address}/{created}")
    elif (made := same[0]["description"]) and made.startswith(_MADE_BY) and made != body["description"]:
        connection.patch(f"{address}/{same[0]['id']}", body)


def _storages(connection: Connection, address: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the project's storages of the same place, oldest first."""
    storages = connection.get(address, project=body["project"])
    same = [each for each in storages if all(each.get(field) == body.get(field) for field in _PLACE)]
    return sorted(same, key=lambda storage: int(storage["id"]))


def _digest(body: Mapping[str, Any]) -> str:
    """Return what tells whether a storage is as we would make it: the server never shows the credentials again."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _ensure_tabs(connection: Connection, project_id: int, settings: LabelStudioServer) -> None:
    tabs = missing_tabs(project_tabs(settings.language), _views(connection, project_id))
    created = {
        connection.post("/api/dm/views/", {"project": project_id, "data": tab.data})["id"]: tab.title for tab in tabs
    }
    if created:
        oldest: dict[str, int] = {}
        for view in _views(connection, project_id):
            oldest.setdefault(view["data"].get("title"), view["id"])
        for view_id, title in created.items():
            if oldest[title] != view_id:
                _delete(connection, f"/api/dm/views/{view_id}/")


def _views(connection: Connection, project_id: int) -> list[dict[str, Any]]:
    return sorted(connection.get("/api/dm/views/", project=project_id), key=lambda view: int(view["id"]))


def _project(connection: Connection, project_id: int) -> Project:
    return Project(project_id, f"{connection.url}/projects/{project_id}")


def _project_ids(connection: Connection, title: str) -> list[int]:
    """Return the ids of the projects with exactly this title, ascending."""
    return sorted(project["id"] for project in _listed(connection, title) if project["title"] == title)


def _listed(connection: Connection, title: str) -> Iterator[dict[str, Any]]:
    """Yield the projects whose title has these words somewhere."""
    page, more = 1, True
    while more:
        answer = connection.get("/api/projects", title=title, include="id,title", page=page, page_size=_LISTED)
        yield from answer["results"]
        page, more = page + 1, answer["next"] is not None


def _delete(connection: Connection, address: str) -> None:
    """Delete what this process has just made; a repeated request may find it gone."""
    try:
        connection.delete(address)
    except StudioNotFound:
        return
