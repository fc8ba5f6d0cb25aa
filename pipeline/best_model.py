"""The best model of a label set by validation, and what the model in use answers for images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from modeling.card_files import CARD_NAME, parse_card
from modeling.errors import ModelingError
from modeling.label_sets import data_set_version
from pipeline.champions import champion_path, champion_version
from pipeline.progress import Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError


def best_architecture(settings: Settings, storage: Storage, label_set: str) -> str:
    """Return the architecture with the highest mean of the five recalls on the VALIDATION split.

    Models that were trained on another version of the data set have no part, since scores on other images can't be
    compared; unless no other model is there: until the next training the old ones are what there is.

    Raises:
        TableError: no model of this label set was evaluated yet.
        ModelingError: the card of a model can't be read.
    """
    scores: dict[str, float] = {}
    for architecture in settings.architectures:
        if storage.has_table("evaluation", (label_set, architecture)):
            for row in storage.read_table("evaluation", (label_set, architecture)).to_pylist():
                if row["split"] == "validation" and row["metric"] == "mean5" and row["value"] is not None:
                    scores[architecture] = row["value"]
    if not scores:
        raise TableError(f"no model of {label_set} was evaluated yet: run `stylegraph run` first")
    version = data_set_version(storage.read_table("data_set", (label_set,)))
    fresh = [name for name in scores if model_card(storage, label_set, name)["data_set_version"] == version]
    return max(fresh or scores, key=lambda name: scores[name])


def model_card(storage: Storage, label_set: str, architecture: str) -> dict[str, Any]:
    """Return the card of a model; of a remote one nothing else is fetched.

    Raises:
        TableError: no such model was trained yet.
        ModelingError: the card can't be read.
    """
    where = f"{storage.model_location(label_set, architecture)}/{CARD_NAME}"
    try:
        return parse_card(storage.read_model_file(label_set, architecture, CARD_NAME), where)
    except FileNotFoundError as error:
        raise ModelingError(f"{where} is missing; train the model again") from error


@dataclass(frozen=True)
class Answers:
    """What one model says about images."""

    labels: list[str]
    probabilities: npt.NDArray[np.float32]  # (images, labels)
    model_version: str


def answers_for(
    settings: Settings, storage: Storage, label_set: str, image_ids: Sequence[str], progress: Step
) -> Answers:
    """Let the champion of a label set look at images; rows come in the order of ``image_ids``.

    Before the first champion it is the best model by validation.

    Raises:
        TableError: there is no champion, and as ``best_architecture``.
        ModelingError: the model's files cannot be used, or an image cannot be read.
    """
    from modeling.model_files import load_model  # brings torch

    if champion_version(storage, label_set) is not None:
        folder = champion_path(storage, label_set)
    else:
        folder = storage.model_path(label_set, best_architecture(settings, storage, label_set))
    predictor = load_model(folder)
    probabilities = predictor.probabilities(
        (storage.image_path(image_id) for image_id in image_ids), lambda done: progress(done, len(image_ids))
    )
    architecture, digest = predictor.card["architecture"], predictor.card["weights_sha256"][:12]
    return Answers(predictor.labels, probabilities, f"{label_set}/{architecture}@{digest}")
