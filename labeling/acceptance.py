"""How experts take the answers of a model that they find ticked, and how far that sways them.

Some images never show a prediction, chosen by a hash of their id. What their experts answer, compared with what the
model would have answered, is how often experts and model agree anyway; more agreement where the prediction was shown
is anchoring.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import hypot
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from labeling.annotations import Labels
from labeling.first_answers import FirstAnswer, first_answers
from labeling.tables import PREDICTION_ACCEPTANCE

CONFIDENCE = 0.95

_Key = tuple[str, str, bool]  # model version, predicted main label, blind


class _Prediction(NamedTuple):
    predicted_at: datetime
    model_version: str
    main: str
    subs: frozenset[str]
    blind: bool


@dataclass(frozen=True)
class Anchoring:
    """How much more often experts agree with a model version whose prediction they saw.

    ``measure`` is ``accepted`` (same main and sub labels) or ``same_main``. Shares are from 0 to 1; they and the
    interval of their difference are None where there is no answer on one of the two sides.
    """

    model_version: str
    measure: str
    shown_answers: int
    shown_share: float | None
    blind_answers: int
    blind_share: float | None
    difference: float | None  # shown minus blind
    low: float | None  # of the 95% interval of the difference
    high: float | None

    def sentence(self) -> str:
        """Say it for people."""
        what = "took the answer" if self.measure == "accepted" else "gave the main label"
        if self.shown_share is None or self.blind_share is None or self.low is None or self.high is None:
            side = "with the prediction shown" if self.shown_share is None else "without the prediction"
            return f"{self.model_version}: no answer {side} yet, so nothing can be said about anchoring."
        return (
            f"{self.model_version}: experts who saw the prediction {what} of the model in {self.shown_share:.0%} of "
            f"{self.shown_answers:,} answers, those who did not in {self.blind_share:.0%} of {self.blind_answers:,}; "
            f"the difference is {self.difference:+.1%} (95% interval {self.low:+.1%} to {self.high:+.1%})."
        )


def prediction_acceptance(
    versions: pd.DataFrame,
    predictions: pd.DataFrame,
    taxonomy: Sequence[str],
    known_labels: Mapping[str, Sequence[str]] | None = None,
) -> pa.Table:
    """Count how experts' answers compare with the predictions of their time: rows of ``PREDICTION_ACCEPTANCE``.

    Of each annotator and image the first submitted answer counts, as it stood before it was changed. It counts as

    - shown, if the server says that it was made from a prediction. It is compared with the latest prediction for the
      image that was shown by the time of the answer (``predicted_at <= created_at``);
    - blind, if not, and the latest prediction for the image by then is blind. It is compared with that one;
    - nothing else: an answer for an image that is not blind, given without a prediction, is in neither group. The
      prediction may have come later, or been hidden.

    The answer is ``accepted`` (same main label, same sub labels), ``changed`` (same main label, other sub labels) or
    ``rejected`` (another main label, or not a fashion image). "Can't tell" and an answer that breaks a rule are no
    judgement and count nowhere, nor does an answer without a time. Predictions without ``task_id`` were neither shown
    nor kept back on purpose, and are left out.

    Args:
        versions: rows of ``ANNOTATION_VERSIONS``, in the order in which they were met.
        predictions: rows of ``PRE_ANNOTATIONS``, with history.
        taxonomy: the labels that experts may give, in their order.
        known_labels: by model version, the labels that the model can give. Sub labels are compared within them, as the
            model cannot know the others; of a version that is not in it, all are compared.

    Returns:
        For each version, shown or blind, one row over all labels (``label`` null) and one for each predicted main
        label, where there are answers; sorted by version, blind, label, all labels first.
    """
    known = {version: frozenset(labels) for version, labels in (known_labels or {}).items()}
    by_image = _timelines(predictions)
    counts: dict[_Key, Counter[str]] = defaultdict(Counter)
    for answer in first_answers(versions, taxonomy):
        if answer.labels is None or answer.labels.answer == "cant_tell":
            continue
        prediction = _compared_with(answer, by_image.get(answer.image_id, []))
        if prediction is not None:
            verdict = _verdict(prediction, answer.labels, known.get(prediction.model_version))
            counts[prediction.model_version, prediction.main, prediction.blind][verdict] += 1
    return _table(counts)


def anchoring(acceptance: pa.Table) -> list[Anchoring]:
    """Compare shown with blind: for each model version how far acceptance and same main labels differ.

    The interval is Newcombe's for a difference of independent shares, from Wilson's intervals without correction for
    continuity (Newcombe 1998, Statistics in Medicine 17:873-890, method 10). It takes answers as independent; two
    experts' answers for the same image are not quite so.

    Args:
        acceptance: rows of ``PREDICTION_ACCEPTANCE``.
    """
    totals: dict[str, dict[bool, dict[str, Any]]] = defaultdict(dict)
    for row in acceptance.to_pylist():
        if row["label"] is None:
            totals[row["model_version"]][row["blind"]] = row
    return [
        _compared(version, measure, sides.get(False), sides.get(True), kinds)
        for version, sides in sorted(totals.items())
        for measure, kinds in (("accepted", ["accepted"]), ("same_main", ["accepted", "changed"]))
    ]


def newcombe_interval(hits: int, of: int, other_hits: int, other_of: int) -> tuple[float, float]:
    """Return the 95% interval of ``hits / of - other_hits / other_of`` (Newcombe 1998, method 10)."""
    from scipy.stats import binomtest  # late: takes half a second, and the graph is loaded without it

    share, other = hits / of, other_hits / other_of
    low, high = binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    other_low, other_high = binomtest(other_hits, other_of).proportion_ci(CONFIDENCE, method="wilson")
    below = hypot(share - low, other_high - other)
    above = hypot(high - share, other - other_low)
    return float(share - other - below), float(share - other + above)


def _timelines(predictions: pd.DataFrame) -> dict[str, list[_Prediction]]:
    """Return the predictions of each image by time."""
    columns = ["predicted_at", "model_version", "image_id", "main", "subs", "blind"]
    rows = predictions[predictions["task_id"].notna()].sort_values(columns[:2], kind="stable")
    by_image: dict[str, list[_Prediction]] = defaultdict(list)
    for predicted_at, version, image_id, main, subs, blind in rows[columns].itertuples(index=False):
        by_image[image_id].append(_Prediction(predicted_at, version, main, frozenset(subs), bool(blind)))
    return by_image


def _compared_with(answer: FirstAnswer, timeline: Sequence[_Prediction]) -> _Prediction | None:
    """Return the prediction that an answer was made from, or that was kept from it on purpose; None if neither."""
    place = bisect_right(timeline, answer.created_at, key=lambda prediction: prediction.predicted_at)
    if answer.saw_prediction:
        return next((prediction for prediction in reversed(timeline[:place]) if not prediction.blind), None)
    return timeline[place - 1] if place and timeline[place - 1].blind else None


def _verdict(prediction: _Prediction, labels: Labels, known: frozenset[str] | None) -> str:
    if labels.main != prediction.main:
        return "rejected"
    subs = frozenset(labels.subs)
    comparable = subs if known is None else subs & known
    return "accepted" if comparable == prediction.subs else "changed"


def _table(counts: Mapping[_Key, Counter[str]]) -> pa.Table:
    entries: dict[tuple[str, bool, str | None], Counter[str]] = defaultdict(Counter)
    for (version, label, blind), verdicts in counts.items():
        entries[version, blind, label] += verdicts
        entries[version, blind, None] += verdicts
    rows = [
        {
            "model_version": version,
            "label": label,
            "blind": blind,
            "answers": verdicts.total(),
            "accepted": verdicts["accepted"],
            "changed": verdicts["changed"],
            "rejected": verdicts["rejected"],
        }
        for (version, blind, label), verdicts in sorted(entries.items(), key=_order)
    ]
    return pa.Table.from_pylist(rows, schema=PREDICTION_ACCEPTANCE)


def _order(entry: tuple[tuple[str, bool, str | None], Counter[str]]) -> tuple[str, bool, str]:
    version, blind, label = entry[0]
    return version, blind, label or ""


def _compared(
    version: str,
    measure: str,
    shown: Mapping[str, Any] | None,
    blind: Mapping[str, Any] | None,
    kinds: Sequence[str],
) -> Anchoring:
    hits, of = _hits(shown, kinds)
    other_hits, other_of = _hits(blind, kinds)
    share = hits / of if of else None
    other = other_hits / other_of if other_of else None
    difference = low = high = None
    if share is not None and other is not None:
        difference = share - other
        low, high = newcombe_interval(hits, of, other_hits, other_of)
    return Anchoring(version, measure, of, share, other_of, other, difference, low, high)


def _hits(row: Mapping[str, Any] | None, kinds: Sequence[str]) -> tuple[int, int]:
    return (sum(row[kind] for kind in kinds), row["answers"]) if row else (0, 0)
