"""Where a training stands, in one file that is written whole or not at all: tensors and JSON, no pickle."""

import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from modeling.errors import ModelingError
from modeling.schedule import Epoch, best_epoch

VERSION = "1"  # changes when the same settings would lead to other weights, so that no older training is gone on with
EPOCHS = "epochs"  # the one entry of the file's metadata; several would be written in changing order
MOST_SHARE = 0.05  # of the time that may go into writing checkpoints, where an epoch is shorter than that allows

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TrainingState:
    """All that a training needs to go on after an epoch. States lack the frozen blocks, which never change."""

    epochs: list[Epoch]
    network: State
    averaged: State  # empty without training.ema
    optimizer: State  # "<number of the weight>/<name of the moment>"
    best: State  # weights of the best epoch
    best_logits: torch.Tensor  # (N, C) float32, of the validation images at the best epoch

    def tensors(self) -> State:
        """Return all tensors under names that tell them apart; the best epoch's only where they are no others."""
        parts = {"network": self.network, "averaged": self.averaged, "optimizer": self.optimizer}
        if best_epoch(self.epochs).epoch != self.epochs[-1].epoch:
            parts["best"] = self.best
        named = {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}
        return {**named, "best_logits": self.best_logits}

    @classmethod
    def of(cls, epochs: list[Epoch], tensors: Mapping[str, torch.Tensor]) -> "TrainingState":
        """Put together what ``tensors`` took apart."""

        def part(prefix: str) -> State:
            return {
                name.partition("/")[2]: value for name, value in tensors.items() if name.partition("/")[0] == prefix
            }

        network, averaged = part("network"), part("averaged")
        best = part("best") or averaged or network
        return cls(epochs, network, averaged, part("optimizer"), best, tensors["best_logits"])


class CheckpointFile:
    """The checkpoint of one training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = -float("inf")
        self._cost = 0.0

    @property
    def is_due(self) -> bool:
        """Is the last checkpoint old enough for another one? Only where epochs are very short is it not."""
        return time.monotonic() - self._written >= self._cost / MOST_SHARE

    def write(self, state: TrainingState) -> None:
        """Write beside the file first and take its name at the end: a crash leaves the old file or the new one.

        Raises ModelingError where the disk does not take it.
        """
        started = time.monotonic()
        tensors = {key: value.detach().cpu().contiguous() for key, value in state.tensors().items()}
        try:
            self._write(tensors, json.dumps([epoch.as_row() for epoch in state.epochs]))
        except (SafetensorError, OSError) as error:
            raise ModelingError(
                f"no checkpoint can be written to {self.path.parent}: {error}; make room there, and train "
                "again: it goes on from the last one"
            ) from error
        self._written = time.monotonic()
        self._cost = self._written - started

    def _write(self, tensors: State, epochs: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=self._prefix)
        os.close(handle)
        try:
            save_file(tensors, name, {EPOCHS: epochs})
            with Path(name).open("rb") as file:
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        finally:
            Path(name).unlink(missing_ok=True)

    def read(self) -> TrainingState | None:
        """Return what was written last, or None; raise ModelingError when the file can't be read."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                epochs = [Epoch(**row) for row in json.loads(file.metadata()[EPOCHS])]
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
                return TrainingState.of(epochs, tensors)
        except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
            raise ModelingError(f"checkpoint {self.path} can't be read: {error}; delete it and train again") from error

    def remove(self) -> None:
        """Delete the file, and what was left of attempts to write it that were killed."""
        for leftover in self.path.parent.glob(f"{self._prefix}*"):
            leftover.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    @property
    def _prefix(self) -> str:
        return f".{self.path.name}-"
