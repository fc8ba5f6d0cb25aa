import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from modeling.errors import ModelingError
from modeling.model_files import CARD_NAME, WEIGHTS_NAME, load_model
from modeling.train import train
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, make_case


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    case = make_case(folder / "pictures", images=20)
    settings = QUICK.model_copy(update={"epochs": 1})
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "ml_gcn", FROM_SCRATCH, settings, case.image_path)
    train(*arguments, folder / "cache", folder / "model", graph_hash="abc")
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


def test_two_files_and_nothing_else(model: Path):
    assert sorted(path.name for path in model.iterdir()) == [CARD_NAME, WEIGHTS_NAME]
    predictor = load_model(model, "cpu")
    assert torch.equal(predictor.network.state_dict()["head.adjacency"], torch.tensor(ADJACENCY, dtype=torch.float32))


def test_a_missing_model_is_said(tmp_path: Path):
    with pytest.raises(ModelingError, match=r"no model in .*: card\.json is missing; train it first"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", ["green", "red", "blue"]), ("graph_hash", "xyz"), ("data_set_version", "0" * 64), ("seed", 5)],
)
def test_a_card_of_another_model_is_noticed(model: Path, key: str, value: object):
    change_card(model, **{key: value})
    with pytest.raises(ModelingError, match=rf"key '{key}' of card\.json is not that of model\.safetensors"):
        load_model(model)


@pytest.mark.parametrize("key", ["architecture", "labels", "graph_hash", "training", "backbone"])
def test_a_missing_key_is_named(model: Path, key: str):
    change_card(model, **{key: None})
    with pytest.raises(ModelingError, match=f"key '{key}' is missing"):
        load_model(model)


def test_settings_of_another_network_are_noticed(model: Path):
    change_card(model, backbone={"name": "mobilenet_v3_large", "weights": "none", "trainable": "all"})
    with pytest.raises(ModelingError, match=r"weights key 'head\.second\.weight' has shape"):
        load_model(model)


def test_a_wrong_setting_is_named(model: Path):
    card = json.loads((model / CARD_NAME).read_text())
    change_card(model, training={**card["training"], "batch_size": "many"})
    with pytest.raises(ModelingError, match=r"card\.json: batch_size: Input should be a valid integer"):
        load_model(model)


def test_an_old_or_broken_card_is_refused(model: Path):
    change_card(model, format=0)
    with pytest.raises(ModelingError, match="key 'format' must be 1"):
        load_model(model)
    (model / CARD_NAME).write_text("{")
    with pytest.raises(ModelingError, match="is no JSON"):
        load_model(model)


def test_weights_without_a_tensor_are_noticed(model: Path):
    path = model / WEIGHTS_NAME
    state = load_file(path)
    card = json.loads((model / CARD_NAME).read_text())
    keys = ("architecture", "labels", "graph_hash", "data_set_version", "seed")
    header = {"card": json.dumps({key: card[key] for key in keys})}
    state.pop("head.first.weight")
    save_file(state, path, header)
    with pytest.raises(ModelingError, match=r"weights key 'head\.first\.weight' is missing in model\.safetensors"):
        load_model(model)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelingError, match=r"model\.safetensors can't be read"):
        load_model(model)
