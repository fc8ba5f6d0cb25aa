"""The peers that our training is measured against: written as well as one can, and counted as often as they train."""

import numpy as np
import pytest
import torch

from benchmarks import head_only
from benchmarks.loops.plain import PlainGcn, augmented, optimizer, train_plainly

CPU = torch.device("cpu")
VECTORS, ADJACENCY = np.random.default_rng(0).normal(size=(3, 8)), np.eye(3)
PICTURES = np.random.default_rng(1).integers(0, 256, size=(8, 32, 48, 3), dtype=np.uint8)


def test_the_plain_loops_rates_fall_to_zero_by_half_a_cosine():
    adam, schedule = optimizer(PlainGcn("resnet18", VECTORS, ADJACENCY), 10)
    rates = []
    for _ in range(10):
        rates.append([group["lr"] for group in adam.param_groups])
        adam.step()
        schedule.step()
    assert rates[0] == [1e-4, 1e-3]
    assert rates[5] == pytest.approx([0.5e-4, 0.5e-3])
    assert [group["lr"] for group in adam.param_groups] == pytest.approx([0, 0], abs=1e-12)


def test_the_plain_loop_trains_channels_last(monkeypatch: pytest.MonkeyPatch):
    batch = augmented(torch.from_numpy(PICTURES), CPU)
    assert batch.shape == (8, 3, 32, 48)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    seen = []

    def forward(network: PlainGcn, images: torch.Tensor) -> torch.Tensor:
        weights = [weight for weight in network.trunk.parameters() if weight.ndim == 4]
        seen.extend(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in (images, *weights))
        return network.first.weight.sum() + torch.zeros(len(images), 3)

    monkeypatch.setattr(PlainGcn, "forward", forward)
    targets = np.eye(3, dtype=np.float32)[np.arange(8) % 3]
    seconds = train_plainly(PICTURES, targets, VECTORS, ADJACENCY, "resnet18", 4, 2, CPU)
    assert len(seconds) == 2
    assert len(seen) == 6 * 21, "four steps and two validations, each with its images and a ResNet-18's 20 convolutions"
    assert all(seen)


def test_the_peer_of_the_head_benchmark_trains_as_many_epochs_as_ours():
    """Ten heads on pooled features for 30 epochs and CSRA for 6, each with 3 seeds: 918 epochs."""
    assert (head_only.EPOCHS, head_only.REPEATS) == (30, 3)
    assert head_only.peer_epochs(pooled_heads=10, map_epochs=6) == 918
