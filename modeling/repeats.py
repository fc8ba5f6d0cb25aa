"""Several trainings that differ in their seed, and the one of them that is kept to predict."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from modeling.card_files import CARD_NAME, WEIGHTS_NAME, write_whole
from modeling.checkpoints import CheckpointFile
from modeling.classifier import Progress
from modeling.leftovers import remove_leftovers
from modeling.tables import SEED_RUNS
from modeling.train import GraphReference, TrainedModel, train
from modeling.training_settings import BackboneSettings, TrainingSettings


@dataclass(frozen=True)
class TrainedModels:
    """What trainings leave: the curves (TRAINING_CURVES), a row for each seed (SEED_RUNS), the kept model's card.

    And the checkpoints, from which the same trainings would be there again at once: ``forget`` them when the model is
    where it is to stay.
    """

    curves: pa.Table
    runs: pa.Table
    card: dict[str, Any]
    checkpoints: tuple[Path, ...]

    def forget(self) -> None:
        """Remove the checkpoints."""
        for path in self.checkpoints:
            CheckpointFile(path).remove()


def train_repeats(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating] | None,
    adjacency: npt.NDArray[np.floating] | None,
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    out_dir: Path,
    progress: Progress | None = None,
    graph: GraphReference | None = None,
) -> TrainedModels:
    """Train once for each of ``training.seeds``, as ``modeling.train.train`` describes it, and keep the best model.

    ``out_dir`` gets the kept model: of the highest validation score, then the lowest validation loss, then the first
    seed. With several seeds all models stand beside it, in ``seed-<n>``; each is what a training with that seed alone
    gives. Called again, interrupted or not, seeds that are done are not trained again, until the checkpoints in
    ``cache_dir`` are removed: by ``TrainedModels.forget``, or by a training that begins two weeks later. ``progress``
    is told (batches done, of at most), over all seeds. Raises ModelingError as ``train`` does.
    """
    remove_leftovers(cache_dir)
    seeds = training.seeds
    task = (data_set, labels, word_vectors, adjacency, architecture, backbone)
    models: dict[int, TrainedModel] = {}
    for place, seed in enumerate(seeds):
        once = training.model_copy(update={"seed": seed, "repeats": 1})
        folder = out_dir if len(seeds) == 1 else out_dir / f"seed-{seed}"
        told = _part(progress, place, len(seeds))
        models[seed] = train(*task, once, image_path, cache_dir, folder, told, graph)
    kept = _best(models)
    _lay_out(out_dir, seeds, kept)
    curves = pa.concat_tables([model.curves for model in models.values()])
    runs = pa.Table.from_pylist([_run(seed, model, seed == kept) for seed, model in models.items()], schema=SEED_RUNS)
    return TrainedModels(curves, runs, models[kept].card, tuple(model.checkpoint for model in models.values()))


def _best(models: Mapping[int, TrainedModel]) -> int:
    def rank(seed: int) -> tuple[float, float]:
        validation = models[seed].card["validation"]
        return validation["mean_of_five"], -validation["loss"]

    return max(models, key=rank)  # of equals the first


def _lay_out(out_dir: Path, seeds: Sequence[int], kept: int) -> None:
    """Put the kept model on top, and take away seeds of an earlier training."""
    wanted = {f"seed-{seed}" for seed in seeds} if len(seeds) > 1 else set()
    for folder in out_dir.glob("seed-*"):
        if folder.name not in wanted:
            shutil.rmtree(folder)
    if wanted:
        for name in (WEIGHTS_NAME, CARD_NAME):
            write_whole(out_dir / name, (out_dir / f"seed-{kept}" / name).read_bytes())


def _run(seed: int, model: TrainedModel, kept: bool) -> dict[str, Any]:
    card = model.card
    return {
        "seed": seed,
        "epochs": model.curves.num_rows,
        "best_epoch": card["best_epoch"],
        "validation_score": card["validation"]["mean_of_five"],
        "validation_loss": card["validation"]["loss"],
        "temperature": card["calibration"]["temperature"],
        "kept": kept,
    }


def _part(progress: Progress | None, place: int, count: int) -> Progress | None:
    """Progress of one training as a part of all of them, which are of one size."""
    if progress is None:
        return None
    return lambda done, total: progress(place * total + done, count * total)
