"""Shares of styles by window, from experts and from the champion, and what rises, falls and is seen together.

Every share is of the images that belong to the label set. Experts label a part of a window. Where that part was chosen
without regard to what the images show (the queue's ``newest`` and ``random``, which order a window by hash), its shares
are those of the window but for chance, and Wilson's interval says how much that is; images that were chosen by
predictions (``rare``, ``uncertain``) would bend them, which is what ``representative`` is for.

The model's shares are corrected for its known error (``modeling.known_error``, ``modeling.unmixing``), with 95%
intervals by a bootstrap of the window's images and of the judged images together. They are never narrower than if the
model were always right. Images that the model learned from count by experts' answers, or are stood for by their like
(``modeling.window_answers``). Else experts' answers do not stand in for the model's: each series has its own source.

Intervals take images as independent: a window in which one author has twenty pictures is less sure than they say.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modeling.cooccurrence import PairCounts, cooccurrence_rows
from modeling.following import Answers, Floats, FollowedSet, Ints, Read, answers, predicted_rows
from modeling.known_error import KnownError, known_error
from modeling.movements import counted_movement, resampled_movement
from modeling.settings import TrendSettings
from modeling.tables import COOCCURRENCE_CHANGES, STYLE_MOVEMENTS, STYLE_TRENDS
from modeling.unmixing import LEAST_INSIDE, corrected
from modeling.window_answers import COLUMNS, AnswerCollector, Kind, WindowAnswers

EXPERTS, MODEL = "experts", "model"
MAIN, ANY = "main", "any"
_FEW_ALIKE = 4  # images with the same answer, on average
_NORMAL = 1.959963984540054  # 97.5% quantile

_Row = dict[str, Any]


class Trends(NamedTuple):
    """What trends are made of, and one line for each window or series that was left out, with the reason."""

    trends: pa.Table  # STYLE_TRENDS
    movements: pa.Table  # STYLE_MOVEMENTS
    cooccurrence: pa.Table  # COOCCURRENCE_CHANGES
    notes: list[str]


def trends(
    sets: Sequence[FollowedSet],
    windows: Sequence[str],
    read: Read,
    labels: pd.DataFrame | pa.Table,
    settings: TrendSettings,
    *,
    representative: Collection[str] | None = None,
) -> Trends:
    """Follow the styles of every label set over the windows.

    ``windows`` are all windows in order of time; ``read`` gives the STYLE_PREDICTIONS rows of one and is called once
    for each. ``labels`` are LABELS rows. ``representative`` are the ids of images that were not chosen to be labelled
    because of what a model predicted; without it all are. A window without an image of a source has no row of that
    source; movements need two windows, co-occurrence an image both in the recent windows and before. Raises
    ModelingError when predictions lack a column.
    """
    experts = [answers(labels, followed, representative) for followed in sets]
    collectors = [AnswerCollector(followed, answers(labels, followed), representative) for followed in sets]
    if any(followed.champion for followed in sets):
        for window, table in predicted_rows(read, windows, COLUMNS):
            for followed, collector in zip(sets, collectors, strict=True):
                if followed.champion:
                    collector.add(window, table.filter(pc.equal(table["label_set"], followed.name)))
    parts: tuple[list[_Row], list[_Row], list[_Row]] = [], [], []
    notes: list[str] = []
    for followed, expert, collector in zip(sets, experts, collectors, strict=True):
        for part, rows in zip(parts, _expert_series(followed, expert, windows, settings), strict=True):
            part.extend(rows)
        for part, rows in zip(parts, _model_series(followed, collector, windows, settings), strict=True):
            part.extend(rows)
        notes += collector.notes if followed.champion else [f"{followed.name}: no champion yet, experts' shares only"]
    schemas = STYLE_TRENDS, STYLE_MOVEMENTS, COOCCURRENCE_CHANGES
    share_table, movement_table, pair_table = map(pa.Table.from_pylist, parts, schemas)
    return Trends(share_table, movement_table, pair_table, notes)


def wilson(share: Floats, images: Floats | Ints) -> tuple[Floats, Floats]:
    """Wilson's 95% interval of a share of so many images (Journal of the American Statistical Association 22, 1927)."""
    shrink = 1 + _NORMAL**2 / images
    center = (share + _NORMAL**2 / (2 * images)) / shrink
    reach = _NORMAL / shrink * np.sqrt(share * (1 - share) / images + _NORMAL**2 / (4 * images**2))
    return np.clip(center - reach, 0, share), np.clip(center + reach, share, 1)


