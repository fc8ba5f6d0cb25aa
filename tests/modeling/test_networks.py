import math

import numpy as np
import pytest
import torch

from modeling import torchvision_guard

# isort: split
from torchvision import models

from modeling.architectures import ARCHITECTURES
from modeling.errors import ModelingError
from modeling.losses import binary_cross_entropy
from modeling.networks.backbones import Backbone, classification_model, feature_blocks
from modeling.networks.basic_cnn import BasicCnn
from modeling.networks.ml_gcn import LabelGraph
from modeling.networks.style_network import build_network
from modeling.training_settings import BackboneSettings, GraphHeadSettings, TrainingSettings

RANDOM = np.random.default_rng(3)
VECTORS = RANDOM.normal(size=(4, 6))
ADJACENCY = RANDOM.uniform(size=(4, 4))
LABELS = ["coat", "dress", "suit", "vest"]
SMALL = TrainingSettings(image_size=(64, 64), device="cpu")


def test_operators_are_registered_once():
    assert torchvision_guard.register_missing_operators() == []


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("resnet18", (64, 96), (512, 2, 3)),
        ("mobilenet_v2", (64, 96), (1280, 2, 3)),
        ("mobilenet_v3_small", (64, 64), (576, 2, 2)),
        ("shufflenet_v2_x0_5", (64, 64), (1024, 2, 2)),
        ("squeezenet1_1", (64, 64), (512, 3, 3)),
        ("mnasnet0_5", (64, 64), (1280, 2, 2)),
        ("regnet_y_400mf", (64, 64), (440, 2, 2)),
        ("efficientnet_b0", (64, 64), (1280, 2, 2)),
        pytest.param("densenet121", (64, 64), (1024, 2, 2), marks=pytest.mark.integration),
        pytest.param("swin_t", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
        pytest.param("googlenet", (64, 64), (1024, 2, 2), marks=pytest.mark.integration),
        pytest.param("inception_v3", (96, 96), (2048, 1, 1), marks=pytest.mark.integration),
        pytest.param("convnext_tiny", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
        pytest.param("vgg11_bn", (64, 64), (512, 2, 2), marks=pytest.mark.integration),
        pytest.param("alexnet", (64, 64), (256, 1, 1), marks=pytest.mark.integration),
        pytest.param("vit_b_32", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
        pytest.param("maxvit_t", (224, 224), (512, 7, 7), marks=pytest.mark.integration),
    ],
)
def test_every_family_gives_its_last_feature_map(name: str, size: tuple[int, int], shape: tuple[int, ...]):
    backbone = Backbone(classification_model(name, size), size, None)
    with torch.no_grad():
        maps = backbone.eval()(torch.zeros(2, 3, *size))
    assert tuple(maps.shape) == (2, *shape)
    assert backbone.num_features == shape[0]


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v2",
        "shufflenet_v2_x0_5",
        pytest.param("densenet121", marks=pytest.mark.integration),
        pytest.param("swin_t", marks=pytest.mark.integration),
    ],
)
def test_the_blocks_are_the_model_up_to_its_pooling(name: str):
    torch.manual_seed(0)
    model = classification_model(name, (64, 64)).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        whole = model(images)
        maps = torch.nn.Sequential(*feature_blocks(model)).eval()(images)
        head = getattr(model, "fc", None) or getattr(model, "classifier", None) or model.head
        assert torch.allclose(head(maps.mean(dim=(2, 3))), whole, atol=1e-5)


def test_last_blocks_are_trained_and_the_rest_stays_as_it_is():
    backbone = Backbone(classification_model("resnet18", (64, 64)), (64, 64), trained_blocks=2)
    assert len(backbone.trained) == 2
    assert len(backbone.frozen) == 7  # the stem and six residual blocks
    backbone.train()
    assert not any(module.training for module in backbone.frozen.modules())
    assert all(module.training for module in backbone.trained.modules())
    assert not any(weight.requires_grad for weight in backbone.frozen.parameters())
    with pytest.raises(ModelingError, match=r"backbone\.trainable is 10, but 9 blocks"):
        Backbone(classification_model("resnet18", (64, 64)), (64, 64), trained_blocks=10)


