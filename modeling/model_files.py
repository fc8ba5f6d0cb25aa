"""A trained model on disk: ``model.safetensors`` and ``card.json``, checked against each other when loaded.

A model that was trained with several seeds has the one that is kept to predict on top, and all of them in ``seed-<n>``.
"""

import importlib.metadata
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modeling import torchvision_guard  # noqa: F401  (before torch)

# isort: split
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes

from modeling.card_files import (
    CARD_NAME,
    CHECKED,
    FORMAT,
    MODEL_CARD_NAME,
    WEIGHTS_NAME,
    read_card,
    seed_folders,
    update_card,
    write_card,
    write_model_card,
    write_whole,
)
from modeling.errors import ModelingError
from modeling.networks.style_network import MEAN, STD, StyleNetwork, build_network
from modeling.networks.weights import file_sha256
from modeling.predictor import Predictor
from modeling.training_settings import BackboneSettings, TrainingSettings

__all__ = [
    "CARD_NAME",
    "FORMAT",
    "MODEL_CARD_NAME",
    "WEIGHTS_NAME",
    "load_model",
    "load_network",
    "package_versions",
    "read_card",
    "save_model",
    "seed_folders",
    "update_card",
    "write_model_card",
]

HEADER = "card"  # entry of the weights' metadata that repeats a part of the card
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "pillow", "safetensors")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a model's numbers."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}


def save_model(folder: Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Path:
    """Write weights and card into ``folder``, each file whole or not at all; return the path of the weights.

    All of the card that decides the answers is written into the weights' header too, and the sha256 of the weights into
    the card, so that files which do not belong together, and changes by hand, are noticed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One entry only: safetensors writes several in an order that changes from run to run.
    header = {HEADER: json.dumps({key: card[key] for key in CHECKED}, ensure_ascii=False, sort_keys=True)}
    tensors = {name: value.contiguous() for name, value in sorted(state.items())}
    weights = folder / WEIGHTS_NAME
    write_whole(weights, safetensors_bytes(tensors, header))
    write_card(folder, {**card, "weights_sha256": file_sha256(weights)})
    return weights


def load_model(folder: Path, device: str = "auto") -> Predictor:
    """Load a saved model, ready to predict on ``device``: auto (a GPU where there is one), cpu, cuda or cuda:N.

    Raises ModelingError that names the key when the card lacks one or says what can't be, when card and weights
    contradict each other, or when the weights do not fit the network that the card describes.
    """
    with torch.random.fork_rng(devices=[]):  # layers are made with random weights before they get theirs
        network, card = load_network(folder)
        return Predictor(network, card, device)


def load_network(folder: Path) -> tuple[StyleNetwork, dict[str, Any]]:
    """Return the network of a saved model as it was trained, on the CPU and in eval mode, and its card.

    Raises ModelingError as ``load_model`` does.
    """
    card = read_card(folder)
    training, backbone = _settings_of(folder, card)
    weights = folder / WEIGHTS_NAME
    try:
        with safe_open(weights, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
        state = load_file(weights)
        digest = file_sha256(weights)
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise ModelingError(f"{weights} can't be read: {error}; train the model again") from error
    if key := _difference({key: card[key] for key in CHECKED}, header if isinstance(header, dict) else {}):
        raise ModelingError(
            f"{folder}: key {key!r} of {CARD_NAME} is not that of {WEIGHTS_NAME}: they are of different models, "
            "or one was changed; train the model again"
        )
    network = _network_of(folder, card, training, backbone, state)
    if card["weights_sha256"] != digest:
        raise ModelingError(f"{weights} was changed after training: its sha256 is not that of {CARD_NAME}")
    return network, card


def _difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """Name the first key, with dots between tables, under which two tables differ; a number and a boolean do."""
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            if inner := _difference(one, other):
                return f"{key}.{inner}"
        elif (key in ours) != (key in theirs) or json.dumps(one) != json.dumps(other):
            return key
    return None


def _network_of(
    folder: Path,
    card: Mapping[str, Any],
    training: TrainingSettings,
    backbone: BackboneSettings,
    state: Mapping[str, torch.Tensor],
) -> StyleNetwork:
    if card["normalization"] != {"mean": list(MEAN), "std": list(STD)}:
        raise ModelingError(
            f"{folder / CARD_NAME}: normalization is not {MEAN} and {STD}, as here; train the model again"
        )
    vectors, adjacency = state.get("head.word_vectors"), state.get("head.adjacency")
    network = build_network(
        card["architecture"],
        backbone,
        training,
        card["labels"],
        None if vectors is None else vectors.numpy(),
        None if adjacency is None else adjacency.numpy(),
        load_weights=False,
        adjacency_learned=card["graph_form"] == "learned",
    ).network
    _check_state(folder, state, network.state_dict())
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _settings_of(folder: Path, card: Mapping[str, Any]) -> tuple[TrainingSettings, BackboneSettings]:
    try:
        return TrainingSettings.model_validate(card["training"]), BackboneSettings.model_validate(card["backbone"])
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelingError(f"{folder / CARD_NAME}: {where}: {error.errors()[0]['msg']}") from error


def _check_state(folder: Path, state: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Raise ModelingError for the first key that is missing on one side, or has another shape."""
    for key in sorted(wanted.keys() | state.keys()):
        if key not in state or key not in wanted:
            lacking = WEIGHTS_NAME if key not in state else "the network"
            raise ModelingError(f"{folder}: weights key {key!r} is missing in {lacking}; card and weights do not fit")
        if state[key].shape != wanted[key].shape:
            raise ModelingError(
                f"{folder}: weights key {key!r} has shape {tuple(state[key].shape)}, "
                f"the card's network needs {tuple(wanted[key].shape)}"
            )
