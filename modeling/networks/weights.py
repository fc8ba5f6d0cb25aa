"""Weights for a backbone: torchvision's download, or a state dict from a file."""

import hashlib
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from modeling import torchvision_guard  # noqa: F401  (before torchvision)
from modeling.errors import ModelingError
from modeling.networks.backbones import OWN_BACKBONES, is_classifier_key

# isort: split
from torchvision import models

# Names of before that torchvision's own files of DenseNets and vision transformers still have, and those of now.
_FORMER_NAMES = (
    (re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)"), r"\1\2"),
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
)


def load_backbone_weights(model: nn.Module, name: str, weights: str) -> dict[str, str]:
    """Put weights into a torchvision model and return where they came from, for the model card.

    ``weights`` is ``none``, ``imagenet`` or a path. Nothing is replaced silently: raises ModelingError when the
    download fails, when the file can't be read, or when a key is missing, surplus or of another shape, and names it.
    """
    if weights == "none":
        return {"source": "none"}
    if weights == "imagenet":
        return _load_imagenet(model, name)
    path = Path(weights)
    put_state_dict(model, read_state_dict(path), path.name, name)
    return {"source": path.name, "sha256": file_sha256(path)}


def file_sha256(path: Path) -> str:
    """Return the lower-case hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_imagenet(model: nn.Module, name: str) -> dict[str, str]:
    if name in OWN_BACKBONES:
        raise ModelingError(f"backbone.weights: torchvision has no ImageNet weights of {name}; give a path or none")
    chosen = models.get_model_weights(name).DEFAULT
    try:
        state = chosen.get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelingError(
            f"backbone.weights: the ImageNet weights of {name} could not be downloaded from {chosen.url} ({error}); "
            "fetch that file elsewhere and give its path as backbone.weights, or give none for random weights"
        ) from error
    put_state_dict(model, state, chosen.url, name)
    return {"source": f"torchvision {chosen}", "url": str(chosen.url)}


def read_state_dict(path: Path) -> Mapping[str, torch.Tensor]:
    """Read a state dict from a ``.safetensors`` file, or a ``.pth`` / ``.pt`` file that holds tensors only.

    Raises ModelingError when there is no such file, it is of another kind, or it holds anything but tensors.
    """
    if not path.is_file():
        raise ModelingError(f"backbone.weights: no file {path}; give an existing path, imagenet or none")
    try:
        if path.suffix == ".safetensors":
            state: Any = load_file(path)
        elif path.suffix in (".pth", ".pt"):
            state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise ModelingError(f"backbone.weights: {path.name} must end in .safetensors, .pth or .pt")
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelingError(f"backbone.weights: {path.name} is no state dict of tensors: {reason}") from error
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ModelingError(
            f"backbone.weights: {path.name} must hold one state dict, parameter names to tensors, and nothing else"
        )
    return state  # as it is: what torch.save wrote has the modules' versions with it


def put_state_dict(model: nn.Module, state: Mapping[str, torch.Tensor], origin: str, name: str) -> None:
    """Load the part of ``state`` before the global pooling into ``model``; a classifier in it is left out.

    Raises ModelingError that names the first key which is missing, surplus, or has another shape. The versions of
    modules that torch.save keeps beside the tensors go along; a file without them counts as one of today's.
    """
    wanted = {key: value for key, value in model.state_dict().items() if not is_classifier_key(key)}
    # Files of before torch 0.4.1 have no counters of batches; nothing reads them.
    needed = [key for key in wanted if not key.endswith("num_batches_tracked")]
    given = OrderedDict((_name_of_now(key), value) for key, value in state.items() if not is_classifier_key(key))
    if missing := [key for key in needed if key not in given]:
        raise ModelingError(
            f"backbone.weights: {origin} lacks key {missing[0]!r} of {name} ({len(missing)} of {len(needed)} missing)"
        )
    if surplus := [key for key in given if key not in wanted]:
        raise ModelingError(
            f"backbone.weights: {origin} has key {surplus[0]!r}, which is not in {name} ({len(surplus)} surplus)"
        )
    for key, value in given.items():
        if value.shape != wanted[key].shape:
            raise ModelingError(
                f"backbone.weights: key {key!r} of {origin} has shape {tuple(value.shape)}, "
                f"{name} needs {tuple(wanted[key].shape)}"
            )
    # MNASNet refuses a state dict without them.
    versions = getattr(state, "_metadata", None) or getattr(model.state_dict(), "_metadata", None)
    setattr(given, "_metadata", versions)  # noqa: B010  (an attribute that no type declares)
    model.load_state_dict(given, strict=False)


def _name_of_now(key: str) -> str:
    for former, now in _FORMER_NAMES:
        key = former.sub(now, key)
    return key
