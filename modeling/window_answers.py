"""A model's answers for the images of each window, reduced to counts of equal answers.

A window of thousands of images has tens of different answers (main label, whether the model is sure, predicted labels).
Drawing images with replacement is drawing from these with their counts, so the bootstrap costs as much as there are
different answers, not as there are images.

A model is surer of the images that it learned from, so its answers for those say nothing. Their like takes their place:

- Learned images whose labelling was chosen by no prediction count with experts' answers, as known. The others are then
  what was left by chance, as far as images of one class go.
- Of learned images that were chosen by predictions that is not so: with the rare styles they took away those that a
  model finds easily. The held-out images were drawn from the same chosen ones, so each stands for (learned + held out)
  / held out. Where none was held out in a window, experts' answers count as above.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modeling.following import OUTSIDE, UNKNOWN, Answers, Bools, Floats, FollowedSet, Ints

COLUMNS = ("label_set", "image_id", "model_version", "main", "subs", "labels", "probabilities")
LEVELS = 20  # of the highest probability, 0 to 1
ABSENT = 255  # main label of an image that belongs to none of the set
LEAST_JUDGED = 10  # images of each label, chosen by no prediction, by which alone a model's error is known


class Kind(IntEnum):
    """What an image of a window says of it."""

    OWN = 0  # the model's answer, for itself
    HELD_OUT = 1  # the model's answer, for itself: held out, its labelling chosen by no prediction
    CHOSEN = 2  # the model's answer, for itself and for learned images: held out, chosen by predictions
    KNOWN = 3  # experts' answer: learned
    REPLACED = 4  # nothing: learned, chosen by predictions; those of CHOSEN stand for it


@dataclass(frozen=True)
class PredictedImages:
    """Answers of one model for N images; C labels."""

    main: NDArray[np.uint8]  # (N,): index of the label with the highest probability
    level: NDArray[np.uint8]  # (N,): that probability in LEVELS steps
    carried: Bools  # (N, C): predicted labels, the main one among them

    def take(self, rows: Any) -> "PredictedImages":
        """Return these rows of it."""
        return PredictedImages(self.main[rows], self.level[rows], self.carried[rows])


@dataclass(frozen=True)
class WindowAnswers:
    """Different answers in a window: A answers."""

    window: str
    version: str  # of the model
    answers: PredictedImages  # (A, ...); of KNOWN images experts', ABSENT where the image is outside the label set
    counts: Ints  # (A,): images with this answer
    kinds: NDArray[np.uint8]  # (A,): as in Kind

    @property
    def predicted(self) -> Bools:
        """Answers that are the model's: (A,)."""
        return np.asarray(self.kinds <= Kind.CHOSEN)

    @property
    def images(self) -> int:
        """How many images have an answer."""
        return int(self.counts[self.kinds != Kind.REPLACED].sum())

    def weights(self, counts: Ints) -> Floats:
        """Images that each answer stands for, (..., A), when it was given so often (..., A)."""
        chosen, replaced = (counts[..., self.kinds == kind].sum(axis=-1) for kind in (Kind.CHOSEN, Kind.REPLACED))
        weight = 1 + replaced / np.maximum(chosen, 1)
        stands = np.where(self.kinds == Kind.CHOSEN, weight[..., None], self.kinds != Kind.REPLACED)
        return np.asarray(counts * stands)

    def predicted_weights(self) -> Floats:
        """Images that each of the model's answers stands for where no answer of experts counts, 0 for theirs: (A,).

        Their sum is the effective number of images (Kish), so that tests of counts hold.
        """
        held_out = (self.kinds == Kind.HELD_OUT) | (self.kinds == Kind.CHOSEN)
        learned, found = (int(self.counts[part].sum()) for part in (self.kinds >= Kind.KNOWN, held_out))
        each = np.where(held_out, 1 + learned / max(found, 1), 1.0) * self.predicted
        total, squares = float(self.counts @ each), float(self.counts @ each**2)
        return np.asarray(self.counts * each * (total / squares if squares else 0.0))


@dataclass(frozen=True)
class JudgedImages:
    """Answers of one model for images whose true labels experts gave, and which it did not learn from: N images."""

    answers: PredictedImages
    main: Ints  # (N,): true main label, or OUTSIDE
    carried: Bools  # (N, C): true labels
    groups: list[str]  # (N,)
    representative: Bools  # (N,): not chosen to be labelled because of what a model predicted

    def take(self, rows: Ints) -> "JudgedImages":
        """Return these rows of it."""
        return JudgedImages(
            self.answers.take(rows),
            self.main[rows],
            self.carried[rows],
            [self.groups[row] for row in rows],
            self.representative[rows],
        )


