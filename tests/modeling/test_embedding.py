"""Embeddings beside the answers: one pass, the same answers, and distances that stay."""

from pathlib import Path

import numpy as np
import pytest
import torch

from modeling.embedding import DIMENSIONS, projection
from modeling.images import load_image
from modeling.model_files import load_model, load_network
from tests.modeling.model_case import SIZE, write_model
from tests.modeling.training_case import make_case


def test_distances_survive_the_projection() -> None:
    """The mean of squared distances is kept, and single ones within what 32 normal numbers allow."""
    points = np.random.default_rng(3).standard_normal((200, 512)).astype(np.float32)
    short = points @ projection(512)
    pairs = np.random.default_rng(4).integers(0, 200, (2, 2000))
    pairs = pairs[:, pairs[0] != pairs[1]]
    before, after = (((values[pairs[0]] - values[pairs[1]]) ** 2).sum(axis=1) for values in (points, short))
    ratio = after / before
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert ratio.std() == pytest.approx(np.sqrt(2 / DIMENSIONS), rel=0.2)
    assert np.array_equal(projection(512), projection(512))


@pytest.mark.parametrize("architecture", ["ml_gcn", "backbone", "csra"])
def test_one_pass_gives_answers_and_projected_pooled_features(architecture: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", architecture, training={"flip_average": True})
    case = make_case(tmp_path / "pictures", images=20)
    paths = [case.image_path(f"{number:03}") for number in range(20)]
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    predictor = load_model(folder, "cpu")
    batches = list(predictor.describe([*paths[:5], broken, *paths[5:]]))
    probabilities = np.concatenate([batch.probabilities for batch in batches])
    embeddings = np.concatenate([batch.embeddings for batch in batches])
    errors = [error for batch in batches for error in batch.errors]
    assert [place for place, error in enumerate(errors) if error] == [5]
    assert np.allclose(probabilities, predictor.probabilities(paths), atol=1e-6)
    assert np.allclose(embeddings, expected(folder, architecture, paths), atol=2e-3)
    assert embeddings.shape == (20, DIMENSIONS)


def expected(folder: Path, architecture: str, paths: list[Path]) -> np.ndarray:
    """Pooled features of picture and mirror image by the network as it was trained, averaged and projected."""
    network, _ = load_network(folder)
    rows = []
    for path in paths:
        pixels = torch.from_numpy(load_image(path, SIZE).copy()).permute(2, 0, 1)[None]
        sides = []
        for side in (pixels, pixels.flip(-1)):
            maps = network.image_branch.trained(network.frozen(side))
            sides.append(maps.amax(dim=(2, 3)) if architecture == "ml_gcn" else maps.mean(dim=(2, 3)))
        rows.append(((sides[0] + sides[1]) / 2).numpy() @ projection(maps.shape[1]))
    return np.concatenate(rows)
