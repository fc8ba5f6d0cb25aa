import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.card_files import CHECKED, update_card
from modeling.errors import ModelingError
from modeling.model_files import CARD_NAME, WEIGHTS_NAME, load_model, load_network
from modeling.train import GraphReference, train
from tests.modeling.model_case import write_model
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, make_case


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    case = make_case(folder / "pictures", images=20)
    settings = QUICK.model_copy(update={"epochs": 1})
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "ml_gcn", FROM_SCRATCH, settings, case.image_path)
    train(*arguments, folder / "cache", folder / "model", graph=GraphReference("abc", "learned"))
    return folder / "model"


@pytest.fixture
def model(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def change_card(folder: Path, **values: object) -> None:
    path = folder / CARD_NAME
    card = json.loads(path.read_text())
    for key, value in values.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    path.write_text(json.dumps(card))


def test_two_files_and_nothing_else(model: Path) -> None:
    assert sorted(path.name for path in model.iterdir()) == [CARD_NAME, WEIGHTS_NAME]
    network, card = load_network(model)
    assert card["calibration"]["thresholds"].keys() == set(LABELS)
    state, expected = network.state_dict(), load_file(model / WEIGHTS_NAME)
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in state.items())
    assert not network.training


def test_loading_leaves_the_random_numbers_alone(model: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    load_model(model, "cpu")
    assert torch.equal(torch.rand(3), expected)


def test_a_missing_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelingError, match=r"no model in .*: card\.json is missing; train it first"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", ["green", "red", "blue"]),
        ("graph_hash", "xyz"),
        ("graph_form", "equation"),
        ("data_set_version", "0" * 64),
        ("seed", 5),
    ],
)
def test_a_card_of_another_model_is_noticed(model: Path, key: str, value: object) -> None:
    change_card(model, **{key: value})
    with pytest.raises(ModelingError, match=rf"key '{key}' of card\.json is not that of model\.safetensors"):
        load_model(model)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.image_size", [64, 64]),
        ("training.resize", "pad"),
        ("training.flip_average", True),
        ("training.attention.weight", 0.9),
        ("training.graph.pooling", "average"),
        ("backbone.name", "mobilenet_v3_large"),
        ("pooling", "average"),
        ("calibration.temperature", 9.5),
        ("calibration.thresholds.green", 0.125),
        ("label_images.red", 1),
    ],
)
def test_a_changed_card_is_noticed(model: Path, key: str, value: object) -> None:
    card = json.loads((model / CARD_NAME).read_text())
    *tables, last = key.split(".")
    inner = card
    for name in tables:
        inner = inner[name]
    assert inner[last] != value
    inner[last] = value
    (model / CARD_NAME).write_text(json.dumps(card))
    with pytest.raises(ModelingError, match=rf"key '{re.escape(key)}' of card\.json is not that of model\.safetensors"):
        load_model(model)


def test_metrics_are_no_part_of_what_is_checked(model: Path) -> None:
    update_card(model, {"metrics": {"test": 1.0}})
    assert load_model(model, "cpu").card["metrics"] == {"test": 1.0}


def test_settings_of_another_network_are_noticed(model: Path) -> None:
    """Also where card and header agree."""
    change_card(model, backbone={"name": "mobilenet_v3_large", "weights": "none", "trainable": "all"})
    save_file(load_file(model / WEIGHTS_NAME), model / WEIGHTS_NAME, header_of(model))
    with pytest.raises(ModelingError, match=r"weights key 'head\.second\.weight' has shape"):
        load_model(model)


def test_a_wrong_setting_is_named(model: Path) -> None:
    card = json.loads((model / CARD_NAME).read_text())
    change_card(model, training={**card["training"], "batch_size": "many"})
    with pytest.raises(ModelingError, match=r"card\.json: batch_size: Input should be a valid integer"):
        load_model(model)


def test_another_normalization_is_refused(model: Path) -> None:
    change_card(model, normalization={"mean": [0.5, 0.5, 0.5], "std": [0.229, 0.224, 0.225]})
    save_file(load_file(model / WEIGHTS_NAME), model / WEIGHTS_NAME, header_of(model))
    with pytest.raises(ModelingError, match=r"card\.json: normalization is not \(0\.485, 0\.456, 0\.406\)"):
        load_model(model)


def header_of(model: Path) -> dict[str, str]:
    card = json.loads((model / CARD_NAME).read_text())
    return {"card": json.dumps({key: card[key] for key in CHECKED})}


def test_weights_without_a_tensor_are_noticed(model: Path) -> None:
    path = model / WEIGHTS_NAME
    state, header = load_file(path), header_of(model)
    state.pop("head.first.weight")
    save_file(state, path, header)
    with pytest.raises(ModelingError, match=r"weights key 'head\.first\.weight' is missing in model\.safetensors"):
        load_model(model)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelingError, match=r"model\.safetensors can't be read"):
        load_model(model)


@pytest.mark.parametrize(
    ("header", "message"), [("{", "can't be read"), ("[]", "is not that of"), ("{}", "is not that of")]
)
def test_a_header_that_is_none_is_noticed(model: Path, header: str, message: str) -> None:
    save_file(load_file(model / WEIGHTS_NAME), model / WEIGHTS_NAME, {"card": header})
    with pytest.raises(ModelingError, match=message):
        load_model(model)


def test_weights_that_fit_and_are_others_are_noticed(model: Path) -> None:
    path = model / WEIGHTS_NAME
    state = load_file(path)
    state["head.first.weight"] += 0.001
    save_file(state, path, header_of(model))
    with pytest.raises(ModelingError, match=r"model\.safetensors was changed after training"):
        load_model(model)


@pytest.mark.parametrize("architecture", ["basic_cnn", "backbone_max", "csra", "linear_probe"])
def test_models_without_a_graph(tmp_path: Path, architecture: str) -> None:
    write_model(tmp_path, architecture)
    assert load_model(tmp_path, "cpu").labels == LABELS
