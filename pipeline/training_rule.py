"""Whether the models of a label set are to be trained anew, with the reason in words."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from modeling.errors import ModelingError
from modeling.label_sets import choose_labels, data_set_candidates
from pipeline.champions import champion_data_set, champion_version
from pipeline.known_splits import known_splits
from pipeline.reasons import is_by_a_person, note_reason
from pipeline.settings import RetrainingSettings, Settings
from pipeline.storage import Storage
from pipeline.tables import TABLES

PERSON, RULE = "person", "rule"
NO_DRIFT = "no newer window drifted"
WAIT = timedelta(hours=20)  # for a training that was asked for and has not begun, before it is asked for again


@dataclass(frozen=True)
class Facts:
    """What the rule looks at."""

    images: int  # that the label set would have now
    new_labels: int  # of them, those with a new or changed label since the last data set
    gone: int  # images of the last data set that are in it no more
    version: str  # hash of the images with their labels
    had_data_set: bool
    last_data_set: str | None = None  # newest window of the last data set
    last_request: datetime | None = None  # the last one that was due
    drifted_windows: tuple[str, ...] = ()  # newer than the champion's images, and named by no due request before
    drifted_before: tuple[str, ...] = ()  # those that a due request has named already: one drift asks once
    problem: str | None = None  # why there can be no data set


@dataclass(frozen=True)
class Request:
    """An answer of the rule: a row of TRAINING_REQUESTS but for the time."""

    due: bool
    reason: str
    asked_by: str
    new_labels: int
    images: int
    days: float | None
    drifted_windows: tuple[str, ...]

    def row(self, decided_at: datetime) -> dict[str, Any]:
        """Return the row."""
        return asdict(self) | {"decided_at": decided_at, "drifted_windows": list(self.drifted_windows)}


def look(settings: Settings, storage: Storage, label_set: str) -> Facts:
    """Gather what the rule looks at. ``data_set`` and ``drift`` are read as they are: they are made later.

    Raises:
        TableError: there are no labels yet.
    """
    try:
        now = _candidates(settings, storage, label_set)
    except ModelingError as error:
        return Facts(0, 0, 0, "", storage.has_table("data_set", (label_set,)), problem=str(error))
    before = pd.DataFrame(columns=["image_id", "main", "subs", "window"])
    if storage.has_table("data_set", (label_set,)):
        before = storage.read_table("data_set", (label_set,)).to_pandas()
    old, new = _answers(before), _answers(now)
    drifted, named = _drifted(storage, label_set), _named_windows(storage, label_set)
    return Facts(
        images=len(new),
        new_labels=sum(old.get(image_id) != answer for image_id, answer in new.items()),
        gone=len(old.keys() - new.keys()),
        version=hashlib.sha256(json.dumps(sorted(new.items())).encode()).hexdigest(),
        had_data_set=storage.has_table("data_set", (label_set,)),
        last_data_set=str(before["window"].max()) if len(before) else None,
        last_request=_last_request(storage, label_set),
        drifted_windows=tuple(window for window in drifted if window not in named),
        drifted_before=tuple(window for window in drifted if window in named),
    )


def decide_training(facts: Facts, rule: RetrainingSettings, now: datetime, *, person: bool, waiting: bool) -> Request:
    """Return whether a training is due; every reason that holds is named, with its numbers.

    ``person``: somebody asks, which is reason enough. ``waiting``: the last training that was asked for has not begun;
    it is not asked for a second time before 20 hours have passed.
    """
    days = None if facts.last_request is None else (now - facts.last_request) / timedelta(days=1)
    answer = Request(
        due=False,
        reason="",
        asked_by=PERSON if person else RULE,
        new_labels=facts.new_labels,
        images=facts.images,
        days=days,
        drifted_windows=facts.drifted_windows,
    )
    if person:
        return replace(answer, due=True, reason="asked for by a person")
    if facts.problem is not None:
        return replace(answer, reason=facts.problem)
    if waiting and days is not None and timedelta(days=days) < WAIT:
        return replace(answer, reason=f"the training asked for {_ago(days)} has not begun yet")
    if not facts.had_data_set:
        enough = facts.images >= rule.least_images
        reason = f"the first training: {facts.images} labelled images ({rule.least_images} are enough)"
        return replace(answer, due=enough, reason=reason if enough else f"not yet {reason}")
    reasons = _reasons(facts, rule, days)
    return replace(answer, due=bool(reasons), reason="; ".join(reasons) or _not_due(facts, rule, days))


def requests(storage: Storage, label_set: str) -> pa.Table:
    """Return the answers so far, oldest first."""
    if not storage.has_table("training_requests", (label_set,)):
        return TABLES["training_requests"].schema.empty_table()
    return storage.read_table("training_requests", (label_set,))


def note_request(context: dg.AssetExecutionContext, storage: Storage, label_set: str) -> None:
    """Say on a run that began by itself which request for a training it answers."""
    if is_by_a_person(context.run.tags):
        return
    due = [row["reason"] for row in requests(storage, label_set).select(["due", "reason"]).to_pylist() if row["due"]]
    if due:
        note_reason(context, f"{label_set}: {due[-1]}")


def _reasons(facts: Facts, rule: RetrainingSettings, days: float | None) -> list[str]:
    if facts.new_labels == 0:
        return []
    found = []
    if facts.new_labels >= rule.new_labels:
        found.append(f"{_new_labels(facts)} ({rule.new_labels} are enough)")
    if rule.days is not None and days is not None and days >= rule.days:
        found.append(
            f"{days:.0f} days since the last training ({rule.days} are enough), with {_count(facts.new_labels)}"
        )
    if rule.on_drift and facts.drifted_windows and facts.new_labels >= rule.drift_labels:
        found.append(f"{_drift(facts)}, with {_count(facts.new_labels)}")
    return found


def _not_due(facts: Facts, rule: RetrainingSettings, days: float | None) -> str:
    if facts.new_labels == 0:
        return "not due: no image has a new label" + (f" ({facts.gone} images went)" if facts.gone else "")
    parts = [f"{_new_labels(facts)} ({rule.new_labels} are needed)"]
    if rule.days is not None and days is not None:
        parts.append(f"{days:.1f} days since the last training ({rule.days} are needed)")
    if rule.on_drift and facts.drifted_windows:
        parts.append(f"{_drift(facts)}, and {rule.drift_labels} images with new labels are needed for that")
    elif rule.on_drift:
        before = ", ".join(facts.drifted_before)
        parts.append(f"a training for the drift of {before} was asked for before" if before else NO_DRIFT)
    return f"not due: {'; '.join(parts)}"


def _drift(facts: Facts) -> str:
    what = "window" if len(facts.drifted_windows) == 1 else "windows"
    return f"{what} {', '.join(facts.drifted_windows)} drifted from what the champion was trained on"


def _new_labels(facts: Facts) -> str:
    since = f"since the data set of {facts.last_data_set}" if facts.last_data_set else "so far"
    return f"{_count(facts.new_labels)} {since}"


def _count(images: int) -> str:
    return f"{images} image{'s' * (images != 1)} with {'new labels' if images != 1 else 'a new label'}"


def _ago(days: float) -> str:
    hours = days * 24
    return f"{hours:.0f} hours ago" if hours >= 2 else f"{hours * 60:.0f} minutes ago"


def _candidates(settings: Settings, storage: Storage, label_set: str) -> pd.DataFrame:
    """The images that a data set made now would have."""
    chosen = choose_labels(storage.read_table("label_frequencies"), settings.label_sets[label_set])
    inputs = [storage.read_table(name) for name in ("labels", "unique_images", "similar_pairs")]
    earlier = known_splits(storage, settings.splits)
    rows = data_set_candidates(*inputs, chosen, settings.label_sets[label_set].membership, settings.splits, earlier)
    return rows[rows["reason"].isna()]


def _answers(rows: pd.DataFrame) -> dict[str, list[str]]:
    columns = (rows["image_id"], rows["main"], rows["subs"])
    return {image_id: [main, *sorted(subs)] for image_id, main, subs in zip(*columns, strict=True)}


def _last_request(storage: Storage, label_set: str) -> datetime | None:
    times = [row["decided_at"] for row in requests(storage, label_set).to_pylist() if row["due"]]
    return times[-1] if times else None


def _named_windows(storage: Storage, label_set: str) -> set[str]:
    """The windows whose drift a due request has named, whatever became of the training."""
    return {
        window for row in requests(storage, label_set).to_pylist() if row["due"] for window in row["drifted_windows"]
    }


def _drifted(storage: Storage, label_set: str) -> tuple[str, ...]:
    """Windows that drifted, newer than all that the champion was trained on.

    None where all its images were withdrawn: there is nothing left that a window could differ from.
    """
    version = champion_version(storage, label_set)
    if version is None or not storage.has_table("drift"):
        return ()
    known = champion_data_set(storage, label_set, version)
    if known.empty:
        return ()
    newest = known["window"].max()
    rows = storage.read_table("drift", columns=["label_set", "window", "model_version", "drifted"]).to_pandas()
    rows = rows[rows["drifted"] & (rows["label_set"] == label_set) & (rows["model_version"] == version)]
    return tuple(sorted({window for window in rows["window"] if window > newest}))
