"""What stands on the server against what should: decisions without a server."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import pyarrow as pa

from labeling.studio.queue import Chosen, is_blind
from labeling.studio.settings import LabelStudioServer
from labeling.studio.task_list import ListedTask
from labeling.tables import QUEUED_TASKS

QUEUED, WITHDRAWN, DELETED = "queued", "withdrawn", "deleted"

Row = dict[str, Any]


@dataclass(frozen=True)
class Images:
    """The images of ``LABEL_TASKS`` and those that have to leave."""

    windows: Mapping[str, str]  # of each canonical image
    canonical: Mapping[str, str]  # of each image of a cluster
    withdrawn: AbstractSet[str]

    @classmethod
    def of(cls, rows: pa.Table, withdrawn: Collection[str]) -> Self:
        """Read rows of ``LABEL_TASKS``; with a withdrawn image leave all of its near-duplicate cluster."""
        ids, windows = rows.column("image_id").to_pylist(), rows.column("window").to_pylist()
        members, leaves = rows.column("image_ids").to_pylist(), set(withdrawn)
        canonical = {member: image_id for image_id, cluster in zip(ids, members, strict=True) for member in cluster}
        leaving = set(withdrawn).union(*(cluster for cluster in members if not leaves.isdisjoint(cluster)))
        return cls(dict(zip(ids, windows, strict=True)), canonical, frozenset(leaving))

    def cluster(self, image_id: str) -> str:
        """Return the canonical image of an image's cluster; an unknown image is a cluster of its own."""
        return self.canonical.get(image_id, image_id)


@dataclass(frozen=True)
class Upkeep:
    """Which tasks stay and which leave."""

    stay: dict[str, ListedTask] = field(default_factory=dict)  # by image
    withdrawn: list[ListedTask] = field(default_factory=list)  # leave with their answers
    unwanted: list[ListedTask] = field(default_factory=list)  # leave unless somebody has worked on them
    doubles: list[ListedTask] = field(default_factory=list)  # of an image with a task that stays; both have answers


def to_send(
    chosen: Iterable[Chosen], images: Images, previous: Iterable[Row], standing: Iterable[str]
) -> dict[str, str]:
    """Return the images whose tasks are missing, in order, with what they were chosen as.

    An image is sent once for its whole cluster: not where any image of the cluster is in ``previous``, whatever its
    state, or in ``standing`` (on the server).
    """
    known = {images.cluster(row["image_id"]) for row in previous} | {images.cluster(image) for image in standing}
    missing: dict[str, str] = {}
    for image_id, chosen_as in chosen:
        cluster = images.cluster(image_id)
        if cluster in images.windows and image_id not in images.withdrawn and cluster not in known:
            known.add(cluster)
            missing[cluster] = chosen_as
    return missing


def fresh_tasks(
    sent: Mapping[str, int], made: datetime, images: Images, settings: LabelStudioServer
) -> list[ListedTask]:
    """Return tasks that were sent just now as a listing would.

    Args:
        sent: the id of each image's task.
        made: when the first of them was made, by the server's clock; it is taken for all.
        images: of ``LABEL_TASKS``.
        settings: of the server.
    """
    return [
        ListedTask(
            task_id,
            image_id,
            is_labeled=False,
            submitted=0,
            skipped=0,
            overlap=settings.answers_per_image,
            created_at=made,
            data={"window": images.windows[image_id]},
            meta={},
        )
        for image_id, task_id in sent.items()
    ]


