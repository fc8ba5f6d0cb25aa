import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.inference import AHEAD, CPU_BATCH, lone_threads
from modeling.label_sets import data_set_version
from modeling.model_files import load_network
from modeling.ordered_work import in_order
from modeling.predict import Predictor, load_model, score, score_seeds
from modeling.tables import SCORES
from modeling.train import train
from tests.modeling.model_case import SIZE, THRESHOLDS, write_model
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, case: Case) -> Path:
    """A model of three seeds; the middle one is kept."""
    folder = tmp_path_factory.mktemp("model")
    version = data_set_version(case.data_set)
    for seed in (4, 5, 6):
        write_model(folder / f"seed-{seed}", seed=seed, training={"flip_average": True}, data_set_version=version)
    return write_model(folder, seed=5, training={"flip_average": True}, data_set_version=version)


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return load_model(folder, "cpu")


def expected_logits(folder: Path, paths: list[Path]) -> np.ndarray:
    """Mean logits of pictures and mirror images by the network as it was trained, one picture at a time."""
    network, _ = load_network(folder)
    rows = []
    for path in paths:
        pixels = torch.from_numpy(load_image(path, SIZE).copy()).permute(2, 0, 1)[None]
        rows.append(((network(pixels) + network(pixels.flip(-1))) / 2).numpy())
    return np.concatenate(rows)


def paths_of(case: Case, count: int) -> list[Path]:
    return [case.image_path(f"{number:03}") for number in range(count)]


def test_labels_come_with_probabilities_best_first(predictor: Predictor, case: Case) -> None:
    path = case.image_path("000")
    with Image.open(path) as image:
        answers = predictor.predict([path, str(path), image])
    assert len(answers) == 3
    assert answers[0] == answers[1] == answers[2]
    assert set(answers[0]) == set(LABELS)
    values = list(answers[0].values())
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


def test_probabilities_are_calibrated_and_those_of_picture_and_mirror_image(
    predictor: Predictor, folder: Path, case: Case
) -> None:
    """sigmoid(mean logit / 1.6), by the network before anything was fused or folded."""
    paths = paths_of(case, 20)
    logits = expected_logits(folder, paths)
    assert logits.std() > 0.1
    assert np.allclose(predictor.probabilities(paths), 1 / (1 + np.exp(-logits / 1.6)), atol=1e-5)


def test_batches_do_not_change_the_answer(predictor: Predictor, case: Case) -> None:
    paths = paths_of(case, 20)
    told: list[int] = []
    together = predictor.probabilities((path for path in paths), told.append)
    alone = np.concatenate([predictor.probabilities([path]) for path in paths])
    assert told == [8, 16, 20]
    assert together.dtype == np.float32
    assert np.allclose(together, alone, atol=1e-5)
    assert np.array_equal(together, predictor.probabilities(paths))
    assert predictor.probabilities([]).shape == (0, 3)


