"""A model card for people: Markdown made from what ``card.json`` says, and from nothing else. Loads without torch."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from modeling.architectures import ARCHITECTURES, display_title
from modeling.metrics import RECALLS
from modeling.training_settings import LossSettings

Card = Mapping[str, Any]

# Metrics over all images, in the order of the card.
_METRICS = (*RECALLS, "mean5", "map", "cf1", "of1", "ece", "ece_raw")
_TITLES = {
    "mean5": "mean of the five recalls",
    "map": "mean average precision",
    "cf1": "CF1 (harmonic mean of the labels' mean precision and mean recall)",
    "of1": "OF1 (F1 of all answers)",
    "ece": "expected calibration error",
    "ece_raw": "expected calibration error, before temperature scaling",
}
_BY_LABEL = {"all@2": "top-2 all-recall", "ap": "average precision"}
_SPLITS = ("validation", "test")
# What is said of the training: key of the settings, and how it reads.
_TRAINING = {
    "preset": "preset",
    "image_size": "image size, height x width in pixels",
    "resize": "how pictures get that size",
    "epochs": "epochs, at most",
    "patience": "epochs without a better one after which training stops",
    "batch_size": "images per step",
    "image_learning_rate": "learning rate of the pretrained image branch",
    "scratch_learning_rate": "learning rate of the image branch, which started from random weights",
    "label_learning_rate": "learning rate of the head",
    "schedule": "schedule of the learning rates",
    "warmup": "warm-up, share of the steps",
    "gradient_clip": "largest norm of the gradient",
    "loss": "loss",
    "sampling": "order of the images",
    "precision": "precision",
    "batch_norm": "batch normalisation",
    "ema": "decay of averaged weights",
    "dropout": "dropout",
    "weight_decay": "weight decay",
    "flip": "mirrored at random",
    "zoom": "scaled at random by up to",
    "shift": "moved at random by up to",
    "color": "colours changed at random by up to",
    "erase": "share that loses a rectangle",
    "flip_average": "answers are the mean of picture and mirror image",
}
# Numbers of the losses, by the loss that reads them; the weights of labels count with every loss.
_LOSS_OPTIONS = {
    "focal": {"focal_gamma": "focal loss, gamma", "focal_alpha": "focal loss, alpha"},
    "asymmetric": {
        "gamma_positive": "asymmetric loss, gamma of positives",
        "gamma_negative": "asymmetric loss, gamma of negatives",
        "clip": "asymmetric loss, taken off a negative's probability",
    },
    "class_balanced": {"beta": "class-balanced loss, beta"},
}
_WEIGHTS = {"main_weight": "weight of an image's main label", "sub_weight": "weight of an image's sub labels"}
_LIMITS = """\
The model ranks the labels above for pictures of the kind that it was trained on. It was made to sort and to search
collections of such pictures, and to help people who label more of them.

