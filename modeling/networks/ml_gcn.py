"""The label branch of ML-GCN: classifiers made from word vectors by two graph convolutions."""

import math

import torch
from torch import nn


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
    Word vectors and adjacency are buffers: they are saved with the weights, never trained.
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
    ) -> None:
        """Take word vectors (C, d) float32 and the normalised adjacency (C, C) float32.

        ``scaled`` divides the dot product by ``sqrt(num_features)``. One Adam step moves a classifier's entry by about
        rate x sum of |hidden node features|, hundreds of times what it moves a linear head's; on small data sets the
        plain product therefore overshoots.
        """
        super().__init__()
        self.register_buffer("word_vectors", word_vectors)
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
