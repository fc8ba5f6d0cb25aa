import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from modeling.card_files import read_card
from modeling.model_card import card_metrics, escape, render_model_card
from tests.modeling.model_case import write_model

EVALUATION = pd.DataFrame(
    [
        ("test", "any@1", None, 0.8275, 0.8, 0.85, 0.01, 3, 1600),
        ("test", "mean5", None, 0.9, 0.88, 0.92, np.nan, 1, 1600),
        ("test", "ece", None, 0.03, np.nan, np.nan, np.nan, 1, 1600),
        ("validation", "any@1", None, 0.81, 0.78, 0.84, 0.02, 3, 800),
        ("test", "all@2", "red", 0.9506, 0.94, 0.96, 0.0, 3, 1023),
        ("test", "ap", "red", 0.99, 0.98, 1.0, 0.0, 3, 1023),
        ("test", "ap", "blue", np.nan, np.nan, np.nan, np.nan, 3, 0),
    ],
    columns=["split", "metric", "label", "value", "low", "high", "spread", "seeds", "images"],
)


@pytest.fixture
def card(tmp_path: Path) -> dict[str, Any]:
    return read_card(write_model(tmp_path))


def rows_of(text: str) -> list[list[str]]:
    """Cells of all tables as a Markdown reader shows them."""
    rows: list[list[str]] = []
    for token in MarkdownIt().enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and token.level == 4:
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_a_card_says_what_the_model_is(card: dict[str, Any]) -> None:
    text = render_model_card(card)
    assert text.startswith("# ML-GCN: 3 labels\n")
    rows = rows_of(text)
    assert rows[1:4] == [["red", "1,200", "0.500"], ["green", "20", "0.250"], ["blue", "9", "0.750"]]
    for line in (
        "- images, train split: 1,229",
        "- images, test split: 16",
        "- image branch: resnet18",
        "- label graph: equation, hash abc",
        "- image size, height x width in pixels: 48 x 32",
        "- mirrored at random: yes",
        "- seed: 0",
        "It was not evaluated yet.",
        "A probability is `sigmoid(logit / 1.6)`",
        f"(sha256 `{card['weights_sha256']}`)",
        f"- torch: {card['packages']['torch']}",
    ):
        assert line in text
    assert "staged unfreezing" not in text
    assert "\n\n\n" not in text


def test_a_card_shows_metrics_with_intervals_and_spread(card: dict[str, Any]) -> None:
    rows = rows_of(render_model_card({**card, "metrics": card_metrics(EVALUATION)}))
    assert ["any@1", "81.00% [78.00%, 84.00%] ± 2.00% (3 seeds)", "82.75% [80.00%, 85.00%] ± 1.00% (3 seeds)"] in rows
    assert ["mean of the five recalls", "–", "90.00% [88.00%, 92.00%]"] in rows
    assert ["expected calibration error", "–", "3.00%"] in rows
    assert rows[-3:] == [
        ["red", "1,023", "95.06% [94.00%, 96.00%] ± 0.00% (3 seeds)", "99.00% [98.00%, 100.00%] ± 0.00% (3 seeds)"],
        ["green", "0", "–", "–"],
        ["blue", "0", "–", "–"],
    ]


def test_seeds_are_spoken_of_only_where_there_are_several(card: dict[str, Any]) -> None:
    several = render_model_card({**card, "metrics": card_metrics(EVALUATION)})
    once = render_model_card({**card, "metrics": card_metrics(EVALUATION.assign(seeds=1, spread=np.nan))})
    assert "means over the trainings with different seeds, ± the standard deviation" in several
    assert "seeds" not in once
    for text in (several, once):
        assert "In brackets stand 95% bootstrap intervals" in text


def test_cf1_is_said_to_be_a_harmonic_mean(card: dict[str, Any]) -> None:
    metrics = card_metrics(EVALUATION.assign(metric=EVALUATION["metric"].replace("mean5", "cf1")))
    text = render_model_card({**card, "metrics": metrics})
    assert "CF1 (harmonic mean of the labels' mean precision and mean recall)" in text


