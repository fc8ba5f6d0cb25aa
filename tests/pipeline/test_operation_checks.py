"""Checks of tables and of what runs by itself: on tables that a test writes, through real runs of the checks alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modeling.tables import DRIFT, EVALUATION, STYLE_TRENDS
from pipeline.graph import build_definitions
from pipeline.metadata import column_schema
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.table_checks import ROWS, SCHEMA
from pipeline.tables import TABLES
from tests.pipeline.small_case import write_case

MODEL = "basic_cnn|top-3"


class Case:
    """A data location without data, and an instance."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        self.storage = Storage(settings.data.location)
        self.definitions = build_definitions(settings, clock=lambda: datetime(2019, 8, 1, tzinfo=UTC))

    def check(self, asset: str, name: str, partition: str | None = None) -> Any:
        """Run one check beside an asset that does nothing; return its evaluation."""
        key = dg.AssetKey(asset)
        node = self.definitions.resolve_asset_graph().get(key)

        @dg.asset(key=key, partitions_def=node.partitions_def if partition else None)
        def nothing() -> None:
            """Stand for the asset."""

        check = dg.AssetSelection.checks(dg.AssetCheckKey(key, name))
        small = dg.Definitions(
            assets=[nothing],
            asset_checks=self.definitions.asset_checks,
            resources=self.definitions.resources,
            jobs=[dg.define_asset_job("look", selection=dg.AssetSelection.assets(key).without_checks() | check)],
        )
        result = small.resolve_job_def("look").execute_in_process(
            instance=self.instance, partition_key=partition, raise_on_error=False
        )
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation

    def write(self, name: str, rows: list[dict[str, Any]], *partition: str) -> None:
        self.storage.write_table(name, pa.Table.from_pylist(rows, TABLES[name].schema), partition)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Case(load_settings(write_case(tmp_path, images=3)), instance)


def evaluation(metric: str, split: str, value: float | None) -> dict[str, Any]:
    empty = dict.fromkeys(EVALUATION.names)
    return {**empty, "split": split, "metric": metric, "value": value, "seeds": 1, "images": 30}


@pytest.mark.parametrize(("value", "passed"), [(0.1, True), (0.15, True), (0.2, False), (None, False)])
def test_calibration(case: Case, value: float | None, passed: bool) -> None:
    case.write("evaluation", [evaluation("ece", "test", value)], "top-3", "basic_cnn")
    found = case.check("evaluation", "calibrated", MODEL)
    assert found.passed is passed
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.partition == MODEL


def trend(label: str, share: float, **changes: Any) -> dict[str, Any]:
    row = {
        "label_set": "top-3",
        "window": "2019-07-01",
        "label": label,
        "source": "model",
        "role": "main",
        "images": 10,
        "counted": 5,
        "raw_share": 0.5,
        "share": share,
        "low": 0.0,
        "high": 1.0,
    }
    assert set(row) == set(STYLE_TRENDS.names)
    return {**row, **changes}


def test_shares_sum_to_one_and_lie_in_their_bands(case: Case) -> None:
    case.write("style_trends", [trend("Casual", 0.4), trend("Sporty", 0.6), trend("Casual", 0.9, role="any")])
    assert case.check("style_trends", "shares_sum_to_one").passed
    case.write("style_trends", [trend("Casual", 0.4), trend("Sporty", 0.5)])
    found = case.check("style_trends", "shares_sum_to_one")
    assert not found.passed
    assert "top-3 | 2019-07-01 | model" in found.description
    case.write("style_trends", [trend("Casual", 0.4, low=0.5), trend("Sporty", 0.6)])
    assert not case.check("style_trends", "shares_sum_to_one").passed


def test_drift_of_styles_and_of_scores_are_two_checks(case: Case) -> None:
    row = dict.fromkeys(DRIFT.names) | {
        "label_set": "top-3",
        "window": "2019-07-08",
        "model_version": "basic_cnn-0123",
        "what": "scores",
        "label": "Casual",
        "test": "kolmogorov_smirnov",
        "images": 50,
        "reference_images": 50,
        "distance": 0.4,
        "threshold": 0.15,
        "p_adjusted": 0.001,
        "drifted": True,
    }
    case.write("drift", [row, {**row, "what": "embeddings", "drifted": False}])
    scores, data = case.check("drift", "no_score_drift"), case.check("drift", "no_data_drift")
    assert not scores.passed
    assert "2019-07-08 most (scores of top-3: 0.400, 0.15 is allowed)" in scores.description
    assert data.passed


def test_a_table_of_another_version_is_named(case: Case) -> None:
    case.write("labels", [])
    assert case.check("labels", SCHEMA).passed
    path = Path(case.storage.path(case.storage.table_key("labels")))
    pq.write_table(pa.table({"image_id": ["a"], "colour": ["red"]}), path)
    found = case.check("labels", SCHEMA)
    assert not found.passed
    assert found.description == "table labels was written by another version: materialize it again"


def test_a_partition_of_another_version_is_named(case: Case) -> None:
    path = Path(case.storage.path(case.storage.table_key("evaluation", ("top-3", "basic_cnn"))))
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"split": ["test"]}), path)
    found = case.check("evaluation", SCHEMA, MODEL)
    assert not found.passed
    assert "of top-3 | basic_cnn" in found.description


def test_a_table_that_lost_rows_warns(case: Case) -> None:
    for rows, passed in ((100, True), (95, True), (80, False), (120, True)):
        case.instance.report_runless_asset_event(
            dg.AssetMaterialization("labels", metadata={"dagster/row_count": rows})
        )
        found = case.check("labels", ROWS)
        assert found.passed is passed, rows
    assert found.metadata["rows_before"].value == 80


