"""Any torchvision classification model as an image branch: from images to a map of features."""

from collections.abc import Callable, Iterable
from importlib import import_module

import torch
from torch import nn

from modeling import torchvision_guard  # noqa: F401  (before torchvision)
from modeling.errors import ModelingError
from modeling.training_settings import Trainable

# isort: split
from torchvision import models

# Backbones that are not torchvision's: modules of modeling.networks with build(image_size) -> nn.Sequential, whose
# entries are the blocks from normalised images (N, 3, H, W) to a feature map (N, D, h, w).
OWN_BACKBONES: tuple[str, ...] = ("basic_cnn",)

# Entries of a torchvision model that stand behind its feature map, whatever the family calls them.
CLASSIFIER_PREFIXES = ("fc.", "classifier.", "head.", "heads.", "aux1.", "aux2.", "AuxLogits.")
_BEHIND_THE_MAP = {"avgpool", "fc", "classifier", "head", "heads", "dropout", "aux1", "aux2", "AuxLogits"}


def backbone_names() -> list[str]:
    """Return the names of all torchvision classification models and of the backbones of one's own."""
    return [*models.list_models(module=models), *OWN_BACKBONES]


def classification_model(name: str, image_size: tuple[int, int]) -> nn.Module:
    """Build a torchvision classification model, or a backbone of one's own, with random weights.

    Raises ModelingError when there is no such model, or when it can't take images of this size.
    """
    if name not in backbone_names():
        raise ModelingError(
            f"backbone.name: torchvision has no classification model {name!r}; "
            f"choose one of {', '.join(backbone_names())}"
        )
    if name in OWN_BACKBONES:
        own: nn.Module = import_module(f"modeling.networks.{name}").build(image_size)
        return own
    options: dict[str, object] = {"weights": None}
    if name.startswith("vit_"):
        if image_size[0] != image_size[1]:
            raise ModelingError(f"training.image_size: {name} takes square images only, not {image_size}")
        options["image_size"] = image_size[0]
    if name.startswith("maxvit_"):
        options["input_size"] = image_size
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": False, "init_weights": True}
    try:
        model: nn.Module = models.get_model(name, **options)
    except (ValueError, AssertionError) as error:
        raise ModelingError(f"training.image_size: {name} can't take images of {image_size} pixels: {error}") from error
    return model


def is_classifier_key(key: str) -> bool:
    """Tell whether an entry of a torchvision state dict belongs to the part behind the feature map."""
    return key.startswith(CLASSIFIER_PREFIXES)


def feature_blocks(model: nn.Module) -> list[nn.Module]:
    """Cut a model into blocks whose chain gives its last feature map (N, D, h, w)."""
    if type(model) is nn.Sequential:  # a backbone of one's own
        return list(model)
    if isinstance(model, models.VisionTransformer):
        return [_PatchStem(model), *model.encoder.layers, _PatchNeck(model)]
    if isinstance(model, models.SwinTransformer):
        return [*model.features, _ChannelsFirst(model.norm)]
    if isinstance(model, models.DenseNet):
        return [*model.features, nn.ReLU()]
    if isinstance(model, models.ResNet):
        stem = nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
        return [stem, *model.layer1, *model.layer2, *model.layer3, *model.layer4]
    for path in ("features", "layers"):
        if isinstance(part := getattr(model, path, None), nn.Sequential):
            return list(part)
    return _flat(child for name, child in model.named_children() if name not in _BEHIND_THE_MAP)


def _flat(children: Iterable[nn.Module]) -> list[nn.Module]:
    """Open up chains and lists once, so that a model's stages become blocks."""
    blocks: list[nn.Module] = []
    for child in children:
        opened = type(child) in (nn.Sequential, nn.ModuleList)
        blocks += list(child.children()) if opened else [child]
    return blocks


def trained_blocks(trainable: Trainable) -> int | None:
    """Return how many of the last blocks a ``trainable`` setting trains: None for ``all``, 0 for ``head``."""
    if isinstance(trainable, int):
        return trainable
    return None if trainable == "all" else 0


