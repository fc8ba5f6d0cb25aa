"""What only a GPU can show; each test says on which machine it was left out."""

import warnings
from pathlib import Path

import pytest
import torch

from modeling.devices import trainer_precision
from modeling.errors import ModelingError
from modeling.train import TrainedModel, train
from modeling.training_settings import TrainingSettings
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

ON_GPU = QUICK.model_copy(update={"device": "cuda", "ema": 0.9, "gradient_clip": 1.0})
CHANGES = {"zoom": 0.1, "shift": 0.1, "color": 0.2, "erase": 0.5, "dropout": 0.1}


def trained(case: Case, folder: Path, architecture: str, training: TrainingSettings) -> TrainedModel:
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, architecture, FROM_SCRATCH, training, case.image_path)
    return train(*arguments, folder / "cache", folder / "model")


def waits(case: Case, folder: Path, training: TrainingSettings) -> int:
    """How often the CPU waited for the GPU in a training."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trained(case, folder, "ml_gcn", training)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing CUDA operation" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("more", [{}, CHANGES], ids=["plain", "changed"])
def test_no_step_waits_for_the_gpu(tmp_path: Path, more: dict[str, float]):
    """An epoch of 12 steps waits as often as one of 3: at its end, and when it starts."""
    case = make_case(tmp_path / "pictures")
    settings = ON_GPU.model_copy(update={"epochs": 1, **more})
    trained(case, tmp_path / "first", "ml_gcn", settings)  # what is done once, as loading cuDNN
    few = waits(case, tmp_path / "few", settings)
    many = waits(case, tmp_path / "many", settings.model_copy(update={"batch_size": 2}))
    assert many == few


def test_half_precision_where_the_gpu_has_it():
    expected = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    assert trainer_precision(TrainingSettings(precision="auto"), torch.device("cuda")) == expected


@pytest.mark.parametrize("architecture", ["basic_cnn", "ml_gcn", "backbone"])
def test_a_gpu_learns_what_a_cpu_learns(tmp_path: Path, architecture: str):
    case = make_case(tmp_path / "pictures")
    settings = QUICK.model_copy(update={"epochs": 8, "precision": "float32", "flip": False})
    scores = []
    for device in ("cpu", "cuda"):
        model = trained(case, tmp_path / device, architecture, settings.model_copy(update={"device": device}))
        scores.append(model.card["validation"]["loss"])
    assert scores[1] == pytest.approx(scores[0], abs=0.1)


def test_a_gpu_without_memory_says_what_to_lower(tmp_path: Path):
    case = make_case(tmp_path / "pictures")
    settings = ON_GPU.model_copy(update={"batch_size": 24, "image_size": (768, 768)})
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(500 * 2**20 / total)
    try:
        with pytest.raises(ModelingError, match=r"out of memory: lower training\.batch_size \(now 24\)"):
            trained(case, tmp_path, "backbone", settings)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two GPUs")
@pytest.mark.integration
def test_two_gpus_share_a_training(tmp_path: Path):
    case = make_case(tmp_path / "pictures")
    settings = QUICK.model_copy(update={"device": "cuda", "precision": "float32", "flip": False, "epochs": 4})
    one = trained(case, tmp_path / "one", "backbone", settings)
    two = trained(case, tmp_path / "two", "backbone", settings.model_copy(update={"devices": 2}))
    losses = [model.curves["train_loss"].to_pylist() for model in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