def test_each_label_set_loses_rows_of_its_own(case: Case) -> None:
    for label_set, rows in (("top-3", 100), ("pair", 50), ("top-3", 80), ("pair", 48)):
        said = {"dagster/row_count": rows}
        event = dg.AssetMaterialization("data_set", partition=label_set, metadata=said)
        case.instance.report_runless_asset_event(event)
    found = case.check("data_set", ROWS, "pair")
    assert found.passed
    assert found.metadata["rows_before"].value == 50
    assert not case.check("data_set", ROWS, "top-3").passed


def test_late_windows_are_named_by_the_clock(case: Case) -> None:
    found = case.check("posts", "windows_on_time")
    assert not found.passed
    assert found.metadata["windows"].value == ["2019-07-01", "2019-07-08"]


def unique(image: str, window: str, *, kept: bool = True) -> dict[str, Any]:
    names = TABLES["unique_images"].schema
    row: dict[str, Any] = {}
    for field in names:
        if field.nullable:
            row[field.name] = None
        elif pa.types.is_string(field.type):
            row[field.name] = image
        elif pa.types.is_boolean(field.type):
            row[field.name] = kept
        elif pa.types.is_timestamp(field.type):
            row[field.name] = datetime(2019, 7, 1, tzinfo=UTC)
        else:
            row[field.name] = 1
    return {**row, "window": window, "kept": kept}


def test_images_without_an_answer_of_today_block(case: Case) -> None:
    images = [unique("a", "2019-07-01"), unique("b", "2019-07-08"), unique("c", "2019-07-08", kept=False)]
    case.write("unique_images", images)
    assert case.check("style_predictions", "every_image_predicted").passed  # there is no champion
    case.storage.write_json("champions/top-3/current.json", {"version": "new", "promoted_at": None})
    found = case.check("style_predictions", "every_image_predicted")
    assert not found.passed
    assert found.metadata["missing"].value == 2
    answer = {
        "label_set": "top-3",
        "image_id": "a",
        "window": "2019-07-01",
        "model_version": "new",
        "main": "Casual",
        "subs": [],
        "labels": ["Casual"],
        "probabilities": [1.0],
        "embedding": [0.0],
    }
    case.write("style_predictions", [answer], "2019-07-01")
    case.write("style_predictions", [{**answer, "image_id": "b", "model_version": "old"}], "2019-07-08")
    found = case.check("style_predictions", "every_image_predicted")
    assert "images without an answer: 1 of 2, in windows 2019-07-08" in found.description
    assert found.severity == dg.AssetCheckSeverity.ERROR
    case.write("style_predictions", [{**answer, "image_id": "b"}], "2019-07-08")
    assert case.check("style_predictions", "every_image_predicted").passed


def test_pictures_that_nobody_can_read_block_nothing(case: Case) -> None:
    case.write("unique_images", [unique("a", "2019-07-01"), unique("b", "2019-07-01")])
    case.storage.write_json("champions/top-3/current.json", {"version": "new", "promoted_at": None})
    case.write("style_predictions", [], "2019-07-01")

    def made(*not_read: str, **versions: str) -> Any:
        said = {"by_versions": versions, "not_read_images": list(not_read)}
        event = dg.AssetMaterialization("style_predictions", partition="2019-07-01", metadata=said)
        case.instance.report_runless_asset_event(event)
        return case.check("style_predictions", "every_image_predicted")

    found = made("a", **{"top-3": "new"})
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)  # b has no answer
    found = made("a", "b", **{"top-3": "new"})
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "2 pictures cannot be read, in windows 2019-07-01: crawl" in found.description
    assert made().passed, "there was no champion when the run began"


def test_test_images_of_champions_stay_test_images(case: Case) -> None:
    def data_set(**splits: str) -> list[dict[str, Any]]:
        rows = []
        for image, split in splits.items():
            row: dict[str, Any] = {}
            for field in TABLES["data_set"].schema:
                is_list = pa.types.is_list(field.type)
                row[field.name] = [] if is_list else 1 if pa.types.is_integer(field.type) else image
            rows.append({**row, "image_id": image, "split": split})
        return rows

    folder = "champions/top-3/basic_cnn-0123"
    archived = pa.Table.from_pylist(data_set(a="test", b="test", c="train"), TABLES["data_set"].schema)
    sink = pa.BufferOutputStream()
    pq.write_table(archived, sink)
    case.storage.write_bytes(f"{folder}/inputs/data_set.parquet", sink.getvalue().to_pybytes())
    case.storage.write_json(f"{folder}/card.json", {})

    case.write("data_set", data_set(a="test", c="train"), "top-3")  # b is left out
    assert case.check("data_set", "test_set_stays", "top-3").passed
    case.write("data_set", data_set(a="test", b="train", c="train"), "top-3")
    found = case.check("data_set", "test_set_stays", "top-3")
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "1 of 2 test images" in found.description


def test_every_table_of_the_graph_is_checked(case: Case) -> None:
    graph = case.definitions.resolve_asset_graph()
    checked = {key.asset_key.to_user_string() for key in graph.asset_check_keys if key.name == SCHEMA}
    tables = {key.to_user_string() for key in graph.get_all_asset_keys()} & set(TABLES)
    assert checked == tables | {"champion"}


def test_checks_say_what_they_ask(case: Case) -> None:
    for check in case.definitions.asset_checks or ():
        for spec in check.check_specs:
            assert spec.description, spec.name


def test_columns_say_what_they_hold_where_their_names_do_not() -> None:
    columns = {column.name: column for column in column_schema("style_trends").columns}
    assert "95% interval" in str(columns["low"].description)
    assert columns["window"].description is None
