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
    assert text.startswith("# ML-GCN: 3 fashion style labels\n")
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
