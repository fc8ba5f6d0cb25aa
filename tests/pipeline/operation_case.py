"""A data location with coloured shapes in two windows, their labels, and models without a training."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from labeling.tables import LABELS as LABELS_SCHEMA
from modeling.card_files import update_card
from modeling.correlation import correlation_table
from modeling.evaluate import evaluate
from modeling.label_sets import data_set_version, label_frequencies
from modeling.model_card import card_metrics
from modeling.predict import score_seeds
from modeling.settings import GraphSettings
from modeling.tables import DATA_SET
from pipeline.assets.champion import champion_assets
from pipeline.assets.style_predictions import style_prediction_assets
from pipeline.assets.training_request import training_request_assets
from pipeline.assets.trends import trend_assets
from pipeline.champions import card_version
from pipeline.model_inputs import write_inputs
from pipeline.progress import LogProgress
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.tables import TABLES
from tests.modeling.model_case import write_model
from tests.modeling.training_case import LABELS, WORD_VECTORS, make_case

WINDOWS = ("2019-07-01", "2019-07-08")
NOON = datetime(2019, 7, 20, 12, tzinfo=UTC)
TOGETHER = {
    "training_request": ["training_requests", "training_request"],
    "style_trends": ["style_trends", "style_movements", "cooccurrence_changes"],
}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SETTINGS = """
architectures = ["basic_cnn", "backbone"]

[data]
location = "{location}"

[windows]
start = 2019-07-01
end = 2019-07-15

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
labels = ["red", "green", "blue"]

[training]
image_size = [32, 32]
epochs = 2
batch_size = 8
device = "cpu"
threads = 1

[evaluation]
resamples = 100

[promotion]
least_images = 5
"""


def make_location(folder: Path, images: int = 60, location: str | None = None) -> tuple[Settings, Storage]:
    """Write settings, pictures and the tables up to the label graph; every third image stays without a label."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "stylegraph.toml"
    config.write_text(SETTINGS.format(location=location or folder / "data"), encoding="utf-8")
    settings = load_settings(config)
    storage = Storage(settings.data.location, folder / "scratch" if location else None)
    case = make_case(folder / "pictures", images)
    rows = case.data_set.to_dict("records")
    for number, row in enumerate(rows):
        content = case.image_path(row["image_id"]).read_bytes()
        row["image_id"] = row["file_id"] = f"{number:064x}"
        row["window"] = WINDOWS[number % 2]
        storage.write_bytes(storage.image_key(row["file_id"]), content)
    write_labels(storage, rows)
    storage.write_table("unique_images", unique_images(rows))
    storage.write_table("similar_pairs", TABLES["similar_pairs"].schema.empty_table())
    write_data_set(storage, rows)
    return settings, storage


def write_labels(storage: Storage, rows: list[dict[str, Any]]) -> None:
    """Write LABELS of these rows, and their frequencies."""
    labels = [
        {"status": "agreed", "answer": "style", "annotators": 1, "mains": [row["main"]]}
        | {name: row[name] for name in ("image_id", "window", "main", "subs")}
        for row in rows
    ]
    table = storage.write_table("labels", pa.Table.from_pylist(labels, LABELS_SCHEMA))
    storage.write_table("label_frequencies", label_frequencies(table, LABELS))


def write_data_set(storage: Storage, rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Write the data set of these rows, and what a training reads besides."""
    frame = pd.DataFrame(rows)
    storage.write_table("data_set", pa.Table.from_pandas(frame, DATA_SET, preserve_index=False), ("colours",))
    vectors = [
        {"label": label, "vector": vector.tolist(), "parts": [label], "source": "numbers"}
        for label, vector in zip(LABELS, WORD_VECTORS, strict=True)
    ]
    storage.write_table("word_vectors", pa.Table.from_pylist(vectors), ("colours",))
    graph = correlation_table(frame, LABELS, GraphSettings(tau=0.3))
    storage.write_table("correlation_matrix", graph, ("colours",))
    return frame


def unique_images(rows: list[dict[str, Any]]) -> pa.Table:
    """Every row's image as a unique one of its own author."""
    return pa.Table.from_pylist(
        [
            {
                "image_id": row["image_id"],
                "window": row["window"],
                "canonical_id": row["image_id"],
                "best_image_id": row["file_id"],
                "kept": True,
                "cluster_size": 1,
                "post_id": f"archive:{row['image_id'][-6:]}",
                "author_hmac": row["group_id"],
                "posts": 1,
                "rule_version": "1",
                "hash_version": "1",
            }
            for row in rows
        ],
        TABLES["unique_images"].schema,
    )


def put_model(
    settings: Settings, storage: Storage, architecture: str, seed: int, *, inputs: bool = True, **card: Any
) -> str:
    """Give the label set an evaluated model with random weights of that seed; return its version."""
    tables = {
        name: storage.read_table(name, ("colours",)) for name in ("data_set", "word_vectors", "correlation_matrix")
    }
    version = data_set_version(tables["data_set"])
    with storage.model_folder("colours", architecture) as folder:
        write_model(folder, architecture, seed=seed, data_set_version=version, **card)
        if inputs:
            write_inputs(folder, tables, settings)
    return measure(storage, architecture)


def measure(storage: Storage, architecture: str, validation: float | None = None) -> str:
    """Score and evaluate a model as the assets do; ``validation`` sets the figure that models are chosen by."""
    folder = storage.model_path("colours", architecture)
    data_set = storage.read_table("data_set", ("colours",)).to_pandas()
    scores = storage.write_table("scores", score_seeds(folder, data_set, storage.image_path), ("colours", architecture))
    evaluation = storage.write_table("evaluation", evaluate(scores, 100), ("colours", architecture))
    metrics = card_metrics(evaluation.to_pandas())
    if validation is not None:
        metrics["validation"]["overall"]["mean5"]["value"] = validation
    card = update_card(folder, {"metrics": metrics})
    storage.write_model_files("colours", architecture, ["card.json"])
    return card_version(card)


def materialize(
    settings: Settings,
    storage: Storage,
    name: str,
    partition: str | None = None,
    *,
    now: datetime = NOON,
    config: dict[str, Any] | None = None,
    instance: dg.DagsterInstance | None = None,
    tags: dict[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Materialize one asset of the operation, with those that are made together with it; raises nothing."""
    assets = [
        *champion_assets(settings),
        *style_prediction_assets(settings),
        *training_request_assets(settings),
        *trend_assets(settings),
    ]
    return dg.materialize(
        assets,
        selection=TOGETHER.get(name, [name]),
        partition_key=partition,
        instance=instance,
        tags=tags,
        resources={
            "settings": settings,
            "storage": storage,
            "progress": LogProgress(lambda line: None),
            "clock": lambda: now,
        },
        run_config={**QUIET, **({"ops": {name: {"config": config}}} if config else {})},
        raise_on_error=False,
    )


def failure(result: dg.ExecuteInProcessResult) -> str:
    """What a failed run says to people; of another error, what it is. Empty where the run went well."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        return str(
            data.user_failure_data.description if data.user_failure_data else (data.error.cause or data.error).message
        )
    return ""
