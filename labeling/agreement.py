"""How far annotators agree, on main labels and on label sets.

Every answer counts here, also one that a reviewer rejected: agreement is about the annotators, not about the labels.
"No fashion image" is a value like a main label, a set of its own. "Can't tell" is a missing value.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from labeling.agreement_figures import GroupedPairs, ratio
from labeling.answer_pairs import AnswerPairs, Floats, Ints, answer_pairs
from labeling.consensus import NOT_FASHION
from labeling.errors import LabelingError
from labeling.tables import AGREEMENT, MAIN_CONFUSION

MEASURES: Final = ("cohen_kappa", "krippendorff_alpha", "krippendorff_alpha_masi", "masi", "same_main")
LEAST_FOR_INTERVAL = 10  # images; of fewer, resamples say little
LEAST_DEFINED = 0.95  # share of the resamples that must have a value
_DRAWS = 100  # resamples at a time


def agreement(
    annotations: pd.DataFrame, windows: Mapping[str, str] | None = None, *, resamples: int = 1000, seed: int = 0
) -> pa.Table:
    """Measure agreement: rows of ``AGREEMENT`` over all, by window, by label and for each pair with common images.

    - ``cohen_kappa``: main labels of two people (Cohen 1960). Of more than two, the agreement observed and the one by
      chance are each averaged over the pairs of people, by their common images (Davies & Fleiss 1982).
    - ``krippendorff_alpha``: nominal, main labels (Krippendorff 2011).
    - ``krippendorff_alpha_masi``: the same over label sets with the MASI distance; over all and by window.
    - ``masi``: mean MASI distance of the label sets, 0 the same, 1 disjoint (Passonneau 2006); not by label.
    - ``same_main``: the share of pairs of answers with the same main label. By label: of the pairs in which at least
      one has the label; kappa and alpha of a label are those of "this label or another".

    ``images`` counts the images that two or more people gave a value for; by label, those of them that someone gave the
    label. A value without a basis is null. ``low`` and ``high`` bound the 95% percentile interval over all and by
    window when images are drawn again with replacement; as in Krippendorff's own bootstrap, the MASI distance expected
    by chance is held fixed.

    Args:
        annotations: rows of ``ANNOTATIONS``, at most one for each image and annotator.
        windows: from image id to crawl window; without it, there are no rows by window.
        resamples: draws for the intervals; 0: no intervals.
        seed: of the draws.

    Raises:
        LabelingError: if an image has no window.
    """
    pairs = answer_pairs(annotations)
    groups = [GroupedPairs(pairs, np.zeros(len(pairs), np.int64), 1)]
    names: list[list[dict[str, str]]] = [[{}]]
    if windows is not None:
        known, group = _windows(pairs, windows)
        groups.append(GroupedPairs(pairs, group, len(known)))
        names.append([{"window": name} for name in known])
    rows: list[dict[str, Any]] = []
    for part, name, intervals in zip(groups, names, _intervals(groups, resamples, seed), strict=True):
        rows += _rows(part, name, MEASURES, intervals)
    rows += _pair_rows(pairs) + _label_rows(pairs)
    order = ("measure", "window", "annotator_a", "annotator_b", "label")
    rows.sort(key=lambda row: [str(row.get(name) or "") for name in order])
    return pa.Table.from_pylist(rows, schema=AGREEMENT)


def main_confusion(annotations: pd.DataFrame, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count which values two people gave to the same image: ``(C, C) int64``, symmetric.

    Each pair of answers counts once: on the diagonal where they agree, else in both places off it.

    Raises:
        LabelingError: if an answer is not among ``labels``, which may hold ``not_fashion``.
    """
    return _confusion(answer_pairs(annotations), labels)


def confusion_table(annotations: pd.DataFrame, taxonomy: Sequence[str]) -> pa.Table:
    """Write down ``main_confusion`` as ``MAIN_CONFUSION``: labels in taxonomy order, then not_fashion if it was given.

    Every label stands beside every other. ``share`` on the diagonal is the label's ``same_main``.

    Raises:
        LabelingError: if an answer is not in the taxonomy.
    """
    pairs = answer_pairs(annotations)
    labels = [*taxonomy, NOT_FASHION] if NOT_FASHION in pairs.values else list(taxonomy)
    counts = _confusion(pairs, labels)
    rows = [
        {
            "label_a": a,
            "label_b": b,
            "pairs": int(counts[row, column]),
            "share": float(counts[row, column] / counts[row].sum()) if counts[row].any() else None,
        }
        for row, a in enumerate(labels)
        for column, b in enumerate(labels)
    ]
    return pa.Table.from_pylist(rows, schema=MAIN_CONFUSION)


def _figures(groups: GroupedPairs, draws: Floats, measures: Collection[str]) -> dict[str, Floats]:
    """The measures asked for, each ``(G, b)``."""
    figures = groups.nominal(draws)
    if "masi" in measures:
        figures["masi"] = groups.masi(draws)
    if "krippendorff_alpha_masi" in measures:
        figures["krippendorff_alpha_masi"] = groups.masi_alpha(draws)
    return figures


