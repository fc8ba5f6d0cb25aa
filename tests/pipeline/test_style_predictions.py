"""The champion's answers for every unique image: each scored once, in one run for any number of windows."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modeling.predict import load_model
from pipeline.champions import champion_path, champion_version
from pipeline.settings import Settings
from pipeline.storage import Storage
from tests.pipeline.operation_case import NOON, WINDOWS, failure, make_location, materialize, put_model

Case = tuple[Settings, Storage]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A location with a champion."""
    settings, storage = make_location(tmp_path)
    put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    return settings, storage


def predict(case: Case, window: str = WINDOWS[0]) -> dg.AssetMaterialization:
    result = materialize(*case, "style_predictions", window)
    assert failure(result) == ""
    (event,) = result.asset_materializations_for_node("style_predictions")
    return event


def table(case: Case, window: str = WINDOWS[0]) -> pd.DataFrame:
    return case[1].read_table("style_predictions", (window,)).to_pandas()


def test_every_unique_image_of_the_window_is_answered(case: Case) -> None:
    storage = case[1]
    event = predict(case)
    rows = table(case)
    unique = storage.read_table("unique_images").to_pandas()
    assert rows["image_id"].tolist() == sorted(unique.loc[unique["window"] == WINDOWS[0], "image_id"])
    assert set(rows["model_version"]) == {champion_version(storage, "colours")}
    assert (event.metadata["scored"].value, event.metadata["taken_over"].value) == (30, 0)
    predictor = load_model(champion_path(storage, "colours"))
    wanted = predictor.probabilities([storage.image_path(image_id) for image_id in rows["image_id"]])
    assert np.allclose(np.stack(rows["probabilities"]), wanted, atol=1e-5)
    for row, probabilities in zip(rows.itertuples(), wanted, strict=True):
        assert row.main == predictor.labels[int(probabilities.argmax())]
        above = {label for label, value in zip(predictor.labels, probabilities, strict=True)
                 if value >= predictor.card["calibration"]["thresholds"][label]}  # fmt: skip
        assert set(row.subs) == above - {row.main}
        assert row.labels.tolist() == predictor.labels
    assert np.stack(rows["embedding"]).shape == (30, 32)
    assert np.stack(rows["embedding"]).std(axis=0).min() > 0


def test_only_what_is_new_is_scored(case: Case) -> None:
    storage = case[1]
    first = predict(case)
    before, written = table(case), storage.written_at("style_predictions", (WINDOWS[0],))
    again = predict(case)
    assert (again.metadata["scored"].value, again.metadata["taken_over"].value) == (0, 30)
    assert again.tags["dagster/data_version"] == first.tags["dagster/data_version"]
    assert storage.written_at("style_predictions", (WINDOWS[0],)) == written
    unique = storage.read_table("unique_images").to_pandas()
    gone, moved = unique.index[unique["window"] == WINDOWS[0]][:2]
    unique.loc[gone, ["kept", "canonical_id"]] = [False, unique.loc[moved, "image_id"]]
    late = unique.index[unique["window"] == WINDOWS[1]][0]
    unique.loc[late, "window"] = WINDOWS[0]
    storage.write_table("unique_images", pa.Table.from_pandas(unique, preserve_index=False))
    third = predict(case)
    assert (third.metadata["scored"].value, third.metadata["taken_over"].value) == (1, 29)
    assert third.tags["dagster/data_version"] != first.tags["dagster/data_version"]
    after = table(case).set_index("image_id")
    assert unique.loc[gone, "image_id"] not in after.index
    assert unique.loc[late, "image_id"] in after.index
    kept = before.set_index("image_id").drop(index=unique.loc[gone, "image_id"])
    assert np.array_equal(np.stack(after.loc[kept.index, "embedding"]), np.stack(kept["embedding"]))


def test_another_champion_answers_anew(case: Case) -> None:
    settings, storage = case
    predict(case)
    old = table(case)
    settings = settings.model_copy(
        update={"promotion": settings.promotion.model_copy(update={"newer_by_days": 0, "margin": 0.99})}
    )
    second = put_model(settings, storage, "basic_cnn", 2)
    assert failure(materialize(settings, storage, "champion", "colours", now=NOON + timedelta(days=1))) == ""
    assert champion_version(storage, "colours") == second
    assert predict(case).metadata["scored"].value == 30
    assert set(table(case)["model_version"]) == {second}
    assert not np.allclose(np.stack(table(case)["probabilities"]), np.stack(old["probabilities"]))


def test_without_a_champion_windows_are_empty_and_say_so(tmp_path: Path) -> None:
    case = make_location(tmp_path)
    event = predict(case)
    assert event.metadata["champions"].value == "none yet: materialize champion"
    assert table(case).empty


def test_a_picture_that_cannot_be_read_is_named(case: Case) -> None:
    storage = case[1]
    lost = Path(storage.path(storage.image_key(f"{4:064x}")))
    lost.write_bytes(b"no picture")
    event = predict(case)
    assert event.metadata["unreadable"].value == 1
    assert f"{4:064x}" in str(event.metadata["not_read"].value)
    assert len(table(case)) == 29
    assert f"{4:064x}" not in set(table(case)["image_id"])


def test_both_windows_go_through_one_run(case: Case) -> None:
    """As a back-fill asks for them: by a range of partitions."""
    tags = {
        "dagster/asset_partition_range_start": WINDOWS[0],
        "dagster/asset_partition_range_end": WINDOWS[1],
    }
    result = materialize(*case, "style_predictions", tags=tags)
    assert failure(result) == ""
    events = result.asset_materializations_for_node("style_predictions")
    assert [event.partition for event in events] == [*WINDOWS, *WINDOWS]  # the second time with its own version
    assert len({event.tags["dagster/data_version"] for event in events[2:]}) == 2
    events = events[2:]
    assert [event.metadata["scored"].value for event in events] == [30, 30]
    assert len(table(case, WINDOWS[1])) == 30


NOTHING_NEW = """
import sys, time
from pathlib import Path
from pipeline.assets.style_predictions import style_prediction_assets
from pipeline.progress import LogProgress
from pipeline.settings import load_settings
from pipeline.storage import Storage
import dagster as dg

settings = load_settings(Path(sys.argv[1]))
resources = {"settings": settings, "storage": Storage(settings.data.location), "progress": LogProgress(str)}
result = dg.materialize(
    style_prediction_assets(settings),
    resources=resources,
    tags={"dagster/asset_partition_range_start": "2019-07-01", "dagster/asset_partition_range_end": "2019-07-08"},
    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
)
assert result.success
assert "torch" not in sys.modules
"""


def test_where_nothing_is_new_torch_stays_out(case: Case, tmp_path: Path) -> None:
    for window in WINDOWS:
        predict(case, window)
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTHING_NEW, str(tmp_path / "stylegraph.toml")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
