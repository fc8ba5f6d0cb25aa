"""Heads on pooled features: what they are trained on, what they learn, and that nothing else is read."""

from dataclasses import replace

from modeling import torchvision_guard  # noqa: F401  (before torchvision)

# isort: split
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from modeling.errors import ModelingError
from modeling.head_features import head_data
from modeling.head_training import HeadForm, compare_heads, train_head
from modeling.images import load_image
from modeling.networks.style_network import build_network
from modeling.training_settings import BackboneSettings
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, make_case

LINEAR = HeadForm("backbone", "average", "bce")
GRAPH = HeadForm("ml_gcn", "max", "bce", adjacency=ADJACENCY)
TRAINING = QUICK.model_copy(
    update={"image_size": (64, 64), "graph": QUICK.graph.model_copy(update={"product": "scaled_dot"})}
)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return make_case(tmp_path_factory.mktemp("pictures"), 60)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    """A backbone with weights from a file; random ones, whose features still tell plain shapes apart."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(models.squeezenet1_1(weights=None).state_dict(), path)
    return BackboneSettings(name="squeezenet1_1", weights=str(path), trainable="head")


@pytest.fixture(scope="module")
def data(case, pretrained, tmp_path_factory):
    return head_data(case.data_set, LABELS, pretrained, TRAINING, case.image_path, tmp_path_factory.mktemp("cache"))


def compare(case, backbone, folder, forms=(LINEAR, GRAPH), data_set=None, training=TRAINING, image_path=None, **more):
    rows = case.data_set if data_set is None else data_set
    return compare_heads(
        rows, LABELS, WORD_VECTORS, list(forms), 4, 2, backbone, training, image_path or case.image_path, folder, **more
    )


def test_features_are_the_pooled_maps_of_picture_and_mirror_image(case, pretrained, data):
    row = case.data_set[case.data_set["split"] != "test"].sort_values("image_id").iloc[4]
    picture = load_image(case.image_path(row["file_id"]), TRAINING.image_size, TRAINING.resize)
    network = build_network("linear_probe", pretrained, TRAINING, LABELS).network.eval()
    with torch.inference_mode():
        for side, pixels in enumerate((picture, picture[:, ::-1])):
            images = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
            maps = network.image_branch((images - network.mean) / network.std)[0].numpy()
            np.testing.assert_allclose(data.features[4, side, 0], maps.mean(axis=(1, 2)), atol=1e-5)
            np.testing.assert_allclose(data.features[4, side, 1], maps.max(axis=(1, 2)), atol=1e-5)
    assert isinstance(data.features, np.memmap)
    assert data.targets[4].tolist() == [float(label in {row["main"], *row["subs"]}) for label in LABELS]
    assert data.source == "features of squeezenet1_1 before training"


@pytest.mark.parametrize("package", ["torch", "torchvision"])
def test_another_version_that_computes_gives_features_of_its_own(case, pretrained, tmp_path, monkeypatch, package):
    head_data(case.data_set, LABELS, pretrained, TRAINING, case.image_path, tmp_path)
    monkeypatch.setattr(f"modeling.activations.{package}.__version__", "0.0.1")
    head_data(case.data_set, LABELS, pretrained, TRAINING, case.image_path, tmp_path)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_features_are_computed_once(case, pretrained, tmp_path):
    first = compare(case, pretrained, tmp_path)

    def gone(file_id):
        raise AssertionError(f"{file_id} was read again")

    again = compare(case, pretrained, tmp_path, image_path=gone)
    assert again.results[0].scores == first.results[0].scores
    assert len(list((tmp_path / "features").iterdir())) == 1
    other = TRAINING.model_copy(update={"image_size": (64, 48)})
    compare(case, pretrained, tmp_path, training=other)
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_scores_are_the_same_for_a_seed_and_others_for_another(case, pretrained, data, tmp_path):
    result = compare(case, pretrained, tmp_path).results
    assert [item.scores for item in result] == [
        item.scores for item in compare(case, pretrained, tmp_path / "other").results
    ]
    for form, item in zip((LINEAR, GRAPH), result, strict=True):
        alone = [train_head(data, LABELS, WORD_VECTORS, form, 4, TRAINING, seed) for seed in (0, 1)]
        assert list(zip(item.scores, item.epochs, strict=True)) == alone, "a seed does not depend on the others"
        assert item.score == pytest.approx(np.mean(item.scores))
        assert item.spread == pytest.approx(np.std(item.scores, ddof=1))
    seeds = {train_head(data, LABELS, WORD_VECTORS, GRAPH, 1, TRAINING, seed)[0] for seed in range(6)}
    assert len(seeds) > 1


def test_heads_learn_and_the_best_epoch_counts(data):
    short, _ = train_head(data, LABELS, None, LINEAR, 1, TRAINING, 0)
    long, epoch = train_head(data, LABELS, None, LINEAR, 40, TRAINING, 0)
    assert long > max(short, 0.85)
    assert 1 <= epoch <= 40


def test_the_graph_the_loss_and_the_pooling_make_a_difference(data):
    def trained(form, **settings):
        training = TRAINING.model_copy(update=settings)
        return [train_head(data, LABELS, WORD_VECTORS, form, 3, training, seed) for seed in range(4)]

    def with_form(**changes):
        return HeadForm(**{"architecture": "ml_gcn", "pooling": "max", "loss": "bce", "adjacency": ADJACENCY} | changes)

    plain = trained(with_form())
    assert trained(with_form(adjacency=np.full((3, 3), 1 / 3))) != plain, "all classifiers alike"
    assert trained(with_form(pooling="average")) != plain
    assert trained(with_form(loss="asymmetric")) != plain
    assert trained(with_form(learned=True)) != plain
    assert trained(with_form(), sampling="class_aware") != plain


def test_test_images_are_never_read(case, pretrained, tmp_path):
    def image_path(file_id):
        assert file_id not in set(case.data_set.loc[case.data_set["split"] == "test", "file_id"])
        return case.image_path(file_id)

    for backbone in (pretrained, FROM_SCRATCH):
        without = case.data_set[case.data_set["split"] != "test"]
        changed = case.data_set.copy()
        test = changed["split"] == "test"
        changed.loc[test, "main"] = "blue"
        changed.loc[test, "file_id"] = "nowhere"
        compared = [
            compare(case, backbone, tmp_path / name, data_set=rows, image_path=image_path).results
            for name, rows in (("a", case.data_set), ("b", without), ("c", changed))
        ]
        scores = [[item.scores for item in results] for results in compared]
        assert scores[0] == scores[1] == scores[2]


def test_a_random_backbone_is_trained_once_first(case, tmp_path):
    told = []
    first = compare(case, FROM_SCRATCH, tmp_path, progress=lambda *done: told.append(done))
    assert first.source == "features of MobileNetV3 small after one training from random weights"
    (kept,) = (tmp_path / "backbones").iterdir()
    written = kept.stat().st_mtime_ns
    assert told == sorted(told)
    assert told[-1] == (1000, 1000)
    assert len({done for done, _ in told}) > 6, "the bar moves in between"
    again = compare(case, FROM_SCRATCH, tmp_path)
    assert [item.scores for item in again.results] == [item.scores for item in first.results]
    assert (tmp_path / "backbones" / kept.name).stat().st_mtime_ns == written
    assert not list((tmp_path / "checkpoints").glob("*")), "nothing is left of the training"
    compare(case, FROM_SCRATCH, tmp_path, training=TRAINING.model_copy(update={"seed": 1}))
    assert len(list((tmp_path / "backbones").iterdir())) == 2
    other_graph = TRAINING.model_copy(update={"graph": TRAINING.graph.model_copy(update={"hidden": 32})})
    compare(case, FROM_SCRATCH, tmp_path, training=other_graph)
    assert len(list((tmp_path / "backbones").iterdir())) == 2, "the graph's settings are not those of the backbone"


def test_a_backbone_is_trained_anew_for_whatever_decides_its_weights(case, tmp_path, monkeypatch):
    """Thread count, and what a new version of the package would train otherwise."""
    quick = QUICK.model_copy(update={"epochs": 1, "threads": None})

    def backbones():
        head_data(case.data_set, LABELS, FROM_SCRATCH, quick, case.image_path, tmp_path)
        return len(list((tmp_path / "backbones").iterdir()))

    monkeypatch.setattr("modeling.head_features.usable_threads", lambda: 1)
    assert backbones() == 1
    monkeypatch.setattr("modeling.head_features.usable_threads", lambda: 2)
    assert backbones() == 2
    monkeypatch.setattr("modeling.checkpoints.VERSION", "other")
    assert backbones() == 3
    monkeypatch.setattr("modeling.head_features.VERSION", "other")
    assert backbones() == 4


def test_no_memory_says_what_to_lower(case, pretrained, data, tmp_path, monkeypatch):
    def too_large(*_, **__):
        raise MemoryError

    monkeypatch.setattr("modeling.head_training.build_head", too_large)
    with pytest.raises(ModelingError, match=r"out of memory: lower training\.batch_size"):
        train_head(data, LABELS, None, LINEAR, 1, TRAINING, 0)
    monkeypatch.setattr("modeling.head_features.pooled_features", too_large)
    with pytest.raises(ModelingError, match=r"out of memory: lower training\.batch_size"):
        compare(case, pretrained, tmp_path)


class Reads:
    """Features that remember how many rows were read at once."""

    def __init__(self, values):
        self.values, self.shape, self.rows = values, values.shape, []

    def __getitem__(self, key):
        self.rows.append(len(key[0]))
        return self.values[key]


def test_few_validation_images_are_scored_at_a_time(data, monkeypatch):
    both = TRAINING.model_copy(update={"flip_average": True})
    whole = train_head(data, LABELS, None, LINEAR, 3, both, 0)
    monkeypatch.setattr("modeling.head_training.SCORED", 5)
    reads = Reads(data.features)
    assert train_head(replace(data, features=reads), LABELS, None, LINEAR, 3, both, 0) == whole
    assert len(data.validation) == 12
    assert reads.rows.count(5) == 3 * 2 * 2, "epochs, sides, parts of five"
    assert max(reads.rows) < 12


def test_what_can_not_be_compared_is_refused(case, pretrained, tmp_path):
    with pytest.raises(ModelingError, match="csra takes feature maps"):
        compare(case, pretrained, tmp_path, forms=[HeadForm("csra", "average", "bce")])
    without = case.data_set[case.data_set["split"] != "validation"]
    with pytest.raises(ModelingError, match="no image in the validation split"):
        compare(case, pretrained, tmp_path, data_set=without)
    no_red = case.data_set[case.data_set["main"] != "red"]
    no_red = no_red.assign(subs=[[] for _ in range(len(no_red))])
    with pytest.raises(ModelingError, match="label 'red' has no train image"):
        compare(case, pretrained, tmp_path, data_set=no_red)


def test_a_diverging_head_is_named(data):
    wild = TRAINING.model_copy(update={"label_learning_rate": 1e30})
    with pytest.raises(ModelingError, match=r"lower training\.label_learning_rate"):
        train_head(data, LABELS, WORD_VECTORS, GRAPH, 2, wild, 0)
