"""Labels with calibrated probabilities for pictures.

The whole of it::

    from modeling.predict import load_model

    predictor = load_model(folder)  # of card.json and model.safetensors; device="auto", "cpu", "cuda" or "cuda:1"
    predictor.predict(["a.jpg", image])  # [{"Casual": 0.83, "Romantic": 0.41, ...}, ...], the most probable first
    predictor.probabilities(paths)  # (N, C) float32, columns as predictor.labels
    for prediction in predictor.stream("folder"):  # or any iterable of paths and PIL images, of any length
        print(prediction.path, prediction.error or prediction.labels)  # labels at or above their thresholds
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modeling.architectures import display_title
from modeling.calibration import calibrated
from modeling.errors import ModelingError
from modeling.label_sets import data_set_version
from modeling.model_files import load_model, seed_folders
from modeling.predictor import Prediction, Predictor, all_logits
from modeling.tables import SCORES

__all__ = ["Prediction", "Predictor", "load_model", "score", "score_seeds", "score_unseen"]

Progress = Callable[[int, int], None]
SCORED_SPLITS = ("validation", "test")


def score(
    predictor: Predictor,
    data_set: pd.DataFrame,
    image_path: Callable[[str], Path],
    progress: Progress | None = None,
) -> pa.Table:
    """Score the validation and test images of a DATA_SET; return a SCORES table, sorted by split and image.

    ``progress`` is told (images done, of how many). Raises ModelingError for a picture that can't be read, and for a
    model that was trained on another data set: its train images may be test images of this one.
    """
    return _scores({int(predictor.card["seed"]): predictor}, data_set, image_path, progress)


def score_seeds(
    folder: Path,
    data_set: pd.DataFrame,
    image_path: Callable[[str], Path],
    device: str = "auto",
    progress: Progress | None = None,
) -> pa.Table:
    """Score with the model of every seed in a model's folder, as ``score`` does; rows are sorted by seed first.

    All networks are in memory together, so that each picture is decoded once. Raises ModelingError as ``load_model``
    and ``score`` do, and when the seeds' models do not belong together.
    """
    return _scores(_seeds_of(folder, device), data_set, image_path, progress)


def score_unseen(
    folder: Path,
    rows: pd.DataFrame,
    image_path: Callable[[str], Path],
    device: str = "auto",
    progress: Progress | None = None,
) -> pa.Table:
    """Score images of another DATA_SET than the model's own, with the model of every seed; as ``score_seeds``.

    ``rows`` must be images that had no part in the model's training: nothing here can tell.
    ``modeling.promotion.common_test_images`` finds them. Labels of the rows need not be those that the model knows.
    """
    return _scored(_seeds_of(folder, device), rows, image_path, progress)


def _seeds_of(folder: Path, device: str) -> dict[int, Predictor]:
    predictors = {seed: load_model(path, device) for seed, path in seed_folders(folder).items()}
    if len({(tuple(predictor.labels), predictor.card["data_set_version"]) for predictor in predictors.values()}) > 1:
        raise ModelingError(f"{folder}: the seeds differ in labels or data_set_version: train all seeds again")
    return predictors


def _scores(
    predictors: Mapping[int, Predictor],
    data_set: pd.DataFrame,
    image_path: Callable[[str], Path],
    progress: Progress | None,
) -> pa.Table:
    card = next(iter(predictors.values())).card
    if card["data_set_version"] != data_set_version(data_set):
        title = display_title(card["architecture"], card["backbone"]["name"])
        raise ModelingError(f"the model {title} was trained on another data set: train it again")
    return _scored(predictors, data_set[data_set["split"].isin(SCORED_SPLITS)], image_path, progress)


def _scored(
    predictors: Mapping[int, Predictor],
    rows: pd.DataFrame,
    image_path: Callable[[str], Path],
    progress: Progress | None,
) -> pa.Table:
    first, *others = predictors.values()
    rows = rows.sort_values(["split", "image_id"], kind="stable")
    paths = [image_path(file_id) for file_id in rows["file_id"]]

    def told(done: int) -> None:
        if progress is not None:
            progress(done, len(paths))

    logits = all_logits(first.with_others(others), paths, told)
    return pa.concat_tables(
        _table(seed, predictor, rows, logits[place]) for place, (seed, predictor) in enumerate(predictors.items())
    )


def _table(seed: int, predictor: Predictor, rows: pd.DataFrame, logits: npt.NDArray[np.float32]) -> pa.Table:
    columns: dict[str, Sequence[Any]] = {
        "seed": [seed] * len(rows),
        "image_id": rows["image_id"].tolist(),
        "split": rows["split"].tolist(),
        "group_id": rows["group_id"].tolist(),
        "main": rows["main"].tolist(),
        "subs": [list(subs) for subs in rows["subs"]],
        "labels": [predictor.labels] * len(rows),
        "scores": calibrated(logits, predictor.temperature).tolist(),
        "logits": logits.tolist(),
    }
    return pa.table(columns, schema=SCORES)
