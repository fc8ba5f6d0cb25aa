"""How often a model gives which answer for an image of each class, as experts' labels show it, with its uncertainty.

The classes are the label set's main labels and, where enough images outside the label set were judged, "outside". The
answers (outcomes) are the predicted main labels, each sure or unsure where there is a class outside: without that split
there would be more classes than kinds of answers, and no way to tell their shares apart.

The uncertainty comes from the Bayesian bootstrap over groups of images (Rubin, Annals of Statistics 9, 1981): each
group has an exponential weight. Unlike draws with replacement it never loses a label of which few images were judged. A
prior worth one image per class, whose share of right answers is that of all labels together, keeps rare labels from
claiming certainty.
"""

from dataclasses import dataclass

import numpy as np

from modeling.following import OUTSIDE, Bools, Floats, Ints
from modeling.window_answers import LEVELS, JudgedImages, PredictedImages

LEAST_OUTSIDE = 10  # judged images outside the label set from which it is a class of its own
PRIOR = 1.0  # images


@dataclass(frozen=True)
class Outcomes:
    """Which answer an image had, as one number: O outcomes."""

    labels: int
    sure_from: int | None  # level from which an answer is sure; none: all are one

    @property
    def count(self) -> int:
        """How many outcomes there are."""
        return self.labels if self.sure_from is None else 2 * self.labels

    def of(self, answers: PredictedImages) -> Ints:
        """Return the outcome of each answer: (N,)."""
        main = answers.main.astype(np.int64)
        return main if self.sure_from is None else main + self.labels * (answers.level >= self.sure_from)


@dataclass(frozen=True)
class KnownError:
    """What is known of a model's error. Row 0 of each array is as counted, rows 1 to B are resamples.

    K classes: the labels in order, then outside where there is such a class. Every number is a share, 0 to 1.
    """

    outcomes: Outcomes
    confusion: Floats  # (1 + B, K, O): share of the images of a class that have an outcome
    as_main: Floats  # (1 + B, C): images with the label as main, for which it is predicted (main or sub)
    as_sub: Floats  # (1 + B, C): images with the label as sub, for which it is predicted
    wrongly: Floats  # (1 + B, K, C): images of a class that do not carry the label, for which it is predicted

    @property
    def outside(self) -> bool:
        """Whether images outside the label set are a class of their own."""
        return self.confusion.shape[1] > self.as_main.shape[1]


def known_error(judged: JudgedImages, resamples: int, seed: int) -> KnownError:
    """Count a model's answers for the judged images, as they are and in B resamples of their groups."""
    labels, random = judged.carried.shape[1], np.random.default_rng(seed)
    outside = judged.main == OUTSIDE
    outcomes = Outcomes(labels, _sure_from(judged, outside) if outside.sum() >= LEAST_OUTSIDE else None)
    kept = np.arange(len(outside)) if outcomes.sure_from is not None else np.flatnonzero(~outside)
    classes = labels + (outcomes.sure_from is not None)
    klass = np.where(outside, labels, judged.main)[kept]
    weights = _group_weights([judged.groups[row] for row in kept], resamples, random)  # (1 + B, N)
    answers, carried = judged.answers.take(kept), judged.carried[kept]
    member = klass[:, None] == np.arange(classes)  # (N, K)
    confusion = _confusion(weights, member, klass, outcomes, outcomes.of(answers), random)
    predicted = answers.carried
    is_main = klass[:, None] == np.arange(labels)
    is_sub = carried & ~is_main
    absent = ~carried
    wrongly = _shares(
        _crossed(weights, member, absent & predicted), _crossed(weights, member, absent),
        _pooled(absent & predicted, absent), random,
    )  # fmt: skip
    return KnownError(
        outcomes,
        confusion,
        _label_shares(weights, is_main, predicted, random),
        _label_shares(weights, is_sub, predicted, random),
        wrongly,
    )


