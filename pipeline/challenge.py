"""The best new model of a label set against its champion, on test images that neither of them was trained on."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from modeling.label_sets import data_set_version
from modeling.promotion import Decision, common_test_images, decide, promotion_row
from pipeline.best_model import model_card
from pipeline.champions import (
    card_version,
    champion_card,
    champion_data_set,
    champion_path,
    champion_version,
    last_decision,
    promote,
    promotions,
    record,
)
from pipeline.judged import judged_scores
from pipeline.progress import Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError

COMPARED = [  # columns of a row that make it another decision than the one before
    "decision",
    "rule",
    "challenger",
    "champion_before",
    "champion",
    "data_set_version",
    "challenger_value",
    "champion_value",
]


class NoChallengerError(TableError):
    """No model was trained and evaluated on the data set as it is now, as after a withdrawal until a training."""


@dataclass(frozen=True)
class Challenger:
    """The best model that was trained on the data set as it is now."""

    architecture: str
    version: str
    folder: Path


@dataclass(frozen=True)
class Challenge:
    """How a challenge ended: what was decided, the champion now, and both models' scores of the common test images."""

    decision: str  # as in PROMOTIONS; unchanged where the challenger is the champion
    reason: str
    champion: str | None
    recorded: bool  # a row was added to the history
    scores: pd.DataFrame | None = None  # SCORES of the challenger
    champion_scores: pd.DataFrame | None = None


def find_challenger(settings: Settings, storage: Storage, label_set: str) -> Challenger:
    """Return the model with the highest mean of the five recalls on the validation split, by what its card says.

    Only models of the data set as it is now have a part, and only those that were evaluated.

    Raises:
        NoChallengerError: there is none.
        ModelingError: a card can't be read.
    """
    version = data_set_version(storage.read_table("data_set", (label_set,)))
    found: dict[str, tuple[float, str]] = {}
    for architecture in settings.architectures:
        try:
            card = model_card(storage, label_set, architecture)
        except TableError:  # not trained yet
            continue
        value = _validation_score(card)
        if card["data_set_version"] == version and value is not None:
            found[architecture] = value, card_version(card)
    if not found:
        raise NoChallengerError(
            f"no model of {label_set} was trained on its data set as it is now and evaluated: materialize `model` and "
            "what follows from it, or run `stylegraph run`"
        )
    best = max(found, key=lambda name: found[name][0])  # of equals the first in the settings
    return Challenger(best, found[best][1], storage.model_path(label_set, best))


def challenge(settings: Settings, storage: Storage, label_set: str, now: datetime, progress: Step) -> Challenge:
    """Decide whether the best new model becomes champion, write the decision down, and act on it.

    The caller holds ``champions_lock`` and has settled what a killed run left. The same challenger against the same
    champion on the same images is one decision: its row is not written twice.

    Raises:
        TableError, ModelingError: there is neither a challenger nor a champion, or a model's files can't be used.
    """
    before = champion_version(storage, label_set)
    try:
        challenger = find_challenger(settings, storage, label_set)
    except NoChallengerError as error:
        if before is None:
            raise
        return Challenge("unchanged", f"{before} stays champion: {error}", before, recorded=False)
    if challenger.version == before:
        return Challenge("unchanged", f"{before} is the best model and the champion already", before, recorded=False)
    data_set = storage.read_table("data_set", (label_set,)).to_pandas()
    known = None if before is None else champion_data_set(storage, label_set, before)
    common = common_test_images(data_set, *([] if known is None else [known]))
    ours = _test_scores(settings, storage, (label_set, challenger.architecture), common)
    theirs = None
    if before is not None:
        rows = data_set[data_set["image_id"].isin(set(ours["image_id"]))]
        theirs = _champion_scores(settings, storage, label_set, before, rows, progress)
    decision = decide(
        ours,
        theirs,
        settings.promotion,
        settings.evaluation.resamples,
        settings.evaluation.seed,
        newest=(_newest(data_set), None if known is None else _newest(known)),
        versions=(challenger.version, before),
        history=promotions(storage, label_set).to_pandas(),
    )
    row = decision.row(
        decided_at=now,
        challenger=challenger.version,
        champion_before=before,
        data_set_version=data_set_version(data_set),
    )
    recorded = _act(storage, label_set, challenger, decision, row)
    return Challenge(decision.decision, decision.reason, row["champion"], recorded, ours, theirs)


def _act(storage: Storage, label_set: str, challenger: Challenger, decision: Decision, row: dict[str, Any]) -> bool:
    if decision.promoted:
        promote(storage, label_set, challenger.folder, challenger.version)
    last = last_decision(storage, label_set)
    if last is not None and all(last[name] == row[name] for name in COMPARED):
        return False
    record(storage, label_set, row)
    return True


def _test_scores(settings: Settings, storage: Storage, partition: tuple[str, str], common: set[str]) -> pd.DataFrame:
    scores: pd.DataFrame = judged_scores(settings, storage, partition).to_pandas()
    return scores[(scores["split"] == "test") & scores["image_id"].isin(common)]


def _champion_scores(
    settings: Settings, storage: Storage, label_set: str, version: str, rows: pd.DataFrame, progress: Step
) -> pd.DataFrame:
    """The champion's SCORES of rows of the data set as it is now; labels and groups are the ones of now."""
    from modeling.predict import score_unseen  # brings torch

    folder = champion_path(storage, label_set, version)
    table: pa.Table = score_unseen(folder, rows, storage.image_path, settings.training.device, progress)
    return table.to_pandas()


def _newest(data_set: pd.DataFrame) -> str | None:
    return None if data_set.empty else str(data_set["window"].max())


def _validation_score(card: dict[str, Any]) -> float | None:
    """The mean of the five recalls on the validation split; None of a model that was not evaluated since it was
    trained."""
    try:
        value: float | None = card["metrics"]["validation"]["overall"]["mean5"]["value"]
    except KeyError:
        return None
    return value


def roll_back(storage: Storage, label_set: str, to: str, now: datetime) -> Challenge:
    """Make a version champion that was it before, because a person says so; where it is already, nothing is written.

    Raises:
        TableError: the label set has no such version.
        ModelingError: the card of the version can't be read.
    """
    champion_card(storage, label_set, to)  # raises where it is not there
    before = champion_version(storage, label_set)
    if before == to:
        return Challenge("unchanged", f"{to} is the champion of {label_set} already", to, recorded=False)
    reason = f"a person put {to} back in the place of {before}"
    row = promotion_row(
        decided_at=now, decision="rolled_back", rule="person", reason=reason, champion_before=before, champion=to
    )
    record(storage, label_set, row)
    return Challenge("rolled_back", reason, to, recorded=True)
