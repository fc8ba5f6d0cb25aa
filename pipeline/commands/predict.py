"""``stylegraph predict``: labels for images, by the best model of the last run."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from modeling.architectures import display_title
from modeling.errors import ModelingError
from pipeline.best_model import best_architecture
from pipeline.settings import Settings, SettingsError
from pipeline.storage import Storage


def predict_images(
    settings: Settings,
    images: Sequence[Path],
    label_set: str | None,
    architecture: str | None,
    console: Console,
    errors: Console,
    *,
    as_json: bool,
) -> int:
    """Print the labels of each image with their probabilities; return 1 when an image could not be read."""
    label_set = label_set or next(iter(settings.label_sets))
    if label_set not in settings.label_sets:
        raise SettingsError(f"no label set is called {label_set}; there are: {', '.join(settings.label_sets)}")
    storage = Storage(settings.data.location)
    architecture = architecture or best_architecture(settings, storage, label_set)
    from modeling.model_files import load_model  # brings torch

    predictor = load_model(storage.model_path(label_set, architecture))
    failures = 0
    for image in images:
        try:
            [probabilities] = predictor.predict([image])
        except ModelingError as error:
            failures += 1
            errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
            continue
        ranked = sorted(probabilities.items(), key=lambda item: -item[1])
        if as_json:
            line = {"image": str(image), "label_set": label_set, "architecture": architecture, "labels": dict(ranked)}
            console.out(json.dumps(line, ensure_ascii=False), highlight=False)
        else:
            console.print(
                f"{image}  ({display_title(architecture, settings.backbone.name)}, {label_set})",
                markup=False,
                soft_wrap=True,
            )
            for label, probability in ranked:
                console.print(f"  {label:<24} {probability:6.1%}  {'█' * round(30 * probability)}", markup=False)
    return 1 if failures else 0