def _expert_series(
    followed: FollowedSet, expert: Answers, windows: Sequence[str], settings: TrendSettings
) -> tuple[list[_Row], list[_Row], list[_Row]]:
    place_of = {window: place for place, window in enumerate(windows)}
    place = np.array([place_of.get(window, -1) for window in expert.windows], dtype=np.int64)
    kept = expert.inside & (place >= 0)
    present, row = np.unique(place[kept], return_inverse=True)
    images = np.bincount(row, minlength=len(present)).astype(np.int64)
    is_main = expert.main[kept][:, None] == np.arange(len(followed.labels))
    carried = expert.carried[kept]
    common = {"label_set": followed.name, "source": EXPERTS}
    shares, moves = [], []
    for role, has in ((MAIN, is_main), (ANY, carried)):
        counted = np.zeros((len(present), len(followed.labels)), dtype=np.int64)
        np.add.at(counted, row, has.astype(np.int64))
        share = counted / images[:, None]
        low, high = wilson(share, images[:, None])
        named = common | {"role": role}
        shares += list(_share_rows(followed, [windows[at] for at in present], images, counted, share, low, high, named))
        if len(present) > 1:
            moved = counted_movement(present, images, counted)
            moves += moved.rows(followed.labels, settings.significance, windows=len(present), **named)
    since = _recent(present, settings.recent)
    before, recent = (_pair_counts(carried[part], np.ones(int(part.sum()))) for part in (row < since, row >= since))
    named = common | {"from_window": windows[present[since]] if len(present) else ""}
    return shares, moves, cooccurrence_rows(before, recent, followed.labels, named)


def _model_series(
    followed: FollowedSet, collector: AnswerCollector, windows: Sequence[str], settings: TrendSettings
) -> tuple[list[_Row], list[_Row], list[_Row]]:
    errors = _known_errors(followed, collector, settings)
    found = [window for window in collector.windows if window.version in errors]
    if not found:
        return [], [], []
    shares, inside = _resampled_shares(found, errors, settings)
    told = np.flatnonzero(inside >= LEAST_INSIDE)
    if len(told) < len(found):
        silent = [window.window for window, share in zip(found, inside, strict=True) if share < LEAST_INSIDE]
        collector.notes.append(
            f"{followed.name}: the model's answers, with its known error, don't tell that any image of "
            f"{', '.join(silent)} belongs to the label set (they are few, or alike for all), so the model's shares of "
            "these windows are left out; experts' are there where they labelled"
        )
    found, shares = [found[at] for at in told], {role: values[:, told] for role, values in shares.items()}
    if not found:
        return [], [], []
    order = {window: place for place, window in enumerate(windows)}
    place = np.array([order[window.window] for window in found], dtype=np.int64)
    images = np.array([window.images for window in found], dtype=np.int64)
    common = {"label_set": followed.name, "source": MODEL}
    rows, moves = [], []
    for role, values in shares.items():
        counted = np.array([_counted(window, role) for window in found])
        low, high = _intervals(values, images)
        named = common | {"role": role}
        names = [window.window for window in found]
        rows += list(_share_rows(followed, names, images, counted, values[0], low, high, named))
        if len(found) > 1:
            moved = resampled_movement(place, images, values)
            moves += moved.rows(followed.labels, settings.significance, windows=len(found), **named)
    same = [window for window in found if window.version == followed.champion]
    return rows, moves, _model_pairs(followed, same, settings)


def _known_errors(
    followed: FollowedSet, collector: AnswerCollector, settings: TrendSettings
) -> Mapping[str, KnownError]:
    """The known error of each model that answered; a note where there is nothing to know it by."""
    errors = {}
    for version in sorted({window.version for window in collector.windows}):
        judged = collector.judged(version)
        if judged is None or not (judged.main >= 0).any():
            collector.notes.append(
                f"{followed.name}: no labelled image shows the error of model {version}, so its shares can't be "
                "corrected and are left out"
            )
        else:
            errors[version] = known_error(judged, settings.resamples, settings.seed)
    return errors


def _resampled_shares(
    found: Sequence[WindowAnswers], errors: Mapping[str, KnownError], settings: TrendSettings
) -> tuple[dict[str, Floats], Floats]:
    """Corrected shares by role, as they are and resampled: (1 + B, W, C); and the share of each window inside: (W,)."""
    random = np.random.default_rng([settings.seed, 1])
    drawn = [_drawn(window, errors[window.version], settings.resamples, random) for window in found]
    labels = drawn[0][1].shape[1]
    main, anywhere = (np.zeros((1 + settings.resamples, len(found), labels)) for _ in range(2))
    inside = np.zeros((1 + settings.resamples, len(found)))
    for version, error in errors.items():
        at = [index for index, window in enumerate(found) if window.version == version]
        parts = (np.stack([drawn[index][part] for index in at], axis=1) for part in range(4))
        main[:, at], anywhere[:, at], inside[:, at] = corrected(error, *parts)
    return {MAIN: main, ANY: anywhere}, inside[0]


