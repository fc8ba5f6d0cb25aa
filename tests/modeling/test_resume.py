from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.checkpoints import CheckpointFile, TrainingState
from modeling.networks.backbones import classification_model
from modeling.repeats import train_repeats
from modeling.train import TrainedModel, train
from modeling.training_settings import BackboneSettings, Stage, TrainingSettings
from tests.modeling.children import finished, killed
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case

BATCHES = 3  # of an epoch: 24 train images, 8 at a time
EVERYTHING = QUICK.model_copy(
    update={
        "epochs": 4,
        "zoom": 0.1,
        "dropout": 0.2,
        "ema": 0.7,
        "gradient_clip": 1.0,
        "warmup": 0.3,
        "weight_decay": 1e-4,
        "schedule": "step",
        "step_epochs": (2,),
    }
)


class StopHereError(Exception):
    pass


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> BackboneSettings:
    torch.manual_seed(4)
    path = tmp_path_factory.mktemp("weights") / "features.safetensors"
    state = classification_model(FROM_SCRATCH.name, (32, 32)).state_dict()
    save_file({key: value for key, value in state.items() if key.startswith("features.")}, path)
    return BackboneSettings(name=FROM_SCRATCH.name, weights=str(path), trainable=2)


class Training:
    """A training that can be stopped behind a batch and run again."""

    def __init__(self, case: Case, folder: Path, architecture: str, backbone: BackboneSettings, training) -> None:
        self.arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, architecture, backbone, training)
        self.places = (case.image_path, folder / "cache", folder / "model")
        self.folder = folder
        self.told: list[int] = []

    def run(self, stop: int | None = None) -> TrainedModel:
        self.told = []

        def progress(done: int, total: int) -> None:
            self.told.append(done)
            if done == stop:
                raise StopHereError

        return train(*self.arguments, *self.places, progress)

    def stopped(self, stop: int) -> TrainingState:
        """Run up to a batch; return what the checkpoint says then."""
        with pytest.raises(StopHereError):
            self.run(stop)
        (path,) = (self.folder / "cache" / "checkpoints").iterdir()
        state = CheckpointFile(path).read()
        assert state is not None
        return state


def timeless(curves: pa.Table) -> pa.Table:
    return curves.drop_columns(["seconds"])


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("architecture", ["basic_cnn", "ml_gcn"])
def test_a_training_goes_on_from_its_last_epoch(case: Case, tmp_path: Path, architecture: str):
    undisturbed = Training(case, tmp_path / "undisturbed", architecture, FROM_SCRATCH, EVERYTHING)
    expected = undisturbed.run()
    training = Training(case, tmp_path / "stopped", architecture, FROM_SCRATCH, EVERYTHING)
    for epoch in range(4):
        stop = epoch * BATCHES + 1 + epoch % BATCHES
        with pytest.raises(StopHereError):
            training.run(stop)
        assert training.told[0] == max(0, epoch - 1) * BATCHES + 1
    model = training.run()
    assert files(tmp_path / "stopped" / "model") == files(tmp_path / "undisturbed" / "model")
    assert timeless(model.curves).equals(timeless(expected.curves))


def test_a_finished_training_is_not_trained_again(case: Case, tmp_path: Path):
    settings = QUICK.model_copy(update={"patience": 1, "epochs": 30})
    training = Training(case, tmp_path, "basic_cnn", FROM_SCRATCH, settings)
    first = training.run()
    assert training.told[-1] == 30 * BATCHES
    assert len(training.told) == first.curves.num_rows * BATCHES + 1
    before = files(tmp_path / "model")
    first.weights.unlink()
    second = training.run()
    assert training.told == [30 * BATCHES]
    assert files(tmp_path / "model") == before
    assert second.curves.equals(first.curves)


def test_other_settings_start_anew(case: Case, tmp_path: Path):
    Training(case, tmp_path, "basic_cnn", FROM_SCRATCH, QUICK).stopped(4)
    for more in ({"label_learning_rate": 2e-2}, {"seed": 1}, {"threads": 2}):
        other = Training(case, tmp_path, "basic_cnn", FROM_SCRATCH, QUICK.model_copy(update=more))
        with pytest.raises(StopHereError):
            other.run(1)
        assert other.told == [1]
    fewer = case.data_set[case.data_set["image_id"] != "000"]
    other = Training(Case(fewer, case.image_path), tmp_path, "basic_cnn", FROM_SCRATCH, QUICK)
    with pytest.raises(StopHereError):
        other.run(1)
    assert other.told == [1]


def test_stages_unfreeze_block_by_block(case: Case, tmp_path: Path, pretrained: BackboneSettings):
    """Head, then the last block, then two: what is not trained yet keeps its weights and its statistics."""
    stages = tuple(Stage(epochs=1, trainable=depth) for depth in ("head", 1, 2))
    settings = TrainingSettings(**{**QUICK.model_dump(), "stages": stages})
    training = Training(case, tmp_path, "backbone", pretrained.model_copy(update={"trainable": "all"}), settings)
    states = [training.stopped(epoch * BATCHES + 1) for epoch in (1, 2)]
    model = training.run()
    last = CheckpointFile(model.checkpoint).read()
    assert last is not None
    head, one, two = (state.network for state in (*states, last))

    def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor], part: str) -> bool:
        names = [name for name in after if name.startswith(part)]
        assert any(name.endswith("running_mean") for name in names) or part == "head."
        return any(not torch.equal(before[name], after[name]) for name in names)

    start = {f"image_branch.trained.{number}.": f"features.{11 + number}." for number in (0, 1)}
    state = load_file(pretrained.weights)
    first = {name: state[start[name[:23]] + name[23:]] for name in head if name.startswith("image_branch")}
    assert not changed(first, head, "image_branch.")
    assert changed(head, one, "head.")
    assert changed(head, one, "image_branch.trained.1.")
    assert not changed(head, one, "image_branch.trained.0.")
    assert changed(one, two, "image_branch.trained.0.")
    assert changed(one, two, "image_branch.trained.1.")
    assert model.card["backbone"]["trainable"] == 2
    assert model.card["training"]["epochs"] == 3


@pytest.mark.integration
def test_killed_in_every_epoch_a_training_comes_to_the_same_bytes(case: Case, tmp_path: Path):
    """SIGKILL, a process of its own each time, two seeds."""
    settings = EVERYTHING.model_copy(update={"repeats": 2, "epochs": 3})
    values: dict[str, Any] = {
        "folder": str(tmp_path / "killed"),
        "architecture": "ml_gcn",
        "backbone": FROM_SCRATCH.model_dump(),
        "training": settings.model_dump(mode="json"),
    }
    starts = {2: 1, 5: 1, 9: 4, 14: 7}  # killed behind this batch, a run began with that one
    for stop, start in starts.items():
        assert killed({**values, "hold": stop})[0] == f"{start} of 18"
    assert finished(values) == [f"{done} of 18" for done in (9, 13, 14, 15, 16, 17, 18)]
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "ml_gcn", FROM_SCRATCH, settings, case.image_path)
    train_repeats(*arguments, tmp_path / "cache", tmp_path / "undisturbed")
    assert files(tmp_path / "killed" / "model") == files(tmp_path / "undisturbed")
    assert not list((tmp_path / "killed" / "cache" / "checkpoints").iterdir())
