import json
import os
from pathlib import Path

import pytest

from modeling.card_files import CARD_NAME, WEIGHTS_NAME, seed_folders
from modeling.model_files import load_model
from modeling.repeats import TrainedModels, train_repeats
from modeling.tables import SEED_RUNS, TRAINING_CURVES
from modeling.train import train
from modeling.training_settings import TrainingSettings
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case

THREE = QUICK.model_copy(update={"seed": 4, "repeats": 3})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


def arguments(case: Case, training: TrainingSettings, folder: Path, out: str) -> tuple:
    where = (case.image_path, folder / "cache", folder / out)
    return (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "basic_cnn", FROM_SCRATCH, training, *where)


@pytest.fixture(scope="module")
def three(case: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedModels, list[tuple[int, int]]]:
    folder = tmp_path_factory.mktemp("three")
    told: list[tuple[int, int]] = []
    models = train_repeats(*arguments(case, THREE, folder, "model"), lambda *done: told.append(done))
    return folder, models, told


def test_each_seed_is_a_training_of_its_own(case: Case, tmp_path: Path, three):
    folder, models, _ = three
    for seed in (4, 5, 6):
        alone = QUICK.model_copy(update={"seed": seed})
        train(*arguments(case, alone, tmp_path, f"alone-{seed}"))
        for name in (WEIGHTS_NAME, CARD_NAME):
            written = (folder / "model" / f"seed-{seed}" / name).read_bytes()
            assert written == (tmp_path / f"alone-{seed}" / name).read_bytes()
    assert models.curves.schema == TRAINING_CURVES
    assert models.curves["seed"].to_pylist() == [4, 4, 5, 5, 6, 6]


def test_the_best_seed_on_the_validation_split_is_kept(three):
    folder, models, _ = three
    assert models.runs.schema == SEED_RUNS
    runs = models.runs.to_pylist()
    assert [run["seed"] for run in runs] == [4, 5, 6]
    best = max(runs, key=lambda run: (run["validation_score"], -run["validation_loss"], -run["seed"]))
    assert [run["seed"] for run in runs if run["kept"]] == [best["seed"]]
    for name in (WEIGHTS_NAME, CARD_NAME):
        kept = folder / "model" / f"seed-{best['seed']}" / name
        assert (folder / "model" / name).read_bytes() == kept.read_bytes()
    card = json.loads((folder / "model" / CARD_NAME).read_text())
    assert card["seed"] == models.card["seed"] == best["seed"]
    assert card["training"]["repeats"] == 1
    assert card["validation"] == {"mean_of_five": best["validation_score"], "loss": best["validation_loss"]}
    assert card["calibration"]["temperature"] == best["temperature"]
    assert card["best_epoch"] == best["best_epoch"]
    assert load_model(folder / "model", "cpu").labels == LABELS


def test_the_folder_is_the_one_that_seed_folders_reads(three):
    folder, _, _ = three
    assert seed_folders(folder / "model") == {seed: folder / "model" / f"seed-{seed}" for seed in (4, 5, 6)}


def test_progress_counts_the_batches_of_all_seeds(three):
    _, _, told = three
    assert told == [(batch, 18) for batch in range(1, 19)]


def test_nothing_is_trained_again_until_the_checkpoints_are_forgotten(case: Case, tmp_path: Path):
    """A model that was lost on the way to its place is there again at once; of others nothing is removed."""
    first = train_repeats(*arguments(case, THREE, tmp_path, "lost"))
    folder = tmp_path / "cache" / "checkpoints"
    assert sorted(first.checkpoints) == sorted(folder.iterdir())
    told: list[int] = []
    again = train_repeats(*arguments(case, THREE, tmp_path, "model"), lambda done, total: told.append(done))
    assert told == [6, 12, 18]
    assert (tmp_path / "model" / WEIGHTS_NAME).read_bytes() == (tmp_path / "lost" / WEIGHTS_NAME).read_bytes()
    (folder / "other.safetensors").write_bytes(b"of another training")
    again.forget()
    again.forget()
    assert [path.name for path in folder.iterdir()] == ["other.safetensors"]


def test_what_was_abandoned_is_removed_when_a_training_begins(case: Case, tmp_path: Path):
    old = tmp_path / "cache" / "checkpoints" / "abandoned.safetensors"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of a training that nobody went on with")
    os.utime(old, (0, 0))
    models = train_repeats(*arguments(case, QUICK.model_copy(update={"epochs": 1}), tmp_path, "model"))
    assert list(old.parent.iterdir()) == list(models.checkpoints)


def test_with_one_seed_there_is_one_model(case: Case, tmp_path: Path, three):
    """Also where there were several before."""
    folder, _, _ = three
    before = tmp_path / "model" / "seed-9"
    before.mkdir(parents=True)
    (before / WEIGHTS_NAME).write_bytes(b"of an earlier training")
    models = train_repeats(*arguments(case, QUICK.model_copy(update={"seed": 4}), tmp_path, "model"))
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == [CARD_NAME, WEIGHTS_NAME]
    assert (tmp_path / "model" / WEIGHTS_NAME).read_bytes() == (folder / "model" / "seed-4" / WEIGHTS_NAME).read_bytes()
    assert models.runs["kept"].to_pylist() == [True]


def test_seeds_that_are_done_are_not_trained_again(case: Case, tmp_path: Path, three):
    class StopHereError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 14:
            raise StopHereError

    with pytest.raises(StopHereError):
        train_repeats(*arguments(case, THREE, tmp_path, "model"), stop)
    told: list[int] = []
    train_repeats(*arguments(case, THREE, tmp_path, "model"), lambda done, total: told.append(done))
    assert told == [6, 12, 13, 14, 15, 16, 17, 18]
    folder, _, _ = three
    for name in ("seed-4", "seed-5", "seed-6", "."):
        written, expected = tmp_path / "model" / name, folder / "model" / name
        assert (written / WEIGHTS_NAME).read_bytes() == (expected / WEIGHTS_NAME).read_bytes()