def test_what_a_backbone_cannot_do_is_said():
    with pytest.raises(ModelingError, match=r"backbone\.name: .*'resnet51'; choose one of alexnet"):
        classification_model("resnet51", (64, 64))
    with pytest.raises(ModelingError, match="square images only"):
        classification_model("vit_b_32", (64, 96))
    with pytest.raises(ModelingError, match=r"training\.image_size"):
        Backbone(classification_model("alexnet", (32, 32)), (32, 32), None)


@pytest.mark.parametrize("size", [(32, 32), (50, 33), (96, 64)])
def test_basic_cnn_takes_any_size(size: tuple[int, int]):
    assert BasicCnn()(torch.zeros(2, 3, *size)).shape == (2, 256, 1, 1)


@pytest.mark.parametrize("scaled", [False, True])
def test_label_graph_equals_its_formula(scaled: bool):
    """Two graph convolutions and a dot product, written again in numpy."""
    torch.manual_seed(0)
    graph = LabelGraph(torch.tensor(VECTORS), torch.tensor(ADJACENCY), num_features=5, hidden=7, scaled=scaled).double()
    features = RANDOM.normal(size=(3, 5))
    first, second = graph.first.weight.detach().numpy(), graph.second.weight.detach().numpy()
    hidden = ADJACENCY @ VECTORS @ first
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    scores = features @ (ADJACENCY @ hidden @ second).T
    if scaled:
        scores /= math.sqrt(5)
    assert np.allclose(graph(torch.tensor(features)).detach().numpy(), scores, atol=1e-12)
    assert first.shape == (6, 7)
    assert second.shape == (7, 5)
    assert abs(first).max() <= 1 / math.sqrt(7)


def test_the_graph_is_kept_but_never_trained():
    graph = LabelGraph(torch.tensor(VECTORS), torch.tensor(ADJACENCY), num_features=5, bias=True)
    assert {name for name, _ in graph.named_parameters()} == {"first.weight", "second.weight", "bias"}
    assert {"word_vectors", "adjacency"} <= set(graph.state_dict())


def test_bce_by_hand():
    """Logits 0 and ln 3 have probabilities 1/2 and 3/4: (-ln 1/2 - ln 1/4) / 2 for targets 1 and 0."""
    loss = binary_cross_entropy(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[1.0, 0.0]]))
    assert math.isclose(float(loss), (math.log(2) + math.log(4)) / 2, rel_tol=1e-6)


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_every_architecture_gives_a_logit_per_label(architecture: str):
    backbone = BackboneSettings(name="mobilenet_v3_small")
    built = build_network(architecture, backbone, SMALL, LABELS, VECTORS, ADJACENCY)
    network = built.network.eval()
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        logits = network(images)
        assert torch.equal(network.from_frozen(network.frozen(images)), logits)
    assert logits.shape == (3, 4)
    expected = {"ml_gcn": "max", "backbone_max": "max"}.get(architecture, "average")
    assert built.pooling == network.pooling == expected


def test_word_vectors_can_be_centred():
    settings = SMALL.model_copy(update={"graph": GraphHeadSettings(word_vectors="centered", pooling="average")})
    built = build_network("ml_gcn", BackboneSettings(name="mobilenet_v3_small"), settings, LABELS, VECTORS, ADJACENCY)
    kept = built.network.head.word_vectors.numpy()
    assert np.allclose(np.linalg.norm(kept, axis=1), 1, atol=1e-6)
    moved = VECTORS - VECTORS.mean(axis=0)
    assert np.allclose(kept, moved / np.linalg.norm(moved, axis=1, keepdims=True), atol=1e-6)
    assert built.pooling == "average"


def test_what_does_not_fit_is_said():
    backbone = BackboneSettings(name="mobilenet_v3_small")
    with pytest.raises(ModelingError, match="unknown architecture 'gcn'; choose one of basic_cnn"):
        build_network("gcn", backbone, SMALL, LABELS)
    with pytest.raises(ModelingError, match="ml_gcn needs word vectors"):
        build_network("ml_gcn", backbone, SMALL, LABELS)
    with pytest.raises(ModelingError, match=r"4 labels need word vectors \(4, d\)"):
        build_network("ml_gcn", backbone, SMALL, LABELS, VECTORS[:3], ADJACENCY)


def test_model_names_are_those_of_torchvision():
    assert len(models.list_models(module=models)) > 70
