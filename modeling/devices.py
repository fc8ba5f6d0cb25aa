"""Where to compute, how exactly, and how to make the same inputs give the same bytes there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from modeling.errors import ModelingError
from modeling.training_settings import TrainingSettings

# What errors say that have no type of their own: torch's CPU allocator, oneDNN and C++, CUDA's libraries.
NO_MEMORY = (
    "can't allocate memory",
    "could not create a memory object",
    "could not create a primitive",
    "bad_alloc",
    "CUDA out of memory",
    "ALLOC_FAILED",
)


def choose_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into a device; raise ModelingError for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelingError(f"training.device: {name!r} is no device; use auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise ModelingError(f"training.device: {name!r} is not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelingError(f"training.device: there is no {name} on this machine; use auto or cpu")
    return device


def check_devices(device: torch.device, training: TrainingSettings, train_images: int, validation_images: int) -> None:
    """Raise ModelingError when a training can't be shared by ``training.devices`` devices of the kind of ``device``."""
    count = training.devices
    if count == 1:
        return
    if ":" in training.device:
        raise ModelingError(f"training.device {training.device!r} is one device, training.devices {count}: give cuda")
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise ModelingError(f"training.devices is {count}, but there are {torch.cuda.device_count()} GPUs: lower it")
    if count > validation_images:
        raise ModelingError(f"training.devices is {count}, with {validation_images} validation images: lower it")
    # GPUs share the statistics of a batch; a CPU process has those of its own part only.
    images = min(training.batch_size, train_images)
    if device.type == "cpu" and training.batch_norm == "update" and images // count < 2:
        raise ModelingError(
            f"training.devices is {count}, with {images} images a step: batch normalisation needs two for each "
            'process; lower training.devices, raise training.batch_size, or set training.batch_norm to "frozen"'
        )


def used_precision(training: TrainingSettings, device: torch.device) -> Literal["float32", "bf16"]:
    """Return what ``training.precision`` comes to on a device."""
    if training.precision == "auto":
        has_it = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return "bf16" if has_it else "float32"
    return training.precision


def trainer_precision(training: TrainingSettings, device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """Return Lightning's name of the precision that the settings ask for on a device."""
    return "bf16-mixed" if used_precision(training, device) == "bf16" else "32-true"


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that the memory of the machine or the GPU was not enough."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in NO_MEMORY)


@contextmanager
def memory_named(training: TrainingSettings) -> Iterator[None]:
    """Turn any kind of "out of memory" inside the block into a ModelingError that says what to lower."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        height, width = training.image_size
        raise ModelingError(
            f"training ran out of memory: lower training.batch_size (now {training.batch_size}) "
            f"or training.image_size (now {height} x {width})"
        ) from error


def usable_threads() -> int:
    """Return how many CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def reproducible(seed: int, threads: int | None, device: torch.device) -> Iterator[int]:
    """Fix seed, thread count and algorithms inside the block, put all back behind it; yields the thread count.

    On the CPU an operation without a deterministic form is an error, on a GPU a warning, since a few have none there.
    """
    count = threads or usable_threads()
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    options: Any = torch.utils.deterministic
    filled = options.fill_uninitialized_memory
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.set_num_threads(count)
        torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
        options.fill_uninitialized_memory = False  # a help in debugging that costs time in every operation
        torch.manual_seed(seed)
        try:
            yield count
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
            options.fill_uninitialized_memory = filled
