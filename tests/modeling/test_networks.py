import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from modeling import torchvision_guard

# isort: split
from torchvision import models

from modeling.architectures import ARCHITECTURES
from modeling.errors import ModelingError
from modeling.networks.backbones import Backbone, backbone_names, classification_model, feature_blocks, trained_blocks
from modeling.networks.csra import ResidualAttention
from modeling.networks.fusion import fuse_batch_norms
from modeling.networks.heads import build_head
from modeling.networks.ml_gcn import LabelGraph
from modeling.networks.style_network import StyleNetwork, build_network
from modeling.training_settings import (
    AttentionHeadSettings,
    BackboneSettings,
    GraphHeadSettings,
    TrainingSettings,
)

RANDOM = np.random.default_rng(3)
VECTORS = RANDOM.normal(size=(4, 6))
ADJACENCY = RANDOM.uniform(size=(4, 4))
LABELS = ["coat", "dress", "suit", "vest"]
SMALL = TrainingSettings(image_size=(64, 64), device="cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks on pictures as small as these are faster on one core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_operators_are_registered_once():
    assert torchvision_guard.register_missing_operators() == []


FAMILIES = [
    ("resnet18", (64, 96), (512, 2, 3)),
    ("mobilenet_v2", (64, 96), (1280, 2, 3)),
    ("mobilenet_v3_small", (64, 64), (576, 2, 2)),
    ("shufflenet_v2_x0_5", (64, 64), (1024, 2, 2)),
    ("squeezenet1_1", (64, 64), (512, 3, 3)),
    ("mnasnet0_5", (64, 64), (1280, 2, 2)),
    ("regnet_y_400mf", (64, 64), (440, 2, 2)),
    ("efficientnet_b0", (64, 64), (1280, 2, 2)),
    ("basic_cnn", (64, 96), (256, 1, 1)),
    pytest.param("resnext50_32x4d", (64, 64), (2048, 2, 2), marks=pytest.mark.integration),
    pytest.param("densenet121", (64, 64), (1024, 2, 2), marks=pytest.mark.integration),
    pytest.param("swin_t", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
    pytest.param("googlenet", (64, 64), (1024, 2, 2), marks=pytest.mark.integration),
    pytest.param("inception_v3", (96, 96), (2048, 1, 1), marks=pytest.mark.integration),
    pytest.param("convnext_tiny", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
    pytest.param("vgg11_bn", (64, 64), (512, 2, 2), marks=pytest.mark.integration),
    pytest.param("alexnet", (64, 64), (256, 1, 1), marks=pytest.mark.integration),
    pytest.param("vit_b_32", (64, 64), (768, 2, 2), marks=pytest.mark.integration),
    pytest.param("maxvit_t", (224, 224), (512, 7, 7), marks=pytest.mark.integration),
]


@pytest.mark.parametrize(("name", "size", "shape"), FAMILIES)
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
    assert classification_model("basic_cnn", size)(torch.zeros(2, 3, *size)).shape == (2, 256, 1, 1)


def test_basic_cnn_averages_quarters_of_its_last_map():
    """Of a 3 x 2 map the upper quarters are one row high, the lower ones two."""
    quarters = classification_model("basic_cnn", (48, 32))[4]
    maps = torch.tensor([[[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]])
    assert quarters(maps).tolist() == [[1.0, 2.0, 4.0, 5.0]]


def test_blocks_are_unfrozen_in_stages_within_the_trained_part():
    backbone = Backbone(classification_model("resnet18", (64, 64)), (64, 64), trained_blocks=3).train()

    def trained() -> list[bool]:
        flags = [
            {module.training for module in block.modules()} | {weight.requires_grad for weight in block.parameters()}
            for block in [*backbone.frozen, *backbone.trained]
        ]
        assert all(len(flag) == 1 for flag in flags), "a block is trained as a whole or not at all"
        return [flag.pop() for flag in flags]

    assert trained() == [False] * 6 + [True] * 3
    backbone.set_trained(0)
    assert trained() == [False] * 9
    backbone.set_trained(1)
    backbone.eval().train()
    assert trained() == [False] * 8 + [True]
    backbone.set_trained(None)
    assert trained() == [False] * 6 + [True] * 3
    with pytest.raises(ModelingError, match=r"training\.stages: trainable is 4, but there are 3 blocks to train"):
        backbone.set_trained(4)
    assert [trained_blocks(value) for value in ("all", "head", 5)] == [None, 0, 5]


def test_resting_blocks_keep_weights_and_statistics_while_the_head_learns():
    torch.manual_seed(0)
    built = build_network("backbone", BackboneSettings(name="mobilenet_v3_small"), SMALL, LABELS)
    network = built.network.train()
    network.image_branch.set_trained(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    adam = torch.optim.Adam([weight for weight in network.parameters() if weight.requires_grad])
    network(torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)).square().mean().backward()
    adam.step()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    last = f"image_branch.trained.{len(network.image_branch.trained) - 1}."
    assert moved
    assert all(name.startswith(("head.", last)) for name in moved)
    assert {"head.weight", f"{last}0.weight", f"{last}1.running_mean"} <= moved


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


def test_a_learned_adjacency_is_trained_and_loads_both_ways():
    arguments = {"num_features": 5, "hidden": 7}
    learned = LabelGraph(torch.tensor(VECTORS), torch.tensor(ADJACENCY), **arguments, adjacency_learned=True).double()
    fixed = LabelGraph(torch.tensor(VECTORS), torch.zeros(4, 4), **arguments).double()
    assert "adjacency" in dict(learned.named_parameters())
    assert learned.state_dict().keys() == fixed.state_dict().keys()
    fixed.load_state_dict(learned.state_dict())
    features = torch.tensor(RANDOM.normal(size=(3, 5)))
    assert torch.equal(fixed(features), learned(features))
    learned(features).square().sum().backward()
    assert learned.adjacency.grad.abs().min() > 0
    learned.load_state_dict(fixed.state_dict())


def test_the_gradient_of_a_learned_adjacency_is_that_of_the_formula():
    """Of one entry, by central differences over the numpy formula."""
    torch.manual_seed(1)
    graph = LabelGraph(torch.tensor(VECTORS), torch.tensor(ADJACENCY), 5, hidden=7, adjacency_learned=True).double()
    features = RANDOM.normal(size=(3, 5))
    first, second = graph.first.weight.detach().numpy(), graph.second.weight.detach().numpy()

    def total(entry: float) -> float:
        adjacency = ADJACENCY.copy()
        adjacency[1, 2] = entry
        hidden = adjacency @ VECTORS @ first
        return float((features @ (adjacency @ np.where(hidden > 0, hidden, 0.2 * hidden) @ second).T).sum())

    graph(torch.tensor(features)).sum().backward()
    slope = (total(ADJACENCY[1, 2] + 1e-5) - total(ADJACENCY[1, 2] - 1e-5)) / 2e-5
    assert math.isclose(float(graph.adjacency.grad[1, 2]), slope, rel_tol=1e-6)


@pytest.mark.parametrize(("heads", "temperatures"), [(1, [1]), (2, [1, None]), (3, [1, 2, None]), (4, [1, 2, 4, None])])
def test_residual_attention_equals_its_equations(heads: int, temperatures: list[int | None]):
    """Attention over features, image by image, head by head, label by label, in numpy; None is the maximum."""
    torch.manual_seed(0)
    head = ResidualAttention(num_features=5, num_labels=4, heads=heads, weight=0.3).double()
    maps = RANDOM.normal(size=(2, 5, 3, 2))
    classifiers = head.classifiers.weight.detach().numpy().reshape(heads, 4, 5)
    expected = np.zeros((2, 4))
    for image in range(2):
        places = maps[image].reshape(5, 6).T
        for temperature, of_labels in zip(temperatures, classifiers, strict=True):
            for label, classifier in enumerate(of_labels):
                scores = places @ classifier
                if temperature is None:
                    attended = places[scores.argmax()]
                else:
                    attention = np.exp(temperature * scores) / np.exp(temperature * scores).sum()
                    attended = attention @ places
                expected[image, label] += classifier @ (places.mean(axis=0) + 0.3 * attended)
    assert np.allclose(head(torch.tensor(maps)).detach().numpy(), expected, atol=1e-12)


def test_without_attention_it_is_average_pooling_and_a_linear_head():
    head = ResidualAttention(num_features=5, num_labels=4, heads=1, weight=0.0).double()
    maps = torch.tensor(RANDOM.normal(size=(2, 5, 3, 2)))
    linear = maps.mean(dim=(2, 3)) @ head.classifiers.weight.flatten(1).T
    assert torch.allclose(head(maps), linear, atol=1e-12)


@pytest.mark.parametrize("heads", range(1, 9))
def test_every_number_of_attentions_can_be_had(heads: int):
    settings = SMALL.model_copy(update={"attention": AttentionHeadSettings(heads=heads)})
    head = build_head("csra", 5, settings, LABELS)
    assert len(head.temperatures) == heads
    assert head(torch.zeros(2, 5, 1, 1)).shape == (2, 4)


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
    expected = {"ml_gcn": "max", "backbone_max": "max", "csra": "none"}.get(architecture, "average")
    assert built.pooling == network.pooling == expected


def jittered(network: StyleNetwork) -> StyleNetwork:
    """Give batch normalisation other statistics and scales than those it starts with, as training would."""
    random = torch.Generator().manual_seed(7)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for value in (module.running_mean, module.bias.data):
                value.copy_(torch.randn(value.shape, generator=random) * 0.1)
            for value in (module.running_var, module.weight.data):
                value.copy_(torch.rand(value.shape, generator=random) * 0.4 + 0.8)
    return network.eval()


@pytest.mark.parametrize(("name", "size", "shape"), FAMILIES)
def test_the_form_for_inference_gives_the_same_logits(name: str, size: tuple[int, int], shape: tuple[int, ...]):
    torch.manual_seed(0)
    settings = SMALL.model_copy(update={"image_size": size})
    network = jittered(build_network("backbone", BackboneSettings(name=name), settings, LABELS).network)
    fast = network.for_inference()
    images = torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8)
    assert not any(weight.requires_grad for weight in fast.parameters())
    assert any(weight.requires_grad for weight in network.parameters()), "the network itself stays as it was"
    with torch.no_grad():
        logits = network(images)
        assert (fast(images) - logits).abs().max() <= 1e-5 * logits.abs().max().clamp(min=1)
        exact = network.double()
        logits = exact(images)
        assert (exact.for_inference()(images) - logits).abs().max() <= 1e-12 * logits.abs().max().clamp(min=1)


@pytest.mark.parametrize(
    ("name", "fused", "left"),
    [
        ("resnet18", 20, 0),
        ("mobilenet_v2", 52, 0),
        ("vgg11_bn", 8, 0),
        ("basic_cnn", 0, 0),
        pytest.param("densenet121", 59, 62, marks=pytest.mark.integration),  # the others stand before a convolution
        pytest.param("googlenet", 57, 0, marks=pytest.mark.integration),
        pytest.param("inception_v3", 94, 0, marks=pytest.mark.integration),
    ],
)
def test_batch_normalisation_behind_a_convolution_is_fused(name: str, fused: int, left: int):
    size = (96, 96)
    backbone = Backbone(classification_model(name, size), size, None).eval()
    assert fuse_batch_norms(backbone) == fused
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in backbone.modules()) == left


def test_a_chain_with_a_forward_of_its_own_is_left_alone():
    class Odd(torch.nn.Sequential):
        def forward(self, maps: torch.Tensor) -> torch.Tensor:
            return self[0](self[1](maps))

    assert fuse_batch_norms(Odd(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3)).eval()) == 0


@pytest.mark.parametrize("product", ["dot", "scaled_dot"])
@pytest.mark.parametrize("bias", [False, True])
def test_the_graph_runs_once_for_inference(product: str, bias: bool, monkeypatch: pytest.MonkeyPatch):
    graph = GraphHeadSettings(product=product, bias=bias, hidden=32)
    settings = SMALL.model_copy(update={"graph": graph})
    built = build_network("ml_gcn", BackboneSettings(name="basic_cnn"), settings, LABELS, VECTORS, ADJACENCY)
    network = built.network.eval()
    if bias:
        torch.nn.init.normal_(network.head.bias)
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    runs = []
    original = LabelGraph.classifiers
    monkeypatch.setattr(LabelGraph, "classifiers", lambda graph: runs.append(1) or original(graph))
    fast = network.for_inference()
    with torch.no_grad():
        logits = [fast(images) for _ in range(3)]
        assert len(runs) == 1
        assert torch.allclose(logits[0], network(images), rtol=1e-5, atol=1e-5)
    assert type(fast.head) is torch.nn.Linear


def test_of_a_map_whole_features_are_dropped():
    settings = SMALL.model_copy(update={"dropout": 0.5})
    network = build_network("csra", BackboneSettings(name="basic_cnn"), settings, LABELS).network.train()
    dropped = network.dropout(torch.ones(8, 16, 3, 3))
    assert set(dropped.flatten(2).std(dim=2).flatten().tolist()) == {0.0}
    assert set(dropped.flatten().tolist()) == {0.0, 2.0}


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


def test_backbone_names_are_those_of_torchvision_and_ones_own():
    assert set(models.list_models(module=models)) < set(backbone_names())
    assert "basic_cnn" in backbone_names()
