"""Losses over logits (N, C) and targets (N, C) of zeros and ones; each returns one number, the mean."""

from collections.abc import Callable

import torch

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def binary_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean over images and labels of ``-(y log s(x) + (1 - y) log(1 - s(x)))``, s the sigmoid."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)


LOSSES: dict[str, Loss] = {"bce": binary_cross_entropy}
