"""A trained model on disk: ``model.safetensors`` and ``card.json``, checked against each other when loaded."""

import importlib.metadata
import json
import os
import platform
import tempfile
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

from modeling.errors import ModelingError
from modeling.networks.style_network import StyleNetwork, build_network
from modeling.predict import Predictor
from modeling.training_settings import BackboneSettings, TrainingSettings

WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "card.json"
FORMAT = 1  # of the card
HEADER = "card"  # entry of the weights' metadata that repeats a part of the card
CHECKED = ("architecture", "labels", "graph_hash", "data_set_version", "seed")  # in the card and in the weights
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "pillow", "safetensors")


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a model's numbers."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **versions}


def save_model(folder: Path, state: Mapping[str, torch.Tensor], card: Mapping[str, Any]) -> Path:
    """Write weights and card into ``folder``, each file whole or not at all; return the path of the weights.

    What the card says about labels, graph and data is written into the weights' header too, so that files which do not
    belong together are noticed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # One entry only: safetensors writes several in an order that changes from run to run.
    header = {HEADER: json.dumps({key: card[key] for key in CHECKED}, ensure_ascii=False)}
    tensors = {name: value.contiguous() for name, value in sorted(state.items())}
    weights = folder / WEIGHTS_NAME
    _write(weights, safetensors_bytes(tensors, header))
    text = json.dumps(card, ensure_ascii=False, indent=2, sort_keys=True) + "\n"
    _write(folder / CARD_NAME, text.encode())
    return weights


def _write(path: Path, content: bytes) -> None:
    """Put the bytes beside ``path`` first and take its name at the end, so a crash leaves the old file or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def read_card(folder: Path) -> dict[str, Any]:
    """Read a model card; raise ModelingError when it is missing or not what this version writes."""
    path = folder / CARD_NAME
    if not path.is_file():
        raise ModelingError(f"no model in {folder}: {CARD_NAME} is missing; train it first")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelingError(f"{path} is no JSON: {error}; train the model again") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelingError(f"{path}: key 'format' must be {FORMAT}; train the model again with this version")
    return card


def load_model(folder: Path, device: str = "auto") -> Predictor:
    """Rebuild a saved model, ready to predict.

    Raises ModelingError that names the key when the card lacks one, when card and weights contradict each other, or
    when the weights do not fit the network that the card describes.
    """
    card = read_card(folder)
    weights = folder / WEIGHTS_NAME
    try:
        with safe_open(weights, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
        state = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ModelingError(f"{weights} can't be read: {error}; train the model again") from error
    for key in CHECKED:
        if key not in card:
            raise ModelingError(f"{folder / CARD_NAME}: key {key!r} is missing; train the model again")
        if header.get(key) != card[key]:
            raise ModelingError(
                f"{folder}: key {key!r} of {CARD_NAME} is not that of {WEIGHTS_NAME}: they are of different models"
            )
    return Predictor(_network_of(folder, card, state), card, device)


def _network_of(folder: Path, card: dict[str, Any], state: dict[str, torch.Tensor]) -> StyleNetwork:
    try:
        training = TrainingSettings.model_validate(card["training"])
        backbone = BackboneSettings.model_validate(card["backbone"])
    except KeyError as error:
        raise ModelingError(f"{folder / CARD_NAME}: key {error} is missing; train the model again") from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ModelingError(f"{folder / CARD_NAME}: {where}: {error.errors()[0]['msg']}") from error
    vectors, adjacency = state.get("head.word_vectors"), state.get("head.adjacency")
    network = build_network(
        card["architecture"],
        backbone,
        training,
        card["labels"],
        None if vectors is None else vectors.numpy(),
        None if adjacency is None else adjacency.numpy(),
        load_weights=False,
    ).network
    wanted = network.state_dict()
    for key in sorted(wanted.keys() | state.keys()):
        if key not in state or key not in wanted:
            lacking = WEIGHTS_NAME if key not in state else "the network"
            raise ModelingError(f"{folder}: weights key {key!r} is missing in {lacking}; card and weights do not fit")
        if state[key].shape != wanted[key].shape:
            raise ModelingError(
                f"{folder}: weights key {key!r} has shape {tuple(state[key].shape)}, "
                f"the card's network needs {tuple(wanted[key].shape)}"
            )
    network.load_state_dict(state)
    return network
