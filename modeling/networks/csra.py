"""Class-specific residual attention (CSRA): average pooling plus each label's own attention over the places.

Zhu and Wu, "Residual Attention: A Simple but Effective Method for Multi-Label Recognition", ICCV 2021, section 3.
"""

import math

import torch
from torch import nn

from modeling.networks.heads import HeadInputs

# For 1, 2, 4, 6 and 8 heads as published, where the last is written 99 and stands for the maximum. Other counts are not
# published; here they follow the same row.
TEMPERATURES: dict[int, tuple[float, ...]] = {
    1: (1,),
    2: (1, math.inf),
    3: (1, 2, math.inf),
    4: (1, 2, 4, math.inf),
    5: (1, 2, 3, 4, math.inf),
    6: (1, 2, 3, 4, 5, math.inf),
    7: (1, 2, 3, 4, 5, 6, math.inf),
    8: (1, 2, 3, 4, 5, 6, 7, math.inf),
}


class ResidualAttention(nn.Module):
    """Logits of a feature map, (N, D, h, w) to (N, C).

    With x_k the features at place k and m_i the classifier of label i, one head of temperature T has

    - the label's attention ``s_k = exp(T x_k·m_i) / sum_j exp(T x_j·m_i)``,
    - its attended feature ``a_i = sum_k s_k x_k``, and the mean feature ``g = mean_k x_k``,
    - its logit ``m_i·(g + lambda a_i)``, the residual attention (equation 8; several heads: figure 3).

    ``m_i·a_i`` is the attention's mean of the scores ``x_k·m_i``, and their maximum where T is infinite. Each head has
    classifiers of its own, all share lambda, and their logits are added. There is no bias. The classifiers are not
    normalised, as in the equations; the published code divides each by its length, which its author reports as faster
    to converge and no better in the end.
    """

    def __init__(self, num_features: int, num_labels: int, heads: int, weight: float) -> None:
        super().__init__()
        self.temperatures = TEMPERATURES[heads]
        self.weight = weight  # lambda
        self.classifiers = nn.Conv2d(num_features, heads * num_labels, kernel_size=1, bias=False)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of feature maps (N, D, h, w)."""
        scores = self.classifiers(maps).flatten(2)
        heads = scores.chunk(len(self.temperatures), dim=1)
        base = torch.stack([head.mean(dim=2) for head in heads]).sum(dim=0)
        attended = [_attended(head, temperature) for head, temperature in zip(heads, self.temperatures, strict=True)]
        logits: torch.Tensor = base + self.weight * torch.stack(attended).sum(dim=0)
        return logits


def _attended(scores: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean of the scores (N, C, places), weighted by their own softmax: (N, C)."""
    if math.isinf(temperature):
        return scores.amax(dim=2)
    return ((scores * temperature).softmax(dim=2) * scores).sum(dim=2)


def build(inputs: HeadInputs) -> nn.Module:
    """Return the head as ``training.attention`` describes it, over the feature map."""
    settings = inputs.training.attention
    return ResidualAttention(inputs.num_features, len(inputs.labels), settings.heads, settings.weight)
