"""Heads trained on pooled features of a backbone that stays as it is: many of them in the time of one training.

A pretrained backbone gives its features before any training here. Features of random weights say nothing, so such a
backbone is first trained once, as the architecture ``backbone`` with the run's own settings. What is left out: the
image branch does not follow the head, pictures are mirrored but not augmented otherwise, and warm-up, stages, averaged
weights and patience have no part. So the scores rank heads against each other; they are not those of whole trainings.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from modeling.architectures import ARCHITECTURES
from modeling.batches import Batch, epoch_order
from modeling.devices import choose_device, memory_named, reproducible
from modeling.errors import ModelingError
from modeling.head_features import HeadData, head_data, part
from modeling.losses import make_loss
from modeling.metrics import mean_of_five
from modeling.networks.heads import build_head
from modeling.pooled_features import POOLED
from modeling.training_settings import BackboneSettings, LossName, Pooling, TrainingSettings

SCORED = 4096  # validation images scored at a time
MOST_STEPS = 8  # of an epoch; where there are more images, batches are larger, so that a comparison stays quick
FEATURES_SHARE = 0.4  # of the whole work, as the progress bar has it

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class HeadForm:
    """One head to be trained: that of an architecture which takes pooled features, with its pooling and loss."""

    architecture: str
    pooling: Pooling
    loss: LossName
    adjacency: npt.NDArray[np.floating] | None = None  # (C, C), of ml_gcn
    learned: bool = False  # the adjacency is only where training starts


@dataclass(frozen=True)
class HeadResult:
    """What a head reached on the validation split, seed by seed."""

    scores: tuple[float, ...]  # mean of the five recalls at the best epoch, 0 to 1
    epochs: tuple[int, ...]  # the best one, from 1
    seconds: float  # of all its trainings

    @property
    def score(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.scores))

    @property
    def spread(self) -> float | None:
        """Sample standard deviation between the seeds; None with one."""
        return float(np.std(self.scores, ddof=1)) if len(self.scores) > 1 else None


@dataclass(frozen=True)
class HeadComparison:
    """A result for each form, and in a few words which features the heads were trained on."""

    results: list[HeadResult]
    source: str


def compare_heads(
    data_set: pd.DataFrame,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating],
    forms: Sequence[HeadForm],
    epochs: int,
    repeats: int,
    backbone: BackboneSettings,
    training: TrainingSettings,
    image_path: Callable[[str], Path],
    cache_dir: Path,
    progress: Progress | None = None,
) -> HeadComparison:
    """Train each head with the seeds ``training.seed``, ``training.seed + 1``, ...; score it on the validation split.

    Rows of the test split, and their pictures, are never read. Features and a backbone trained for them are kept in
    ``cache_dir`` and shared by everything that compares heads on the same images. The same inputs give the same scores
    on the same machine. ``progress`` is told (done, of 1000). Raises ModelingError when a split or label has no image,
    a picture can't be read, a head takes feature maps, a training diverges, or memory is not enough.
    """
    for form in forms:
        if ARCHITECTURES[form.architecture].takes_map:
            raise ModelingError(f"{form.architecture} takes feature maps: it can't be trained on pooled features")
    data = head_data(data_set, labels, backbone, training, image_path, cache_dir, part(progress, 0, FEATURES_SHARE))
    told = part(progress, FEATURES_SHARE, 1)
    results = []
    for number, form in enumerate(forms):
        begin = time.perf_counter()
        runs = []
        for seed in range(training.seed, training.seed + repeats):
            runs.append(train_head(data, labels, word_vectors, form, epochs, training, seed))
            if told is not None:
                told(number * repeats + len(runs), len(forms) * repeats)
        scores, best = zip(*runs, strict=True)
        results.append(HeadResult(scores, best, time.perf_counter() - begin))
    return HeadComparison(results, data.source)


def train_head(
    data: HeadData,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating] | None,
    form: HeadForm,
    epochs: int,
    training: TrainingSettings,
    seed: int,
) -> tuple[float, int]:
    """Train one head with one seed; return the best mean of the five recalls on the validation split, and its epoch.

    Adam with the label branch's learning rate falling to zero by half a cosine, in batches of the run's size, or larger
    ones where there are more than MOST_STEPS in an epoch. Of equal epochs the first is the best. Raises ModelingError
    when the training diverges or memory is not enough.
    """
    training = training.model_copy(update={"loss": form.loss})
    device = choose_device(training.device)
    batches = max(1, min(MOST_STEPS, len(data.train) // training.batch_size))
    scores = []
    with memory_named(training), reproducible(seed, training.threads, device):
        head = build_head(
            form.architecture, data.features.shape[-1], training, labels, word_vectors, form.adjacency, form.learned
        ).to(device)
        targets = data.targets[data.train]
        loss = make_loss(training, targets.sum(axis=0).astype(np.int64), len(targets)).to(device)
        adam = torch.optim.Adam(
            head.parameters(), training.label_learning_rate, weight_decay=training.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, epochs * batches)
        for epoch in range(epochs):
            for batch in _batches(data, form.pooling, training, batches, (seed, epoch)):
                _step(head, loss, adam, batch, training, device)
                schedule.step()
            scores.append(_validation_score(head, data, form.pooling, training, device))
    return max(scores), int(np.argmax(scores)) + 1


def _step(
    head: nn.Module,
    loss: nn.Module,
    adam: torch.optim.Optimizer,
    batch: Batch,
    training: TrainingSettings,
    device: torch.device,
) -> None:
    """Change the head's weights by one batch of features, targets and weights."""
    inputs, targets, weights = batch
    features = nn.functional.dropout(inputs.to(device), training.dropout)
    adam.zero_grad()
    loss(head(features), targets.to(device), None if weights is None else weights.to(device)).backward()
    if training.gradient_clip is not None:
        nn.utils.clip_grad_norm_(head.parameters(), training.gradient_clip)
    adam.step()


def _batches(
    data: HeadData, pooling: Pooling, training: TrainingSettings, batches: int, draw: tuple[int, int]
) -> Iterator[Batch]:
    """Features (B, D), targets and weights (B, C) of an epoch's batches, drawn from (seed, epoch)."""
    random = np.random.default_rng(draw)
    order = data.train[epoch_order(data.targets[data.train], training.sampling, random)]
    mirrored = (random.random(len(order)) < (0.5 if training.flip else 0.0)).astype(np.int64)
    for rows, side in zip(np.array_split(order, batches), np.array_split(mirrored, batches), strict=True):
        weights = None if data.weights is None else torch.from_numpy(data.weights[rows])
        features = np.asarray(data.features[rows, side, POOLED.index(pooling)])
        yield torch.from_numpy(features), torch.from_numpy(data.targets[rows]), weights


@torch.inference_mode()
def _validation_score(
    head: nn.Module, data: HeadData, pooling: Pooling, training: TrainingSettings, device: torch.device
) -> float:
    """Mean of the five recalls on the validation split, as the run would score it (``training.flip_average``)."""
    sides = range(2 if training.flip_average else 1)
    parts = []
    for start in range(0, len(data.validation), SCORED):
        rows = data.validation[start : start + SCORED]
        features = (np.asarray(data.features[rows, side, POOLED.index(pooling)]) for side in sides)
        logits = torch.stack([head(torch.from_numpy(side).to(device)) for side in features]).mean(dim=0)
        parts.append(logits.float().cpu())
    outputs = torch.cat(parts)
    if not torch.isfinite(outputs).all():
        raise ModelingError("the training of a head diverged: lower training.label_learning_rate")
    return mean_of_five(outputs.numpy(), data.targets[data.validation] > 0)