class Backbone(nn.Module):
    """The part of a model before its global pooling, as a chain of blocks.

    ``frozen`` holds the first blocks, which are never trained, and ``trained`` the rest. Of those, ``set_trained`` lets
    only the last be trained for a while.
    """

    def __init__(
        self,
        model: nn.Module,
        image_size: tuple[int, int],
        trained_blocks: int | None,
        setting: str = "backbone.trainable",
    ) -> None:
        """Take ``model`` apart; ``trained_blocks`` counts from the end, None trains all of them, 0 none.

        Raises ModelingError when the model has fewer blocks, where ``setting`` is named, which chose them; or when it
        can't take images of ``image_size`` (height, width).
        """
        super().__init__()
        blocks = feature_blocks(model)
        if trained_blocks is not None and trained_blocks > len(blocks):
            raise ModelingError(f"{setting} is {trained_blocks}, but {len(blocks)} blocks are all there are")
        cut = 0 if trained_blocks is None else len(blocks) - trained_blocks
        self.frozen = nn.Sequential(*blocks[:cut])
        self.trained = nn.Sequential(*blocks[cut:])
        self.frozen.requires_grad_(False)
        self._resting = 0  # first blocks of `trained` that are not trained for now
        self.num_features = self._channels(image_size)

    def set_trained(self, blocks: int | None) -> None:
        """Train the last ``blocks`` blocks from now on (0: none, None: all of ``trained``); the others rest.

        Resting blocks need no gradients and stay in eval mode, so that their statistics stay, too. Raises ModelingError
        when ``trained`` has fewer blocks.
        """
        there = len(self.trained)
        if blocks is not None and blocks > there:
            raise ModelingError(f"training.stages: trainable is {blocks}, but there are {there} blocks to train")
        self._resting = 0 if blocks is None else there - blocks
        for index, block in enumerate(self.trained):
            block.requires_grad_(index >= self._resting)
        self.train(self.training)

    def _channels(self, image_size: tuple[int, int]) -> int:
        self.eval()
        try:
            with torch.no_grad():
                features = self(torch.zeros(1, 3, *image_size))
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ModelingError(
                f"training.image_size: the backbone can't take images of {image_size} pixels: {reason}"
            ) from error
        return int(features.shape[1])

    def train(self, mode: bool = True) -> "Backbone":
        """Set training mode on the blocks that are trained; the others keep their statistics."""
        super().train(mode)
        self.frozen.eval()
        self.trained[: self._resting].eval()
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the feature map (N, D, h, w) of normalised images (N, 3, H, W)."""
        features: torch.Tensor = self.trained(self.frozen(images))
        return features


class _ChannelsFirst(nn.Module):
    """Norm of a Swin transformer, then channels moved from the last place to the second."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.norm(maps)
        return normed.permute(0, 3, 1, 2)


class _PatchStem(nn.Module):
    """From images to the token sequence of a vision transformer, class token first."""

    def __init__(self, model: models.VisionTransformer) -> None:
        super().__init__()
        self.project = model.conv_proj
        self.class_token = model.class_token
        self.positions = model.encoder.pos_embedding
        self.dropout = model.encoder.dropout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.project(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(images.shape[0], -1, -1), patches], dim=1)
        embedded: torch.Tensor = self.dropout(tokens + self.positions)
        return embedded


class _PatchNeck(nn.Module):
    """From the tokens of a vision transformer to a square map of its patches."""

    def __init__(self, model: models.VisionTransformer) -> None:
        super().__init__()
        self.norm = model.encoder.ln
        self.side = model.image_size // model.patch_size

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        patches: torch.Tensor = self.norm(tokens)[:, 1:].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], self.side, self.side)


POOLINGS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "none": lambda maps: maps,  # for heads that take the map
    "average": lambda maps: maps.mean(dim=(-2, -1)),
    # The gradient of amax is deterministic on a GPU too, and any map size fits.
    "max": lambda maps: maps.amax(dim=(-2, -1)),
}
