"""The champions' answers for the images of a crawl window: those that are there are taken over, the others scored."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.champions import champion_path, champion_version
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TABLES

if TYPE_CHECKING:
    from modeling.predictor import Predictor

TABLE = "style_predictions"
NOT_READ = "not_read_images"  # in the metadata of a window: image_ids that have no row since nobody can read them
BY_VERSIONS = "by_versions"  # in the metadata of a window: label set -> version of the champion that answered
KEYS = ["label_set", "image_id", "model_version"]


@dataclass(frozen=True)
class WindowAnswers:
    """What was done about one window."""

    rows: int
    scored: int
    taken_over: int
    version: str  # hash of what was answered by whom, which decides the answers
    unreadable: tuple[str, ...] = ()  # why pictures could not be read; they have no row
    unreadable_ids: tuple[str, ...] = ()  # of the same pictures
    fresh: pa.Table | None = None  # the new rows; None where nothing was scored


@dataclass
class Champions:
    """The champions of all label sets as they are at the start of a run, each loaded when it is first needed."""

    settings: Settings
    storage: Storage
    versions: dict[str, str] = field(default_factory=dict)
    _loaded: "dict[str, Predictor]" = field(default_factory=dict)

    @classmethod
    def now(cls, settings: Settings, storage: Storage) -> "Champions":
        """Return the champions of now; label sets without one are left out."""
        found = {name: champion_version(storage, name) for name in settings.label_sets}
        return cls(settings, storage, {name: version for name, version in found.items() if version is not None})

    def predictor(self, label_set: str) -> "Predictor":
        """Return a label set's champion, ready to predict. Raises ModelingError when its files can't be used."""
        from modeling.predict import load_model  # brings torch

        if label_set not in self._loaded:
            folder = champion_path(self.storage, label_set, self.versions[label_set])
            self._loaded[label_set] = load_model(folder, self.settings.training.device)
        return self._loaded[label_set]


def wanted_images(storage: Storage, windows: Sequence[str]) -> dict[str, pd.Series]:
    """Return, by window, the file to look at of each unique image first seen in it, by ``image_id`` in order."""
    columns = ["image_id", "window", "best_image_id", "kept"]
    unique = storage.read_table("unique_images", columns=columns)
    inside = pc.and_(unique.column("kept"), pc.is_in(unique.column("window"), pa.array(windows, pa.string())))
    frame = unique.filter(inside).to_pandas().sort_values("image_id", kind="stable")
    by_window = {str(key): rows.set_index("image_id")["best_image_id"] for key, rows in frame.groupby("window")}
    nothing = pd.Series([], index=pd.Index([], dtype=object), dtype=object)
    return {window: by_window.get(window, nothing) for window in windows}


def answer_window(
    storage: Storage, champions: Champions, window: str, wanted: pd.Series, progress: Callable[[int], None]
) -> WindowAnswers:
    """Bring one window's table up to date, and say what was done; nothing is written where it is already.

    ``wanted`` is the window's part of ``wanted_images``; ``progress`` is told the pictures looked at. Rows of other
    champions, and of images that are no longer unique, go. Raises ModelingError when a champion can't be used.
    """
    known = _known(storage, window)
    keep, missing = _compare(known, champions.versions, wanted)
    parts: list[pa.Table] = []
    errors: list[str] = []
    unread: list[str] = []
    for place, (label_set, image_ids) in enumerate(missing.items()):
        told = partial(_tell, progress, place * len(wanted))
        table, failed = _score(storage, champions, label_set, window, wanted.loc[image_ids], told)
        parts.append(table)
        errors += failed.values()
        unread += failed
    fresh = pa.concat_tables(parts) if parts else None
    if not storage.has_table(TABLE, (window,)) or fresh is not None or not keep.all():
        taken = storage.read_table(TABLE, (window,)).filter(pa.array(keep)) if keep.any() else _empty()
        table = pa.concat_tables([taken, *parts]).sort_by([("label_set", "ascending"), ("image_id", "ascending")])
        storage.write_table(TABLE, table, (window,))
        known = table.select(KEYS).to_pandas()
    new = 0 if fresh is None else fresh.num_rows
    ids = tuple(dict.fromkeys(unread))
    return WindowAnswers(len(known), new, int(keep.sum()), _version(known), tuple(errors), ids, fresh)


def _known(storage: Storage, window: str) -> pd.DataFrame:
    if not storage.has_table(TABLE, (window,)):
        return pd.DataFrame(columns=KEYS, dtype=object)
    frame: pd.DataFrame = storage.read_table(TABLE, (window,), KEYS).to_pandas()
    return frame


def _compare(
    known: pd.DataFrame, versions: Mapping[str, str], wanted: pd.Series
) -> tuple["np.ndarray[Any, np.dtype[np.bool_]]", dict[str, list[str]]]:
    """Which rows stay, and which images of which label set have none."""
    by_champion = known["label_set"].map(versions) == known["model_version"]
    keep = (by_champion & known["image_id"].isin(wanted.index)).to_numpy(dtype=bool)
    stays = known[keep]
    missing = {}
    for label_set in versions:
        answered = set(stays.loc[stays["label_set"] == label_set, "image_id"])
        image_ids = [image_id for image_id in wanted.index if image_id not in answered]
        if image_ids:
            missing[label_set] = image_ids
    return keep, missing


def _score(
    storage: Storage,
    champions: Champions,
    label_set: str,
    window: str,
    wanted: pd.Series,
    progress: Callable[[int], None],
) -> tuple[pa.Table, dict[str, str]]:
    """The rows of images that have none, and why some could not be read, by ``image_id``."""
    predictor = champions.predictor(label_set)
    image_ids = iter(wanted.index)
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    done = 0
    for batch in predictor.describe(_paths(storage, wanted)):
        answers = zip(batch.probabilities, batch.embeddings, strict=True)
        for error in batch.errors:
            image_id, done = next(image_ids), done + 1
            if error is not None:
                failed[image_id] = error
                continue
            probabilities, embedding = next(answers)
            row = {"label_set": label_set, "image_id": image_id, "window": window}
            row |= {"model_version": champions.versions[label_set], "labels": predictor.labels}
            rows.append(row | _answer(predictor, probabilities) | {"embedding": embedding})
        progress(done)
    return pa.Table.from_pylist(rows, TABLES[TABLE].schema), failed


def _answer(predictor: "Predictor", probabilities: "np.ndarray[Any, np.dtype[np.float32]]") -> dict[str, Any]:
    """Main label, the sub labels above their thresholds, and the probabilities."""
    first = int(probabilities.argmax())
    chosen = [place for place in np.flatnonzero(probabilities >= predictor.thresholds) if place != first]
    return {
        "main": predictor.labels[first],
        "subs": [predictor.labels[place] for place in chosen],
        "probabilities": probabilities,
    }


def _paths(storage: Storage, wanted: pd.Series) -> Iterator[Path]:
    for file_id in wanted:
        try:
            yield storage.image_path(file_id)
        except FileNotFoundError:  # on remote storage; a path that is not there says so as a local one does
            yield storage.scratch / storage.image_key(file_id)


def _tell(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


def _version(known: pd.DataFrame) -> str:
    rows = known.sort_values(KEYS)
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()


def _empty() -> pa.Table:
    return TABLES[TABLE].schema.empty_table()
