"""How far annotators agree, on main labels and on label sets."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence, Set
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from labeling.tables import AGREEMENT

Answers = dict[str, tuple[str, frozenset[str]]]  # by annotator: main, and main with subs


def agreement(annotations: pd.DataFrame) -> pa.Table:
    """Measure agreement: rows of ``AGREEMENT``, over all annotators and for each pair with common images.

    - ``cohen_kappa`` of a pair, on main labels (Cohen 1960);
    - ``krippendorff_alpha`` over all, nominal, on main labels (Krippendorff 2011);
    - ``masi`` of a pair and over all: mean MASI distance of the label sets, 0 the same, 1 disjoint (Passonneau 2006);
    - ``same_main`` over all and for each label: the share of pairs of answers with the same main label, of the pairs in
      which at least one has the label.

    ``images`` counts the images that two or more people answered for. A value without a basis is null.

    Args:
        annotations: rows of ``ANNOTATIONS``, at most one for each image and annotator.
    """
    images = _answers(annotations)
    rows = [
        _row("krippendorff_alpha", _krippendorff_alpha(images), _answered_twice(images)),
        _row("masi", _mean(masi_distance(a[1], b[1]) for a, b in _pairs(images)), _answered_twice(images)),
        *_same_main(images),
    ]
    annotators = sorted({annotator for answers in images.values() for annotator in answers})
    for a, b in combinations(annotators, 2):
        common = [(answers[a], answers[b]) for answers in images.values() if a in answers and b in answers]
        if common:
            kappa = cohen_kappa([(left[0], right[0]) for left, right in common])
            rows.append(_row("cohen_kappa", kappa, len(common), a, b))
            distance = _mean(masi_distance(left[1], right[1]) for left, right in common)
            rows.append(_row("masi", distance, len(common), a, b))
    order = ("measure", "annotator_a", "annotator_b", "label")
    rows.sort(key=lambda row: [str(row[name] or "") for name in order])
    return pa.Table.from_pylist(rows, schema=AGREEMENT)


def main_confusion(annotations: pd.DataFrame, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Count which main labels two people gave to the same image: ``(C, C) int64``, symmetric.

    Each pair of answers counts once: on the diagonal where they agree, else in both places off it.
    """
    place = {label: position for position, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    for (a, _), (b, _) in _pairs(_answers(annotations)):
        counts[place[a], place[b]] += 1
        if a != b:
            counts[place[b], place[a]] += 1
    return counts


def cohen_kappa(answers: Sequence[tuple[str, str]]) -> float | None:
    """Cohen's kappa of two people's labels; None without answers or where chance alone would agree fully."""
    total = len(answers)
    observed = sum(a == b for a, b in answers)
    left, right = Counter(a for a, _ in answers), Counter(b for _, b in answers)
    by_chance = sum(left[label] * right[label] for label in left)  # times total squared
    if by_chance == total * total:  # also when total is 0
        return None
    return (observed * total - by_chance) / (total * total - by_chance)


def masi_distance(a: Set[str], b: Set[str]) -> float:
    """MASI distance of two label sets, 1 - J * M: Jaccard times 1 if equal, 2/3 if nested, 1/3 if overlapping."""
    both = len(a & b)
    if a == b:
        return 0.0
    if both == 0:
        return 1.0
    monotonicity = 2 / 3 if both in (len(a), len(b)) else 1 / 3
    return 1.0 - both / len(a | b) * monotonicity


def _answers(annotations: pd.DataFrame) -> dict[str, Answers]:
    """The answers for each image, in order of images and annotators."""
    images: defaultdict[str, Answers] = defaultdict(dict)
    ordered = annotations[["image_id", "annotator", "main", "subs"]].sort_values(
        ["image_id", "annotator"], kind="stable"
    )
    for image_id, annotator, main, subs in ordered.itertuples(index=False):
        images[image_id][annotator] = (main, frozenset((main, *subs)))
    return dict(images)


def _pairs(images: dict[str, Answers]) -> Iterator[tuple[tuple[str, frozenset[str]], tuple[str, frozenset[str]]]]:
    for answers in images.values():
        yield from combinations(answers.values(), 2)


def _answered_twice(images: dict[str, Answers]) -> int:
    return sum(len(answers) > 1 for answers in images.values())


def _krippendorff_alpha(images: dict[str, Answers]) -> float | None:
    """Nominal alpha from the coincidences of main labels; each image weighs its pairs by 1 / (answers - 1)."""
    totals: Counter[str] = Counter()
    disagreeing = []
    for answers in images.values():
        if len(answers) < 2:
            continue
        mains = Counter(main for main, _ in answers.values())
        totals.update(mains)
        ordered_pairs = len(answers) ** 2 - sum(count**2 for count in mains.values())
        disagreeing.append(ordered_pairs / (len(answers) - 1))
    values = totals.total()
    expected = values**2 - sum(count**2 for count in totals.values())
    if expected == 0:
        return None
    return 1.0 - (values - 1) * math.fsum(disagreeing) / expected


def _same_main(images: dict[str, Answers]) -> list[dict[str, object]]:
    same: Counter[str] = Counter()
    either: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for answers in images.values():
        mains = [main for main, _ in answers.values()]
        for a, b in combinations(mains, 2):
            same.update({a} & {b})
            either.update({a, b})
        seen.update(set(mains) if len(mains) > 1 else ())
    pairs = sum(1 for _ in _pairs(images))
    rows = [_row("same_main", same.total() / pairs if pairs else None, _answered_twice(images))]
    return rows + [_row("same_main", same[label] / either[label], seen[label], label=label) for label in sorted(either)]


def _mean(values: Iterator[float]) -> float | None:
    numbers = list(values)
    return math.fsum(numbers) / len(numbers) if numbers else None


def _row(
    measure: str, value: float | None, images: int, a: str | None = None, b: str | None = None, label: str | None = None
) -> dict[str, object]:
    return {"measure": measure, "annotator_a": a, "annotator_b": b, "label": label, "value": value, "images": images}
