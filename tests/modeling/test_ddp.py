"""Trainings in two processes on the CPU, as they run on two GPUs."""

import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.checkpoints import CheckpointFile
from modeling.errors import ModelingError
from modeling.networks.backbones import classification_model
from modeling.train import TrainedModel, train
from modeling.training_settings import BackboneSettings, Stage, TrainingSettings
from tests.modeling.children import lines_of, started
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case

pytestmark = pytest.mark.integration

# Random changes are drawn by each process for its own share, so a run without them is the one to compare.
ALIKE = QUICK.model_copy(update={"flip": False, "ema": 0.8, "flip_average": True, "gradient_clip": 1.0})


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


def trained(
    case: Case,
    folder: Path,
    training: TrainingSettings,
    architecture: str = "basic_cnn",
    backbone: BackboneSettings = FROM_SCRATCH,
    **more: object,
) -> TrainedModel:
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, architecture, backbone, training, case.image_path)
    return train(*arguments, folder / "cache", folder / "model", **more)


def test_two_processes_come_close_to_one_and_to_each_other_exactly(case: Case, tmp_path: Path):
    told: list[tuple[int, int]] = []
    alone = trained(case, tmp_path / "alone", ALIKE)
    two = ALIKE.model_copy(update={"devices": 2})
    first = trained(case, tmp_path / "first", two, progress=lambda *done: told.append(done))
    second = trained(case, tmp_path / "second", two)
    assert told == [(batch, 6) for batch in range(1, 7)]
    assert first.weights.read_bytes() == second.weights.read_bytes()
    expected, weights = load_file(alone.weights), load_file(first.weights)
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, rtol=1e-4, atol=1e-5)
    for column in ("train_loss", "validation_loss", "validation_score"):
        assert first.curves[column].to_pylist() == pytest.approx(alone.curves[column].to_pylist(), rel=1e-5)
    states = [CheckpointFile(model.checkpoint).read() for model in (alone, first)]
    assert states[0] is not None
    assert states[1] is not None
    torch.testing.assert_close(states[1].best_logits, states[0].best_logits, rtol=1e-4, atol=1e-5)


def test_stages_and_batch_statistics_in_two_processes(case: Case, tmp_path: Path):
    """Blocks that wait get no gradient in any process; a stopped training goes on to the same bytes."""
    torch.manual_seed(4)
    path = tmp_path / "features.safetensors"
    state = classification_model(FROM_SCRATCH.name, (32, 32)).state_dict()
    save_file({key: value for key, value in state.items() if key.startswith("features.")}, path)
    backbone = BackboneSettings(name=FROM_SCRATCH.name, weights=str(path))
    stages = tuple(Stage(epochs=1, trainable=depth) for depth in ("head", 1, 2))
    settings = TrainingSettings(**{**QUICK.model_dump(), "stages": stages, "devices": 2, "precision": "bf16"})
    whole = trained(case, tmp_path / "whole", settings, "backbone", backbone)

    class StopHereError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise StopHereError

    with pytest.raises(StopHereError):
        trained(case, tmp_path / "stopped", settings, "backbone", backbone, progress=stop)
    told: list[int] = []
    model = trained(
        case, tmp_path / "stopped", settings, "backbone", backbone, progress=lambda *done: told.append(done[0])
    )
    assert told[0] > 3
    assert told[-1] == 9
    assert model.weights.read_bytes() == whole.weights.read_bytes()


def test_what_goes_wrong_in_a_process_is_said(case: Case, tmp_path: Path):
    settings = ALIKE.model_copy(update={"devices": 2, "scratch_learning_rate": 1e30, "epochs": 9})
    with pytest.raises(ModelingError, match=r"diverged in epoch \d+: lower the learning rates"):
        trained(case, tmp_path / "diverged", settings)
    with pytest.raises(ModelingError, match=r"batch_size 9 .*can't be shared by 2 devices"):
        trained(case, tmp_path / "uneven", ALIKE.model_copy(update={"devices": 2, "batch_size": 9}))


def test_no_process_outlives_a_killed_training(tmp_path: Path):
    settings = ALIKE.model_copy(update={"devices": 2, "epochs": 100_000})
    values = {
        "folder": str(tmp_path),
        "architecture": "basic_cnn",
        "backbone": FROM_SCRATCH.model_dump(),
        "training": settings.model_dump(mode="json"),
    }
    with started(values) as child:
        next(lines_of(child))
        workers = _children_of(child.pid)
        assert len(workers) >= 2
        child.kill()
    end = time.monotonic() + 60
    while any(map(_runs, workers)):
        assert time.monotonic() < end
        time.sleep(0.2)


def _children_of(pid: int) -> list[int]:
    return [
        int(number)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for number in (task / "children").read_text().split()
    ]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
