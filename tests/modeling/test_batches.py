import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.batches import ImageRows, ScoreBatches, TrainBatches, epoch_order
from modeling.errors import ModelingError
from modeling.images import cached_array
from modeling.training_settings import TrainingSettings

IMAGES, LABELS = 23, 3
TARGETS = np.eye(LABELS, dtype=np.float32)[np.arange(IMAGES) % 7 % LABELS]
SETTINGS = TrainingSettings(batch_size=6, seed=3)


def file_of(path: Path, values: np.ndarray) -> np.ndarray:
    return cached_array(path, values.shape, values.dtype, lambda: [values])


@pytest.fixture
def pictures(tmp_path: Path) -> ImageRows:
    """Pictures 3 high and 2 wide; of 40 in the file, those at odd places and the first few even ones."""
    values = np.random.default_rng(0).integers(0, 256, size=(40, 3, 2, 3), dtype=np.uint8)
    rows = np.concatenate([np.arange(1, 40, 2), [0, 2, 4]])
    weights = np.arange(IMAGES * LABELS, dtype=np.float32).reshape(IMAGES, LABELS)
    return ImageRows(file_of(tmp_path / "pictures.raw", values), rows, TARGETS, weights)


@pytest.fixture
def activations(tmp_path: Path) -> ImageRows:
    """Every activation says where it comes from: 10 times the place in the file, plus the version."""
    place, side = np.meshgrid(10 * np.arange(30), np.arange(2), indexing="ij")
    values = np.broadcast_to((place + side)[..., None, None, None], (30, 2, 4, 2, 2)).astype(np.float16)
    rows = np.arange(IMAGES)[::-1] + 5
    views = tuple(
        file_of(tmp_path / f"{version}.raw", values[rows, 0] + np.float16(version)) for version in range(2, 5)
    )
    return ImageRows(file_of(tmp_path / "both.raw", values), rows, TARGETS, views=views)


def test_every_image_once_with_its_own_target_and_weight(pictures: ImageRows):
    settings = SETTINGS.model_copy(update={"batch_size": 23})
    (batch,) = TrainBatches(pictures, settings, epoch=0)
    inputs, targets, weights = batch
    assert inputs.shape == (23, 3, 3, 2)
    assert inputs.dtype == torch.uint8
    assert weights is not None
    index = (weights[:, 0].numpy() / LABELS).astype(int)  # the weights tell which row it is
    assert sorted(index) == list(range(23))
    assert index.tolist() != list(range(23))
    assert np.array_equal(targets.numpy(), TARGETS[index])
    expected = np.asarray(pictures.inputs)[pictures.rows[index]].transpose(0, 3, 1, 2)
    assert np.array_equal(inputs.numpy(), expected)


def test_no_weights_are_none(activations: ImageRows):
    assert all(weights is None for _, _, weights in TrainBatches(activations, SETTINGS, 0))


def test_a_short_last_batch_is_left_out_unless_it_is_the_only_one(pictures: ImageRows):
    batches = TrainBatches(pictures, SETTINGS, 0)
    assert [len(targets) for _, targets, _ in batches] == [6, 6, 6]
    assert len(batches) == 3
    only = TrainBatches(pictures, SETTINGS.model_copy(update={"batch_size": 50}), 0)
    assert [len(targets) for _, targets, _ in only] == [23]
    assert len(only) == 1


@pytest.mark.parametrize("sampling", ["shuffle", "class_aware"])
def test_seed_and_epoch_decide_the_batches(activations: ImageRows, sampling: str):
    def run(seed: int, epoch: int) -> torch.Tensor:
        settings = SETTINGS.model_copy(update={"seed": seed, "sampling": sampling})
        return torch.cat([inputs for inputs, _, _ in TrainBatches(activations, settings, epoch)])

    assert torch.equal(run(3, 5), run(3, 5))
    assert not torch.equal(run(3, 5), run(3, 6))
    assert not torch.equal(run(3, 5), run(4, 5))
    batches = TrainBatches(activations, SETTINGS, 1)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(batches, batches, strict=True))


@pytest.mark.parametrize("sampling", ["shuffle", "class_aware"])
def test_ranks_share_each_batch_in_turn(activations: ImageRows, sampling: str):
    settings = SETTINGS.model_copy(update={"sampling": sampling})
    whole = TrainBatches(activations, settings, 2)
    ranks = [TrainBatches(activations, settings, 2, rank, 3) for rank in range(3)]
    assert [len(rank) for rank in ranks] == [3, 3, 3]
    for batch, *parts in zip(whole, *ranks, strict=True):
        assert torch.equal(torch.cat([inputs for inputs, _, _ in parts]), batch[0])
        assert torch.equal(torch.cat([targets for _, targets, _ in parts]), batch[1])


def test_what_cannot_be_shared_is_said(pictures: ImageRows):
    with pytest.raises(ModelingError, match=r"training\.batch_size 6 can't be shared by 4 devices"):
        TrainBatches(pictures, SETTINGS, 0, 0, 4)
    many = SETTINGS.model_copy(update={"batch_size": 48})
    with pytest.raises(ModelingError, match="23 train images are too few for 24 devices"):
        TrainBatches(pictures, many, 0, 0, 24)
    few = [targets for _, targets, _ in TrainBatches(pictures, many, 0, 1, 2)]
    assert [len(targets) for targets in few] == [11]


