import errno
from pathlib import Path

import pytest
import torch

from modeling.devices import check_devices, is_out_of_memory, memory_named, trainer_precision, used_precision
from modeling.errors import ModelingError
from modeling.training_settings import TrainingSettings
from tests.modeling.children import finished
from tests.modeling.training_case import FROM_SCRATCH, QUICK

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_precision_is_what_was_asked_for():
    assert trainer_precision(TrainingSettings(precision="auto"), CPU) == "32-true"
    assert used_precision(TrainingSettings(precision="auto"), CPU) == "float32"
    assert used_precision(TrainingSettings(precision="bf16"), CPU) == "bf16"
    assert trainer_precision(TrainingSettings(precision="float32"), CUDA) == "32-true"
    assert trainer_precision(TrainingSettings(precision="bf16"), CPU) == "bf16-mixed"


def test_devices_that_are_not_there_are_named():
    check_devices(CPU, TrainingSettings(devices=1, device="cuda:7"), 1, 1)
    check_devices(CPU, TrainingSettings(devices=2), 9, 2)
    with pytest.raises(ModelingError, match=r"training\.device 'cuda:1' is one device, training\.devices 2: give cuda"):
        check_devices(torch.device("cuda:1"), TrainingSettings(devices=2, device="cuda:1"), 9, 9)
    with pytest.raises(ModelingError, match=r"training\.devices is 99, but there are \d+ GPUs"):
        check_devices(CUDA, TrainingSettings(devices=99), 999, 999)
    with pytest.raises(ModelingError, match=r"training\.devices is 3, with 2 validation images"):
        check_devices(CPU, TrainingSettings(devices=3), 9, 2)


def test_each_process_on_cpus_needs_two_images_for_its_batch_statistics():
    check_devices(CPU, TrainingSettings(devices=2, batch_size=4), 9, 9)
    for batch_size, images in ((2, 9), (8, 3)):
        settings = TrainingSettings(devices=2, batch_size=batch_size)
        expected = rf"devices is 2, with {min(batch_size, images)} images a step: .* needs two for each process"
        with pytest.raises(ModelingError, match=expected):
            check_devices(CPU, settings, images, 9)
        check_devices(CPU, settings.model_copy(update={"batch_norm": "frozen"}), images, 9)


def test_only_a_lack_of_memory_is_called_one():
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert not is_out_of_memory(OSError(errno.ENOENT, "No such file"))
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes"), memory_named(QUICK):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    expected = r"batch_size \(now 8\) or training\.image_size \(now 32 x 32\)"
    with pytest.raises(ModelingError, match=expected), memory_named(QUICK):
        torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.integration
@pytest.mark.parametrize(("architecture", "memory"), [("basic_cnn", 400), ("backbone", 600)])
def test_a_training_that_needs_too_much_memory_says_what_to_lower(tmp_path: Path, architecture: str, memory: int):
    """24 pictures of 768 x 768 need gigabytes; the child may take some hundred MiB."""
    settings = QUICK.model_copy(update={"batch_size": 24, "image_size": (768, 768)})
    values = {
        "folder": str(tmp_path),
        "architecture": architecture,
        "backbone": FROM_SCRATCH.model_dump(),
        "training": settings.model_dump(mode="json"),
        "memory": memory,
    }
    assert finished(values) == [
        "error: training ran out of memory: lower training.batch_size (now 24) or training.image_size (now 768 x 768)"
    ]
