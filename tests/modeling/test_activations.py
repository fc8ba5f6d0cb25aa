import copy
from functools import cache
from pathlib import Path

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import pytest
import torch
from torchvision.models import VisionTransformer

from modeling import activations
from modeling.activations import cached_activations, cached_views, version_draws
from modeling.augmentation import change
from modeling.batches import ImageRows, ScoreBatches
from modeling.errors import ModelingError
from modeling.networks.backbones import Backbone, classification_model
from modeling.networks.style_network import StyleNetwork
from modeling.training_settings import TrainingSettings

CPU = torch.device("cpu")
PICTURES = np.random.default_rng(0).integers(0, 256, size=(9, 32, 32, 3), dtype=np.uint8)
FILE_IDS = [f"file-{number}" for number in range(9)]
TRAIN = np.array([0, 2, 3, 5, 6, 8])
SETTINGS = TrainingSettings(image_size=(32, 32), views=4, zoom=0.2, shift=0.1, color=0.2, erase=0.5)


@cache
def network(seed: int = 0, head: int = 0) -> StyleNetwork:
    """The first blocks of a small network with random weights are frozen; only ``head`` differs beyond them."""
    torch.manual_seed(seed)
    branch = Backbone(classification_model("mobilenet_v3_small", (32, 32)), (32, 32), 10)
    torch.manual_seed(head)
    return StyleNetwork(branch, "max", torch.nn.Linear(branch.num_features, 3))


def frozen(images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return network().eval().frozen(images).numpy()


def views(folder: Path, training: TrainingSettings = SETTINGS, seed: int = 0, **more: object) -> tuple[np.ndarray, ...]:
    return cached_views(network(seed), PICTURES, TRAIN, FILE_IDS, "pictures", training, folder, CPU, **more)


def test_a_picture_and_its_mirror_image(tmp_path: Path):
    told: list[tuple[int, int]] = []
    kept = cached_activations(network(), PICTURES, "p", tmp_path, CPU, lambda *done: told.append(done))
    images = torch.from_numpy(PICTURES).permute(0, 3, 1, 2)
    assert isinstance(kept, np.memmap)
    assert kept.dtype == np.float16
    assert kept[:, 0] == pytest.approx(frozen(images), abs=0.01)
    assert kept[:, 1] == pytest.approx(frozen(images.flip(-1)), abs=0.01)
    assert told == [(9, 9)]


def test_one_file_for_all_heads_and_another_for_other_blocks_or_pictures(tmp_path: Path):
    told: list[tuple[int, int]] = []

    def count(net: StyleNetwork, key: str = "p") -> int:
        cached_activations(net, PICTURES, key, tmp_path, CPU, lambda *done: told.append(done))
        return len(list(tmp_path.iterdir()))

    assert count(network()) == 1
    assert count(network(head=1)) == 1
    assert told == [(9, 9)]
    assert count(network(seed=1)) == 2
    assert count(network(), "others") == 3


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_another_version_that_computes_makes_another_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
):
    cached_activations(network(), PICTURES, "p", tmp_path, CPU)
    monkeypatch.setattr(f"modeling.activations.{package}.__version__", "0.0.1")
    cached_activations(network(), PICTURES, "p", tmp_path, CPU)
    assert len(list(tmp_path.iterdir())) == 2


def test_tokens_of_a_vision_transformer_are_kept_and_read_back(tmp_path: Path):
    """A transformer of torchvision's class with two small layers, the first of them frozen."""
    torch.manual_seed(0)
    model = VisionTransformer(32, 16, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16, num_classes=3)
    branch = Backbone(model, (32, 32), 2)
    transformer = StyleNetwork(branch, "max", torch.nn.Linear(branch.num_features, 3)).eval()
    kept = cached_activations(transformer, PICTURES, "p", tmp_path, CPU)
    assert kept.shape == (9, 2, 5, 8), "four patches and the class token"
    rows = ImageRows(kept, TRAIN, np.eye(3, dtype=np.float32)[TRAIN % 3])
    ((sides, _),) = ScoreBatches(rows, 9, flip_average=True)
    images = torch.from_numpy(PICTURES[TRAIN]).permute(0, 3, 1, 2)
    with torch.no_grad():
        for side, pictures in zip(sides, (images, images.flip(-1)), strict=True):
            assert transformer.from_frozen(side).numpy() == pytest.approx(transformer(pictures).numpy(), abs=0.01)


