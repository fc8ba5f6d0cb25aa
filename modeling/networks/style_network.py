"""A whole network: image branch, global pooling, head; and how to build one from settings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modeling.architectures import ARCHITECTURES, Architecture
from modeling.errors import ModelingError
from modeling.networks.backbones import POOLINGS, Backbone, classification_model
from modeling.networks.basic_cnn import BasicCnn
from modeling.networks.ml_gcn import LabelGraph
from modeling.networks.weights import load_backbone_weights
from modeling.training_settings import BackboneSettings, TrainingSettings

# ImageNet's statistics of RGB in 0..1, as torchvision's weights expect; used with random weights too.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class StyleNetwork(nn.Module):
    """From uint8 images (N, 3, H, W) to logits (N, C).

    The frozen part (normalisation and the first blocks of a backbone) and the rest can be called one by one, so that
    the frozen part's result may be kept over the epochs: ``forward(x)`` is ``from_frozen(frozen(x))``.
    """

    mean: torch.Tensor
    std: torch.Tensor
    image_branch: Backbone | BasicCnn

    def __init__(self, image_branch: Backbone | BasicCnn, pooling: str, head: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.image_branch = image_branch
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.head = head
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255, persistent=False)

    @property
    def frozen_blocks(self) -> nn.Sequential:
        """The blocks that are never trained; empty where all of them are."""
        return self.image_branch.frozen if isinstance(self.image_branch, Backbone) else nn.Sequential()

    def frozen(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise images (N, 3, H, W), uint8 or float in 0..255, and run the frozen blocks over them."""
        activations: torch.Tensor = self.frozen_blocks((images.float() - self.mean) / self.std)
        return activations

    def from_frozen(self, activations: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of what ``frozen`` returned."""
        trained = self.image_branch.trained if isinstance(self.image_branch, Backbone) else self.image_branch
        features = POOLINGS[self.pooling](trained(activations))
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of images (N, 3, H, W), uint8 or float in 0..255."""
        return self.from_frozen(self.frozen(images))


@dataclass(frozen=True)
class BuiltNetwork:
    """A network with what its model card has to say about it."""

    network: StyleNetwork
    pooling: str
    weights: dict[str, str]  # source and sha256 of the backbone's weights
    pretrained: bool


def build_network(
    architecture: str,
    backbone: BackboneSettings,
    training: TrainingSettings,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating] | None = None,
    adjacency: npt.NDArray[np.floating] | None = None,
    load_weights: bool = True,
) -> BuiltNetwork:
    """Build an architecture by name, its random weights drawn from torch's global generator.

    ``word_vectors`` (C, d) and ``adjacency`` (C, C) are needed by ``ml_gcn`` only. ``load_weights=False`` leaves the
    backbone random, for a caller that puts a whole saved model in. Raises ModelingError for an unknown architecture or
    backbone, for weights that do not fit, and for matrices that do not fit the labels.
    """
    form = find_architecture(architecture)
    if form.image_branch == "basic_cnn":
        branch: Backbone | BasicCnn = BasicCnn()
        origin = {"source": "none"}
    else:
        model = classification_model(backbone.name, training.image_size)
        origin = load_backbone_weights(model, backbone.name, backbone.weights if load_weights else "none")
        branch = Backbone(model, training.image_size, _trained_blocks(form, backbone))
    pooling = training.graph.pooling if form.pooling == "graph" else form.pooling
    head: nn.Module
    if form.head == "graph":
        head = _label_graph(training, labels, word_vectors, adjacency, branch.num_features)
    else:
        head = nn.Linear(branch.num_features, len(labels))
    network = StyleNetwork(branch, pooling, head, training.dropout)
    pretrained = form.image_branch == "backbone" and backbone.weights != "none"
    return BuiltNetwork(network, pooling, origin, pretrained)


def find_architecture(name: str) -> Architecture:
    """Return the architecture of this name, or raise ModelingError that lists the names."""
    if name not in ARCHITECTURES:
        raise ModelingError(f"unknown architecture {name!r}; choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def _trained_blocks(form: Architecture, backbone: BackboneSettings) -> int | None:
    if form.frozen or backbone.trainable == "head":
        return 0
    return None if backbone.trainable == "all" else backbone.trainable


def _label_graph(
    training: TrainingSettings,
    labels: Sequence[str],
    word_vectors: npt.NDArray[np.floating] | None,
    adjacency: npt.NDArray[np.floating] | None,
    num_features: int,
) -> LabelGraph:
    count = len(labels)
    if word_vectors is None or adjacency is None:
        raise ModelingError("ml_gcn needs word vectors and an adjacency matrix of the label set")
    if word_vectors.ndim != 2 or len(word_vectors) != count or adjacency.shape != (count, count):
        raise ModelingError(
            f"ml_gcn: {count} labels need word vectors ({count}, d) and an adjacency ({count}, {count}), "
            f"not {word_vectors.shape} and {adjacency.shape}"
        )
    settings = training.graph
    return LabelGraph(
        torch.tensor(_scaled(word_vectors, settings.word_vectors), dtype=torch.float32),
        torch.tensor(adjacency, dtype=torch.float32),
        num_features,
        settings.hidden,
        settings.negative_slope,
        settings.product == "scaled_dot",
        settings.bias,
    )


def _scaled(vectors: npt.NDArray[np.floating], how: str) -> npt.NDArray[np.float64]:
    """Word vectors as given, of unit length, or first moved so that their mean is zero."""
    values = np.asarray(vectors, dtype=np.float64)
    if how == "centered":
        values = values - values.mean(axis=0)
    if how == "as_given":
        return values
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float64] = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return scaled
