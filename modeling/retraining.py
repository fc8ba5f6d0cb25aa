"""Held-out scores by networks that are trained anew for each fold: dear, and honest for features too."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from modeling.architectures import display_title
from modeling.held_out import Bools, HeldOutScores, group_folds, judged_labels
from modeling.model_files import load_model
from modeling.train import train
from modeling.training_settings import BackboneSettings, TrainingSettings

VALIDATION_PART = 8  # one of so many parts of what a network may see chooses its epoch

Progress = Callable[[int, int], None]


def retrained_scores(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    folds: int,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None = None,
) -> HeldOutScores:
    """Train ``architecture`` once for each fold on the other folds, with the run's own settings, and score the fold.

    Of any architecture but ``ml_gcn``. Only labels that are judged as main label take part; images with another main
    label have no scores. The probability of a main label is the label's share of the sum of the image's
    probabilities. Everything written goes to a temporary folder in ``cache_dir``. ``progress`` is told (batches done,
    of about). Raises ModelingError as training does.
    """
    judged, _ = judged_labels(data_set, labels)
    taught = [label for label, enough in zip(labels, judged, strict=True) if enough]
    main, carried = (np.full((len(data_set), len(labels)), np.nan) for _ in range(2))
    by = f"{display_title(architecture, backbone.name)} trained anew for each of {folds} folds"
    inside = data_set["main"].isin(taught).to_numpy()
    rows = data_set[inside].reset_index(drop=True)
    rows["subs"] = [[sub for sub in subs if sub in taught] for subs in rows["subs"]]
    fold_of = group_folds(rows, folds)
    count = int(fold_of.max(initial=0)) + 1
    if count < 2:
        return HeldOutScores(main, carried, by)
    scores = np.zeros((len(rows), len(taught)))
    task = (architecture, backbone, training, image_path)
    for fold in range(count):
        with tempfile.TemporaryDirectory(dir=_made(cache_dir), prefix="fold-") as name:
            told = _part(progress, fold, count)
            scores[fold_of == fold] = _fold_scores(rows, fold_of == fold, taught, *task, Path(name), told)
    columns = np.flatnonzero(judged)
    carried[np.ix_(inside, columns)] = scores
    main[inside] = 0.0
    main[np.ix_(inside, columns)] = scores / np.maximum(scores.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    return HeldOutScores(main, carried, by)


def _fold_scores(
    rows: pd.DataFrame,
    held_out: Bools,
    labels: Sequence[str],
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    folder: Path,
    progress: Progress | None,
) -> npt.NDArray[np.float32]:
    """Train on the rows that are not held out, and return the probabilities of those that are: (n, C)."""
    split, out = _with_splits(rows, held_out), folder / "model"
    train(split, labels, None, None, architecture, backbone, training, image_path, folder / "cache", out, progress)
    paths = [image_path(file_id) for file_id in rows["file_id"][held_out]]
    return load_model(out, training.device).probabilities(paths)


def _with_splits(rows: pd.DataFrame, held_out: Bools) -> pd.DataFrame:
    """The rows with the fold as test split, and a part of the other groups as validation split."""
    split = np.full(len(rows), "test", dtype=object)
    split[~held_out] = np.where(group_folds(rows[~held_out], VALIDATION_PART) == 0, "validation", "train")
    return rows.assign(split=split)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _part(progress: Progress | None, place: int, count: int) -> Progress | None:
    """Progress of one training as a part of all of them, which are of about one size."""
    return None if progress is None else lambda done, total: progress(place * total + done, count * total)
