"""What new windows are compared with: images of the training windows that a champion did not learn from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from modeling.following import Floats, Ints
from modeling.shifts import Matrix, SortedColumns, effective_size, sorted_columns

MOST_SCORES, MOST_EMBEDDINGS = 20_000, 500  # images of a sample; more are drawn from


@dataclass(frozen=True)
class Seen:
    """Images of one window as the champion sees them."""

    mains: Ints  # (C,): images with the label as predicted main label
    scores: Matrix  # (N, C)
    embeddings: Matrix  # (N, D)


class Sample:
    """At most so many rows of a matrix that comes in parts, each row as likely as another."""

    def __init__(self, most: int, seed: int) -> None:
        self._most, self._random = most, np.random.default_rng(seed)
        self._rows: Matrix | None = None
        self._keys: Floats = np.zeros(0)

    def add(self, rows: Matrix) -> None:
        """Take a part of the matrix."""
        self._keys = np.concatenate([self._keys, self._random.random(len(rows))])
        self._rows = rows if self._rows is None else np.concatenate([self._rows, rows])
        if len(rows) and len(self._keys) > self._most:
            kept = np.sort(np.argpartition(self._keys, self._most - 1)[: self._most])
            self._keys, self._rows = self._keys[kept], self._rows[kept]

    @property
    def rows(self) -> Matrix:
        """The rows drawn so far, in their order."""
        return np.zeros((0, 0), dtype=np.float32) if self._rows is None else self._rows


class Part:
    """Images of the training windows that stand for equally many images each, as the champion sees them."""

    def __init__(self, labels: int, seed: int) -> None:
        self.images = 0
        self.mains = np.zeros(labels, dtype=np.int64)
        self.scores, self.embeddings = Sample(MOST_SCORES, seed), Sample(MOST_EMBEDDINGS, seed)

    def add(self, seen: Seen) -> None:
        """Take images of one window."""
        self.images += len(seen.scores)
        self.mains += seen.mains
        self.scores.add(seen.scores)
        self.embeddings.add(seen.embeddings)


class Reference:
    """Images of the training windows that the champion did not learn from, weighted to the windows' mix."""

    def __init__(self, labels: int, seed: int) -> None:
        self.learned = 0  # images that the champion learned from
        self.held_out, self.others = Part(labels, seed), Part(labels, seed)
        self._seed = seed

    @property
    def images(self) -> int:
        """How many images it has."""
        return self.held_out.images + self.others.images

    @property
    def stands_for_all(self) -> bool:
        """Whether there are images in the place of those that the champion learned from."""
        return self.held_out.images > 0 or not self.learned

    @property
    def _weight(self) -> float:
        """Images that a held-out one stands for; any other stands for itself."""
        return 1 + self.learned / max(self.held_out.images, 1)

    @cached_property
    def mains(self) -> Floats:
        """Images by predicted main label (C,), their sum the effective size; to be asked for when all is added."""
        counts = self._weight * self.held_out.mains + self.others.mains
        sizes = np.repeat([self._weight, 1.0], [self.held_out.images, self.others.images])
        return np.asarray(counts * (effective_size(sizes) / max(counts.sum(), 1)))

    @cached_property
    def scores(self) -> SortedColumns:
        """The images' scores; to be asked for when all is added."""
        parts = [part for part in (self.held_out, self.others) if part.images]
        each = [self._weight if part is self.held_out else 1.0 for part in parts]
        drawn = [part.scores.rows for part in parts]
        totals = [weight * part.images / len(rows) for weight, part, rows in zip(each, parts, drawn, strict=True)]
        return sorted_columns(np.concatenate(drawn), np.repeat(totals, [len(rows) for rows in drawn]))

    @cached_property
    def embeddings(self) -> Matrix:
        """Vectors drawn without replacement with the mix of all images: a permutation test needs equal weights."""
        held_out, others = self.held_out.embeddings.rows, self.others.embeddings.rows
        if not len(held_out) or not len(others):
            return others if len(others) else held_out
        share = self._weight * self.held_out.images / (self._weight * self.held_out.images + self.others.images)
        most = min(MOST_EMBEDDINGS, len(held_out) / share, len(others) / (1 - share))
        random = np.random.default_rng(self._seed)
        counts = round(most * share), round(most * (1 - share))
        parts = [
            rows[random.permutation(len(rows))[:count]] for rows, count in zip((held_out, others), counts, strict=True)
        ]
        return np.concatenate(parts)