def _drawn(
    window: WindowAnswers, error: KnownError, resamples: int, random: np.random.Generator
) -> tuple[Floats, Floats, Floats, Floats]:
    """Shares of a window's images, as they are and resampled, as ``corrected`` takes them.

    They are of outcomes (1 + B, O), of predicted labels (1 + B, C), and of labels that are known, as main and as any.
    """
    labels = window.answers.carried.shape[1]
    outcome = np.where(window.predicted, error.outcomes.of(window.answers), window.answers.main)
    coded = np.column_stack([outcome, window.kinds, np.packbits(window.answers.carried, axis=1)])
    _, first, same = np.unique(coded, axis=0, return_index=True, return_inverse=True)
    counts = np.bincount(same.ravel(), weights=window.counts).astype(np.int64)
    alike = replace(window, answers=window.answers.take(first), counts=counts, kinds=window.kinds[first])
    weights = alike.weights(np.vstack([counts, _resampled(counts, resamples, random)]))  # (1 + B, A)
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1)
    outcome, carried = outcome[first], alike.answers.carried.astype(float)
    by_model = weights * alike.predicted
    known = weights * (alike.kinds == Kind.KNOWN)
    given = (outcome[:, None] == np.arange(error.outcomes.count)).astype(float)
    is_main = (outcome[:, None] == np.arange(labels)).astype(float)
    return by_model @ given, by_model @ carried, known @ is_main, known @ carried


def _resampled(counts: Ints, resamples: int, random: np.random.Generator) -> Ints:
    """How often each answer is drawn when as many images are drawn, with replacement, as there are: (B, A)."""
    images, kinds = int(counts.sum()), len(counts)
    if _FEW_ALIKE * kinds < images:
        return random.multinomial(images, counts / images, size=resamples)
    answer = np.repeat(np.arange(kinds), counts)  # drawing images one by one is quicker where answers are many
    drawn = np.empty((resamples, kinds), dtype=np.int64)
    for row in drawn:
        row[:] = np.bincount(answer[random.integers(0, images, images)], minlength=kinds)
    return drawn


def _intervals(shares: Floats, images: Ints) -> tuple[Floats, Floats]:
    """95% percentile intervals of resampled shares, that hold the share and what counting alone leaves open."""
    low, high = np.quantile(shares[1:], [0.025, 0.975], axis=0)
    least_low, least_high = wilson(shares[0], images[:, None])
    return np.minimum(low, least_low), np.maximum(high, least_high)


def _counted(window: WindowAnswers, role: str) -> Ints:
    carried = window.answers.carried
    has = carried if role == ANY else window.answers.main[:, None] == np.arange(carried.shape[1])
    return np.asarray(window.counts @ has.astype(np.int64))


def _model_pairs(followed: FollowedSet, found: Sequence[WindowAnswers], settings: TrendSettings) -> list[_Row]:
    """Change of co-occurrence as the champion predicts it: its errors are the same before and after.

    Experts' answers for learned images have others, so their like stands for those.
    """
    if not found:
        return []
    since = _recent(found, settings.recent)
    pairs = []
    for part in (found[:since], found[since:]):
        carried = [window.answers.carried for window in part] or [np.zeros((0, len(followed.labels)), dtype=np.bool_)]
        weights = np.concatenate([np.zeros(0), *(window.predicted_weights() for window in part)])
        pairs.append(_pair_counts(np.concatenate(carried), weights))
    named = {"label_set": followed.name, "source": MODEL, "from_window": found[since].window}
    return cooccurrence_rows(pairs[0], pairs[1], followed.labels, named)


def _recent(present: Sequence[Any] | Ints, recent: int) -> int:
    """Place of the first of the recent windows among those present."""
    return max(len(present) - recent, 0)


def _pair_counts(carried: np.ndarray[Any, np.dtype[np.bool_]], weights: Floats) -> PairCounts:
    values = carried.astype(float)
    both = np.rint(values.T @ (weights[:, None] * values)).astype(np.int64)
    return PairCounts(round(weights.sum()), both)


def _share_rows(
    followed: FollowedSet,
    names: Sequence[str],
    images: Ints,
    counted: Ints,
    share: Floats,
    low: Floats,
    high: Floats,
    common: _Row,
) -> Iterator[_Row]:
    for row, window in enumerate(names):
        for column, label in enumerate(followed.labels):
            yield {
                "window": window,
                "label": label,
                **common,
                "images": int(images[row]),
                "counted": int(counted[row, column]),
                "raw_share": float(counted[row, column] / images[row]),
                "share": float(share[row, column]),
                "low": float(low[row, column]),
                "high": float(high[row, column]),
            }
