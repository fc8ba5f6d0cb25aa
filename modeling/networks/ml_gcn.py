"""The label branch of ML-GCN: classifiers made from word vectors by two graph convolutions."""

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modeling.errors import ModelingError
from modeling.networks.heads import HeadInputs


class GraphConvolution(nn.Module):
    """One graph convolution ``Â H W`` without bias: (C, inputs) to (C, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        bound = 1 / math.sqrt(outputs)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, nodes: torch.Tensor, adjacency: torch.Tensor) -> torch.Tensor:
        """Return ``adjacency (C, C) @ nodes (C, inputs) @ weight (inputs, outputs)``."""
        return adjacency @ (nodes @ self.weight)


class LabelGraph(nn.Module):
    """Scores as dot products of image features with the classifiers that a graph network makes.

    ``H(l+1) = LeakyReLU(Â H(l) W(l))``, two layers, no bias, no activation after the last (Chen et al., CVPR 2019).
    Word vectors and adjacency are saved with the weights. Word vectors are never trained, the adjacency only where it
    is learned; its key is ``adjacency`` either way.
    """

    word_vectors: torch.Tensor
    adjacency: torch.Tensor

    def __init__(
        self,
        word_vectors: torch.Tensor,
        adjacency: torch.Tensor,
        num_features: int,
        hidden: int = 1024,
        negative_slope: float = 0.2,
        scaled: bool = False,
        bias: bool = False,
        adjacency_learned: bool = False,
    ) -> None:
        """Take word vectors (C, d) float32 and the normalised adjacency (C, C) float32.

        ``scaled`` divides the dot product by ``sqrt(num_features)``. One Adam step moves a classifier's entry by about
        rate x sum of |hidden node features|, hundreds of times what it moves a linear head's; on small data sets the
        plain product therefore overshoots. ``adjacency_learned`` makes the adjacency a weight that starts as given.
        """
        super().__init__()
        self.register_buffer("word_vectors", word_vectors)
        if adjacency_learned:
            self.adjacency = nn.Parameter(adjacency)
        else:
            self.register_buffer("adjacency", adjacency)
        self.first = GraphConvolution(word_vectors.shape[1], hidden)
        self.second = GraphConvolution(hidden, num_features)
        self.activation = nn.LeakyReLU(negative_slope)
        self.scale = 1 / math.sqrt(num_features) if scaled else 1.0
        self.bias = nn.Parameter(torch.zeros(len(word_vectors))) if bias else None

    def classifiers(self) -> torch.Tensor:
        """Return one classifier per label, (C, D)."""
        nodes = self.activation(self.first(self.word_vectors, self.adjacency))
        classifiers: torch.Tensor = self.second(nodes, self.adjacency) * self.scale
        return classifiers

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of pooled image features (N, D)."""
        return nn.functional.linear(features, self.classifiers(), self.bias)

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """Return a linear layer (N, D) to (N, C) with the classifiers as they are now: the graph has run, once."""
        classifiers = self.classifiers()
        # On the meta device no random numbers are drawn for weights that are about to be put in.
        linear = nn.Linear(classifiers.shape[1], len(classifiers), self.bias is not None, "meta", classifiers.dtype)
        linear = linear.to_empty(device=classifiers.device)
        linear.weight.copy_(classifiers)
        if self.bias is not None:
            linear.bias.copy_(self.bias)
        return linear


def build(inputs: HeadInputs) -> nn.Module:
    """Return the label branch as ``training.graph`` describes it, over pooled features.

    Raises ModelingError when word vectors or adjacency are missing or do not fit the labels.
    """
    count, name = len(inputs.labels), inputs.architecture
    vectors, adjacency = inputs.word_vectors, inputs.adjacency
    if vectors is None or adjacency is None:
        raise ModelingError(f"{name} needs word vectors and an adjacency matrix of the label set")
    if vectors.ndim != 2 or len(vectors) != count or adjacency.shape != (count, count):
        raise ModelingError(
            f"{name}: {count} labels need word vectors ({count}, d) and an adjacency ({count}, {count}), "
            f"not {vectors.shape} and {adjacency.shape}"
        )
    settings = inputs.training.graph
    return LabelGraph(
        torch.tensor(scaled_vectors(vectors, settings.word_vectors), dtype=torch.float32),
        torch.tensor(adjacency, dtype=torch.float32),
        inputs.num_features,
        settings.hidden,
        settings.negative_slope,
        settings.product == "scaled_dot",
        settings.bias,
        inputs.adjacency_learned,
    )


def scaled_vectors(vectors: npt.NDArray[np.floating], how: str) -> npt.NDArray[np.float64]:
    """Word vectors (C, d) ``as_given``, of length 1 (``unit``), or first moved to a mean of zero (``centered``)."""
    values = np.asarray(vectors, dtype=np.float64)
    if how == "centered":
        values = values - values.mean(axis=0)
    if how == "as_given":
        return values
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float64] = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return scaled
