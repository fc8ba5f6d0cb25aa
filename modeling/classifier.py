"""The training loop's body: what Lightning calls for each batch and epoch."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from modeling import torchvision_guard  # noqa: F401  (lightning imports torchvision)

# isort: split
import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from modeling.augmentation import augment
from modeling.batches import Batch, ImageRows, ScoreBatches, TrainBatches
from modeling.errors import ModelingError
from modeling.losses import LOSSES
from modeling.metrics import mean_of_five
from modeling.networks.style_network import StyleNetwork
from modeling.training_settings import TrainingSettings

State = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Epoch:
    """One row of the training curves."""

    epoch: int
    train_loss: float
    validation_loss: float
    validation_score: float
    learning_rate: float
    seconds: float

    def as_row(self) -> dict[str, float]:
        """Return the fields by name."""
        return asdict(self)


class MultiLabelClassifier(lightning.LightningModule):
    """Trains a StyleNetwork with Adam at two learning rates and keeps the weights of the best validation epoch.

    Best is the highest mean of the five recalls on the validation split, then the lowest validation loss, then the
    earliest. The test split is never seen here.
    """

    def __init__(
        self,
        network: StyleNetwork,
        training: TrainingSettings,
        image_learning_rate: float,
        train_rows: ImageRows,
        validation_rows: ImageRows,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.training_settings = training
        self.image_learning_rate = image_learning_rate
        self.train_rows = train_rows
        self.validation_rows = validation_rows
        self.progress = progress
        self.averaged = copy.deepcopy(network).requires_grad_(False) if training.ema else None
        self.loss = LOSSES[training.loss]
        self.epochs: list[Epoch] = []
        self.best_epoch = 0
        self.best_state: State = {}
        self._rate = 0.0
        self._losses: list[torch.Tensor] = []
        self._outputs: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._started = time.monotonic()

    @property
    def scoring_network(self) -> StyleNetwork:
        """The network whose weights are measured and kept: the averaged one where there is one."""
        return self.network if self.averaged is None else self.averaged

    def train_dataloader(self) -> TrainBatches:
        """Return the batches of the epoch at hand."""
        settings = self.training_settings
        return TrainBatches(self.train_rows, settings.batch_size, settings.seed, self.current_epoch, settings.flip)

    def val_dataloader(self) -> ScoreBatches:
        """Return the validation images in their order."""
        settings = self.training_settings
        return ScoreBatches(self.validation_rows, 2 * settings.batch_size, settings.flip_average)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam over the image branch and the head, each with its rate; the rates follow the schedule step by step."""
        settings = self.training_settings
        image = [weight for weight in self.network.image_branch.parameters() if weight.requires_grad]
        groups = [
            {"params": image, "lr": self.image_learning_rate},
            {"params": list(self.network.head.parameters()), "lr": settings.label_learning_rate},
        ]
        groups = [group for group in groups if group["params"]]
        adam = torch.optim.Adam(groups, weight_decay=settings.weight_decay, fused=True)
        steps = settings.epochs * len(self.train_dataloader())
        schedule = LambdaLR(adam, lambda step: rate_factor(step, steps, settings.warmup, settings.schedule))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Set training mode, which Lightning leaves alone, and the random numbers of dropout and augmentation."""
        self.network.train()
        seed = int(np.random.SeedSequence((self.training_settings.seed, self.current_epoch)).generate_state(1)[0])
        torch.manual_seed(seed)
        self.random = torch.Generator().manual_seed(seed)
        self._started = time.monotonic()
        self._losses = []
        if self.training_settings.batch_norm == "frozen":
            freeze_batch_norm(self.network)

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        """Return the loss of one batch."""
        inputs, targets = batch
        self._rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        if self.train_rows.are_activations:
            logits = self.network.from_frozen(inputs)
        else:
            logits = self.network(augment(inputs, self.training_settings, self.random))
        loss = self.loss(logits, targets)
        self._losses.append(loss.detach())
        return loss

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_index: int) -> None:
        """Move the averaged weights a step towards the trained ones."""
        decay = self.training_settings.ema
        if self.averaged is not None and decay is not None:
            step = self.global_step
            update_average(self.averaged, self.network, min(decay, (1 + step) / (10 + step)))

    def on_validation_epoch_start(self) -> None:
        """Forget the outputs of the epoch before."""
        self._outputs = []
        self.scoring_network.eval()

    def validation_step(self, batch: tuple[list[torch.Tensor], torch.Tensor], batch_index: int) -> None:
        """Keep the logits of one batch, the mean of those of the pictures and of their mirror images."""
        sides, targets = batch
        network = self.scoring_network
        forward = network.from_frozen if self.validation_rows.are_activations else network
        logits = torch.stack([forward(side) for side in sides]).mean(dim=0)
        self._outputs.append((logits.float(), targets))

    def on_validation_epoch_end(self) -> None:
        """Measure the epoch, keep its weights if it is the best one so far, and stop when patience is over."""
        logits = torch.cat([output for output, _ in self._outputs])
        targets = torch.cat([target for _, target in self._outputs])
        if not torch.isfinite(logits).all():
            raise ModelingError(
                f"training diverged in epoch {self.current_epoch + 1}: lower the learning rates in training, "
                "or set training.gradient_clip"
            )
        self.epochs.append(
            Epoch(
                epoch=self.current_epoch + 1,
                train_loss=float(torch.stack(self._losses).double().mean()),
                validation_loss=float(self.loss(logits, targets)),
                validation_score=mean_of_five(logits.cpu().numpy(), targets.cpu().numpy() > 0),
                learning_rate=self._rate,
                seconds=time.monotonic() - self._started,
            )
        )
        best = max(self.epochs, key=lambda item: (item.validation_score, -item.validation_loss, -item.epoch))
        if best.epoch == self.current_epoch + 1:
            self.best_epoch = best.epoch
            self.best_state = {name: value.detach().cpu().clone() for name, value in self._kept().items()}
        patience = self.training_settings.patience
        if patience is not None and self.current_epoch + 1 - self.best_epoch >= patience:
            self.trainer.should_stop = True
        if self.progress is not None:
            self.progress(self.current_epoch + 1, self.training_settings.epochs)

    def _kept(self) -> State:
        state: State = self.scoring_network.state_dict()
        return state


def rate_factor(step: int, steps: int, warmup: float, schedule: str) -> float:
    """Factor of the learning rates at a step: a linear rise over the warm-up, then half a cosine down to 0, or 1."""
    rise = int(warmup * steps)
    if step < rise:
        return (step + 1) / rise
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def freeze_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation use the statistics that it has, and learn only its scale and shift."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


@torch.no_grad()
def update_average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    """Set each averaged weight and statistic to ``decay * itself + (1 - decay) * the network's``."""
    for mean, value in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)
