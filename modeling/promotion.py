"""Champion and challenger: whether a newly trained model takes the champion's place, and why.

Both are judged on the same test images, which neither of them learned from. The test is that of
``modeling.evaluate.compare``: sign flips over groups of images of the mean of the five recalls. Groups are of similar
images: several pictures of one author are several, so intervals are too narrow where a few authors gave most of them.
"""

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from modeling.challenge_scores import changed_labels, labels_of, of_test_split, same_truth, with_labels
from modeling.errors import ModelingError
from modeling.evaluate import compare
from modeling.label_sets import as_frame
from modeling.metrics import MEAN_OF_FIVE
from modeling.scored_images import scored_images
from modeling.settings import PromotionSettings
from modeling.tables import PROMOTIONS

PROMOTED, REFUSED, ROLLED_BACK = "promoted", "refused", "rolled_back"


@dataclass(frozen=True)
class Decision:
    """What was decided about a challenger, with the numbers: the columns of PROMOTIONS of the same names."""

    decision: str  # promoted, refused
    rule: str
    reason: str  # one line
    images: int = 0  # common test images
    challenger_value: float | None = None  # mean of the five recalls, 0 to 1
    champion_value: float | None = None
    difference: float | None = None  # challenger - champion
    low: float | None = None  # 95% interval of the difference
    high: float | None = None
    p_value: float | None = None
    challenger_newest: str | None = None  # newest window among its images
    champion_newest: str | None = None

    @property
    def promoted(self) -> bool:
        """Whether the challenger is the champion from now on."""
        return self.decision == PROMOTED

    def row(
        self, decided_at: datetime, challenger: str, champion_before: str | None, data_set_version: str
    ) -> dict[str, Any]:
        """Return the decision as a row of PROMOTIONS; models are named by their versions."""
        figures = asdict(self) | {"challenger": challenger, "data_set_version": data_set_version}
        after = challenger if self.promoted else champion_before
        return promotion_row(decided_at=decided_at, champion_before=champion_before, champion=after, **figures)


def promotion_row(
    *,
    decided_at: datetime,
    decision: str,
    rule: str,
    reason: str,
    champion_before: str | None,
    champion: str | None,
    images: int = 0,
    **figures: Any,
) -> dict[str, Any]:
    """A row of PROMOTIONS; figures left out are null. For roll-backs and what else is decided without a comparison.

    Raises ModelingError for a figure that PROMOTIONS has no column for.
    """
    unknown = sorted(set(figures) - set(PROMOTIONS.names))
    if unknown:
        raise ModelingError(f"promotions have no column {unknown[0]!r}; known are {', '.join(PROMOTIONS.names)}")
    given = {
        "decided_at": decided_at,
        "decision": decision,
        "rule": rule,
        "reason": reason,
        "champion_before": champion_before,
        "champion": champion,
        "images": images,
        **figures,
    }
    return {name: given.get(name) for name in PROMOTIONS.names}


def version_id(architecture: str, weights_sha256: str) -> str:
    """The name of a model's version: its architecture and the first 12 hex digits of its weights' sha256."""
    return f"{architecture}-{weights_sha256[:12]}"


def common_test_images(current: pd.DataFrame | pa.Table, *others: pd.DataFrame | pa.Table) -> set[str]:
    """Ids of the images in the test split of ``current`` that no other data set had in train or validation.

    All are DATA_SET rows. An image counts as had when its ``image_id``, the file that was used for it, or its group
    was: the canonical image of a cluster may change from one data set to the next, and groups may grow together.
    """
    rows = as_frame(current)
    groups = rows.set_index("image_id")["group_id"]
    test = rows[rows["split"] == "test"]
    for other in map(as_frame, others):
        learned = other[other["split"] != "test"]
        pictures = {*learned["image_id"], *learned["file_id"]}
        grown = {*learned["group_id"], *groups[groups.index.isin(pictures)]}
        known = test["image_id"].isin(pictures) | test["file_id"].isin(pictures) | test["group_id"].isin(grown)
        test = test[~known]
    return set(test["image_id"])


