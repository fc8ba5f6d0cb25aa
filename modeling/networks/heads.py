"""From what the image branch sees to a logit per label: what a head is built from, and finding it by name."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import nn

from modeling.architectures import ARCHITECTURES, Architecture
from modeling.errors import ModelingError
from modeling.training_settings import TrainingSettings

Matrix = npt.NDArray[np.floating]


@dataclass(frozen=True)
class HeadInputs:
    """What a head may be built from; it gives logits (N, C) of pooled features (N, D) or of a map (N, D, h, w)."""

    architecture: str
    num_features: int  # D
    labels: tuple[str, ...]  # C of them
    training: TrainingSettings
    word_vectors: Matrix | None = None  # (C, d)
    adjacency: Matrix | None = None  # (C, C), as node features are multiplied by it
    adjacency_learned: bool = False  # the adjacency is only where training starts


@runtime_checkable
class Foldable(Protocol):
    """A head that has work to do which does not depend on the image."""

    def folded(self) -> nn.Module:
        """Return a head with the same logits, for which that work is done."""


def find_architecture(name: str) -> Architecture:
    """Return the architecture of this name, or raise ModelingError that lists the names."""
    if name not in ARCHITECTURES:
        raise ModelingError(f"unknown architecture {name!r}; choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def build_head(
    architecture: str,
    num_features: int,
    training: TrainingSettings,
    labels: Sequence[str],
    word_vectors: Matrix | None = None,
    adjacency: Matrix | None = None,
    adjacency_learned: bool = False,
) -> nn.Module:
    """Build an architecture's head over D features, its random weights drawn from torch's global generator.

    Raises ModelingError for an unknown architecture, and for matrices that do not fit the labels.
    """
    form = find_architecture(architecture)
    inputs = HeadInputs(architecture, num_features, tuple(labels), training, word_vectors, adjacency, adjacency_learned)
    head: nn.Module = import_module(f"modeling.networks.{form.head}").build(inputs)
    return head