class AnswerCollector:
    """Takes a label set's predictions window by window, and keeps what trends need of them.

    ``notes`` says of each window that was left out why.
    """

    def __init__(self, followed: FollowedSet, expert: Answers, representative: Collection[str] | None = None) -> None:
        self.windows: list[WindowAnswers] = []
        self.notes: list[str] = []
        self._followed = followed
        self._truth = {image_id: row for row, image_id in enumerate(expert.image_ids)}
        self._expert = expert
        self._representative = None if representative is None else set(representative)
        self._learned: dict[str, pa.Array] = {}
        self._groups: dict[str, dict[str, str]] = {}
        self._judged: dict[str, list[JudgedImages]] = {}

    def add(self, window: str, table: pa.Table) -> None:
        """Take a window's rows of the label set: columns COLUMNS. One model answers for a window: that with most."""
        if not table.num_rows:
            return
        version = Counter(table["model_version"].to_pylist()).most_common(1)[0][0]
        rows = table.filter(pc.equal(table["model_version"], version)).combine_chunks()
        reason = self._unfit(version, rows["labels"][0].as_py())
        if reason:
            self.notes.append(f"{self._followed.name}, window {window}: left out, {reason}")
            return
        learned = pc.is_in(rows["image_id"], self._learned_from(version)).to_numpy(zero_copy_only=False)
        predicted, image_ids = predicted_images(rows, self._followed.labels), rows["image_id"].to_pylist()
        truth = np.array([self._truth.get(image_id, UNKNOWN) for image_id in image_ids], dtype=np.int64)
        unseen = np.flatnonzero(~learned)
        self._judge(version, [image_ids[row] for row in unseen], predicted.take(unseen), truth[unseen])
        kinds = self._kinds(version, image_ids, learned)
        kept = np.flatnonzero((kinds != Kind.KNOWN) | (truth != UNKNOWN))  # experts took some answers back
        predicted = self._answered(predicted, kinds, truth).take(kept)
        if (kinds[kept] != Kind.REPLACED).any():
            self.windows.append(WindowAnswers(window, version, *_different(predicted, kinds[kept])))
        else:
            self.notes.append(f"{self._followed.name}, window {window}: left out, no image with an answer to count")

    def judged(self, version: str) -> JudgedImages | None:
        """Return the images by which a model's error is known; none where there is not one.

        Those that predictions chose are left out where there are enough others: of a label's images they are the ones
        that a model finds. Else all are taken, and a note says so.
        """
        parts = self._judged.get(version, [])
        if not parts:
            return None
        columns = [
            np.concatenate([getattr(part.answers, name) for part in parts]) for name in ("main", "level", "carried")
        ]
        found = JudgedImages(
            PredictedImages(*columns),
            np.concatenate([part.main for part in parts]),
            np.concatenate([part.carried for part in parts]),
            [group for part in parts for group in part.groups],
            np.concatenate([part.representative for part in parts]),
        )
        if found.representative.all():
            return found
        inside = found.main[found.representative & (found.main >= 0)]
        if np.bincount(inside, minlength=len(self._followed.labels)).min() >= LEAST_JUDGED:
            return found.take(np.flatnonzero(found.representative))
        self.notes.append(
            f"{self._followed.name}: the error of model {version} is judged on images chosen by predictions too, "
            f"because fewer than {LEAST_JUDGED} others of some label are labelled: label some in order newest or random"
        )
        return found

    def _unfit(self, version: str, labels: Sequence[str]) -> str | None:
        if version not in self._followed.trained_on:
            return f"the data set of model {version}, which predicted it, is not known: predict it anew"
        if set(labels) != set(self._followed.labels):
            return f"model {version} knows other labels ({', '.join(labels)}): predict it anew"
        return None

    def _learned_from(self, version: str) -> pa.Array:
        if version not in self._learned:
            self._learned[version] = pa.array(sorted(self._followed.learned_from(version)), pa.string())
        return self._learned[version]

    def _kinds(self, version: str, image_ids: list[str], learned: Bools) -> NDArray[np.uint8]:
        """What each image says of the window: (N,), as in Kind."""
        rows = self._followed.trained_on[version]
        test = set(rows.loc[rows["split"] == "test", "image_id"])
        held_out = np.array([image_id in test for image_id in image_ids]) & ~learned
        free = self._free(image_ids)
        kinds = np.full(len(image_ids), Kind.OWN, dtype=np.uint8)
        kinds[held_out & free], kinds[held_out & ~free] = Kind.HELD_OUT, Kind.CHOSEN
        kinds[learned] = Kind.KNOWN
        if (kinds == Kind.CHOSEN).any():
            kinds[learned & ~free] = Kind.REPLACED
        return kinds

    def _free(self, image_ids: list[str]) -> Bools:
        """Images that were not chosen because of what a model predicted: (N,)."""
        chosen_by_none = self._representative
        if chosen_by_none is None:
            return np.ones(len(image_ids), dtype=np.bool_)
        return np.array([image_id in chosen_by_none for image_id in image_ids], dtype=np.bool_)

    def _answered(self, predicted: PredictedImages, kinds: NDArray[np.uint8], truth: Ints) -> PredictedImages:
        """The model's answers, with experts' in the place of those for images that it learned from."""
        main, level, carried = predicted.main.copy(), predicted.level.copy(), predicted.carried.copy()
        known = np.flatnonzero((kinds == Kind.KNOWN) & (truth != UNKNOWN))
        expert = self._expert.main[truth[known]]
        main[known] = np.where(expert == OUTSIDE, ABSENT, expert)
        carried[known] = self._expert.carried[truth[known]]
        gone = kinds >= Kind.KNOWN
        level[gone] = 0
        replaced = kinds == Kind.REPLACED
        main[replaced], carried[replaced] = ABSENT, False
        return PredictedImages(main, level, carried)

    def _judge(self, version: str, image_ids: list[str], predicted: PredictedImages, truth: Ints) -> None:
        """Keep the answers for images whose truth is known: of the held-out groups, or outside the label set."""
        if version not in self._groups:
            self._groups[version] = self._followed.held_out_groups(version)
        groups = self._groups[version]
        main = np.where(truth == UNKNOWN, UNKNOWN, self._expert.main[np.maximum(truth, 0)] if len(self._truth) else 0)
        apart = np.array([image_id in groups for image_id in image_ids], dtype=np.bool_)
        kept = np.flatnonzero((main == OUTSIDE) | ((main >= 0) & apart))
        if len(kept):
            named = [groups.get(image_ids[row], image_ids[row]) for row in kept]
            carried = self._expert.carried[truth[kept]]
            free = self._free([image_ids[row] for row in kept])
            found = JudgedImages(predicted.take(kept), main[kept], carried, named, free)
            self._judged.setdefault(version, []).append(found)