def decide(
    challenger: pd.DataFrame | pa.Table,
    champion: pd.DataFrame | pa.Table | None,
    settings: PromotionSettings,
    resamples: int,
    seed: int,
    *,
    newest: tuple[str | None, str | None] = (None, None),
    versions: tuple[str, str | None] = ("challenger", None),
    history: pd.DataFrame | pa.Table | None = None,
) -> Decision:
    """Decide whether the challenger is promoted.

    ``challenger`` and ``champion`` are the SCORES rows of the common test images, of one or several seeds each; rows
    of other splits are passed over. The challenger's rows give every image's labels and group: the champion's may be
    of an older data set. ``newest`` are the newest windows of the images of the two, ``versions`` their names,
    ``history`` the PROMOTIONS so far. The first rule that fits decides:

    - unchanged: the challenger is the champion. rolled_back_before: people went back from this very model.
    - first: there is no champion. Nothing but ``least_score`` can refuse it.
    - too_few_images: fewer common test images than ``least_images``. below_floor: its value is below ``least_score``.
    - labels_changed: the label set has other labels now. The two are compared on the labels that both know, and the
      images that carry no other: promoted if not worse there by ``margin`` and not significantly worse. The champion
      can't answer for the new labels, so doubt is for the challenger: the whole interval above ``-margin`` would need
      thousands of images. Promoted too where fewer than two labels or ``least_images`` images are left to compare on.
    - better: the difference is above 0 and the paired test's p-value below ``significance``.
    - newer: its newest window is ``newer_by_days`` newer, and the interval of the difference begins no lower than
      ``-margin``, nor is the sum of the differences of all promotions by this rule, one after the other, below it: else
      each could be a little worse than the last without end. not_better: none of these.

    Where labels changed, ``images`` and the values are those of the comparison.

    Raises ModelingError when the two were not scored on the same images, and as ``scored_images`` does.
    """
    test = of_test_split(challenger)
    images = int(test["image_id"].nunique())
    found = Decision(REFUSED, "", "", images, challenger_newest=newest[0], champion_newest=newest[1])
    if len(test):
        found = replace(found, challenger_value=float(scored_images(test, "test").hits.mean()))
    if versions[0] == versions[1]:
        return replace(found, rule="unchanged", reason=f"{versions[0]} is the champion already")
    if history is not None and versions[0] in _rolled_back_from(history):
        return replace(found, rule="rolled_back_before", reason=f"people went back from {versions[0]} before")
    if champion is None:
        return _first(found, settings)
    how = _How(settings, resamples, seed, 0.0 if history is None else _lost_by_newer(history))
    return _second(found, test, of_test_split(champion), how)


@dataclass(frozen=True)
class _How:
    """How two models are compared."""

    settings: PromotionSettings
    resamples: int
    seed: int
    so_far: float  # summed differences of the promotions by the rule newer since the last by another rule


def _first(found: Decision, settings: PromotionSettings) -> Decision:
    if found.challenger_value is None:
        if settings.least_score > 0:
            return replace(found, rule="too_few_images", reason="no test image shows whether it reaches least_score")
        return replace(found, decision=PROMOTED, rule="first", reason="the first champion, not judged: no test image")
    if found.challenger_value < settings.least_score:
        return _below_floor(found, settings)
    reason = f"the first champion, with {_percent(found.challenger_value)} on {found.images} test images"
    return replace(found, decision=PROMOTED, rule="first", reason=reason)


def _second(found: Decision, test: pd.DataFrame, champion: pd.DataFrame, how: _How) -> Decision:
    """Decide where there is a champion."""
    settings = how.settings
    if found.images < settings.least_images or found.challenger_value is None:
        reason = f"{found.images} common test images, {settings.least_images} are needed (promotion.least_images)"
        return replace(found, rule="too_few_images", reason=reason)
    if found.challenger_value < settings.least_score:
        return _below_floor(found, settings)
    if any(changed_labels(labels_of(test), labels_of(champion))):
        return _of_other_labels(found, test, champion, how)
    found = _compared(found, test, same_truth(champion, test), how)
    return _better_or_newer(found, how)


