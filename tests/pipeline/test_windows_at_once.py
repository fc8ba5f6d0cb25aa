"""Several crawl windows in one run: each gets its tables, its metadata and its check results."""

import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
import pytest

from pipeline.graph import build_definitions
from pipeline.locks import near_duplicates_lock, one_at_a_time
from pipeline.metadata import data_version
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.windows_at_once import joined_version
from tests.pipeline.small_case import SETTINGS, write_case

WINDOWS = ("2019-07-01", "2019-07-08")
RANGE = {"dagster/asset_partition_range_start": WINDOWS[0], "dagster/asset_partition_range_end": WINDOWS[1]}
ASSETS = ["posts", "images", "deleted_posts", "crawl_counts", "image_hashes"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(write_case(tmp_path_factory.mktemp("windows"), 14, SETTINGS))


@pytest.fixture(scope="module")
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """An instance in which both windows went through one run."""
    job = build_definitions(settings).resolve_job_def("crawl_window")
    with dg.DagsterInstance.ephemeral() as made:
        assert job.execute_in_process(instance=made, tags=RANGE).success
        yield made


@pytest.mark.parametrize("asset", ASSETS)
def test_each_window_has_its_table_and_its_metadata(
    settings: Settings, instance: dg.DagsterInstance, asset: str
) -> None:
    storage = Storage(settings.data.location)
    for window in WINDOWS:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[window])
        record = instance.fetch_materializations(wanted, limit=1).records[0]
        table = storage.read_table(asset, (window,))
        rows = table.num_rows
        assert record.asset_materialization.tags["dagster/data_version"] == data_version(table).value
        assert "dagster/code_version" in record.asset_materialization.tags
        assert record.asset_materialization.metadata["dagster/row_count"].value == rows
        assert "preview" in record.asset_materialization.metadata


def test_each_window_has_its_check_results(instance: dg.DagsterInstance) -> None:
    from dagster._core.definitions.asset_checks.asset_check_spec import AssetCheckKey  # not exported at the top

    for name, asset in (("window_complete", "posts"), ("window_not_empty", "posts"), ("few_failures", "images")):
        key = AssetCheckKey(dg.AssetKey(asset), name)
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        said = [record.event.dagster_event.asset_check_evaluation_data for record in records if record.event]
        assert {evaluation.partition for evaluation in said} == set(WINDOWS)
        assert all(evaluation.passed and evaluation.partition in evaluation.description for evaluation in said)
        assert all(evaluation.target_materialization_data is not None for evaluation in said)


def test_one_window_keeps_the_version_of_its_content() -> None:
    one, other = dg.DataVersion("a"), dg.DataVersion("b")
    assert joined_version([one]) == one
    assert joined_version([one, other]) != joined_version([other, one])


def test_a_window_crawled_alone_says_the_same_of_itself(settings: Settings) -> None:
    job = build_definitions(settings).resolve_job_def("crawl_window")
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("posts"), asset_partitions=[WINDOWS[1]])
    with dg.DagsterInstance.ephemeral() as alone:
        results = [job.execute_in_process(instance=alone, partition_key=WINDOWS[1]) for _ in range(2)]
        records = alone.fetch_materializations(wanted, limit=5).records
    checks = {check.check_name: check for check in results[1].get_asset_check_evaluations()}
    for name in ("window_complete", "window_not_empty", "window_not_shrunk", "few_failures"):
        assert checks[name].passed
        assert checks[name].partition == WINDOWS[1]
    versions = {record.asset_materialization.tags["dagster/data_version"] for record in records}
    assert len(records) == 2
    assert len(versions) == 1, "the same content, the same version"


def test_one_run_goes_from_the_networks_to_the_label_tasks(settings: Settings) -> None:
    job = build_definitions(settings).resolve_job_def("new_window")
    with dg.DagsterInstance.ephemeral() as made:
        result = job.execute_in_process(instance=made, tags=RANGE)
        tables = {"unique_images", "similar_pairs", "label_tasks"}
        events = [event for event in result.get_asset_materialization_events() if event.asset_key.path[-1] in tables]
        assert len(events) == len(tables), "once for all windows"
        evaluations = result.get_asset_check_evaluations()
        checked = {check.asset_key.path[-1]: check for check in evaluations if check.check_name == "schema"}
        assert checked["posts"].metadata["looked_at"].value == len(WINDOWS)
        alone = job.execute_in_process(instance=made, partition_key=WINDOWS[1])
        (check,) = (
            check
            for check in alone.get_asset_check_evaluations()
            if (check.asset_key.path[-1], check.check_name) == ("posts", "schema")
        )
        assert check.metadata["looked_at"].value == 1, "only the window of the run"


def test_two_runs_at_once_find_near_duplicates_one_after_the_other(settings: Settings) -> None:
    storage = Storage(settings.data.location)
    job = build_definitions(settings).resolve_job_def("crawl_window")
    with dg.DagsterInstance.ephemeral() as made:
        assert job.execute_in_process(instance=made, tags=RANGE).success
    shutil.rmtree(storage.cache_folder("near_duplicates"))  # both have an index to make

    def collect(_: int) -> bool:
        with dg.DagsterInstance.ephemeral() as own:
            job = build_definitions(settings).resolve_job_def("collection")
            return job.execute_in_process(instance=own, raise_on_error=False).success

    with ThreadPoolExecutor(2) as threads:
        with one_at_a_time(near_duplicates_lock(storage), lambda _: None, ""):
            runs = [threads.submit(collect, number) for number in range(2)]
            time.sleep(3)
            assert not any(storage.cache_folder("near_duplicates").iterdir()), "neither has begun"
        assert [run.result(timeout=60) for run in runs] == [True, True]
