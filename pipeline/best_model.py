"""The best model of a label set by validation: its name, its version, and its answers for images."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.progress import Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError


def best_architecture(settings: Settings, storage: Storage, label_set: str) -> str:
    """Return the architecture with the highest mean of the five recalls on the VALIDATION split.

    Raises:
        TableError: no model of this label set was evaluated yet.
    """
    scores = {}
    for architecture in settings.architectures:
        if storage.has_table("evaluation", (label_set, architecture)):
            for row in storage.read_table("evaluation", (label_set, architecture)).to_pylist():
                if row["split"] == "validation" and row["metric"] == "mean5" and row["value"] is not None:
                    scores[architecture] = row["value"]
    if not scores:
        raise TableError(f"no model of {label_set} was evaluated yet: run `stylegraph run` first")
    return max(scores, key=lambda name: scores[name])


@dataclass(frozen=True)
class Answers:
    """What one model says about images."""

    labels: list[str]
    probabilities: npt.NDArray[np.float32]  # (images, labels)
    model_version: str


def answers_for(
    settings: Settings, storage: Storage, label_set: str, image_ids: Sequence[str], progress: Step
) -> Answers:
    """Let the best model of a label set look at images; rows come in the order of ``image_ids``.

    Raises:
        TableError: no model of this label set was evaluated yet.
        ModelingError: the model's files cannot be used, or an image cannot be read.
    """
    from modeling.model_files import load_model  # brings torch

    architecture = best_architecture(settings, storage, label_set)
    folder = storage.model_path(label_set, architecture)
    predictor = load_model(folder)
    probabilities = predictor.probabilities(
        (storage.image_path(image_id) for image_id in image_ids), lambda done: progress(done, len(image_ids))
    )
    return Answers(predictor.labels, probabilities, f"{label_set}/{architecture}@{_digest(folder)}")


def _digest(folder: Path) -> str:
    """Return the start of the SHA-256 of a model's weights."""
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
