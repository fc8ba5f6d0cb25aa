from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.model_files import load_model
from modeling.predict import Predictor, score
from modeling.tables import SCORES
from modeling.train import train
from tests.modeling.training_case import ADJACENCY, FROM_SCRATCH, LABELS, QUICK, WORD_VECTORS, Case, make_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def predictor(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("model")
    settings = QUICK.model_copy(update={"flip_average": True})
    arguments = (case.data_set, LABELS, WORD_VECTORS, ADJACENCY, "ml_gcn", FROM_SCRATCH, settings, case.image_path)
    train(*arguments, folder / "cache", folder / "out")
    return load_model(folder / "out", "cpu")


def test_labels_come_with_probabilities_best_first(predictor: Predictor, case: Case):
    path = case.image_path("000")
    with Image.open(path) as image:
        answers = predictor.predict([path, str(path), image])
    assert len(answers) == 3
    assert answers[0] == answers[1] == answers[2]
    assert set(answers[0]) == set(LABELS)
    values = list(answers[0].values())
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)


def test_probabilities_are_those_of_picture_and_mirror_image(predictor: Predictor, case: Case):
    path = case.image_path("003")
    pixels = torch.from_numpy(load_image(path, (32, 32)).copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        logits = (predictor.network(pixels) + predictor.network(pixels.flip(-1))) / 2
    assert np.allclose(predictor.probabilities([path]), torch.sigmoid(logits).numpy(), atol=1e-6)


def test_batches_do_not_change_the_answer(predictor: Predictor, case: Case):
    paths = [case.image_path(f"{number:03}") for number in range(20)]
    told: list[int] = []
    together = predictor.probabilities((path for path in paths), told.append)
    alone = np.concatenate([predictor.probabilities([path]) for path in paths])
    assert told == [16, 20]
    assert together.dtype == np.float32
    assert np.allclose(together, alone, atol=1e-5)
    assert predictor.probabilities([]).shape == (0, 3)


def test_a_file_that_is_no_picture_is_named(predictor: Predictor, tmp_path: Path):
    path = tmp_path / "page.jpg"
    path.write_text("<html>")
    with pytest.raises(ModelingError, match=r"page\.jpg can't be read"):
        predictor.predict([path])


def test_scores_of_validation_and_test(predictor: Predictor, case: Case):
    told: list[tuple[int, int]] = []
    table = score(predictor, case.data_set, case.image_path, lambda *done: told.append(done))
    assert table.schema == SCORES
    rows = table.to_pylist()
    expected = case.data_set[case.data_set["split"] != "train"].sort_values(["split", "image_id"])
    assert [row["image_id"] for row in rows] == expected["image_id"].tolist()
    assert [row["split"] for row in rows] == ["test"] * 8 + ["validation"] * 8
    assert rows[0]["labels"] == LABELS
    paths = [case.image_path(row["image_id"]) for row in rows]
    assert np.allclose([row["scores"] for row in rows], predictor.probabilities(paths), atol=1e-6)
    assert told[-1] == (16, 16)
    assert table.equals(score(predictor, case.data_set, case.image_path))
