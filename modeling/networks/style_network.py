"""A whole network: image branch, global pooling, head; and how to build one from settings."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from modeling.architectures import Architecture
from modeling.networks.backbones import POOLINGS, Backbone, classification_model, trained_blocks
from modeling.networks.fusion import fuse_batch_norms, put_channels_last
from modeling.networks.heads import Foldable, build_head, find_architecture
from modeling.networks.weights import load_backbone_weights
from modeling.schedule import stages_of
from modeling.training_settings import BackboneSettings, TrainingSettings

__all__ = ["BuiltNetwork", "StyleNetwork", "build_network", "find_architecture"]

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

    def __init__(self, image_branch: Backbone, pooling: str, head: nn.Module, dropout: float = 0.0) -> None:
        """Take an image branch, a pooling of POOLINGS (``none`` hands the map to the head), and a head.

        ``dropout`` is the share of the D features that are set to zero while training; of a map, all places of a
        feature at once.
        """
        super().__init__()
        self.image_branch = image_branch
        self.pooling = pooling
        self.dropout = nn.Dropout2d(dropout) if pooling == "none" else nn.Dropout(dropout)
        self.head = head
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255, persistent=False)

    @property
    def frozen_blocks(self) -> nn.Sequential:
        """The blocks that are never trained; empty where all of them are."""
        return self.image_branch.frozen

    def frozen(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise images (N, 3, H, W), uint8 or float in 0..255, and run the frozen blocks over them."""
        activations: torch.Tensor = self.frozen_blocks((images.float() - self.mean) / self.std)
        return activations

    def from_frozen(self, activations: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of what ``frozen`` returned."""
        features = POOLINGS[self.pooling](self.image_branch.trained(activations))
        logits: torch.Tensor = self.head(self.dropout(features))
        return logits

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (N, C) of images (N, 3, H, W), uint8 or float in 0..255."""
        return self.from_frozen(self.frozen(images))

    def for_inference(self) -> "StyleNetwork":
        """Return a copy that only predicts, with the same logits up to rounding and in less time.

        What a head can do without an image is done once (ML-GCN's graph makes its classifiers), batch normalisation is
        put into the convolution before it, and weights lie channels last, as CPU and GPU kernels like them.
        """
        network = copy.deepcopy(self).eval().requires_grad_(False)
        if isinstance(network.head, Foldable):
            network.head = network.head.folded().requires_grad_(False)
        fuse_batch_norms(network.image_branch)
        put_channels_last(network)
        return network


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
    adjacency_learned: bool = False,
) -> BuiltNetwork:
    """Build an architecture by name, its random weights drawn from torch's global generator.

    ``word_vectors`` (C, d) and ``adjacency`` (C, C) are needed by ``ml_gcn`` only; ``adjacency_learned`` trains the
    adjacency with the label branch. ``load_weights=False`` leaves the backbone random, for a caller that puts a whole
    saved model in. Raises ModelingError for an unknown architecture or backbone, for weights that do not fit, and for
    matrices that do not fit the labels.
    """
    form = find_architecture(architecture)
    name, weights, trained = _image_branch(form, backbone)
    model = classification_model(name, training.image_size)
    origin = load_backbone_weights(model, name, weights if load_weights else "none")
    setting = "training.stages: trainable" if stages_of(form, training) else "backbone.trainable"
    branch = Backbone(model, training.image_size, trained, setting)
    pooling = training.graph.pooling if form.pooling == "graph" else form.pooling
    head = build_head(architecture, branch.num_features, training, labels, word_vectors, adjacency, adjacency_learned)
    network = StyleNetwork(branch, pooling, head, training.dropout)
    return BuiltNetwork(network, pooling, origin, pretrained=weights != "none")


def _image_branch(form: Architecture, backbone: BackboneSettings) -> tuple[str, str, int | None]:
    """Name and weights of the image branch, and how many of its last blocks are trained (None: all)."""
    if form.image_branch != "backbone":
        return form.image_branch, "none", None
    return backbone.name, backbone.weights, 0 if form.frozen else trained_blocks(backbone.trainable)
