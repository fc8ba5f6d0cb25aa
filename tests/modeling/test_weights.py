import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file

from modeling.errors import ModelingError
from modeling.networks.backbones import classification_model
from modeling.networks.weights import file_sha256, load_backbone_weights, put_state_dict

# isort: split
from torchvision.models import DenseNet, VisionTransformer

NAME = "mobilenet_v3_small"
DENSE_CONVOLUTION = "features.denseblock1.denselayer1.conv2.weight"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """The state dict of a trained model, so to say: other weights than a fresh one has."""
    torch.manual_seed(99)
    return classification_model(NAME, (32, 32)).state_dict()


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(1)
    return classification_model(NAME, (32, 32))


def features_of(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: value for key, value in state.items() if key.startswith("features.")}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".pt"])
@pytest.mark.parametrize("with_classifier", [True, False])
def test_a_state_dict_with_or_without_classifier(tmp_path: Path, model, state, suffix: str, with_classifier: bool):
    path = tmp_path / f"weights{suffix}"
    kept = state if with_classifier else features_of(state)
    if suffix == ".safetensors":
        save_file(kept, path)
    else:
        torch.save(kept, path)
    classifier = model.state_dict()["classifier.0.weight"].clone()
    origin = load_backbone_weights(model, NAME, str(path))
    assert origin == {"source": path.name, "sha256": file_sha256(path)}
    loaded = model.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in features_of(state).items())
    assert torch.equal(loaded["classifier.0.weight"], classifier)


def test_counters_of_batches_may_be_missing(tmp_path: Path, model, state):
    path = tmp_path / "old.safetensors"
    save_file({key: value for key, value in features_of(state).items() if "num_batches" not in key}, path)
    load_backbone_weights(model, NAME, str(path))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_mnasnet_loads_with_its_version_and_without(tmp_path: Path, suffix: str):
    """It refuses a state dict whose version it does not know; a safetensors file has none."""
    torch.manual_seed(2)
    trained = classification_model("mnasnet0_5", (32, 32)).state_dict()
    path = tmp_path / f"mnasnet{suffix}"
    if suffix == ".pth":
        torch.save(trained, path)
    else:
        save_file(trained, path)
    model = classification_model("mnasnet0_5", (32, 32))
    load_backbone_weights(model, "mnasnet0_5", str(path))
    assert torch.equal(model.state_dict()["layers.0.weight"], trained["layers.0.weight"])


def test_a_version_beside_the_tensors_is_handed_on(tmp_path: Path):
    torch.manual_seed(2)
    model = classification_model("mnasnet0_5", (32, 32))
    state = model.state_dict()
    state._metadata[""] = {"version": 3}
    torch.save(state, tmp_path / "future.pth")
    with pytest.raises(ValueError, match="instead of 3"):
        load_backbone_weights(model, "mnasnet0_5", str(tmp_path / "future.pth"))


def test_names_that_torchvisions_files_still_have(tmp_path: Path):
    """DenseNet's files say ``norm.1`` for ``norm1``, those of vision transformers ``linear_1`` for ``0``."""
    torch.manual_seed(2)
    layer = DenseNet(4, (1, 1), 8).state_dict()
    former = {re.sub(r"(denselayer1\.(?:norm|conv))([12])", r"\1.\2", key): value for key, value in layer.items()}
    assert "features.denseblock1.denselayer1.norm.1.weight" in former
    model = DenseNet(4, (1, 1), 8)
    put_state_dict(model, former, "file", "densenet")
    assert torch.equal(model.features.denseblock1.denselayer1.conv2.weight, layer[DENSE_CONVOLUTION])

    shape = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16}
    tokens = VisionTransformer(32, 16, **shape).state_dict()
    former = {
        key.replace(".mlp.0.", ".mlp.linear_1.").replace(".mlp.3.", ".mlp.linear_2."): v for key, v in tokens.items()
    }
    assert "encoder.layers.encoder_layer_0.mlp.linear_2.weight" in former
    transformer = VisionTransformer(32, 16, **shape)
    put_state_dict(transformer, former, "file", "vit")
    assert torch.equal(
        transformer.encoder.layers[0].mlp[3].weight, tokens["encoder.layers.encoder_layer_0.mlp.3.weight"]
    )


