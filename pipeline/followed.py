"""The label sets that trends and drift follow over the windows, as the data location has them now."""

import pandas as pd
import pyarrow as pa

from modeling.errors import ModelingError
from modeling.following import FollowedSet, Read
from modeling.label_sets import choose_labels
from pipeline.champions import champion_card, champion_data_set, champion_version
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

CHOSEN_BY_NO_MODEL = (
    "newest",
    "random",
)  # of queued_tasks.chosen_as: what experts answered says nothing of predictions
LIGHT = ["label_set", "image_id", "window", "model_version", "main", "subs", "labels", "probabilities"]


def followed_sets(settings: Settings, storage: Storage) -> tuple[list[FollowedSet], list[str]]:
    """Return the label sets, and a line on each that cannot be followed yet, or has other labels than its champion.

    A label set with a champion has the champion's labels: today's, which the next training takes, may be others, as
    where the ranking of two rare labels turned, and nobody has predicted those.

    Raises:
        TableError: a champion's inputs are gone.
        ModelingError: a champion's card can't be read.
    """
    answered, sets, notes = _models_that_answered(settings, storage), [], []
    for name, label_set in settings.label_sets.items():
        champion = champion_version(storage, name)
        known = champion_card(storage, name, champion)["labels"] if champion else None
        try:
            labels = choose_labels(storage.read_table("label_frequencies"), label_set)
        except ModelingError as error:
            notes.append(str(error))
            labels = []
        if known and labels and set(known) != set(labels):
            notes.append(f"{name}: followed with its champion's labels ({', '.join(known)}) until the next champion")
        if not (known or labels):
            continue
        versions = answered.get(name, set()) | ({champion} if champion else set())
        trained_on = {version: champion_data_set(storage, name, version) for version in sorted(versions)}
        current: pd.DataFrame | None = None
        if storage.has_table("data_set", (name,)):
            current = storage.read_table("data_set", (name,)).to_pandas()
        followed = tuple(known or labels)
        sets.append(FollowedSet(name, followed, label_set.membership, champion, trained_on, current))
    return sets, notes


def reader(storage: Storage, *, embeddings: bool) -> Read:
    """Return a function that reads a window's predictions, with or without the embeddings."""

    def read(window: str) -> pa.Table | None:
        if not storage.has_table("style_predictions", (window,)):
            return None
        return storage.read_table("style_predictions", (window,), None if embeddings else LIGHT)

    return read


def representative_images(storage: Storage) -> set[str] | None:
    """Return the images whose labelling no prediction had a part in choosing; None where that holds for all."""
    if not storage.has_table("queued_tasks"):
        return None
    rows = storage.read_table("queued_tasks", columns=["image_id", "chosen_as"]).to_pandas()
    return set(rows.loc[rows["chosen_as"].isin(CHOSEN_BY_NO_MODEL), "image_id"])


def _models_that_answered(settings: Settings, storage: Storage) -> dict[str, set[str]]:
    """The versions of each label set's models that stand in the predictions of any window."""
    found: dict[str, set[str]] = {}
    for window in window_keys(settings.windows):
        if storage.has_table("style_predictions", (window,)):
            rows = storage.read_table("style_predictions", (window,), ["label_set", "model_version"])
            pairs = rows.group_by(["label_set", "model_version"]).aggregate([]).to_pylist()
            for pair in pairs:
                found.setdefault(pair["label_set"], set()).add(pair["model_version"])
    return found
