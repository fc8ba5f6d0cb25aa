"""The training loop's body: what Lightning calls for each batch and epoch."""

import copy
import time
from collections.abc import Callable, Sequence

from modeling import torchvision_guard  # noqa: F401  (lightning imports torchvision)

# isort: split
import lightning
import numpy as np
import torch
from torch import nn
from torch.optim import Adam, Optimizer

from modeling.augmentation import augment
from modeling.averaging import WeightAverage
from modeling.batches import Batch, ImageRows, ScoreBatch, ScoreBatches, TrainBatches
from modeling.checkpoints import CheckpointFile, State, TrainingState
from modeling.errors import ModelingError
from modeling.losses import Loss
from modeling.metrics import mean_of_five
from modeling.networks.backbones import trained_blocks
from modeling.networks.style_network import StyleNetwork
from modeling.schedule import Epoch, best_epoch, is_finished, rate_factor, trainable_in
from modeling.training_settings import Stage, TrainingSettings

Progress = Callable[[int, int], None]


class MultiLabelClassifier(lightning.LightningModule):
    """Trains a StyleNetwork with Adam at two learning rates and keeps the weights of the best validation epoch.

    Best is the highest mean of the five recalls on the validation split, then the lowest validation loss, then the
    earliest. The test split is never seen here. After each epoch the state of the training goes to a checkpoint;
    ``restore`` goes on from one, to the same weights as without the interruption.

    With several processes each takes its share of every batch and of the validation images. All of them come to the
    same numbers, so all of them agree on when to stop; only the first one writes.
    """

    def __init__(
        self,
        network: StyleNetwork,
        training: TrainingSettings,
        stages: Sequence[Stage],
        image_learning_rate: float,
        loss: Loss,
        train_rows: ImageRows,
        validation_rows: ImageRows,
        checkpoint: CheckpointFile,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = copy.deepcopy(network).requires_grad_(False) if training.ema else None
        self.training_settings = training
        self.stages = stages
        self.image_learning_rate = image_learning_rate
        self.loss = loss
        self.train_rows = train_rows
        self.validation_rows = validation_rows
        self.checkpoint = checkpoint
        self.progress = progress
        self.epochs: list[Epoch] = []
        self._before = 0  # epochs of an earlier, interrupted run
        self._best: State = {}
        self._best_logits = torch.empty(0)
        self._moments: State = {}
        self._losses: list[torch.Tensor] = []
        self._outputs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def restore(self, state: TrainingState) -> None:
        """Go on behind the last epoch of ``state``; to be called before Lightning's ``fit``."""
        self.epochs = list(state.epochs)
        self._before = len(state.epochs)
        self._best, self._best_logits = state.best, state.best_logits
        self._moments = state.optimizer
        self.network.load_state_dict(state.network, strict=False)
        if self.averaged is not None:
            self.averaged.load_state_dict(state.averaged, strict=False)

    @property
    def epoch(self) -> int:
        """Number of the epoch at hand: 1, 2, ..."""
        return self._before + int(self.current_epoch) + 1

    @property
    def scoring_network(self) -> StyleNetwork:
        """The network whose weights are measured and kept: the averaged one where there is one."""
        return self.network if self.averaged is None else self.averaged

    def train_dataloader(self) -> TrainBatches:
        """Return this process's share of the batches of the epoch at hand."""
        rank, world = int(self.global_rank), int(self.trainer.world_size)
        return TrainBatches(self.train_rows, self.training_settings, self.epoch - 1, rank, world, self.device)

    def val_dataloader(self) -> ScoreBatches:
        """Return this process's share of the validation images, in their order."""
        settings, rank, world = self.training_settings, int(self.global_rank), int(self.trainer.world_size)
        return ScoreBatches(self.validation_rows, 2 * settings.batch_size, settings.flip_average, rank, world)

    def configure_optimizers(self) -> Adam:
        """Adam over the image branch and the head, each with its rate.

        Blocks that a later stage trains are in it from the start; without a gradient Adam leaves them alone.
        """
        settings = self.training_settings
        image = [weight for weight in self.network.image_branch.parameters() if weight.requires_grad]
        branches = [(image, self.image_learning_rate), (self.network.head.parameters(), settings.label_learning_rate)]
        groups = [{"params": list(weights), "lr": rate, "full_rate": rate} for weights, rate in branches]
        groups = [group for group in groups if group["params"]]
        self.adam = Adam(groups, weight_decay=settings.weight_decay, fused=True)
        if self._moments:
            put_moments(self.adam, self._moments)
        return self.adam

    def on_train_start(self) -> None:
        """Count the steps that are done, and take hold of the weights where they are now."""
        self._steps_of_epoch = len(self.train_dataloader())
        self._step = self._before * self._steps_of_epoch
        if self.averaged is not None:
            self._average = WeightAverage(self.averaged, self.network)

    def on_train_epoch_start(self) -> None:
        """Set training mode, which Lightning leaves alone, and the random numbers of dropout and augmentation."""
        self._started = time.monotonic()
        self._losses = []
        if self.stages:
            self.network.image_branch.set_trained(trained_blocks(trainable_in(self.epoch, self.stages)))
        self.network.train()
        if self.training_settings.batch_norm == "frozen":
            freeze_batch_norm(self.network)
        share = (self.global_rank,) if self.global_rank else ()  # other processes, other pictures, other numbers
        sequence = np.random.SeedSequence((self.training_settings.seed, self.epoch - 1, *share))
        seed = int(sequence.generate_state(1)[0])
        torch.manual_seed(seed)
        self._random = torch.Generator().manual_seed(seed)

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Set the learning rates of the step."""
        factor = rate_factor(self._step, self._steps_of_epoch, self.training_settings)
        for group in self.adam.param_groups:
            group["lr"] = group["full_rate"] * factor

    def training_step(self, batch: Batch, batch_index: int) -> torch.Tensor:
        """Return the loss of one batch."""
        inputs, targets, weights = batch
        if self.train_rows.are_activations:
            logits = self.network.from_frozen(inputs)
        else:
            logits = self.network(augment(inputs, self.training_settings, self._random))
        loss: torch.Tensor = self.loss(logits, targets, weights)
        self._losses.append(loss.detach())
        return loss

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the norm of the whole gradient; Lightning's own clipping refuses fused optimisers in mixed precision."""
        if self.training_settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.training_settings.gradient_clip)

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_index: int) -> None:
        """Move the averaged weights a step towards the trained ones, and tell how far things are."""
        self._step += 1
        decay = self.training_settings.ema
        if decay is not None:
            self._average.update(min(decay, (1 + self._step) / (10 + self._step)))
        if self.progress is not None:
            self.progress(self._step, self.training_settings.epochs * self._steps_of_epoch)

    def on_validation_epoch_start(self) -> None:
        """Forget the outputs of the epoch before; let all processes have the statistics of the first."""
        self._outputs = []
        self.scoring_network.eval()
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def validation_step(self, batch: ScoreBatch, batch_index: int) -> None:
        """Keep the logits of one batch, the mean of those of the pictures and of their mirror images.

        In float32 whatever the training's precision, as a saved model predicts.
        """
        sides, targets = batch
        network = self.scoring_network
        forward = network.from_frozen if self.validation_rows.are_activations else network
        with torch.autocast(self.device.type, enabled=False):
            logits = torch.stack([forward(side) for side in sides]).mean(dim=0)
        self._outputs.append((logits, targets))

    def on_validation_epoch_end(self) -> None:
        """Measure the epoch, keep its weights if it is the best so far, and stop when the training is over."""
        logits = self._of_all_processes(torch.cat([output for output, _ in self._outputs]))
        targets = self._of_all_processes(torch.cat([target for _, target in self._outputs]))
        if not torch.isfinite(logits).all():
            raise ModelingError(
                f"training diverged in epoch {self.epoch}: lower the learning rates in training, "
                "or set training.gradient_clip"
            )
        self.epochs.append(
            Epoch(
                epoch=self.epoch,
                train_loss=self._train_loss(),
                validation_loss=float(self.loss(logits, targets)),
                validation_score=mean_of_five(logits.cpu().numpy(), targets.cpu().numpy() > 0),
                learning_rate=float(self.adam.param_groups[0]["lr"]),
                seconds=time.monotonic() - self._started,
            )
        )
        if best_epoch(self.epochs).epoch == self.epoch:
            self._best = {name: value.cpu().clone() for name, value in changing(self.scoring_network).items()}
            self._best_logits = logits.cpu()
        over = is_finished(self.epochs, self.training_settings, self.stages)
        if over:
            self.trainer.should_stop = True
        if self.trainer.is_global_zero and (over or self.checkpoint.is_due):
            self.checkpoint.write(self._state())

    def _state(self) -> TrainingState:
        averaged = {} if self.averaged is None else changing(self.averaged)
        moments = moments_of(self.adam)
        return TrainingState(self.epochs, changing(self.network), averaged, moments, self._best, self._best_logits)

    def _train_loss(self) -> float:
        losses = torch.stack(self._losses).double()
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(losses)
        return float(losses.mean()) / int(self.trainer.world_size)

    def _of_all_processes(self, values: torch.Tensor) -> torch.Tensor:
        """Put the rows (n, C) of all processes together, in the order of the images: (N, C)."""
        if self.trainer.world_size == 1:
            return values
        batches = self.val_dataloader()
        rows = values.new_zeros(len(self.validation_rows), values.shape[1])
        rows[batches.start : batches.stop] = values
        torch.distributed.all_reduce(rows)
        return rows


