"""The card as JSON: what is refused, how it is changed, and that a kill leaves it whole."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modeling.card_files import CARD_NAME, MODEL_CARD_NAME, read_card, seed_folders, update_card, write_model_card
from modeling.errors import ModelingError
from tests.modeling.model_case import THRESHOLDS, write_model
from tests.modeling.test_model_files import change_card

ENDLESS = """
import sys
from pathlib import Path
from modeling.card_files import update_card
for number in range(10**9):
    update_card(Path(sys.argv[1]), {"metrics": {"number": number, "filler": "x" * 100_000}})
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model", "basic_cnn")


@pytest.mark.parametrize(
    "key", ["architecture", "labels", "graph_hash", "graph_form", "training", "backbone", "calibration", "label_images"]
)
def test_a_missing_key_is_named(model: Path, key: str) -> None:
    change_card(model, **{key: None})
    with pytest.raises(ModelingError, match=f"key '{key}' is missing; train the model again"):
        read_card(model)


@pytest.mark.parametrize("number", [0, 2, "3"])
def test_a_card_of_another_format_is_refused(model: Path, number: object) -> None:
    change_card(model, format=number)
    with pytest.raises(ModelingError, match="key 'format' must be 3; train the model again with this version"):
        read_card(model)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[]"])
def test_a_broken_card_is_refused(model: Path, content: bytes) -> None:
    (model / CARD_NAME).write_bytes(content)
    with pytest.raises(ModelingError, match=r"card\.json(: key 'format'| is no JSON).*train the model again"):
        read_card(model)


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        ({"temperature": 0, "thresholds": THRESHOLDS}, r"calibration\.temperature must be above 0, not 0"),
        ({"temperature": float("inf"), "thresholds": THRESHOLDS}, r"calibration\.temperature must be above 0, not inf"),
        ({"temperature": "1", "thresholds": THRESHOLDS}, r"calibration\.temperature must be above 0, not 1"),
        ({"thresholds": THRESHOLDS}, r"calibration\.temperature must be above 0, not None"),
        ({"temperature": 1}, r"calibration\.thresholds must be a table, not null; train the model again"),
        (
            {"temperature": 1, "thresholds": [0.5] * 3},
            r"calibration\.thresholds must be a table, not \[0\.5, 0\.5, 0\.5\]",
        ),
        ({"temperature": 1, "thresholds": {"red": 0.5, "green": 0.5}}, r"thresholds and labels differ in 'blue'"),
        ({"temperature": 1, "thresholds": {**THRESHOLDS, "grey": 0.5}}, r"thresholds and labels differ in 'grey'"),
        ({"temperature": 1, "thresholds": {**THRESHOLDS, "red": 1.5}}, r"thresholds of 'red' must be from 0 to 1"),
        ({"temperature": 1, "thresholds": {**THRESHOLDS, "red": None}}, r"thresholds of 'red' must be from 0 to 1"),
    ],
)
def test_a_calibration_that_can_not_be_used_is_refused(model: Path, calibration: object, message: str) -> None:
    change_card(model, calibration=calibration)
    with pytest.raises(ModelingError, match=message):
        read_card(model)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("calibration", None, "calibration must be a table, not null"),
        ("labels", None, "labels must be a list, not null"),
        ("labels", ["red", 1, "blue"], "each of labels must be text, not 1"),
        ("training", [], r"training must be a table, not \[\]"),
        ("graph_form", 1, "graph_form must be text or null, not 1"),
        ("seed", True, "seed must be a whole number, not true"),
        ("pooling", None, "pooling must be text, not null"),
        ("architecture", "vgg", "architecture 'vgg' is not known; there are: basic_cnn, backbone, "),
    ],
)
def test_a_value_of_another_kind_is_one_line(model: Path, key: str, value: object, message: str) -> None:
    card = json.loads((model / CARD_NAME).read_text())
    (model / CARD_NAME).write_text(json.dumps({**card, key: value}))
    with pytest.raises(ModelingError, match=rf"card\.json: {message}") as caught:
        read_card(model)
    assert "\n" not in str(caught.value)


def test_images_of_an_unknown_label_are_noticed(model: Path) -> None:
    change_card(model, label_images={"red": 1, "green": 2})
    with pytest.raises(ModelingError, match=r"label_images and labels differ in 'blue'"):
        read_card(model)


def test_values_are_put_into_the_card(model: Path) -> None:
    before = read_card(model)
    assert update_card(model, {"metrics": {"a": 1}}) == {**before, "metrics": {"a": 1}} == read_card(model)
    bytes_before = (model / CARD_NAME).read_bytes()
    update_card(model, {"metrics": {"a": 1}})
    assert (model / CARD_NAME).read_bytes() == bytes_before


@pytest.mark.parametrize("key", ["format", "labels", "pooling", "calibration", "weights_sha256"])
def test_what_training_decides_stays(model: Path, key: str) -> None:
    before = (model / CARD_NAME).read_bytes()
    with pytest.raises(ModelingError, match=f"key '{key}' is decided by training"):
        update_card(model, {"metrics": 1, key: 2})
    assert (model / CARD_NAME).read_bytes() == before


def test_a_number_that_json_has_not_is_refused(model: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        update_card(model, {"metrics": float("nan")})
    assert "metrics" not in read_card(model)


def test_a_kill_leaves_the_old_card_or_the_new(model: Path) -> None:
    for wait in (0.0, 0.003, 0.011):
        process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(model)])
        before = (model / CARD_NAME).read_bytes()
        while (model / CARD_NAME).read_bytes() == before and process.poll() is None:
            time.sleep(0.001)
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert len(read_card(model)["metrics"]["filler"]) == 100_000


def test_the_folders_of_seeds(tmp_path: Path) -> None:
    for seed in (10, 9):
        write_model(tmp_path / f"seed-{seed}", "basic_cnn", seed=seed)
    write_model(tmp_path, "basic_cnn", seed=9)
    assert seed_folders(tmp_path) == {9: tmp_path / "seed-9", 10: tmp_path / "seed-10"}
    assert list(seed_folders(tmp_path)) == [9, 10]
    assert seed_folders(tmp_path / "seed-10") == {10: tmp_path / "seed-10"}
    (tmp_path / "seed-9").rename(tmp_path / "seed-8")
    with pytest.raises(ModelingError, match=r"seed-8/card\.json is of seed 9"):
        seed_folders(tmp_path)
    (tmp_path / "seed-8").rename(tmp_path / "seed-old")
    with pytest.raises(ModelingError, match=r"seed-old is no folder of a seed"):
        seed_folders(tmp_path)


def test_the_card_for_people_is_made_from_the_card_alone(model: Path) -> None:
    (model / "model.safetensors").unlink()
    path = write_model_card(model)
    assert path.name == MODEL_CARD_NAME
    first = path.read_bytes()
    assert json.loads((model / CARD_NAME).read_text())["data_set_version"].encode() in first
    assert write_model_card(model).read_bytes() == first