@pytest.mark.parametrize(
    ("architecture", "backbone", "rates"),
    [
        (
            "ml_gcn",
            {"weights": "none", "trainable": "all"},
            ["the image branch, which started from random", "the head"],
        ),
        ("ml_gcn", {"weights": "imagenet", "trainable": 8}, ["the pretrained image branch", "the head"]),
        ("ml_gcn", {"weights": "imagenet", "trainable": "head"}, ["the head"]),
        ("linear_probe", {"weights": "imagenet", "trainable": "all"}, ["the head"]),
        ("basic_cnn", {"weights": "imagenet", "trainable": 8}, ["the image branch, which started", "the head"]),
    ],
)
def test_only_rates_that_trained_something_are_told(
    card: dict[str, Any], architecture: str, backbone: dict[str, Any], rates: list[str]
) -> None:
    card |= {"architecture": architecture, "backbone": card["backbone"] | backbone}
    lines = [line for line in render_model_card(card).splitlines() if line.startswith("- learning rate of ")]
    assert len(lines) == len(rates)
    for line, rate in zip(lines, rates, strict=True):
        assert line.startswith(f"- learning rate of {rate}")


def test_what_is_not_as_usual_is_told(tmp_path: Path) -> None:
    options = {"gamma_negative": 3.0, "focal_gamma": 1.0, "main_weight": 2.0}
    training = {"loss": "asymmetric", "loss_options": options, "gradient_clip": 0.5, "patience": 4}
    training |= {"schedule": "step", "step_epochs": (3, 6)}
    text = render_model_card(read_card(write_model(tmp_path / "changed", training=training)))
    for line in (
        "- asymmetric loss, gamma of negatives: 3.0",
        "- weight of an image's main label: 2.0",
        "- largest norm of the gradient: 0.5",
        "- epochs without a better one after which training stops: 4",
        "- the rates fall: after epoch 3, 6, each time to 0.1 of what they were",
    ):
        assert line in text
    assert "focal" not in text, "another loss reads it"
    assert "weight of an image's sub labels" not in text
    usual = render_model_card(read_card(write_model(tmp_path / "usual")))
    for words in ("gamma", "weight of an image", "norm of the gradient", "after which training stops", "rates fall"):
        assert words not in usual


def test_a_card_tells_device_and_precision_where_it_has_them(card: dict[str, Any]) -> None:
    text = render_model_card(card)
    assert "- precision: auto" in text
    assert "- device" not in text
    text = render_model_card(card | {"device": "cuda", "precision": "bf16"})
    assert "- precision: bf16\n" in text
    assert "- device: cuda\n" in text


def test_no_subject_of_the_labels_is_taken_for_granted(card: dict[str, Any]) -> None:
    assert not {"fashion", "style", "clothes"} & set(re.findall(r"[a-z]+", render_model_card(card).lower()))


def test_metrics_fit_into_json() -> None:
    metrics = card_metrics(EVALUATION)
    assert metrics["test"]["overall"]["mean5"] == {
        "value": 0.9,
        "low": 0.88,
        "high": 0.92,
        "spread": None,
        "seeds": 1,
        "images": 1600,
    }
    assert metrics["test"]["labels"]["blue"]["ap"]["value"] is None
    assert metrics["validation"]["labels"] == {}


@pytest.mark.parametrize(
    "label",
    ["a|b", "*bold*", "_under_", "<script>alert(1)</script>", "[a](http://b)", "`code`", "&amp;", "a\\|b", "$x$"],
)
def test_labels_are_shown_as_they_are(card: dict[str, Any], label: str) -> None:
    card["labels"] = [label]
    card["label_images"] = {label: 7}
    card["calibration"] = {"temperature": 1.0, "thresholds": {label: 0.5}}
    assert rows_of(render_model_card(card))[1] == [label, "7", "0.500"]


def test_a_label_stays_on_one_line() -> None:
    assert escape("a\nb\t c") == "a b c"


def test_what_a_model_has_not_is_not_spoken_of(tmp_path: Path) -> None:
    text = render_model_card(read_card(write_model(tmp_path, "basic_cnn")))
    assert "label graph" not in text
    assert "trained blocks" not in text
    assert "- image branch: basic\\_cnn" in text


def test_stages_are_told(tmp_path: Path) -> None:
    stages = ({"epochs": 2, "trainable": "head"}, {"epochs": 3, "trainable": 4})
    text = render_model_card(read_card(write_model(tmp_path, training={"stages": stages})))
    assert "- staged unfreezing: 2 epochs head; 3 epochs 4" in text
    assert "- epochs, at most: 5" in text