def _sure_from(judged: JudgedImages, outside: Bools) -> int:
    """The level that tells images of the label set best from those outside (Youden's J)."""
    counts = [np.bincount(judged.answers.level[side], minlength=LEVELS) for side in (~outside, outside)]
    inside_at, outside_at = (np.cumsum(part[::-1])[::-1] / max(part.sum(), 1) for part in counts)
    return 1 + int(np.argmax((inside_at - outside_at)[1:]))


def _group_weights(groups: list[str], resamples: int, random: np.random.Generator) -> Floats:
    """Each image's weight, as counted and in B Bayesian resamples of the groups: (1 + B, N), mean 1."""
    if not groups:
        return np.ones((1 + resamples, 0))
    _, place = np.unique(np.array(groups, dtype=str), return_inverse=True)
    drawn = random.standard_exponential((resamples, int(place.max()) + 1))
    drawn /= drawn.mean(axis=1, keepdims=True)
    return np.vstack([np.ones(len(groups)), drawn[:, place]])


def _confusion(
    weights: Floats, member: Bools, klass: Ints, outcomes: Outcomes, outcome: Ints, random: np.random.Generator
) -> Floats:
    given = outcome[:, None] == np.arange(outcomes.count)
    counted = _crossed(weights, member, given)
    inside = klass < outcomes.labels
    right = (float((outcome % outcomes.labels == klass)[inside].sum()) + 1) / (inside.sum() + 2)
    own = np.arange(outcomes.count) % outcomes.labels == np.arange(outcomes.labels)[:, None]  # (C, O)
    each = outcomes.count // outcomes.labels
    prior = np.full((member.shape[1], outcomes.count), 1 / outcomes.count)
    prior[: outcomes.labels] = np.where(own, right / each, (1 - right) / max(outcomes.count - each, 1))
    counted += _prior_draws(prior, len(weights), random)
    return np.asarray(counted / counted.sum(axis=-1, keepdims=True))


def _label_shares(weights: Floats, carriers: Bools, predicted: Bools, random: np.random.Generator) -> Floats:
    """Share of each label's carriers for which it is predicted: (1 + B, C)."""
    found, of = weights @ (carriers & predicted).astype(float), weights @ carriers.astype(float)
    return _shares(found, of, _pooled(carriers & predicted, carriers), random)


def _crossed(weights: Floats, rows: Bools, columns: Bools) -> Floats:
    """Weight of the images that are in a row and a column: (1 + B, R, S) of (N, R) and (N, S)."""
    crossed = (rows[:, :, None] & columns[:, None, :]).reshape(len(rows), -1)
    used = np.flatnonzero(crossed.any(axis=0))
    result = np.zeros((len(weights), crossed.shape[1]))
    result[:, used] = weights @ crossed[:, used].astype(float)
    return result.reshape(len(weights), rows.shape[1], columns.shape[1])


def _pooled(found: Bools, of: Bools) -> float:
    """Share over all labels together, never quite 0 or 1."""
    return (float(found.sum()) + 1) / (float(of.sum()) + 2)


def _shares(found: Floats, of: Floats, pooled: float, random: np.random.Generator) -> Floats:
    """Shares with a prior of PRIOR images at the pooled share, which is drawn anew in each resample."""
    shape = found.shape[1:]
    yes = _prior_draws(np.full(shape, pooled), len(found), random)
    no = _prior_draws(np.full(shape, 1 - pooled), len(found), random)
    return np.asarray((found + yes) / (of + yes + no))


def _prior_draws(shares: Floats, rows: int, random: np.random.Generator) -> Floats:
    """The prior's images, as they are in row 0 and drawn from a gamma distribution after it: (rows, ...)."""
    drawn = random.standard_gamma(PRIOR * shares, (rows - 1, *shares.shape))
    tiny = np.finfo(float).tiny  # gamma draws of a small shape can be 0, and 0 of 0 images is no share
    return np.concatenate([PRIOR * shares[None], drawn + tiny])
