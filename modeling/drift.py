"""Whether a window is unlike the windows that the champion was trained on: a DRIFT table.

Four things are compared for every window that the champion's data set has no image of:

- ``expert_labels``: main labels that experts gave, with those of the champion's data set.
- ``predicted_labels``, ``scores``, ``embeddings``: what the champion says of the window's images and how its network
  sees them, with the images of the training windows that it did NOT learn from: it is surer of those that it did.
  What it learned from is replaced by its like: an image of the test split, which was drawn from the same labelled
  images of the label set, weighs (learned + held out) / held out. Without that the reference would have too many images
  from outside the label set, and too many that nobody chose to label, and every window would seem to drift.

The tests take images as independent: several pictures of one author count as several.

A window drifted when the test is significant after Holm's correction over the windows of a label set and kind AND the
distance is above its threshold: with many images any test finds differences that do not matter.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modeling.drift_reference import MOST_EMBEDDINGS, Reference, Sample, Seen
from modeling.errors import ModelingError
from modeling.following import Answers, FollowedSet, Ints, Read, answers, predicted_rows
from modeling.paired_tests import holm
from modeling.settings import DriftSettings
from modeling.shifts import Shift, chi_squared, largest_ks, mean_discrepancy
from modeling.tables import DRIFT
from modeling.window_answers import list_matrix

COLUMNS = ("label_set", "image_id", "window", "model_version", "main", "labels", "probabilities", "embedding")
EXPERT_LABELS, PREDICTED_LABELS, SCORES, EMBEDDINGS = "expert_labels", "predicted_labels", "scores", "embeddings"
TESTS = {
    EXPERT_LABELS: "chi_squared",
    PREDICTED_LABELS: "chi_squared",
    SCORES: "kolmogorov_smirnov",
    EMBEDDINGS: "mmd_permutation",
}

_Row = dict[str, Any]


def drift_table(
    sets: Sequence[FollowedSet],
    windows: Sequence[str],
    read: Read,
    labels: pd.DataFrame | pa.Table,
    settings: DriftSettings,
) -> pa.Table:
    """Test every window that a champion was not trained on, of each label set that has a champion: a DRIFT table.

    ``windows`` are all windows in order of time; ``read`` gives the STYLE_PREDICTIONS rows of one, and is called once
    for a window, or twice where one champion was trained on it and another was not. Predictions of other models than
    the champion are passed over. A window of fewer than ``least_images`` images, or with so few to compare it with, has
    a row without a result, which never counts as drifted; nor does one whose champion held nothing out. A window
    without an image has no row. ``labels`` are LABELS rows. Raises ModelingError when predictions lack a column, or
    ``trained_on`` lacks a champion.
    """
    watches = [_Watch(followed, answers(labels, followed), settings) for followed in sets if followed.champion]
    known = [window for window in windows if any(window in watch.trained for watch in watches)]
    for _, table in predicted_rows(read, known, COLUMNS):
        for watch in watches:
            watch.learn(table)
    others = [window for window in windows if any(window not in watch.trained for watch in watches)]
    for window, table in predicted_rows(read, others, COLUMNS):
        for watch in watches:
            watch.test(window, table)
    return pa.Table.from_pylist([row for watch in watches for row in watch.rows(windows)], DRIFT)


class _Watch:
    """One label set with its champion."""

    def __init__(self, followed: FollowedSet, expert: Answers, settings: DriftSettings) -> None:
        version = str(followed.champion)
        if version not in followed.trained_on:
            raise ModelingError(
                f"label set {followed.name}: the data set that its champion {version} was trained on is missing: "
                "give it in trained_on"
            )
        self._followed, self._expert, self._settings, self._version = followed, expert, settings, version
        data_set = followed.trained_on[version]
        self.trained = set(data_set["window"])
        self._learned = pa.array(sorted(followed.learned_from(version)), pa.string())
        test = data_set.loc[data_set["split"] == "test", "image_id"]
        self._held_out = pa.array(sorted(test), pa.string())
        self._main_counts = _counts(data_set["main"], followed.labels)
        self._reference: Reference | None = None
        self._labels: list[str] = list(followed.labels)  # the champion's, when its first answer was read
        self._found: list[_Row] = []

    def learn(self, table: pa.Table) -> None:
        """Take predictions of a window into the reference, where the champion was trained on it."""
        rows = self._own(table)
        rows = rows.filter(pc.is_in(rows["window"], pa.array(sorted(self.trained), pa.string())))
        if not rows.num_rows:
            return
        self._labels = rows["labels"][0].as_py()
        if self._reference is None:
            self._reference = Reference(len(self._labels), self._settings.seed)
        reference, learned = self._reference, pc.is_in(rows["image_id"], self._learned)
        reference.learned += pc.sum(learned).as_py()
        rows = rows.filter(pc.invert(learned))
        held_out = pc.is_in(rows["image_id"], self._held_out)
        for part, own in ((reference.held_out, held_out), (reference.others, pc.invert(held_out))):
            if pc.any(own).as_py():
                part.add(self._seen(rows.filter(own)))

    def test(self, window: str, table: pa.Table) -> None:
        """Test a window's predictions, where the champion was not trained on it."""
        rows = self._own(table)
        if window in self.trained or not rows.num_rows:
            return
        seen, settings = self._seen(rows), self._settings
        reference = self._reference or Reference(len(self._labels), settings.seed)
        enough = reference.stands_for_all and min(rows.num_rows, reference.images) >= settings.least_images
        images = {"images": rows.num_rows, "reference_images": reference.images}
        shift = chi_squared(seen.mains, reference.mains) if enough else None
        self._add(window, PREDICTED_LABELS, settings.most_label_shift, shift, **images)
        column, shift = largest_ks(seen.scores, reference.scores) if enough else (None, None)
        label = None if column is None else self._labels[column]
        self._add(window, SCORES, settings.most_score_shift, shift, label=label, **images)
        shift = self._moved(seen, reference) if enough else None
        self._add(window, EMBEDDINGS, settings.most_embedding_shift, shift, **images)

    def rows(self, windows: Sequence[str]) -> list[_Row]:
        """Return the DRIFT rows in order of windows and kinds, adjusted over the windows of each kind."""
        self._test_labels(windows)
        place = {window: index for index, window in enumerate(windows)}
        kinds = list(TESTS)
        found = sorted(self._found, key=lambda row: (place[row["window"]], kinds.index(row["what"])))
        for kind in kinds:
            done = [row for row in found if row["what"] == kind and row["p_value"] is not None]
            for row, adjusted in zip(done, holm([row["p_value"] for row in done]), strict=True):
                row["p_adjusted"] = adjusted
                significant = adjusted < self._settings.significance
                row["drifted"] = significant and row["distance"] > row["threshold"]
        return found

    def _test_labels(self, windows: Sequence[str]) -> None:
        """Test the labels that experts gave in each window."""
        frame = pd.DataFrame({"window": self._expert.windows, "main": self._expert.main})
        given = frame[self._expert.inside].groupby("window")["main"]
        total, settings = int(self._main_counts.sum()), self._settings
        for window in windows:
            if window in self.trained or window not in given.groups:
                continue
            counts = np.bincount(given.get_group(window), minlength=len(self._followed.labels)).astype(np.int64)
            images = int(counts.sum())
            enough = min(images, total) >= settings.least_images
            shift = chi_squared(counts, self._main_counts) if enough else None
            shown = {"images": images, "reference_images": total}
            self._add(window, EXPERT_LABELS, settings.most_label_shift, shift, **shown)

    def _moved(self, seen: Seen, reference: Reference) -> Shift:
        drawn = Sample(MOST_EMBEDDINGS, self._settings.seed)
        drawn.add(seen.embeddings)
        return mean_discrepancy(drawn.rows, reference.embeddings, self._settings.permutations, self._settings.seed)

    def _own(self, table: pa.Table) -> pa.Table:
        """The rows of this label set by its champion."""
        own = pc.and_(
            pc.equal(table["label_set"], self._followed.name), pc.equal(table["model_version"], self._version)
        )
        return table.filter(own).combine_chunks()

    def _seen(self, rows: pa.Table) -> Seen:
        self._labels = rows["labels"][0].as_py()
        mains = _counts(rows["main"].to_pandas(), self._labels)
        return Seen(mains, list_matrix(rows["probabilities"]), list_matrix(rows["embedding"]))

    def _add(self, window: str, what: str, threshold: float, shift: Shift | None, **more: Any) -> None:
        names = Shift._fields
        figures = dict.fromkeys(names) if shift is None else dict(zip(names, shift, strict=True))
        self._found.append(
            {
                "label_set": self._followed.name,
                "window": window,
                "model_version": self._version,
                "what": what,
                "test": TESTS[what],
                "threshold": threshold,
                "p_adjusted": None,
                "drifted": False,
                **figures,
                **more,
            }
        )


def _counts(mains: pd.Series, labels: Sequence[str]) -> Ints:
    """How often each label is the main one, in this order."""
    found = mains.value_counts()
    return np.array([int(found.get(label, 0)) for label in labels], dtype=np.int64)
