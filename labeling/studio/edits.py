"""Who made an answer what it is, by the versions of it that the mirror has."""

from collections.abc import Collection
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from labeling.annotations import Labels, Problem, check_labels
from labeling.results import person, read_result
from labeling.studio.store import StudioStore
from labeling.taxonomy import Taxonomy

Json = dict[str, Any]


def editors(store: StudioStore, annotation_ids: Collection[str]) -> dict[str, Any]:
    """Return who gave each annotation its content, by its id, as the server names people.

    The server knows only who changed an annotation last. With one that was sent back, corrected in place and made to
    count again, that is the owner of our token, who said nothing about its content. So a change that only skips an
    annotation, or only takes that back, leaves its editor as it was.
    """
    found: dict[str, Any] = {}
    before: dict[str, Json] = {}
    for version in store.versions_of(annotation_ids):
        raw, old = orjson.loads(version.raw), before.get(version.annotation_id)
        before[version.annotation_id] = raw
        if old is None or not (old == raw or _only_skipped_or_taken_back(old, raw)):
            found[version.annotation_id] = _editor(raw)
    return found


def changed_by_reviewers(store: StudioStore, valid: pa.Table, taxonomy: Taxonomy) -> int:
    """Count the reviewed answers of ``ANNOTATIONS`` whose labels are not those of their annotator's own last version.

    An answer whose annotator's version was never seen, because the review came before the next export, is not counted.
    """
    rows = valid.filter(pc.is_valid(valid.column("review"))).select(["annotation_id", "answer", "main", "subs"])
    reviewed = {row["annotation_id"]: row for row in rows.to_pylist()}
    own: dict[str, Labels | Problem] = {}
    for version in store.versions_of(reviewed):
        raw = orjson.loads(version.raw)
        if person(_editor(raw)) == person(raw.get("completed_by")):
            read = read_result(raw.get("result"))
            own[version.annotation_id] = (
                read if isinstance(read, Problem) else check_labels(read.mains, read.subs, taxonomy)
            )
    return sum(
        labels != Labels(reviewed[number]["answer"], reviewed[number]["main"], tuple(reviewed[number]["subs"]))
        for number, labels in own.items()
    )


def _editor(raw: Json) -> Any:
    return raw.get("updated_by") or raw.get("completed_by")


def _only_skipped_or_taken_back(old: Json, new: Json) -> bool:
    return bool(old["was_cancelled"] != new["was_cancelled"] and old["result"] == new["result"])
