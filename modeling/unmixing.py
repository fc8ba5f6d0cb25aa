"""True shares of labels out of a model's answers and its known error.

**Main label.** The answers in a window are a mixture of the classes' answers with the classes' shares as weights: with
confusion M (class by outcome) and shares pi, an outcome has the share ``pi @ M``. The shares are the maximum likelihood
estimate on the simplex, by the EM steps of Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to
new a priori probabilities" (Neural Computation 14, 2002, section 2.2), applied to decisions and not to posteriors: the
heads are one sigmoid per label, no posterior over main labels, and the confusion is measured on images that the model
never saw. Where the inverse of M gives shares that are all positive, it is the same estimate; where it does not, EM
stays on the simplex, weighs outcomes by how much they can say (unlike least squares), and takes many resamples at once
as two matrix products a step.

**Any label** (main or sub). Rogan and Gladen, "Estimating prevalence from the results of a screening test" (American
Journal of Epidemiology 107, 1978), for the images whose main label is another one: the share that is predicted, less
what is predicted wrongly, over the rate at which sub labels are found. False alarms are weighted by the window's main
labels, because a label is mistaken for its neighbours and these rise and fall too.

Both assume that images of a class look the same in every window (label shift): drift of embeddings speaks against it.
"""

import numpy as np

from modeling.following import Floats
from modeling.known_error import KnownError

_STEPS = 2_000  # EM steps at most
_CLOSE = 1e-5  # change of a share at which EM has arrived
_CHUNK = 50  # resamples at a time: bounds memory
LEAST_INSIDE = 1e-3  # share of a window's images that belong to the label set, below which it says nothing of it
_LEAST_FOUND = 0.05  # by how much sub labels must be found more often than false alarms are given


def main_shares(confusion: Floats, outcomes: Floats) -> Floats:
    """Shares of the classes: ``(B, W, K)`` of a confusion ``(B, K, O)`` and shares of outcomes ``(B, W, O)``."""
    parts = range(0, len(confusion), _CHUNK)
    return np.concatenate([_mixture(confusion[at : at + _CHUNK], outcomes[at : at + _CHUNK]) for at in parts])


def corrected(
    error: KnownError, outcomes: Floats, predicted: Floats, known_main: Floats, known_any: Floats
) -> tuple[Floats, Floats, Floats]:
    """Shares of each label as main and as any label among the images of the label set: two ``(B, W, C)``.

    The third is the share of the window's images that belong to the label set: ``(B, W)``. Where it is below
    LEAST_INSIDE, the others say nothing; where it is 0, each label is given as much as the next.

    ``outcomes`` ``(B, W, O)`` and ``predicted`` ``(B, W, C)`` are shares of a window's images: those whose class is to
    be estimated, with this outcome, and with this predicted label, main or sub. ``known_main`` and ``known_any``
    ``(B, W, C)`` are shares of the same images: those whose labels are known, with this label. Row b is corrected with
    row b of the known error.
    """
    labels = error.as_main.shape[1]
    shares = main_shares(error.confusion, outcomes)
    main = shares[..., :labels]
    estimated = main.sum(axis=-1, keepdims=True)
    inside = estimated + known_main.sum(axis=-1, keepdims=True)
    false_alarms = shares @ error.wrongly  # (B, W, C), of all classes
    own = main * np.einsum("bll->bl", error.wrongly[:, :labels])[:, None]  # a label's own images always carry it
    others = np.maximum(estimated - main, 0)
    beyond = shares[..., labels:] @ error.wrongly[:, labels:]  # outside the label set
    wrongly = false_alarms - own - beyond  # of the set's images with another main label
    surplus = predicted - main * error.as_main[:, None] - beyond - wrongly
    rate = np.divide(wrongly, others, out=np.zeros_like(wrongly), where=others > 0)
    subs = np.clip(surplus / np.maximum(error.as_sub[:, None] - rate, _LEAST_FOUND), 0, others)
    anything = inside > 0
    as_main = np.divide(main + known_main, inside, out=np.full_like(main, 1 / labels), where=anything)
    as_any = np.divide(main + subs + known_any, inside, out=as_main.copy(), where=anything)
    return as_main, np.minimum(as_any, 1.0), inside[..., 0]


def _mixture(confusion: Floats, outcomes: Floats) -> Floats:
    """EM from equal shares; see ``main_shares``."""
    classes = confusion.shape[1]
    shares = np.full((*outcomes.shape[:2], classes), 1 / classes)
    back = confusion.swapaxes(1, 2)
    for _ in range(_STEPS):
        expected = shares @ confusion
        fit = np.divide(outcomes, expected, out=np.zeros_like(expected), where=expected > 0)
        stepped = shares * (fit @ back)
        moved = float(np.abs(stepped - shares).max(initial=0))
        shares = stepped
        if moved < _CLOSE:
            break
    return shares