- It knows these labels only, and gives each a probability, even for a picture that shows none of them.
- Labels are opinions of the annotators whose answers it learned from; it repeats their taste, time and place.
- Labels with few train images, and pictures unlike those of the data set, are answered less well than the figures say.
- Probabilities and thresholds were fitted on the validation split; with other pictures, fit them anew.
- It says nothing about who a person is, and must not be used to judge people."""


def card_metrics(evaluation: pd.DataFrame) -> dict[str, Any]:
    """Return an EVALUATION table as a model card holds it: by split, metrics over all images, and by label.

    ``{"test": {"overall": {"any@1": {"value": …, "low": …, "high": …, "spread": …, "seeds": …, "images": …}, …},
    "labels": {label: {"ap": {…}, …}, …}}, "validation": …}``; undefined values are None.
    """
    found: dict[str, Any] = {split: {"overall": {}, "labels": {}} for split in _SPLITS}
    for row in evaluation.to_dict("records"):
        values = {key: _number(row[key]) for key in ("value", "low", "high", "spread")}
        values |= {key: int(row[key]) for key in ("seeds", "images")}
        part = found[row["split"]]
        place = part["overall"] if pd.isna(row["label"]) else part["labels"].setdefault(row["label"], {})
        place[row["metric"]] = values
    return found


def _number(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def render_model_card(card: Card) -> str:
    """Return the model card as Markdown. Raises KeyError when ``card`` is not what ``read_card`` returns."""
    title = display_title(card["architecture"], card["backbone"]["name"])
    parts = [
        f"# {escape(title)}: {len(card['labels'])} labels",
        escape(ARCHITECTURES[card["architecture"]].description),
        "Pictures in, one probability for each label out; an image may carry several.",
        *_section("Labels", _labels(card)),
        *_section("Data", _facts(_data(card))),
        *_section("Network", _facts(_network(card))),
        *_section("Training", _facts(_training(card))),
        *_section("How good it is", "\n\n".join(_results(card))),
        *_section("Calibration", _calibration(card)),
        *_section("Use and limits", _LIMITS),
        *_section("How to load it", _loading(card)),
        *_section("Made with", _facts([(name, version) for name, version in sorted(card["packages"].items())])),
    ]
    return "\n\n".join(parts) + "\n"


def escape(text: object) -> str:
    """Return text as Markdown that shows just this text, inside one line or one cell of a table."""
    return re.sub(r"([\\`*_\[\]<>|~&$#])", r"\\\1", " ".join(str(text).split()))


def _section(title: str, text: str) -> tuple[str, str]:
    return f"## {title}", text


def _facts(facts: Iterable[tuple[str, object]]) -> str:
    return "\n".join(f"- {escape(name)}: {escape(value)}" for name, value in facts)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    lines = [list(columns), ["---", *["---:" for _ in columns[1:]]]]
    lines += [[escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _labels(card: Card) -> str:
    thresholds = card["calibration"]["thresholds"]
    return _table(
        ["label", "train images", "chosen at or above"],
        [(label, f"{card['label_images'][label]:,}", f"{thresholds[label]:.3f}") for label in card["labels"]],
    )


def _data(card: Card) -> Iterator[tuple[str, object]]:
    yield "data set version", card["data_set_version"]
    for split in ("train", *_SPLITS):
        yield f"images, {split} split", f"{card['images'].get(split, 0):,}"
    if withdrawn := card.get("withdrawn_training_images"):
        yield "images that it learned from and that were withdrawn since", withdrawn


def _network(card: Card) -> Iterator[tuple[str, object]]:
    backbone, origin = card["backbone"], card["backbone_weights"]
    yield "image branch", _image_branch(card)
    yield "weights it started from", ", ".join(str(value) for _, value in sorted(origin.items(), reverse=True))
    if ARCHITECTURES[card["architecture"]].image_branch == "backbone":
        yield "trained blocks", "none" if ARCHITECTURES[card["architecture"]].frozen else backbone["trainable"]
    yield "pooling", card["pooling"]
    if card["graph_hash"] is not None:
        yield "label graph", f"{card['graph_form']}, hash {card['graph_hash']}"
    yield "weights and biases", f"{card['parameters']:,}"
    yield "pixels are normalised by", "mean {mean}, standard deviation {std}".format(**card["normalization"])


def _image_branch(card: Card) -> str:
    branch = ARCHITECTURES[card["architecture"]].image_branch
    return str(card["backbone"]["name"]) if branch == "backbone" else branch


def _training(card: Card) -> Iterator[tuple[str, object]]:
    training = card["training"] | ({"precision": card["precision"]} if "precision" in card else {})
    unused = _unused_rates(card)
    for key, name in _TRAINING.items():
        value = training[key]
        if key in unused or value is None or value is False or (value == 0 and value is not True):
            continue
        yield name, _plain(value)
        if key == "schedule" and value == "step":
            epochs = ", ".join(str(epoch) for epoch in training["step_epochs"])
            yield "the rates fall", f"after epoch {epochs}, each time to {training['step_factor']:g} of what they were"
        if key == "loss":
            yield from _loss_options(training)
    if "device" in card:
        yield "device", card["device"]
    if stages := training["stages"]:
        yield "staged unfreezing", "; ".join(f"{stage['epochs']} epochs {stage['trainable']}" for stage in stages)
    yield "seed", card["seed"]
    yield "best epoch, by the validation split", card["best_epoch"]


def _unused_rates(card: Card) -> set[str]:
    """The learning rates that nothing was trained with."""
    architecture, backbone = ARCHITECTURES[card["architecture"]], card["backbone"]
    own = architecture.image_branch == "backbone"
    if architecture.frozen or (own and backbone["trainable"] == "head"):
        return {"image_learning_rate", "scratch_learning_rate"}
    pretrained = own and backbone["weights"] != "none"
    return {"scratch_learning_rate" if pretrained else "image_learning_rate"}


def _loss_options(training: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The numbers of the loss that are not as usual."""
    usual = LossSettings().model_dump()
    for key, name in (_LOSS_OPTIONS.get(training["loss"], {}) | _WEIGHTS).items():
        value = training["loss_options"][key]
        if value != usual[key]:
            yield name, "none" if value is None else value