def _of_other_labels(found: Decision, test: pd.DataFrame, champion: pd.DataFrame, how: _How) -> Decision:
    """Decide where the label set has other labels than the champion: by those that both know."""
    settings, before = how.settings, labels_of(champion)
    came, went = changed_labels(labels_of(test), before)
    parts = [f"{'came' if side is came else 'went'}: {', '.join(side)}" for side in (came, went) if side]
    what = f"the label set's labels changed ({'; '.join(parts)})"
    common = [label for label in labels_of(test) if label in before]
    known = [{main, *subs} <= set(common) for main, subs in zip(test["main"], test["subs"], strict=True)]
    shared = test[known]
    images = int(shared["image_id"].nunique())
    if len(common) < 2 or images < settings.least_images:
        reason = f"{what}, and the champion can't be compared: {images} images with {len(common)} labels known to both"
        return replace(found, decision=PROMOTED, rule="labels_changed", reason=f"{reason}; {_own(found)}")
    own = _own(found)
    theirs = champion[champion["image_id"].isin(set(shared["image_id"]))]
    shared = with_labels(shared, common)
    value = float(scored_images(shared, "test").hits.mean())
    found = replace(found, images=images, challenger_value=value)
    found = _compared(found, shared, same_truth(theirs, shared), how)
    difference, low, p_value = found.difference or 0.0, found.low or 0.0, found.p_value or 0.0
    surely_worse = difference < 0 and p_value < settings.significance and low < -settings.margin
    on = f"on the {len(common)} labels that both know: {_numbers(found)}"
    if difference <= -settings.margin or surely_worse:
        return replace(found, rule="not_better", reason=f"{what}; worse {on}; {own}")
    return replace(found, decision=PROMOTED, rule="labels_changed", reason=f"{what}; not worse {on}; {own}")


def _own(found: Decision) -> str:
    return f"with all of its labels {_percent(found.challenger_value)} on {found.images} images"


def _compared(found: Decision, test: pd.DataFrame, champion: pd.DataFrame, how: _How) -> Decision:
    """The decision with the figures of the comparison."""
    table = compare({"champion": champion, "challenger": test}, how.resamples, how.seed).to_pandas()
    row = table[table["metric"] == MEAN_OF_FIVE].iloc[0]
    difference, low, high, p_value = (float(row[name]) for name in ("difference", "low", "high", "p_value"))
    return replace(
        found, champion_value=float(row["value_a"]), difference=difference, low=low, high=high, p_value=p_value
    )


def _better_or_newer(found: Decision, how: _How) -> Decision:
    settings, numbers = how.settings, _numbers(found)
    difference, low, p_value = found.difference or 0.0, found.low or 0.0, found.p_value or 0.0
    if difference > 0 and p_value < settings.significance:
        return replace(found, decision=PROMOTED, rule="better", reason=f"better: {numbers}")
    days = _days_newer(found.challenger_newest, found.champion_newest)
    if days is None or days < settings.newer_by_days or low < -settings.margin:
        return replace(found, rule="not_better", reason=f"not better: {numbers}")
    margin = f"{100 * settings.margin:g}"
    total = how.so_far + difference
    if total < -settings.margin:
        reason = (
            f"not better: with the newer models before it, it is {-100 * total:.1f} points worse than the last "
            f"champion that won, more than {margin}: {numbers}"
        )
        return replace(found, rule="not_better", reason=reason)
    reason = f"not worse by more than {margin} points, and its images are {days} days newer: {numbers}"
    return replace(found, decision=PROMOTED, rule="newer", reason=reason)


def _numbers(found: Decision) -> str:
    points = [f"{100 * (value or 0.0):+.1f}" for value in (found.difference, found.low, found.high)]
    return (
        f"{_percent(found.challenger_value)} against {_percent(found.champion_value)} on {found.images} common test "
        f"images, difference {points[0]} points ({points[1]} to {points[2]}), p = {found.p_value:.2g}"
    )


def _lost_by_newer(history: pd.DataFrame | pa.Table) -> float:
    """Summed differences of the promotions by the rule newer, since the champion changed for any other reason."""
    rows = as_frame(history)
    total = 0.0
    for decision, rule, difference in zip(rows["decision"], rows["rule"], rows["difference"], strict=True):
        if decision == PROMOTED and rule == "newer":
            total += float(difference)
        elif decision != REFUSED:
            total = 0.0
    return total


def _below_floor(found: Decision, settings: PromotionSettings) -> Decision:
    reason = (
        f"{_percent(found.challenger_value)} on {found.images} test images; any champion must reach "
        f"{_percent(settings.least_score)} (promotion.least_score)"
    )
    return replace(found, rule="below_floor", reason=reason)


def _rolled_back_from(history: pd.DataFrame | pa.Table) -> set[str]:
    rows = as_frame(history)
    return set(rows.loc[rows["decision"] == ROLLED_BACK, "champion_before"].dropna())


def _days_newer(window: str | None, than: str | None) -> int | None:
    """Days from one window's begin to another's; none where one is unknown. Windows are named by an ISO date."""
    if window is None or than is None:
        return None
    return (date.fromisoformat(window[:10]) - date.fromisoformat(than[:10])).days


def _percent(value: float | None) -> str:
    return "nothing" if value is None else f"{100 * value:.1f}%"
