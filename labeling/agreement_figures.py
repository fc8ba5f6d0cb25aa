"""Figures of agreement for groups of answer pairs, of all images or of resamples of them.

Every figure follows from sums over images, so a resample is a weighted sum: what each image adds, a sparse matrix,
times ``(U, b)`` draws, of which column r says how often resample r holds each image.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from labeling.answer_pairs import AnswerPairs, Floats, Ints, masi_distances

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SETS = 1000  # rows of the matrix of distances at a time


class GroupedPairs:
    """Pairs of answers in G groups, such as crawl windows; a pair is in one group.

    Args:
        pairs: P pairs of U images.
        group: ``(P,)`` the group of each pair, 0 to G - 1.
        groups: G.
        weight: ``(P,)`` as ``AnswerPairs.weight``, from the answers that belong to the group; by default, all of them.
    """

    def __init__(self, pairs: AnswerPairs, group: Ints, groups: int, weight: Floats | None = None) -> None:
        self._pairs, self._pair_group, self.groups = pairs, group, groups
        self.total_images = len(pairs.image_ids)
        self._weight = pairs.weight if weight is None else weight
        self._values = max(len(pairs.values), 1)
        people = max(len(pairs.annotators), 1)
        couple = (group * people + pairs.annotator_a) * people + pairs.annotator_b
        cells, cell = np.unique(
            (couple * self._values + pairs.value_a) * self._values + pairs.value_b, return_inverse=True
        )
        self._value_a, self._value_b = cells // self._values % self._values, cells % self._values
        couples, self._couple = np.unique(cells // self._values**2, return_inverse=True)
        self._couple_group = couples // people**2
        self._group = self._couple_group[self._couple]
        ends = np.concatenate([couples // people, self._couple_group * people + couples % people])
        persons, ends = np.unique(ends, return_inverse=True)  # a person is an annotator in a group
        self._persons, self._ends = len(persons), np.split(ends, 2)
        self._cell_pairs = self._per_image(cell, len(cells), np.ones(len(pairs)))
        self._cell_weights = self._per_image(cell, len(cells), self._weight)

    @property
    def images(self) -> Ints:
        """Images with a pair in each group: ``(G,)``."""
        seen = np.unique(self._pair_group * max(self.total_images, 1) + self._pairs.image)
        counts: Ints = np.bincount(seen // max(self.total_images, 1), minlength=self.groups)
        return counts

    def nominal(self, draws: Floats) -> dict[str, Floats]:
        """Cohen's kappa, Krippendorff's alpha and same_main of the values: each ``(G, b)``, NaN where undefined."""
        counts, weights = self._cell_pairs @ draws, self._cell_weights @ draws
        same = (self._value_a == self._value_b)[:, None]
        pairs = _added(counts, self._group, self.groups)
        agreeing = _added(counts * same, self._group, self.groups)
        given = self._given(weights)
        chance = self._agreeing_by_chance(counts, given)
        totals = self._group_totals(given)
        answers = totals.sum(axis=1)
        disagreeing = 2 * _added(weights * ~same, self._group, self.groups)
        return {
            "cohen_kappa": ratio(agreeing - chance, _clear(pairs - chance, pairs)),
            "krippendorff_alpha": 1.0
            - ratio((answers - 1) * disagreeing, _clear(answers**2 - (totals**2).sum(axis=1), answers**2)),
            "same_main": ratio(agreeing, pairs),
        }

    def masi(self, draws: Floats) -> Floats:
        """Mean MASI distance of the label sets: ``(G, b)``, NaN without pairs."""
        return ratio(self._distances @ draws, self._per_group(np.ones(len(self._pairs))) @ draws)

    def masi_alpha(self, draws: Floats) -> Floats:
        """Krippendorff's alpha of the label sets with the MASI distance: ``(G, b)``, NaN where undefined.

        The distance expected by chance is that of all images in every resample.
        """
        observed = ratio(self._weighted_distances @ draws, self._per_group(2 * self._weight) @ draws)
        return 1.0 - ratio(observed, np.broadcast_to(self._expected_distance[:, None], observed.shape))

    def _given(self, weights: Floats) -> Floats:
        """How often each person gave each value: ``(persons, values, b)``."""
        size = self._persons * self._values
        person_a, person_b = (end[self._couple] for end in self._ends)
        given = _added(weights, person_a * self._values + self._value_a, size)
        given += _added(weights, person_b * self._values + self._value_b, size)
        return given.reshape(self._persons, self._values, weights.shape[1])

    def _agreeing_by_chance(self, counts: Floats, given: Floats) -> Floats:
        """Pairs of each group in which two people agree if each gives values as often as they do: ``(G, b)``."""
        shares = np.nan_to_num(ratio(given, np.broadcast_to(given.sum(axis=1, keepdims=True), given.shape)))
        one, other = self._ends
        alike = sum(
            (shares[one, value] * shares[other, value] for value in range(self._values)),
            start=np.zeros((len(one), given.shape[2])),
        )
        return _added(_added(counts, self._couple, len(one)) * alike, self._couple_group, self.groups)

    def _group_totals(self, given: Floats) -> Floats:
        """How often each value was given in a group: ``(G, values, b)``."""
        group = np.zeros(self._persons, np.int64)
        for end in self._ends:
            group[end] = self._couple_group
        draws = given.shape[2]
        flat = _added(given.reshape(self._persons, self._values * draws), group, self.groups)
        return flat.reshape(self.groups, self._values, draws)

    def _per_image(self, row: Ints, rows: int, amounts: Floats) -> "csr_array":
        """What each image adds to each row: ``(rows, U)``."""
        from scipy.sparse import coo_array  # late, as below: the graph is loaded without scipy

        return coo_array((amounts, (row, self._pairs.image)), shape=(rows, self.total_images)).tocsr()

    def _per_group(self, amounts: Floats) -> "csr_array":
        return self._per_image(self._pair_group, self.groups, amounts)

    @cached_property
    def _distance(self) -> Floats:
        a, b = self._pairs.sets[self._pairs.set_a], self._pairs.sets[self._pairs.set_b]
        return masi_distances((a & b).sum(axis=1), a.sum(axis=1), b.sum(axis=1))

    @cached_property
    def _distances(self) -> "csr_array":
        return self._per_group(self._distance)

    @cached_property
    def _weighted_distances(self) -> "csr_array":
        return self._per_group(2 * self._weight * self._distance)

    @cached_property
    def _expected_distance(self) -> Floats:
        """Mean distance of two answers of a group, whatever their images: ``(G,)``, NaN with fewer than two."""
        sets = self._pairs.sets.astype(np.float64)
        times = np.zeros((len(sets), self.groups))
        for used in (self._pairs.set_a, self._pairs.set_b):
            np.add.at(times, (used, self._pair_group), self._weight)
        sizes, total = sets.sum(axis=1), np.zeros(self.groups)
        for start in range(0, len(sets), _SETS):
            some = slice(start, start + _SETS)
            distances = masi_distances(sets[some] @ sets.T, sizes[some, None], sizes)
            total += (times[some] * (distances @ times)).sum(axis=0)
        answers = times.sum(axis=0)
        return ratio(total, answers * (answers - 1))


def kappa_of_cells(counts: npt.NDArray[Any], value_a: Ints, value_b: Ints) -> Floats:
    """Cohen's kappa of two people from a confusion table in cells; NaN without answers, or if chance agrees fully.

    Args:
        counts: ``(..., K)`` answers in each of K cells.
        value_a: ``(K,)`` the first person's value in a cell; likewise ``value_b``.
    """
    size = int(max(value_a.max(initial=0), value_b.max(initial=0))) + 1
    counts = counts.astype(np.float64)
    total = counts.sum(axis=-1)
    same = counts[..., value_a == value_b].sum(axis=-1)
    marginals_a, marginals_b = (counts @ np.eye(size)[value] for value in (value_a, value_b))
    by_chance = (marginals_a * marginals_b).sum(axis=-1)  # times total squared
    return ratio(same * total - by_chance, total * total - by_chance)


def ratio(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    """Divide; NaN where ``below`` is not above 0."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return quotient


def _clear(difference: Floats, minuend: Floats) -> Floats:
    """Take for 0 what is left of a difference by rounding alone."""
    return np.where(difference > 1e-9 * minuend, difference, 0.0)


def _added(rows: Floats, key: Ints, size: int) -> Floats:
    """Add up rows with the same key: ``(K, b)`` to ``(size, b)``."""
    from scipy.sparse import csr_array

    added: Floats = csr_array((np.ones(len(key)), (key, np.arange(len(key)))), shape=(size, len(key))) @ rows
    return added
