"""The asset of the trainings: a model that could not be stored is not trained again."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from modeling.correlation import correlation_table
from modeling.label_sets import data_set_version
from modeling.settings import GraphSettings
from pipeline.assets.training import training_assets
from pipeline.graph import build_definitions
from pipeline.lineage import TRAINS
from pipeline.locks import TRAINING_POOL, one_training
from pipeline.model_inputs import read_inputs_table
from pipeline.partitions import model_key
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from tests.modeling.training_case import LABELS, WORD_VECTORS, make_case

SETTINGS = """
architectures = ["basic_cnn"]

[data]
location = "data"

[sources.drawn]
kind = "archive"
folder = "photos"
posts = "posts.csv"

[labels]
kind = "csv"
path = "labels.csv"

[taxonomy]
labels = ["red", "green", "blue"]

[label_sets.colours]
top = 3

[training]
image_size = [32, 32]
epochs = 2
repeats = 2
batch_size = 8
device = "cpu"
"""


class Told:
    """Counts how often it is told how far a training has come, and notes of what."""

    def __init__(self) -> None:
        self.times, self.steps = 0, list[str]()

    def step(self, description: str):
        self.steps.append(description)

        def report(done: int, total: int) -> None:
            self.times += 1

        return report


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a data location with the tables and pictures that a training reads."""
    path = tmp_path / "stylegraph.toml"
    path.write_text(SETTINGS, encoding="utf-8")
    settings = load_settings(path)
    storage, case = Storage(settings.data.location), make_case(tmp_path / "pictures")
    for file_id in case.data_set["file_id"]:
        storage.write_bytes(storage.image_key(file_id), case.image_path(file_id).read_bytes())
    vectors = [
        {"label": label, "vector": vector.tolist(), "parts": [label], "source": "numbers"}
        for label, vector in zip(LABELS, WORD_VECTORS, strict=True)
    ]
    storage.write_table("data_set", pa.Table.from_pandas(case.data_set, preserve_index=False), ("colours",))
    storage.write_table("word_vectors", pa.Table.from_pylist(vectors), ("colours",))
    graph = correlation_table(case.data_set, LABELS, GraphSettings(tau=0.3))
    storage.write_table("correlation_matrix", graph, ("colours",))
    return settings


def train(settings: Settings, told: Told | None = None) -> tuple[dg.ExecuteInProcessResult, int]:
    """Materialize the assets; return the result, and how often the training told of a batch."""
    told = told or Told()
    result = dg.materialize(
        training_assets(settings),
        partition_key=model_key("colours", "basic_cnn"),
        resources={"settings": settings, "storage": Storage(settings.data.location), "progress": told},
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    return result, told.times


def test_a_model_that_could_not_be_stored_is_there_at_once_when_it_can(settings: Settings) -> None:
    location = Path(settings.data.location)
    checkpoints = location / "scratch" / "cache" / "checkpoints"
    (location / "models").write_text("a file where the folder should be")
    failed, batches = train(settings)
    assert not failed.success
    assert batches == 12  # 2 seeds, 2 epochs, 24 images by 8
    assert len(list(checkpoints.iterdir())) == 2
    (location / "models").unlink()
    result, told = train(settings)
    assert result.success
    assert told == 2  # that each seed is done
    assert list(checkpoints.iterdir()) == []
    (model,) = result.asset_materializations_for_node("training")[:1]
    folder = Path(str(model.metadata["weights"].value))
    assert folder == Storage(settings.data.location).model_path("colours", "basic_cnn")
    names = ["card.json", "inputs", "model.safetensors", "seed-0", "seed-1"]
    assert sorted(path.name for path in folder.iterdir()) == names
    kept = read_inputs_table("data_set", (folder / "inputs/data_set.parquet").read_bytes())
    assert data_set_version(kept) == model.metadata["data_set_version"].value
    written = json.loads((folder / "inputs/settings.json").read_text(encoding="utf-8"))
    assert written["training"] == settings.training.model_dump(mode="json")
    assert written["backbone"] == settings.backbone.model_dump(mode="json")
    assert written["packages"].keys() >= {"python", "torch"}
    assert model.metadata["device"].value == "cpu"
    assert model.metadata["precision"].value == "float32"


def test_a_training_waits_for_another_and_says_so(settings: Settings) -> None:
    """Of two that people begin by hand, neither is in a queue."""
    told, storage = Told(), Storage(settings.data.location)
    with ThreadPoolExecutor() as threads:
        with one_training(storage, lambda _: None, Told()):
            second = threads.submit(train, settings, told)
            deadline = time.monotonic() + 60
            while not told.steps and time.monotonic() < deadline and not second.done():
                time.sleep(0.05)
            assert told.steps == ["another training is under way; waiting for it to end"]
            assert told.times == 0
        result, batches = second.result(120)
    assert result.success
    assert batches == 12


def test_all_that_trains_is_in_one_pool(settings: Settings) -> None:
    pools = {
        key.to_user_string(): one.op.pool
        for one in build_definitions(settings).assets or []
        for key in one.keys
        if one.is_executable
    }
    assert {name for name, pool in pools.items() if pool == TRAINING_POOL} == TRAINS
