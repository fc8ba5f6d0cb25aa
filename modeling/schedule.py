"""What changes from step to step and epoch to epoch: learning rates, trained blocks, the end. Loads without torch."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from modeling.architectures import Architecture
from modeling.training_settings import Stage, Trainable, TrainingSettings


@dataclass(frozen=True)
class Epoch:
    """One row of the training curves, as TRAINING_CURVES describes it."""

    epoch: int  # 1, 2, ...
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    seconds: float

    def as_row(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def best_epoch(epochs: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the highest validation score, of several the lowest validation loss, then the earliest."""
    return max(epochs, key=lambda item: (item.validation_score, -item.validation_loss, -item.epoch))


def is_finished(epochs: Sequence[Epoch], training: TrainingSettings, stages: Sequence[Stage]) -> bool:
    """Tell whether all epochs are trained, or the last better one is ``training.patience`` epochs ago.

    Patience begins with the last of ``stages``: what comes next is not known before it is tried.
    """
    if not epochs:
        return False
    earlier = sum(stage.epochs for stage in stages[:-1])
    waited = epochs[-1].epoch - max(earlier, best_epoch(epochs).epoch)
    return len(epochs) >= training.epochs or (training.patience is not None and waited >= training.patience)


def rate_factor(step: int, steps_of_epoch: int, training: TrainingSettings) -> float:
    """Return what the learning rates are multiplied by at a step (0, 1, ...) of all epochs.

    A linear rise over the warm-up; then half a cosine down to 0 (Loshchilov and Hutter, ICLR 2017, equation 5, one
    cycle), or 1, or ``step_factor`` once for each of ``step_epochs`` that is over. Steps fall in the warm-up, too.
    """
    steps = training.epochs * steps_of_epoch
    rise = int(training.warmup * steps)
    factor = (step + 1) / rise if step < rise else 1.0
    if training.schedule == "step":
        return factor * training.step_factor ** sum(step >= epoch * steps_of_epoch for epoch in training.step_epochs)
    if training.schedule == "cosine" and step >= rise:
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
    return factor


def stages_of(form: Architecture, training: TrainingSettings) -> tuple[Stage, ...]:
    """Return the stages that an architecture goes through: none where its backbone has no blocks to unfreeze."""
    return training.stages if form.image_branch == "backbone" and not form.frozen else ()


def trainable_in(epoch: int, stages: Sequence[Stage]) -> Trainable:
    """Return what an epoch (1, 2, ...) trains of the blocks that are ever trained; without stages, all of them."""
    for stage in stages:
        if epoch <= stage.epochs:
            return stage.trainable
        epoch -= stage.epochs
    return "all"


def deepest(stages: Sequence[Stage]) -> Trainable:
    """Return what any of the stages trains: everything, or so many blocks, or the head."""
    depths = [stage.trainable for stage in stages]
    if "all" in depths:
        return "all"
    return max((depth for depth in depths if isinstance(depth, int)), default="head")