def upkeep(tasks: Iterable[ListedTask], images: Images, drafted: AbstractSet[int]) -> Upkeep:
    """Decide which tasks leave the server.

    - All tasks of a withdrawn image leave, answered or not.
    - Of several tasks of one image, the one with submitted answers stays, else the one with a skipped answer or a
      draft, else the one with the lowest id.
    - Of several images of one cluster, those that somebody has worked on stay, else the canonical one, else the oldest.
    - An image that is in no cluster any more stays only if somebody has worked on it.

    Args:
        tasks: of the project.
        images: of ``LABEL_TASKS``.
        drafted: ids of tasks that hold a draft.
    """

    def worked_on(task: ListedTask) -> bool:
        return task.touched or task.task_id in drafted

    result = Upkeep()
    by_image: defaultdict[str, list[ListedTask]] = defaultdict(list)
    for task in tasks:
        by_image[task.image_id].append(task)
    clusters: defaultdict[str, list[ListedTask]] = defaultdict(list)
    for image_id, same in by_image.items():
        if image_id in images.withdrawn:
            result.withdrawn.extend(same)
            continue
        first, *others = same
        if others:
            first, *others = sorted(same, key=lambda task: (not task.submitted, not worked_on(task), task.task_id))
        clusters[images.cluster(image_id)].append(first)
        for task in others:
            (result.doubles if worked_on(task) else result.unwanted).append(task)
    for cluster, members in clusters.items():
        staying = _of_cluster(cluster, members, [task for task in members if worked_on(task)], images)
        result.stay.update((task.image_id, task) for task in staying)
        result.unwanted.extend(task for task in members if task not in staying)
    return result


def _of_cluster(
    cluster: str, members: Sequence[ListedTask], worked_on: Sequence[ListedTask], images: Images
) -> Sequence[ListedTask]:
    if worked_on or cluster not in images.windows:
        return worked_on
    return [min(members, key=lambda task: (task.image_id != cluster, task.created_at, task.task_id))]


def queued_tasks(
    previous: Iterable[Row],
    stay: Mapping[str, ListedTask],
    gone: Collection[str],
    images: Images,
    chosen_as: Mapping[str, str],
    settings: LabelStudioServer,
) -> pa.Table:
    """Return ``QUEUED_TASKS`` sorted by image.

    A task of ``previous`` that no longer stands was deleted by a person, unless its image left the collection. The row
    of an image that had been withdrawn and is back in ``LABEL_TASKS`` is left out, so that it can be chosen again.

    Args:
        previous: rows of the table as it was.
        stay: the tasks on the server by image.
        gone: images whose tasks were taken from the server just now.
        images: of ``LABEL_TASKS``.
        chosen_as: for images that ``previous`` does not know.
        settings: of the server.
    """
    known = {row["image_id"]: row for row in previous}
    standing = {images.cluster(image_id) for image_id in stay}
    rows: list[Row] = []
    for image_id, row in known.items():
        if image_id in stay:
            continue
        left = image_id in gone or image_id in images.withdrawn or image_id not in images.windows
        state = (WITHDRAWN if left else DELETED) if row["state"] == QUEUED else row["state"]
        back = image_id in images.windows and image_id not in images.withdrawn and image_id not in standing
        if state == WITHDRAWN and back and image_id not in gone:
            continue
        rows.append(row | {"state": state})
    for image_id, task in stay.items():
        rows.append(known.get(image_id) or _taken_in(task, chosen_as, settings))
        rows[-1] = rows[-1] | {"task_id": task.task_id, "state": QUEUED}
    for row in rows:
        row["window"] = images.windows.get(row["image_id"], row["window"])
        row["blind"] = is_blind(row["image_id"], settings.blind_share)
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["image_id"])), schema=QUEUED_TASKS)


def _taken_in(task: ListedTask, chosen_as: Mapping[str, str], settings: LabelStudioServer) -> Row:
    said = task.meta.get("chosen_as")
    return {
        "image_id": task.image_id,
        "window": str(task.data.get("window", "")),
        "chosen_as": said if isinstance(said, str) else chosen_as.get(task.image_id, settings.next_images),
        "queued_at": task.created_at,
    }


def of_this_project(previous: Iterable[Row], project_created_at: datetime) -> tuple[list[Row], list[Chosen]]:
    """Part the rows of ``previous`` from those of an older project, which has been lost with its server.

    Returns the rows that count, and the images of lost tasks in the order in which they had been queued.
    """
    rows, lost = [], []
    for row in sorted(previous, key=lambda row: (row["queued_at"], row["task_id"])):
        if row["state"] == QUEUED and row["queued_at"] < project_created_at:
            lost.append(Chosen(row["image_id"], row["chosen_as"]))
        else:
            rows.append(row)
    return rows, lost
