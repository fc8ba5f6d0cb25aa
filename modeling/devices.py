"""Where to compute, and how to make the same inputs give the same bytes there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from modeling.errors import ModelingError


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
