"""An exponential moving average of a network's weights."""

from typing import Any

import torch
from torch import nn
from torch.optim import swa_utils

averages: Any = swa_utils  # has no types


class WeightAverage:
    """Keeps one network the exponential moving average of another one of the same form.

    Weights and statistics of batch normalisation are averaged, counters taken over. Make it when both networks are on
    their device: it holds on to their tensors, so that a step costs a few calls however many tensors there are.
    """

    def __init__(self, averaged: nn.Module, network: nn.Module) -> None:
        means, values = averaged.state_dict(keep_vars=True), network.state_dict(keep_vars=True)
        floats = [name for name, value in values.items() if value.is_floating_point()]
        self._means = tuple(means[name] for name in floats)
        self._values = tuple(values[name] for name in floats)
        self._counters = [(means[name], value) for name, value in values.items() if name not in set(floats)]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Set each average to ``decay * itself + (1 - decay) * the network's``."""
        averages.get_ema_multi_avg_fn(decay)(self._means, self._values, 0)
        for mean, value in self._counters:
            mean.copy_(value)