def test_a_missing_key_is_named(tmp_path: Path, model, state):
    path = tmp_path / "less.safetensors"
    save_file({key: value for key, value in state.items() if key != "features.3.block.1.0.weight"}, path)
    with pytest.raises(ModelingError, match=r"less\.safetensors lacks key 'features\.3\.block\.1\.0\.weight'"):
        load_backbone_weights(model, NAME, str(path))


def test_a_surplus_key_is_named(tmp_path: Path, model, state):
    path = tmp_path / "more.safetensors"
    save_file({**state, "features.99.weight": torch.zeros(1)}, path)
    with pytest.raises(ModelingError, match=r"more\.safetensors has key 'features\.99\.weight'"):
        load_backbone_weights(model, NAME, str(path))


def test_another_shape_is_named(tmp_path: Path, model, state):
    path = tmp_path / "wide.safetensors"
    save_file({**state, "features.0.0.weight": torch.zeros(16, 3, 5, 5)}, path)
    with pytest.raises(ModelingError, match=r"'features\.0\.0\.weight' of wide\.safetensors has shape \(16, 3, 5, 5\)"):
        load_backbone_weights(model, NAME, str(path))


def test_files_of_another_kind_are_refused(tmp_path: Path, model):
    with pytest.raises(ModelingError, match=r"no file .*gone\.pth; give an existing path, imagenet or none"):
        load_backbone_weights(model, NAME, str(tmp_path / "gone.pth"))
    named = tmp_path / "weights.bin"
    named.write_bytes(b"")
    with pytest.raises(ModelingError, match="must end in"):
        load_backbone_weights(model, NAME, str(named))
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not a header")
    with pytest.raises(ModelingError, match=r"broken\.safetensors is no state dict"):
        load_backbone_weights(model, NAME, str(broken))
    pickled = tmp_path / "object.pth"
    torch.save({"model": Path("anything")}, pickled)
    with pytest.raises(ModelingError, match=r"object\.pth is no state dict"):
        load_backbone_weights(model, NAME, str(pickled))
    nested = tmp_path / "nested.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}}, nested)
    with pytest.raises(ModelingError, match="must hold one state dict"):
        load_backbone_weights(model, NAME, str(nested))


def test_a_failed_download_says_how_to_give_a_path(monkeypatch: pytest.MonkeyPatch, model):
    def fail(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(ModelingError, match=r"could not be downloaded from https://.*give its path"):
        load_backbone_weights(model, NAME, "imagenet")


def test_a_download_is_put_into_the_model(monkeypatch: pytest.MonkeyPatch, model, state):
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: state)
    origin = load_backbone_weights(model, NAME, "imagenet")
    assert "MobileNet_V3_Small_Weights" in origin["source"]
    assert torch.equal(model.state_dict()["features.0.0.weight"], state["features.0.0.weight"])


def test_a_backbone_of_ones_own_has_no_imagenet_weights_but_may_have_a_file(tmp_path: Path):
    torch.manual_seed(2)
    trained = classification_model("basic_cnn", (32, 32)).state_dict()
    model = classification_model("basic_cnn", (32, 32))
    with pytest.raises(ModelingError, match="torchvision has no ImageNet weights of basic_cnn; give a path or none"):
        load_backbone_weights(model, "basic_cnn", "imagenet")
    save_file(trained, tmp_path / "own.safetensors")
    load_backbone_weights(model, "basic_cnn", str(tmp_path / "own.safetensors"))
    assert all(torch.equal(value, trained[key]) for key, value in model.state_dict().items())
