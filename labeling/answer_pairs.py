"""Annotations as pairs of answers for the same image: what every figure of agreement counts.

An answer's value is its main label or ``not_fashion``. Who can't tell has given no value, and is in no pair.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from labeling.consensus import CANT_TELL, answer_values

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AnswerPairs:
    """Pairs of answers by two people for one image, sorted by image; P pairs of U images.

    Each pair stands once, its annotators in the order of their names. A value's place is the one in ``values``, an
    annotator's in ``annotators``, and a label set's is its row in ``sets``.
    """

    image_ids: tuple[str, ...]  # the U images that two or more people answered for
    annotators: tuple[str, ...]
    values: tuple[str, ...]  # sorted
    sets: npt.NDArray[np.bool_]  # (S, L): the distinct label sets, main with subs, over all L labels
    image: Ints  # (P,)
    annotator_a: Ints
    annotator_b: Ints
    value_a: Ints
    value_b: Ints
    set_a: Ints
    set_b: Ints
    weight: Floats  # 1 / (answers of the image - 1): the weights of an answer's pairs add up to 1

    def __len__(self) -> int:
        """Return P."""
        return len(self.image)


def answer_pairs(annotations: pd.DataFrame) -> AnswerPairs:
    """Pair the answers of ``ANNOTATIONS`` rows, of which each image and annotator has at most one."""
    rows = annotations[annotations["answer"] != CANT_TELL].sort_values(["image_id", "annotator"], kind="stable")
    rows = rows[rows["image_id"].duplicated(keep=False)]
    image, image_ids = pd.factorize(rows["image_id"])
    annotator, annotators = pd.factorize(rows["annotator"], sort=True)
    value, values = pd.factorize(answer_values(rows), sort=True)
    set_of, sets = _label_sets(value, [list(labels) for labels in rows["subs"]], list(values))
    answers = np.bincount(image, minlength=1)
    first, second = _places_of_pairs(image, int(answers.max()))
    return AnswerPairs(
        image_ids=tuple(image_ids),
        annotators=tuple(annotators),
        values=tuple(values),
        sets=sets,
        image=image[first],
        annotator_a=annotator[first],
        annotator_b=annotator[second],
        value_a=value[first],
        value_b=value[second],
        set_a=set_of[first],
        set_b=set_of[second],
        weight=1.0 / (answers[image[first]] - 1),
    )


def masi_distances(both: Floats, in_a: Floats, in_b: Floats) -> Floats:
    """MASI distances 1 - J * M of label sets: 0 the same, 1 nothing in common (Passonneau 2006).

    J is Jaccard's index, M is 1 if the sets are equal, 2/3 if one is part of the other, 1/3 if they overlap.

    Args:
        both: labels in both sets, any shape.
        in_a: labels in the first, at least 1; likewise ``in_b``. Shapes must broadcast.
    """
    nested = (both == in_a) | (both == in_b)
    monotonicity = np.where((both == in_a) & (both == in_b), 1.0, np.where(nested, 2 / 3, 1 / 3))
    distances: Floats = 1.0 - both / (in_a + in_b - both) * monotonicity
    return distances


def _places_of_pairs(image: Ints, most: int) -> tuple[Ints, Ints]:
    """Rows of the first and second answer of each pair; rows of an image stand together, ``most`` at the most."""
    steps = [np.flatnonzero(image[step:] == image[:-step]) for step in range(1, most)]
    first = np.concatenate([np.empty(0, np.int64), *steps])
    second = np.concatenate([np.empty(0, np.int64), *(rows + step for step, rows in enumerate(steps, start=1))])
    order = np.lexsort((second, first))
    return first[order], second[order]


def _label_sets(value: Ints, subs: list[list[str]], values: list[str]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """The row of each answer's label set in the table of distinct sets, and that table."""
    sizes = [len(labels) for labels in subs]
    named = [label for labels in subs for label in labels]
    place = {label: column for column, label in enumerate(dict.fromkeys([*values, *sorted(set(named))]))}
    members = np.zeros((len(value), len(place)), np.bool_)
    answer = np.arange(len(value))
    members[answer, value] = True
    members[np.repeat(answer, sizes), [place[label] for label in named]] = True
    packed, first, row = np.unique(np.packbits(members, axis=1), axis=0, return_index=True, return_inverse=True)
    return row.reshape(len(value)), members[first].reshape(len(packed), len(place))
