"""The files of a model's folder that are read and written without torch: its card, and the folders of its seeds."""

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modeling.architectures import ARCHITECTURES
from modeling.errors import ModelingError
from modeling.model_card import render_model_card

WEIGHTS_NAME = "model.safetensors"
CARD_NAME = "card.json"
MODEL_CARD_NAME = "MODEL_CARD.md"
FORMAT = 3  # of the card
_TEXT, _OR_NULL = (str,), (str, type(None))
# What decides a model's answers, with its types. It is in the card and in the weights' header, so that files which do
# not belong together, and a card that was changed by hand, are noticed.
CHECKED: dict[str, tuple[type, ...]] = {
    "architecture": _TEXT,
    "labels": (list,),
    "graph_hash": _OR_NULL,
    "graph_form": _OR_NULL,
    "data_set_version": _TEXT,
    "seed": (int,),
    "backbone": (dict,),
    "pooling": _TEXT,
    "training": (dict,),
    "label_images": (dict,),
    "normalization": (dict,),
    "calibration": (dict,),
}
NEEDED = {**CHECKED, "weights_sha256": _TEXT}
_KINDS = {str: "text", list: "a list", int: "a whole number", dict: "a table", type(None): "null"}
_PREFIX = "seed-"  # of the folder of a seed


def read_card(folder: Path) -> dict[str, Any]:
    """Read a model card; raise ModelingError when it is missing, incomplete or not what this version writes."""
    path = folder / CARD_NAME
    if not path.is_file():
        raise ModelingError(f"no model in {folder}: {CARD_NAME} is missing; train it first")
    return parse_card(path.read_bytes(), path)


def parse_card(content: bytes, path: Path | str) -> dict[str, Any]:
    """Return the model card that a file holds; ``path`` is its name in messages. Raises as ``read_card`` does."""
    try:
        card = json.loads(content.decode("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelingError(f"{path} is no JSON: {error}; train the model again") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelingError(f"{path}: key 'format' must be {FORMAT}; train the model again with this version")
    for key, kinds in NEEDED.items():
        if key not in card:
            raise ModelingError(f"{path}: key {key!r} is missing; train the model again")
        _check_kind(path, key, card[key], kinds)
    if card["architecture"] not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ModelingError(f"{path}: architecture {card['architecture']!r} is not known; there are: {known}")
    _check_labels(path, card)
    return card


def _check_kind(path: Path | str, key: str, value: object, kinds: Sequence[type]) -> None:
    if type(value) not in kinds:
        wanted = " or ".join(_KINDS[kind] for kind in kinds)
        raise ModelingError(f"{path}: {key} must be {wanted}, not {json.dumps(value):.40}; train the model again")


def _check_labels(path: Path | str, card: Mapping[str, Any]) -> None:
    """What the card says by label is said of each label and of no other; what it calibrates with can be used."""
    labels, calibration = card["labels"], card["calibration"]
    for label in labels:
        _check_kind(path, "each of labels", label, _TEXT)
    thresholds = calibration.get("thresholds")
    _check_kind(path, "calibration.thresholds", thresholds, (dict,))
    for name, values in (("label_images", card["label_images"]), ("calibration.thresholds", thresholds)):
        if odd := sorted(set(labels) ^ set(values)):
            raise ModelingError(f"{path}: {name} and labels differ in {odd[0]!r}; train the model again")
    temperature = calibration.get("temperature")
    if not _is_number(temperature) or temperature <= 0:
        raise ModelingError(f"{path}: calibration.temperature must be above 0, not {temperature}")
    for label, value in thresholds.items():
        if not _is_number(value) or not 0 <= value <= 1:
            raise ModelingError(f"{path}: calibration.thresholds of {label!r} must be from 0 to 1, not {value}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def update_card(folder: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Put values into a model's card, such as ``{"metrics": card_metrics(evaluation)}``, and return the whole card.

    A crash leaves the old card or the new one. Raises ModelingError for a card that can't be read, and for a key that
    training decides.
    """
    card = read_card(folder)
    for key in values:
        if key == "format" or key in NEEDED:
            raise ModelingError(f"{folder / CARD_NAME}: key {key!r} is decided by training and can't be changed")
    card |= values
    write_card(folder, card)
    return card


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write ``card.json``, whole or not at all; the same card gives the same bytes."""
    write_whole(folder / CARD_NAME, card_bytes(card))


def card_bytes(card: Mapping[str, Any]) -> bytes:
    """Return a card as the content of ``card.json``."""
    return (json.dumps(card, ensure_ascii=False, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def write_model_card(folder: Path) -> Path:
    """Write ``MODEL_CARD.md``, the card for people to read, from ``card.json`` alone; return its path."""
    path = folder / MODEL_CARD_NAME
    write_whole(path, render_model_card(read_card(folder)).encode())
    return path


def seed_folders(folder: Path) -> dict[int, Path]:
    """Return the folder of each seed of a model, by seed; of a model that was trained once, its own.

    Raises ModelingError when a card is missing or is that of another seed.
    """
    found = {_seed_of(path): path for path in folder.glob(f"{_PREFIX}*") if path.is_dir()}
    if not found:
        return {int(read_card(folder)["seed"]): folder}
    for seed, path in found.items():
        if (written := read_card(path)["seed"]) != seed:
            raise ModelingError(f"{path / CARD_NAME} is of seed {written}: train the model again")
    return dict(sorted(found.items()))


def _seed_of(path: Path) -> int:
    number = path.name.removeprefix(_PREFIX)
    if not number.isdecimal():
        raise ModelingError(f"{path} is no folder of a seed: take it away")
    return int(number)


def write_whole(path: Path, content: bytes) -> None:
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