def predicted_images(rows: pa.Table, labels: Sequence[str]) -> PredictedImages:
    """STYLE_PREDICTIONS rows of one model as arrays, in the label order ``labels``: the model's labels in any order."""
    place = pa.array(list(labels), pa.string())
    main = pc.index_in(rows["main"], place).to_numpy(zero_copy_only=False).astype(np.uint8)
    carried = np.zeros((rows.num_rows, len(labels)), dtype=np.bool_)
    carried[np.arange(rows.num_rows), main] = True
    subs = rows["subs"].combine_chunks()
    carried[
        pc.list_parent_indices(subs).to_numpy(zero_copy_only=False),
        pc.index_in(pc.list_flatten(subs), place).to_numpy(zero_copy_only=False).astype(np.int64),
    ] = True
    highest = list_matrix(rows["probabilities"]).max(axis=1)
    level = np.minimum(highest * LEVELS, LEVELS - 1).astype(np.uint8)
    return PredictedImages(main, level, carried)


def list_matrix(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """A column of equally long lists as a matrix: ``(N, C) float32``."""
    values = pc.list_flatten(column).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float32).reshape(len(column), -1)


def _different(predicted: PredictedImages, kinds: NDArray[np.uint8]) -> tuple[PredictedImages, Ints, NDArray[np.uint8]]:
    """The different answers of each kind, how often each was given, and the kinds."""
    packed = np.packbits(predicted.carried, axis=1)
    coded = np.column_stack([predicted.main, predicted.level, kinds, packed])
    _, first, counts = np.unique(coded, axis=0, return_index=True, return_counts=True)
    return predicted.take(first), counts.astype(np.int64), kinds[first]
