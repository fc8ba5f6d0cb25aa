"""What trends and drift have in common: a label set that is followed over windows, and experts' answers about it."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from modeling.errors import ModelingError
from modeling.label_sets import as_frame
from modeling.settings import Membership

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Read: TypeAlias = Callable[[str], pa.Table | None]
"""STYLE_PREDICTIONS rows of a window, of all label sets; none where it was not predicted."""

OUTSIDE = -1  # class of an image that does not belong to the label set
UNKNOWN = -2  # class of an image that experts have not decided on


@dataclass(frozen=True)
class FollowedSet:
    """A label set and the models that answer for it."""

    name: str
    labels: tuple[str, ...]  # the champion's, in order; without a champion those of the set now
    membership: Membership = "all"
    champion: str | None = None  # model version; none: no champion yet
    trained_on: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # model version to its DATA_SET
    data_set: pd.DataFrame | None = None  # the label set's DATA_SET now: groups of images labelled since

    def learned_from(self, version: str) -> set[str]:
        """Ids of the images and files that a model had in its train or validation split."""
        rows = self.trained_on[version]
        learned = rows[rows["split"] != "test"]
        return {*learned["image_id"], *learned["file_id"]}

    def held_out_groups(self, version: str) -> dict[str, str]:
        """Group of every labelled image of the set that a model did not learn from, nor from one of its group.

        Those of the test split of the data set it was trained on, and of the data set as it is now.
        """
        trained, learned = self.trained_on[version], self.learned_from(version)
        grown = set(trained.loc[trained["split"] != "test", "group_id"])
        groups: dict[str, str] = {}
        touched: set[str] = set()
        for rows in (trained, self.data_set):
            if rows is None:
                continue
            inside = rows["image_id"].isin(learned) | rows["file_id"].isin(learned)
            near = rows["group_id"].isin(grown | set(rows.loc[inside, "group_id"]))
            touched.update(rows.loc[near, "image_id"])
            groups |= dict(zip(rows["image_id"], rows["group_id"], strict=True))
        return {image_id: group for image_id, group in groups.items() if image_id not in touched}


@dataclass(frozen=True)
class Answers:
    """Experts' answers as a label set sees them, N images; C labels."""

    image_ids: list[str]
    windows: NDArray[np.object_]  # (N,)
    main: Ints  # (N,): index of the main label; OUTSIDE: the image does not belong to the label set
    carried: Bools  # (N, C): labels of the set, main or sub

    @property
    def inside(self) -> Bools:
        """Images that belong to the label set: (N,)."""
        return np.asarray(self.main != OUTSIDE)


def answers(labels: pd.DataFrame | pa.Table, followed: FollowedSet, only: Collection[str] | None = None) -> Answers:
    """The decided LABELS rows as a label set sees them, those of ``only`` where it is given.

    An image whose answer is not_fashion, or whose labels are not those of the set, is outside. Conflicts and answers
    that can't tell are left out.
    """
    rows = as_frame(labels)
    decided = rows["main"].notna() | (rows["answer"] == "not_fashion")
    rows = rows[decided if only is None else decided & rows["image_id"].isin(set(only))]
    place = {label: index for index, label in enumerate(followed.labels)}
    main = np.full(len(rows), OUTSIDE, dtype=np.int64)
    carried = np.zeros((len(rows), len(place)), dtype=np.bool_)
    for row, (name, subs) in enumerate(zip(rows["main"], rows["subs"], strict=True)):
        if name not in place or (followed.membership == "all" and any(sub not in place for sub in subs)):
            continue
        main[row] = place[name]
        carried[row, [place[label] for label in (name, *subs) if label in place]] = True
    return Answers(rows["image_id"].tolist(), rows["window"].to_numpy(dtype=object), main, carried)


def predicted_rows(read: Read, windows: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """Each window with these columns of its STYLE_PREDICTIONS rows; windows without a row are left out.

    Raises ModelingError when a column is missing.
    """
    for window in windows:
        table = read(window)
        if table is None or not table.num_rows:
            continue
        missing = [name for name in columns if name not in table.column_names]
        if missing:
            raise ModelingError(f"predictions of window {window} have no column {missing[0]!r}: predict it anew")
        yield window, table.select(list(columns))