def _intervals(groupings: Sequence[GroupedPairs], resamples: int, seed: int) -> list[dict[str, Floats]]:
    """Lower and upper bound of each measure for each grouping, ``(2, G)``, from the same draws; NaN where unknown."""
    random = np.random.default_rng(seed)
    images = groupings[0].total_images
    drawn: list[list[dict[str, Floats]]] = [[] for _ in groupings]
    for start in range(0, resamples if images else 0, _DRAWS):
        draws = min(_DRAWS, resamples - start)
        chosen = random.integers(0, images, (draws, images)) * draws + np.arange(draws)[:, None]
        times = np.bincount(chosen.ravel(), minlength=draws * images).reshape(images, draws).astype(np.float64)
        for groups, blocks in zip(groupings, drawn, strict=True):
            blocks.append(_figures(groups, times, MEASURES))
    return [
        {measure: _bounds(groups, [block[measure] for block in blocks]) for measure in MEASURES if blocks}
        for groups, blocks in zip(groupings, drawn, strict=True)
    ]


def _bounds(groups: GroupedPairs, blocks: Sequence[Floats]) -> Floats:
    values = np.concatenate(blocks, axis=1)
    bounds = np.full((2, groups.groups), np.nan)
    known = (np.isfinite(values).mean(axis=1) >= LEAST_DEFINED) & (groups.images >= LEAST_FOR_INTERVAL)
    if known.any():
        bounds[:, known] = np.nanquantile(values[known], (0.025, 0.975), axis=1)
    return bounds


def _rows(
    groups: GroupedPairs,
    names: Sequence[Mapping[str, str]],
    measures: Sequence[str],
    intervals: Mapping[str, Floats] | None = None,
) -> list[dict[str, Any]]:
    """Rows of ``AGREEMENT``; ``names`` says of each group what it is."""
    figures = _figures(groups, np.ones((groups.total_images, 1)), measures)
    images = groups.images
    rows = []
    for measure in measures:
        low, high = (intervals or {}).get(measure, np.full((2, groups.groups), np.nan))
        for place, name in enumerate(names):
            bounds = {"value": figures[measure][place, 0], "low": low[place], "high": high[place]}
            numbers = {key: None if np.isnan(number) else float(number) for key, number in bounds.items()}
            rows.append({"measure": measure, "images": int(images[place]), **name, **numbers})
    return rows


def _windows(pairs: AnswerPairs, windows: Mapping[str, str]) -> tuple[list[str], Ints]:
    """The windows with pairs, in order, and the one of each pair."""
    for image_id in pairs.image_ids:
        if image_id not in windows:
            raise LabelingError(f"labels of image {image_id} have no crawl window; materialize label_tasks again")
    names = sorted({windows[image_id] for image_id in pairs.image_ids})
    place = {name: number for number, name in enumerate(names)}
    of_image = np.array([place[windows[image_id]] for image_id in pairs.image_ids], np.int64)
    return names, of_image[pairs.image]


def _pair_rows(pairs: AnswerPairs) -> list[dict[str, Any]]:
    people = max(len(pairs.annotators), 1)
    couples, group = np.unique(pairs.annotator_a * people + pairs.annotator_b, return_inverse=True)
    groups = GroupedPairs(pairs, group, len(couples), weight=np.ones(len(pairs)))
    names = [
        {"annotator_a": pairs.annotators[couple // people], "annotator_b": pairs.annotators[couple % people]}
        for couple in couples
    ]
    return _rows(groups, names, ("cohen_kappa", "krippendorff_alpha", "masi", "same_main"))


def _label_rows(pairs: AnswerPairs) -> list[dict[str, Any]]:
    """Each label against all others: every pair once for each label, its values 1 for the label and 0 for another."""
    labels, times = len(pairs.values), len(pairs)
    repeated, label = np.tile(np.arange(times), labels), np.repeat(np.arange(labels), times)
    names = ("image", "annotator_a", "annotator_b", "set_a", "set_b", "weight")
    binary = replace(
        pairs,
        values=("other", "label"),
        value_a=(pairs.value_a[repeated] == label).astype(np.int64),
        value_b=(pairs.value_b[repeated] == label).astype(np.int64),
        **{name: getattr(pairs, name)[repeated] for name in names},
    )
    figures = GroupedPairs(binary, label, labels).nominal(np.ones((len(pairs.image_ids), 1)))
    either = (binary.value_a | binary.value_b).astype(np.bool_)
    both = (binary.value_a & binary.value_b).astype(np.bool_)
    named = np.bincount(label[either], minlength=labels)
    seen = np.unique(label[either] * len(pairs.image_ids) + binary.image[either])
    images = np.bincount(seen // max(len(pairs.image_ids), 1), minlength=labels)
    figures["same_main"] = ratio(np.bincount(label[both], minlength=labels), named)[:, None]
    return [
        {"measure": measure, "label": name, "value": None if np.isnan(value) else float(value), "images": int(count)}
        for measure, values in figures.items()
        for name, value, count in zip(pairs.values, values[:, 0], images, strict=True)
    ]


def _confusion(pairs: AnswerPairs, labels: Sequence[str]) -> Ints:
    place = {label: position for position, label in enumerate(labels)}
    for value in pairs.values:
        if value not in place:
            raise LabelingError(f"label {value!r} is not in the taxonomy; add it there, or correct the annotations")
    places = np.array([place[value] for value in pairs.values], np.int64)
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, (places[pairs.value_a], places[pairs.value_b]), 1)
    return counts + counts.T - np.diag(np.diag(counts))
