"""The plain head: one classifier and one bias per label."""

from torch import nn

from modeling.networks.heads import HeadInputs


def build(inputs: HeadInputs) -> nn.Module:
    """Return a linear layer over pooled features: (N, D) to (N, C)."""
    return nn.Linear(inputs.num_features, len(inputs.labels))