def test_few_pictures_at_a_time_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[int, int]] = []
    whole = cached_activations(network(), PICTURES, "p", tmp_path / "whole", CPU)
    monkeypatch.setattr(activations, "MOST_PIXELS", 4 * 32 * 32 + 100)
    parts = cached_activations(network(), PICTURES, "p", tmp_path / "parts", CPU, lambda *done: told.append(done))
    assert told == [(4, 9), (8, 9), (9, 9)]
    assert parts == pytest.approx(whole, abs=0.01)


def test_views_are_the_changed_train_pictures(tmp_path: Path):
    told: list[tuple[int, int]] = []
    kept = views(tmp_path, progress=lambda *done: told.append(done))
    assert len(kept) == 3
    assert told == [(6, 18), (12, 18), (18, 18)]
    images = torch.from_numpy(PICTURES[TRAIN]).permute(0, 3, 1, 2)
    for version, view in enumerate(kept, start=1):
        draws = version_draws([FILE_IDS[row] for row in TRAIN], version)
        assert view == pytest.approx(frozen(change(images, draws, SETTINGS)), abs=0.02)
    assert kept[0] != pytest.approx(kept[1], abs=0.02)


def test_seeds_share_the_views_and_more_views_add_to_them(tmp_path: Path):
    told: list[tuple[int, int]] = []
    first = views(tmp_path, SETTINGS.model_copy(update={"views": 3}))
    views(tmp_path, SETTINGS.model_copy(update={"seed": 7}), progress=lambda *done: told.append(done))
    assert told == [(18, 18)]  # the third version only
    again = views(tmp_path, SETTINGS.model_copy(update={"seed": 8, "label_learning_rate": 0.5}))
    assert [view.filename for view in again[:2]] == [view.filename for view in first]
    assert len(list(tmp_path.iterdir())) == 3
    views(tmp_path, SETTINGS.model_copy(update={"color": 0.1}))
    assert len(list(tmp_path.iterdir())) == 6
    views(tmp_path, seed=1)
    assert len(list(tmp_path.iterdir())) == 9


def test_there_are_no_views_where_there_is_nothing_to_change(tmp_path: Path):
    assert views(tmp_path, SETTINGS.model_copy(update={"views": 1})) == ()
    assert views(tmp_path, TrainingSettings(image_size=(32, 32), views=8, flip=True)) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_files_draws_are_its_own():
    """Neither its place nor its neighbours matter, the version does; the numbers are even in 0..1."""
    draws = version_draws(["a", "b", "c"], 1)
    assert torch.equal(version_draws(["c", "a"], 1), draws[[2, 0]])
    assert not torch.equal(version_draws(["a"], 2), draws[:1])
    many = version_draws([str(number) for number in range(2000)], 1)
    assert many.mean(dim=0).numpy() == pytest.approx(np.full(12, 0.5), abs=0.03)
    assert many.std(dim=0).numpy() == pytest.approx(np.full(12, 12**-0.5), abs=0.02)


def test_values_beyond_float16_are_no_silent_infinity(tmp_path: Path):
    broken = copy.deepcopy(network())
    with torch.no_grad():
        for weight in broken.frozen_blocks[0].parameters():
            weight.mul_(1e9)
    with pytest.raises(ModelingError, match=r"float16 can't hold: check backbone\.weights"):
        cached_activations(broken, PICTURES, "p", tmp_path, CPU)
    assert list(tmp_path.iterdir()) == []