def test_a_file_that_is_no_picture_is_named(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<html>")
    with pytest.raises(ModelingError, match=r"page\.jpg can't be read"):
        predictor.predict([path])


def test_one_picture_has_to_be_in_a_list(predictor: Predictor, case: Case) -> None:
    path = case.image_path("000")
    for lone in (path, str(path), Image.new("RGB", (8, 8))):
        with pytest.raises(ModelingError, match="give a list of pictures"):
            predictor.predict(lone)
        with pytest.raises(ModelingError, match="give a list of pictures"):
            predictor.probabilities(lone)


def test_an_image_that_can_not_be_decoded_does_not_stop_a_stream(predictor: Predictor, case: Case) -> None:
    path = case.image_path("000")
    with Image.open(path) as image:
        pass  # closed again
    first, bad, last = predictor.stream([path, image, path])
    assert bad.error is not None
    assert "000.png can't be read" in bad.error
    assert first.probabilities == last.probabilities


def test_labels_at_or_above_their_thresholds_are_chosen(predictor: Predictor, case: Case) -> None:
    predictions = list(predictor.stream(paths_of(case, 40)))
    for prediction in predictions:
        assert list(prediction.labels) == [
            label for label, value in prediction.probabilities.items() if value >= THRESHOLDS[label]
        ]
    assert len({prediction.labels for prediction in predictions}) > 1


def test_a_folder_is_streamed_in_order_and_a_bad_file_does_not_stop_it(
    predictor: Predictor, case: Case, tmp_path: Path
) -> None:
    names = [f"{letter}/{number}.png" for letter in "ab" for number in range(10)] + ["c.png"]
    for name, path in zip(names, paths_of(case, 21), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(path.read_bytes())
    (tmp_path / "a/3.png").write_text("<html>")
    (tmp_path / "notes.txt").write_text("no picture")
    predictions = list(predictor.stream(str(tmp_path)))
    assert [prediction.path for prediction in predictions] == [tmp_path / name for name in names]
    bad = predictions.pop(3)
    assert bad.error is not None
    assert "3.png can't be read" in bad.error
    assert (bad.probabilities, bad.labels) == ({}, ())
    assert {prediction.error for prediction in predictions} == {None}
    expected = predictor.predict(prediction.path for prediction in predictions if prediction.path)
    assert [list(prediction.probabilities) for prediction in predictions] == [list(answer) for answer in expected]


def test_a_batch_without_a_picture_and_a_picture_without_a_path(
    predictor: Predictor, case: Case, tmp_path: Path
) -> None:
    with Image.open(case.image_path("000")) as image:
        predictions = list(predictor.stream([tmp_path / "nothing.jpg", image], batch_size=1))
    assert predictions[0].error is not None
    assert predictions[1].path is None
    assert set(predictions[1].probabilities) == set(LABELS)


def test_a_stream_reads_only_a_little_ahead(predictor: Predictor, case: Case) -> None:
    """So a stream may be endless."""
    path, asked = case.image_path("000"), 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield path

    stream = predictor.stream(endless())
    for _ in range(5 * CPU_BATCH):
        assert next(stream).error is None
    assert asked <= (5 + AHEAD + 2) * CPU_BATCH
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


def test_a_missing_folder_is_said_at_once(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(ModelingError, match=r"there is no folder .*nowhere"):
        predictor.stream(tmp_path / "nowhere")


def test_threads_compute_alone_and_leave_torch_as_it_was() -> None:
    torch.set_num_threads(2)
    inside = list(in_order(lambda number: (number, torch.get_num_threads()), range(9), lambda: lone_threads(3), 6))
    assert inside == [(number, 1) for number in range(9)]
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert (torch.get_num_threads(), found) == (2, [2])


def test_an_error_in_a_thread_comes_out() -> None:
    def half(number: int) -> float:
        return 1 / (number - 3)

    with pytest.raises(ZeroDivisionError):
        list(in_order(half, range(10), lambda: lone_threads(2), 4))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pictures")]


def test_scores_of_validation_and_test(predictor: Predictor, folder: Path, case: Case) -> None:
    told: list[tuple[int, int]] = []
    table = score(predictor, case.data_set, case.image_path, lambda *done: told.append(done))
    assert table.schema == SCORES
    rows = table.to_pandas()
    expected = case.data_set[case.data_set["split"] != "train"].sort_values(["split", "image_id"])
    assert rows["image_id"].tolist() == expected["image_id"].tolist()
    assert rows["split"].tolist() == ["test"] * 8 + ["validation"] * 8
    assert rows["labels"][0].tolist() == LABELS
    assert set(rows["seed"]) == {5}
    paths = [case.image_path(image_id) for image_id in rows["image_id"]]
    assert np.allclose(np.stack(rows["logits"]), expected_logits(folder, paths), atol=1e-4)
    assert np.allclose(np.stack(rows["scores"]), predictor.probabilities(paths), atol=1e-6)
    assert told[-1] == (16, 16)
    assert table.equals(score(predictor, case.data_set, case.image_path))


def test_all_seeds_are_scored_and_each_picture_is_read_once(folder: Path, case: Case) -> None:
    asked: list[str] = []

    def path(file_id: str) -> Path:
        asked.append(file_id)
        return case.image_path(file_id)

    told: list[tuple[int, int]] = []
    table = score_seeds(folder, case.data_set, path, "cpu", lambda *done: told.append(done))
    assert len(asked) == len(set(asked)) == 16
    assert told == [(8, 16), (16, 16)]
    rows = table.to_pandas()
    assert rows["seed"].tolist() == [4] * 16 + [5] * 16 + [6] * 16
    for seed in (4, 5, 6):
        alone = score(load_model(folder / f"seed-{seed}", "cpu"), case.data_set, case.image_path)
        pd.testing.assert_frame_equal(rows[rows["seed"] == seed].reset_index(drop=True), alone.to_pandas())


def test_one_training_is_scored_by_itself(folder: Path, case: Case) -> None:
    single = score_seeds(folder / "seed-4", case.data_set, case.image_path, "cpu")
    assert single.equals(score(load_model(folder / "seed-4", "cpu"), case.data_set, case.image_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_set_version": "0" * 64}, "the seeds differ in labels or data_set_version"),
        ({"training": {"resize": "pad"}}, r"differ in training\.resize"),
    ],
)
def test_seeds_that_do_not_belong_together_are_refused(
    case: Case, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    version = {"data_set_version": data_set_version(case.data_set)}
    write_model(tmp_path / "seed-1", seed=1, **version)
    write_model(tmp_path / "seed-2", seed=2, **(version | changes))
    with pytest.raises(ModelingError, match=message):
        score_seeds(tmp_path, case.data_set, case.image_path, "cpu")


def test_a_model_of_another_data_set_is_not_scored(folder: Path, case: Case) -> None:
    """An image that moved from train to test would be scored by a model that has seen it."""
    moved = case.data_set.assign(split=case.data_set["split"].replace({"train": "test", "test": "train"}))
    message = "the model ML-GCN was trained on another data set: train it again"
    with pytest.raises(ModelingError, match=message):
        score_seeds(folder, moved, case.image_path, "cpu")
    with pytest.raises(ModelingError, match=message):
        score(load_model(folder, "cpu"), moved, case.image_path)


def test_a_model_that_was_trained_predicts(case: Case, tmp_path: Path) -> None:
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "ml_gcn", FROM_SCRATCH, QUICK, case.image_path)
    card = train(*arguments, tmp_path / "cache", tmp_path / "out").card
    [prediction] = load_model(tmp_path / "out", "cpu").stream([case.image_path("000")])
    assert set(prediction.probabilities) == set(LABELS) == set(card["calibration"]["thresholds"])
