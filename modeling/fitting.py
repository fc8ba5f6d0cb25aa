"""One training as Lightning runs it: in this process, or in several that share each batch."""

import logging
import multiprocessing
import os
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (lightning imports torchvision)

# isort: split
import lightning
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.multiprocessing.spawn import ProcessContext, ProcessExitedException, ProcessRaisedException

from modeling.batches import ImageRows, TrainBatches
from modeling.checkpoints import CheckpointFile
from modeling.classifier import MultiLabelClassifier, Progress
from modeling.devices import memory_named, reproducible, trainer_precision, usable_threads
from modeling.errors import ModelingError
from modeling.losses import make_loss
from modeling.networks.fusion import put_channels_last
from modeling.networks.style_network import BuiltNetwork, build_network
from modeling.training_settings import BackboneSettings, Stage, TrainingSettings

LIGHTNING_LOGGERS = ("lightning.pytorch", "lightning.fabric")
processes: Any = torch.multiprocessing  # has no types
POLL = 0.1  # seconds between looks at what the processes have to tell


@dataclass(frozen=True)
class NetworkPlan:
    """What a network is built from. Built twice under one seed it has the same weights."""

    architecture: str
    backbone: BackboneSettings
    training: TrainingSettings
    labels: tuple[str, ...]
    word_vectors: npt.NDArray[np.floating] | None  # (C, d)
    adjacency: npt.NDArray[np.floating] | None  # (C, C)
    adjacency_learned: bool

    def build(self) -> BuiltNetwork:
        """Build the network, its random weights drawn from torch's global generator."""
        return build_network(
            self.architecture,
            self.backbone,
            self.training,
            self.labels,
            self.word_vectors,
            self.adjacency,
            adjacency_learned=self.adjacency_learned,
        )


@dataclass(frozen=True)
class Job:
    """All that one training needs; it can be sent to another process."""

    plan: NetworkPlan
    stages: tuple[Stage, ...]
    train_rows: ImageRows
    validation_rows: ImageRows
    device: torch.device
    checkpoint: Path

    @property
    def training(self) -> TrainingSettings:
        """The settings."""
        return self.plan.training

    @property
    def batches(self) -> int:
        """Batches of all epochs."""
        return self.training.epochs * len(TrainBatches(self.train_rows, self.training, 0, 0, self.training.devices))


def fit(job: Job, built: BuiltNetwork, progress: Progress | None) -> None:
    """Train from the last checkpoint, or from ``built``, to the end; the result is the last checkpoint.

    Raises ModelingError when the loss diverges.
    """
    if job.training.devices > 1:
        _fit_together(job, progress)
        return
    with _interruptible():
        _fit_here(job, built, progress, {"devices": [job.device.index or 0] if job.device.type == "cuda" else 1})


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt: Lightning makes it an exit with code 1, and has any later one ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


def _fit_here(job: Job, built: BuiltNetwork, progress: Progress | None, devices: dict[str, Any]) -> None:
    """Train in this process; ``devices`` are arguments of Lightning's Trainer."""
    training, targets = job.training, job.train_rows.targets
    put_channels_last(built.network)  # a third faster on CPUs with MobileNetV2, and what tensor cores want
    file = CheckpointFile(job.checkpoint)
    classifier = MultiLabelClassifier(
        built.network,
        training,
        job.stages,
        training.image_learning_rate if built.pretrained else training.scratch_learning_rate,
        make_loss(training, (targets > 0).sum(axis=0), len(targets)),
        job.train_rows,
        job.validation_rows,
        file,
        progress,
    )
    if (state := file.read()) is not None:
        classifier.restore(state)
    with _quiet():
        trainer = lightning.Trainer(
            **devices,
            accelerator="gpu" if job.device.type == "cuda" else "cpu",
            precision=trainer_precision(training, job.device),
            max_epochs=training.epochs - len(classifier.epochs),
            deterministic="warn" if job.device.type == "cuda" else True,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(classifier)


@contextmanager
def _quiet() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in LIGHTNING_LOGGERS}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


def _fit_together(job: Job, progress: Progress | None) -> None:
    """Start one process for each device, pass on what they tell, and wait for their end."""
    pipes = [multiprocessing.get_context("spawn").Pipe(duplex=False) for _ in range(job.training.devices)]
    receivers, senders = [receiver for receiver, _ in pipes], [sender for _, sender in pipes]
    with tempfile.TemporaryDirectory() as folder:
        context = processes.start_processes(
            _work,
            (job, str(Path(folder) / "meeting"), senders),
            nprocs=job.training.devices,
            join=False,
            start_method="spawn",
        )
        try:
            _wait(context, receivers, progress)
        finally:
            for process in context.processes:
                process.kill()
                process.join()


def _wait(context: ProcessContext, receivers: Sequence[Connection], progress: Progress | None) -> None:
    """Wait for the processes; raise ModelingError with the words of the first one that says what is wrong."""
    try:
        while not context.join(POLL):
            _pass_on(receivers, progress)
    except ProcessRaisedException:
        _pass_on(receivers, progress)  # a process that knows what is wrong says so before it ends
        raise
    except ProcessExitedException as error:
        raise ModelingError(
            f"a training process was ended by {error.signal_name or f'exit code {error.exit_code}'}; if memory was "
            "short, lower training.batch_size, training.image_size or training.devices"
        ) from error
    _pass_on(receivers, progress)


def _pass_on(receivers: Sequence[Connection], progress: Progress | None) -> None:
    for receiver in receivers:
        while receiver.poll():
            message = receiver.recv()
            if isinstance(message, str):
                raise ModelingError(message)
            if progress is not None:
                progress(*message)


def _work(rank: int, job: Job, meeting: str, senders: Sequence[Connection]) -> None:
    """One process's part of a training; its body is that of a training in one process."""
    training, world, on_gpu = job.training, job.training.devices, job.device.type == "cuda"
    # Lightning then takes this process as the rank-th of a group, and starts none.
    os.environ["LOCAL_RANK"] = str(rank)
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing listens outside this machine
    device = torch.device("cuda", rank) if on_gpu else job.device
    threads = max(1, (training.threads or usable_threads()) // world)
    backend = "nccl" if on_gpu else "gloo"
    strategy = DDPStrategy(process_group_backend=backend, find_unused_parameters=bool(job.stages))
    devices = {"devices": world, "strategy": strategy, "sync_batchnorm": on_gpu and training.batch_norm == "update"}
    progress = _sender(senders[rank]) if rank == 0 else None
    try:
        with memory_named(training), reproducible(training.seed, threads, device):
            torch.distributed.init_process_group(backend, init_method=f"file://{meeting}", rank=rank, world_size=world)
            _fit_here(job, job.plan.build(), progress, devices)
            torch.distributed.destroy_process_group()
    except ModelingError as error:
        senders[rank].send(str(error))
        raise


def _sender(connection: Connection) -> Callable[[int, int], None]:
    return lambda done, total: connection.send((done, total))
