"""Losses over logits (N, C) and targets (N, C) of zeros and ones; each gives one number, a mean over images and labels.

All are computed from the logits by ``log s(x)``, s the sigmoid, so that no logit is too large for them.
"""

import math
from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from modeling.errors import ModelingError
from modeling.training_settings import TrainingSettings


class Loss(nn.Module, ABC):
    """Mean over N*C of weight times term; a subclass says what the terms are.

    A module, so that its constants follow the network to a device; it has no parameters and nothing in a state dict.
    """

    def forward(self, logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of logits, targets and, where given, weights, all (N, C). Half precision is made float32."""
        exact = logits if logits.dtype in (torch.float32, torch.float64) else logits.float()
        terms = self.terms(exact, targets.to(exact.dtype))
        return terms.mean() if weights is None else (terms * weights).mean()

    @abstractmethod
    def terms(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image and label, (N, C)."""


class BinaryCrossEntropy(Loss):
    """``-(y log s(x) + (1 - y) log(1 - s(x)))``."""

    def terms(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image and label, (N, C)."""
        return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


class FocalLoss(Loss):
    """``-alpha_t (1 - p_t)^gamma log p_t``, p_t the probability of the true answer (Lin et al., ICCV 2017, eq. 5).

    ``alpha_t`` is alpha for positives and 1 - alpha for negatives; alpha None: 1 for both (eq. 4).
    """

    def __init__(self, gamma: float, alpha: float | None) -> None:
        super().__init__()
        self.gamma = gamma
        self.alpha = alpha

    def terms(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image and label, (N, C)."""
        terms = _focused(logits * (2 * targets - 1), self.gamma)
        return terms if self.alpha is None else terms * (self.alpha * targets + (1 - self.alpha) * (1 - targets))


class AsymmetricLoss(Loss):
    """Positives ``-(1 - p)^g+ log p``, negatives ``-p_m^g- log(1 - p_m)`` (Ridnik et al., ICCV 2021).

    ``p_m = max(p - clip, 0)``: negatives of a probability up to ``clip`` count nothing.
    """

    def __init__(self, gamma_positive: float, gamma_negative: float, clip: float) -> None:
        super().__init__()
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.clip = clip

    def terms(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image and label, (N, C)."""
        return torch.where(targets > 0, _focused(logits, self.gamma_positive), self._negatives(logits))

    def _negatives(self, logits: torch.Tensor) -> torch.Tensor:
        if self.clip == 0:
            return _focused(-logits, self.gamma_negative)
        shifted = torch.sigmoid(logits) - self.clip
        counts = shifted > 0
        # The power's gradient at 0 may be infinite, so no 0 gets that far.
        focus = torch.where(counts, shifted, 1.0).pow(self.gamma_negative)
        log_rest = torch.log(torch.sigmoid(-logits) + self.clip)
        return torch.where(counts, -focus * log_rest, 0.0)


class ClassBalancedLoss(BinaryCrossEntropy):
    """Binary cross entropy, each label weighted by ``(1 - beta) / (1 - beta^n)`` (Cui et al., CVPR 2019).

    ``n`` are the label's train images; the weights are scaled so that their mean is 1.
    """

    label_weights: torch.Tensor

    def __init__(self, beta: float, images_of_label: npt.NDArray[np.int64]) -> None:
        super().__init__()
        weights = torch.from_numpy(class_balanced_weights(beta, images_of_label)).float()
        self.register_buffer("label_weights", weights, persistent=False)

    def terms(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return the loss of every image and label, (N, C)."""
        return super().terms(logits, targets) * self.label_weights.to(logits)


def make_loss(training: TrainingSettings, images_of_label: npt.NDArray[np.int64], images: int) -> Loss:
    """Return the loss of these settings; call it with logits, targets and weights or None, all (N, C).

    ``images_of_label`` (C,) counts the train images that carry each label, of ``images`` in all. Raises ModelingError
    for counts that can't be: none, or more than there are images.
    """
    if len(wrong := np.flatnonzero((images_of_label < 1) | (images_of_label > images))):
        raise ModelingError(
            f"label number {wrong[0] + 1} has {images_of_label[wrong[0]]} of {images} train images: "
            "a loss needs at least one of each label"
        )
    options = training.loss_options
    if training.loss == "focal":
        return FocalLoss(options.focal_gamma, options.focal_alpha)
    if training.loss == "asymmetric":
        return AsymmetricLoss(options.gamma_positive, options.gamma_negative, options.clip)
    if training.loss == "class_balanced":
        return ClassBalancedLoss(options.beta, images_of_label)
    return BinaryCrossEntropy()


def class_balanced_weights(beta: float, images_of_label: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return ``(1 - beta) / (1 - beta^n)`` for each label, scaled to a mean of 1: (C,). Every n must be at least 1."""
    if beta == 0:
        return np.ones(len(images_of_label))
    inverse = -1 / np.expm1(images_of_label * math.log(beta))  # 1 - beta falls out when they are scaled
    weights: npt.NDArray[np.float64] = inverse / inverse.mean()
    return weights


def target_weights(
    main_column: npt.NDArray[np.int64], targets: npt.NDArray[np.floating], main_weight: float, sub_weight: float
) -> npt.NDArray[np.float32] | None:
    """Return what each image's labels count in the loss: (N, C) float32, or None when everything counts 1.

    The main label counts ``main_weight``, the other labels that the image carries ``sub_weight``, absent labels 1.
    ``main_column`` (N,) says which column of ``targets`` (N, C) is the main label.
    """
    if main_weight == 1 and sub_weight == 1:
        return None
    weights = np.where(targets > 0, np.float32(sub_weight), np.float32(1))
    weights[np.arange(len(weights)), main_column] = main_weight
    return weights


def _focused(logits: torch.Tensor, gamma: float) -> torch.Tensor:
    """``-(1 - s(x))^gamma log s(x)``, with the power as ``exp(gamma log s(-x))``, whose gradient is always finite."""
    plain = -logsigmoid(logits)
    return plain if gamma == 0 else torch.exp(gamma * logsigmoid(-logits)) * plain