def freeze_batch_norm(network: nn.Module) -> None:
    """Let batch normalisation use the statistics that it has, and learn only its scale and shift."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def changing(network: StyleNetwork) -> State:
    """Return the state dict without the frozen blocks."""
    frozen = {id(value) for value in network.frozen_blocks.state_dict(keep_vars=True).values()}
    return {
        name: value.detach() for name, value in network.state_dict(keep_vars=True).items() if id(value) not in frozen
    }


def moments_of(adam: Adam) -> State:
    """Return Adam's state by "<number of the weight>/<name of the moment>"."""
    states = adam.state_dict()["state"]
    return {f"{number}/{name}": value for number, moments in states.items() for name, value in moments.items()}


def put_moments(adam: Adam, moments: State) -> None:
    """Give Adam the state that ``moments_of`` returned; weights that had none have none."""
    weights = [weight for group in adam.param_groups for weight in group["params"]]
    state: dict[int, State] = {}
    for key, value in moments.items():
        number, name = key.split("/")
        # The fused step walks through weight and moments in the order of memory, so they must lie the same way.
        like = torch.empty_like(weights[int(number)]).copy_(value) if value.dim() else value
        state.setdefault(int(number), {})[name] = like
    adam.load_state_dict({"state": state, "param_groups": adam.state_dict()["param_groups"]})