def _plain(value: object) -> str:
    if value is True:
        return "yes"
    return " x ".join(map(str, value)) if isinstance(value, list) else str(value)


def _results(card: Card) -> Iterator[str]:
    validation = card["validation"]
    yield (
        f"At its best epoch: mean of the five recalls {validation['mean_of_five']:.2%} on the validation split, "
        f"loss {validation['loss']:.4f}."
    )
    metrics = card.get("metrics")
    if metrics is None:
        yield "It was not evaluated yet."
        return
    overall = {split: metrics[split]["overall"] for split in _SPLITS}
    several = any(metric["seeds"] > 1 for split in _SPLITS for metric in overall[split].values())
    yield (
        ("Figures are means over the trainings with different seeds, ± the standard deviation between them. " * several)
        + "In brackets stand 95% bootstrap intervals over groups of images. The test split had no part in training or "
        "calibration."
    )
    names = [name for name in _METRICS if any(name in overall[split] for split in _SPLITS)]
    yield _table(
        ["", *_SPLITS],
        [(_TITLES.get(name, name), *[_cell(overall[split].get(name)) for split in _SPLITS]) for name in names],
    )
    labels = metrics["test"]["labels"]
    if labels:
        yield "By label, on the test split:"
        yield _table(["label", "images", *_BY_LABEL.values()], _label_rows(card["labels"], labels))


def _label_rows(order: Sequence[str], labels: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for label in order:
        found = labels.get(label, {})
        images = next((f"{found[name]['images']:,}" for name in _BY_LABEL if name in found), "0")
        yield label, images, *[_cell(found.get(name)) for name in _BY_LABEL]


def _cell(metric: Mapping[str, Any] | None) -> str:
    """A metric with its interval and its spread between seeds; one that is not defined is a dash."""
    if metric is None or metric["value"] is None:
        return "–"
    text = f"{metric['value']:.2%}"
    if metric["low"] is not None:
        text += f" [{metric['low']:.2%}, {metric['high']:.2%}]"
    if metric["spread"] is not None:
        text += f" ± {metric['spread']:.2%} ({metric['seeds']} seeds)"
    return text


def _calibration(card: Card) -> str:
    temperature = card["calibration"]["temperature"]
    return (
        f"A probability is `sigmoid(logit / {temperature:.4g})`: the temperature was fitted on the validation split. "
        "A label is chosen at or above its threshold in the table of labels, which gives its best F1 on the validation "
        "split."
    )


def _loading(card: Card) -> str:
    return (
        "```python\n"
        "from modeling.predict import load_model\n\n"
        'predictor = load_model("FOLDER_OF_THIS_FILE")\n'
        'for prediction in predictor.stream("FOLDER_OF_PICTURES"):\n'
        "    print(prediction.path, prediction.labels, prediction.probabilities)\n"
        "```\n\n"
        f"The weights are in `model.safetensors` (sha256 `{card['weights_sha256']}`), everything else in `card.json`."
    )