def test_class_aware_sampling_levels_the_labels():
    """900 images of one label, 90 of another, 10 of a third, none of a fourth: about a third of an epoch each."""
    targets = np.zeros((1000, 4), dtype=np.float32)
    targets[:900, 0] = targets[900:990, 2] = targets[990:, 3] = 1
    order = epoch_order(targets, "class_aware", np.random.default_rng(0))
    assert len(order) == 1000
    drawn = targets[order].mean(axis=0)
    assert drawn[1] == 0
    assert drawn[[0, 2, 3]] == pytest.approx([1 / 3] * 3, abs=0.05)
    rare = Counter(order[order >= 990].tolist())
    assert len(rare) == 10  # all of a label's images take part,
    assert max(rare.values()) < 2.5 * min(rare.values())  # about equally often


def test_an_image_of_two_labels_is_drawn_for_either():
    """Labels a and b with images {0, 1} and {1}: image 1 has a chance of 1/2 * 1/2 + 1/2 = 3/4."""
    targets = np.tile(np.array([[1, 0], [1, 1]], dtype=np.float32), (2000, 1))
    order = epoch_order(targets, "class_aware", np.random.default_rng(1))
    assert np.mean(order % 2) == pytest.approx(0.75, abs=0.03)


def test_versions_are_drawn_evenly_and_belong_to_the_image(activations: ImageRows):
    seen: Counter[int] = Counter()
    settings = SETTINGS.model_copy(update={"batch_size": 23})
    for epoch in range(100):
        ((inputs, targets, _),) = TrainBatches(activations, settings, epoch)
        assert inputs.dtype == torch.float32
        assert inputs.shape == (23, 4, 2, 2)
        numbers = inputs[:, 0, 0, 0].int()
        assert (inputs == numbers[:, None, None, None]).all()
        seen.update((numbers % 10).tolist())
        index = 22 - (numbers // 10 - 5)  # the rows are in reverse order, from 5 on
        assert np.array_equal(targets.numpy(), TARGETS[index.numpy()])
    shares = [seen[version] / seen.total() for version in range(5)]
    assert shares == pytest.approx([1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 4], abs=0.03)


def test_without_flip_no_mirror_image_is_drawn(activations: ImageRows):
    settings = SETTINGS.model_copy(update={"flip": False})
    seen = {
        int(number) % 10 for inputs, _, _ in TrainBatches(activations, settings, 0) for number in inputs[:, 0, 0, 0]
    }
    assert seen == {0, 2, 3, 4}


def test_scoring_takes_all_rows_in_order(pictures: ImageRows, activations: ImageRows):
    scored = list(ScoreBatches(pictures, 10, flip_average=True))
    assert [len(targets) for _, targets in scored] == [10, 10, 3]
    assert len(ScoreBatches(pictures, 10, flip_average=True)) == 3
    plain, mirrored = (torch.cat(side) for side in zip(*(sides for sides, _ in scored), strict=True))
    expected = np.asarray(pictures.inputs)[pictures.rows].transpose(0, 3, 1, 2)
    assert np.array_equal(plain.numpy(), expected)
    assert np.array_equal(mirrored.numpy(), expected[..., ::-1])
    assert np.array_equal(torch.cat([targets for _, targets in scored]).numpy(), TARGETS)

    sides, _ = next(iter(ScoreBatches(activations, 4, flip_average=True)))
    assert [side[:, 0, 0, 0].tolist() for side in sides] == [[270, 260, 250, 240], [271, 261, 251, 241]]
    assert [len(sides) for sides, _ in ScoreBatches(activations, 23, flip_average=False)] == [1]


def test_ranks_score_one_stretch_each(pictures: ImageRows):
    parts = [list(ScoreBatches(pictures, 4, False, rank, 3)) for rank in range(3)]
    targets = [torch.cat([targets for _, targets in part]) for part in parts]
    assert [len(part) for part in targets] == [7, 8, 8]
    assert np.array_equal(torch.cat(targets).numpy(), TARGETS)


def test_rows_are_pickled_as_the_names_of_their_files(pictures: ImageRows, activations: ImageRows):
    for rows in (pictures, activations):
        sent = pickle.dumps(rows)
        assert len(sent) < 5000
        again = pickle.loads(sent)  # noqa: S301
        assert isinstance(again.inputs, np.memmap)
        for one, other in zip(TrainBatches(rows, SETTINGS, 1), TrainBatches(again, SETTINGS, 1), strict=True):
            assert torch.equal(one[0], other[0])


def test_tokens_of_a_transformer_are_activations_too(tmp_path: Path):
    """As many axes as pictures: (M, 2, S, D), here 5 tokens of 3 numbers, so that even the last axis is as theirs."""
    values = np.random.default_rng(0).normal(size=(30, 2, 5, 3)).astype(np.float16)
    chosen = np.arange(IMAGES)[::-1] + 5
    views = (file_of(tmp_path / "view.raw", values[chosen, 0] + np.float16(1)),)
    rows = ImageRows(file_of(tmp_path / "tokens.raw", values), chosen, TARGETS, views=views)
    sides, _ = next(iter(ScoreBatches(rows, 4, flip_average=True)))
    assert [side.dtype for side in sides] == [torch.float32] * 2
    for number, side in enumerate(sides):
        assert np.array_equal(side.numpy(), values[chosen[:4], number])
    possible = np.stack([values[chosen, 0], values[chosen, 1], np.asarray(views[0])])
    for epoch in range(5):
        for inputs, _, _ in TrainBatches(rows, SETTINGS, epoch):
            assert inputs.shape == (6, 5, 3)
            assert all((possible == picture).all(axis=(2, 3)).any() for picture in inputs.numpy())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_for_a_gpu_are_the_same_and_pinned(pictures: ImageRows, activations: ImageRows):
    for rows in (pictures, activations):
        pinned = TrainBatches(rows, SETTINGS, 1, device=torch.device("cuda:0"))
        for one, other in zip(pinned, TrainBatches(rows, SETTINGS, 1), strict=True):
            assert one[0].is_pinned()
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
