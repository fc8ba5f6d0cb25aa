"""From the mirror of a Label Studio project to the tables of annotations."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any, cast

import orjson
import pyarrow as pa

from labeling.annotations import Annotations
from labeling.reader import AnnotationReader, State, TaskReference
from labeling.references import ImageIndex, ImageReference
from labeling.results import moment, person
from labeling.studio.edits import changed_by_reviewers, editors
from labeling.studio.rows import StoredVersion
from labeling.studio.store import StudioStore
from labeling.tables import ANNOTATION_VERSIONS
from labeling.taxonomy import Taxonomy

_BATCH = 10_000  # rows

_logger = logging.getLogger(__name__)


def read_store(
    store: StudioStore,
    index: ImageIndex,
    taxonomy: Taxonomy,
    users: Mapping[int, str],
    link: Callable[[int], str],
    sent_back: Collection[str] = (),
) -> Annotations:
    """Read the newest version of every annotation into valid and quarantined annotations.

    What was deleted on the server is refused as ``deleted`` or ``task_deleted``; a draft that is gone was submitted or
    thrown away and is left out. People who were removed from the organization keep what they did, under the address
    that they had.

    A reviewed answer counts with the labels that it has now. Where the reviewer changed them, they stand as the
    annotator's answer, also where annotators are compared; how many these are is logged.

    Args:
        store: the mirror of the project; the users are kept in it.
        index: finds the image that a task names.
        taxonomy: the labels that may be given.
        users: email address of every user that the server knows now, by id.
        link: from a task number to its address in Label Studio.
        sent_back: ids of annotations that were sent back to their annotators.
    """
    store.remember_people(users)
    reader = AnnotationReader(index, taxonomy, users=store.people(), sent_back=sent_back, link=link)
    edited_by = editors(store, sent_back)
    for version in store.latest():
        if version.annotation_id.startswith("draft:") and version.state != "draft":
            continue
        task = TaskReference(str(version.task_id), version.image)
        reader.add(
            orjson.loads(version.raw),
            task,
            cast(State, version.state),
            # for one that is skipped, who skipped it
            edited_by=edited_by.get(version.annotation_id) if version.state == "submitted" else None,
            stored=partial(store.raw, version.version),
        )
    annotations = reader.result()
    if changed := changed_by_reviewers(store, annotations.valid, taxonomy):
        _logger.warning("%d answers count with labels that their reviewer changed", changed)
    return annotations


def annotation_versions(store: StudioStore, index: ImageIndex, users: Mapping[int, str]) -> Iterator[pa.RecordBatch]:
    """Yield ``ANNOTATION_VERSIONS``: every version ever seen, in the order in which they were seen, images resolved."""
    people = store.people() | dict(users)
    rows = (_version_row(version, index, people) for version in store.history())
    while batch := list(islice(rows, _BATCH)):
        yield pa.RecordBatch.from_pylist(batch, schema=ANNOTATION_VERSIONS)


def _version_row(version: StoredVersion, index: ImageIndex, users: Mapping[int, str]) -> dict[str, Any]:
    raw = orjson.loads(version.raw)
    image = None if version.image is None else index.resolve(version.image)
    author = person(raw.get("user") if version.annotation_id.startswith("draft:") else raw.get("completed_by"))
    known = users.get(int(author.number)) if author.number is not None else None
    return {
        "annotation_id": version.annotation_id,
        "task_id": version.task_id,
        "image_id": image.image_id if isinstance(image, ImageReference) else None,
        "annotator": author.email or known or author.number,
        "state": version.state,
        "updated_at": moment(raw.get("updated_at")),
        "seen_at": version.seen_at,
        "raw": version.raw,
    }
