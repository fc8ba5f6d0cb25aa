"""Scores of images by models that have never seen them, nor an image of their group: what suspicious labels rest on.

A network's scores of its own train images repeat the labels that it was trained on, wrong ones too. So the images are
cut into folds by group, and each fold is scored by linear heads that were fitted on the other folds, over features
that no label had a part in (see ``modeling.features``), or by a network that was trained on the other folds (see
``modeling.retraining``).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.errors import ModelingError
from modeling.label_sets import label_matrix

LEAST_GROUPS = 10  # a label is judged when so many groups have it, and as many do not
COMPONENTS = 128  # principal components of the features that the heads see
PENALTY = 0.1  # scikit-learn's C of every head: strong, as a head that fits wrong labels hides them

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOutScores:
    """Probabilities by models fitted on other folds, row by row as the data set, labels in their order.

    ``main`` (N, C): the label is the image's main label; each row sums to 1. NaN throughout where the given main label
    is not judged, 0 for other labels that are not. ``labels`` (N, C): the image carries the label, main or sub; NaN
    for a label that is not judged. ``by`` says in a few words what gave the scores.
    """

    main: Floats
    labels: Floats
    by: str


def judged_labels(data_set: pd.DataFrame, labels: Sequence[str]) -> tuple[Bools, Bools]:
    """Which labels are given often enough to be judged, as main label and at all: two (C,) bool.

    Judged are those that at least 10 groups of images have; at all, also those that at least 10 groups have not.
    """
    main, carried = _given(data_set, labels)
    groups = data_set["group_id"].to_numpy()
    with_main, with_label, without = (
        np.array([len(set(groups[column])) for column in matrix.T], dtype=np.int64)
        for matrix in (main, carried, ~carried)
    )
    enough_mains = with_main >= LEAST_GROUPS
    return enough_mains & (enough_mains.sum() > 1), (with_label >= LEAST_GROUPS) & (without >= LEAST_GROUPS)


def group_folds(data_set: pd.DataFrame, folds: int) -> Ints:
    """The fold of each image, 0 to ``folds - 1``: (N,) int64; never one group in two, main labels spread evenly.

    Fewer groups than ``folds`` give as many folds as groups. The order of the rows makes no difference.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    order = np.argsort(data_set["image_id"].to_numpy(dtype=str), kind="stable")
    rows = data_set.iloc[order]
    result = np.zeros(len(rows), dtype=np.int64)
    count = min(folds, rows["group_id"].nunique())
    if count < 2:
        return result
    # Without these it refuses folds when every main label has fewer images than there are folds.
    mains = rows["main"] if rows["main"].value_counts().max() >= count else np.zeros(len(rows), dtype=np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = StratifiedGroupKFold(count, shuffle=True, random_state=0).split(rows, mains, rows["group_id"])
        for fold, (_, inside) in enumerate(splits):
            result[order[inside]] = fold
    return result


def head_scores(
    features: npt.NDArray[np.floating], data_set: pd.DataFrame, labels: Sequence[str], folds: int, by: str
) -> HeldOutScores:
    """Score every image of a DATA_SET by logistic regressions fitted on the other folds.

    ``features`` (N, D) belong to the rows of ``data_set``; scaling and principal components come from all of them,
    which needs no label. One multinomial head gives ``main``, one binary head per label gives ``labels``. Same inputs,
    same scores. Raises ModelingError when features and rows do not fit together.
    """
    if features.ndim != 2 or len(features) != len(data_set):
        raise ModelingError(f"{len(data_set)} images need as many rows of features, not {features.shape}")
    main, carried = _given(data_set, labels)
    mains_judged, labels_judged = judged_labels(data_set, labels)
    main_scores, label_scores = (np.full(main.shape, np.nan) for _ in range(2))
    has_judged_main = (main & mains_judged).any(axis=1)
    main_scores[has_judged_main] = 0.0
    if not (mains_judged.any() or labels_judged.any()):
        return HeldOutScores(main_scores, label_scores, by)
    values = _components(features)
    fold_of = group_folds(data_set, folds)
    for fold in range(int(fold_of.max(initial=0)) + 1):
        inside = fold_of == fold
        if mains_judged.any():
            fitted = ~inside & has_judged_main
            columns, scores = _main_head(values[fitted], main[fitted].argmax(axis=1), values[inside & has_judged_main])
            main_scores[np.ix_(inside & has_judged_main, columns)] = scores
        for column in np.flatnonzero(labels_judged):
            label_scores[inside, column] = _label_head(values[~inside], carried[~inside, column], values[inside])
    main_scores[~(main_scores > 0).any(axis=1)] = np.nan
    return HeldOutScores(main_scores, label_scores, by)


def _given(data_set: pd.DataFrame, labels: Sequence[str]) -> tuple[Bools, Bools]:
    """Main label, and every label, of each image: two (N, C) bool."""
    nothing: list[list[str]] = [[] for _ in range(len(data_set))]
    main = label_matrix(data_set["main"], nothing, labels)
    return main, label_matrix(data_set["main"], data_set["subs"], labels)


def _components(features: npt.NDArray[np.floating]) -> Floats:
    """Principal components of standardised features, the first of them with unit spread: (N, at most 128)."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    values = np.asarray(features, dtype=np.float64)
    values = values[:, values.std(axis=0) > 0]
    if not values.shape[1]:
        return np.zeros((len(values), 1))  # every picture alike
    scaled = StandardScaler().fit_transform(values)
    components = PCA(min(COMPONENTS, *scaled.shape), svd_solver="covariance_eigh").fit_transform(scaled)
    result: Floats = components / components[:, 0].std()
    return result


def _main_head(known: Floats, mains: Ints, asked: Floats) -> tuple[Ints, Floats]:
    """Columns of the main labels met in ``known``, and their probabilities for each row of ``asked``."""
    from sklearn.linear_model import LogisticRegression

    met = np.unique(mains)
    if len(met) < 2 or not len(asked):
        return met, np.full((len(asked), len(met)), np.nan)
    head = LogisticRegression(C=PENALTY, max_iter=1000).fit(known, mains)
    return head.classes_, head.predict_proba(asked)


def _label_head(known: Floats, carried: Bools, asked: Floats) -> Floats:
    """Probability that each row of ``asked`` carries the label; NaN when ``known`` has only one of the two answers."""
    from sklearn.linear_model import LogisticRegression

    if carried.all() or not carried.any():
        return np.full(len(asked), np.nan)
    head = LogisticRegression(C=PENALTY, max_iter=1000).fit(known, carried)
    result: Floats = head.predict_proba(asked)[:, 1]
    return result
