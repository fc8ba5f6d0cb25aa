"""``stylegraph run`` makes what would come out differently, and nothing else."""

import io
import os
import re
import shutil
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import MAX_RETRIES_TAG
from rich.console import Console

from crawlers.identity import KEY_VARIABLE
from pipeline import jobs
from pipeline.commands.run import run_all
from pipeline.commands.withdraw import Asked, withdraw
from pipeline.freshness import Freshness
from pipeline.graph import build_definitions
from pipeline.inputs import observe
from pipeline.instance import open_instance
from pipeline.reasons import BY_CONDITION_TAG, FOLLOWED_TAG, REASON_TAG
from pipeline.run import QUIET, collection_steps, run_steps, withdrawal_steps
from pipeline.run_launcher import WORKER_TAG
from pipeline.settings import load_settings
from pipeline.storage import Storage
from tests.pipeline.small_case import SETTINGS, write_case

SMALL = re.sub(r"\[label_sets.pair\].*?\n\n", "", SETTINGS, flags=re.DOTALL)
SMALL = re.sub(r"\[ablation\].*?\n\n", "", SMALL, flags=re.DOTALL).replace(', "ml_gcn"', "")
FIRST, SECOND = "2019-07-01", "2019-07-08"
CRAWLS = ["Crawl 2019-07-01", "Crawl 2019-07-08"]
COLLECTION = "Near-duplicates"
AFTER_LABELS = [
    "Data set top-3", "Basic CNN, top-3", "Comparison, top-3", "Champion, top-3", "Suspicious labels, top-3",
]  # fmt: skip
LAST = ["Styles of all windows", "Trends and drift", "Report"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small case that was run once: its folder."""
    folder = tmp_path_factory.mktemp("made")
    code, output = run(write_case(folder, settings=SMALL))
    assert code == 0, output
    return folder


@pytest.fixture
def config(made: Path, tmp_path: Path) -> Path:
    """The settings file of a copy, for a test to change."""
    return shutil.copytree(made, tmp_path / "case") / "stylegraph.toml"


def run(config: Path, *, everything: bool = False) -> tuple[int, str]:
    output = io.StringIO()
    code = run_all(load_settings(config), Console(file=output, width=200), everything=everything)
    return code, output.getvalue()


def steps_run(config: Path) -> list[str]:
    """Run, and return the titles of the steps that were not up to date."""
    code, output = run(config)
    assert code == 0, output
    return re.findall(r"^[✓!] (.*?)\s+\d+\.\d s", output, flags=re.MULTILINE)


def change(config: Path, old: str, new: str) -> None:
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


def test_nothing_changed_runs_nothing_and_says_so(config: Path) -> None:
    code, output = run(config)
    assert code == 0
    assert "steps are up to date" in output
    assert "✓" not in output
    assert "Basic CNN" in output  # the tables are shown all the same


def test_with_all_every_step_runs(config: Path) -> None:
    code, output = run(config, everything=True)
    assert code == 0
    assert "up to date" not in output
    assert output.count("✓") == len(CRAWLS) + 2 + len(AFTER_LABELS) + len(LAST)


def test_a_label_that_changes_nothing_downstream_stops_there(config: Path) -> None:
    """A row for a picture that is in no post is set aside: the labels stay what they were."""
    with (config.parent / "labels.csv").open("a", encoding="utf-8") as file:
        file.write("nothing.jpg,Casual,\n")
    assert steps_run(config) == ["Experts' labels", "Report"]  # which counts the annotations set aside
    assert steps_run(config) == []


def test_a_changed_label_goes_all_the_way(config: Path) -> None:
    change(config.parent / "labels.csv", "000.jpg,Casual", "000.jpg,Romantic")
    done = steps_run(config)
    assert done[0] == "Experts' labels"
    assert set(AFTER_LABELS) <= set(done)
    assert not set(CRAWLS) & set(done)
    assert COLLECTION not in done
    assert steps_run(config) == []


def test_a_changed_setting_reaches_what_reads_it(config: Path) -> None:
    change(config, "resamples = 100", "resamples = 101")
    done = steps_run(config)
    assert "Basic CNN, top-3" in done
    assert "Data set top-3" not in done
    assert "Experts' labels" not in done
    change(config, "resamples = 101", "resamples = 101\nfloor = 0.2")  # says when a check warns, not what is made
    assert steps_run(config) == ["Report"]  # which shows the settings


def test_a_deleted_table_is_made_again(config: Path) -> None:
    (config.parent / "data/tables/comparison/top-3.parquet").unlink()
    assert steps_run(config) == ["Comparison, top-3"]
    (config.parent / "data/reports/report.html").unlink()
    assert steps_run(config) == ["Report"]
    (config.parent / f"data/tables/posts/{SECOND}.parquet").unlink()
    assert steps_run(config) == ["Crawl 2019-07-08"]


def test_a_new_window_is_crawled_and_the_old_ones_are_not(config: Path) -> None:
    posts = config.parent / "posts.csv"
    text = posts.read_text(encoding="utf-8")
    posts.write_text(text.replace("2019-07-14T", "2019-07-16T"), encoding="utf-8")
    change(config, "end = 2019-07-15", "end = 2019-07-22")
    done = steps_run(config)
    assert "Crawl 2019-07-15" in done
    assert "Crawl 2019-07-08" in done  # four of its pictures are of another week now
    assert "Crawl 2019-07-01" not in done
    assert COLLECTION in done
    assert steps_run(config) == []


def test_a_picture_that_was_only_touched_stops_at_its_window(config: Path) -> None:
    os.utime(config.parent / "photos/000.jpg")
    assert steps_run(config) == ["Crawl 2019-07-01"]
    assert steps_run(config) == []


def test_a_step_that_failed_runs_again(config: Path) -> None:
    labels = config.parent / "labels.csv"
    good = labels.read_bytes()
    labels.write_bytes(b"picture,style\n")
    code, _ = run(config)
    assert code == 1
    labels.write_bytes(good)
    assert steps_run(config) == ["Experts' labels"]  # and all that follows from it is as it was


def test_a_run_that_was_killed_leaves_its_step_stale(config: Path) -> None:
    settings = load_settings(config)
    definitions = build_definitions(settings)
    with open_instance(settings) as instance:
        observe(instance, settings)
        fresh = Freshness(definitions, instance, Storage(settings.data.location))
        assert fresh.why_stale("compare", "top-3") is None
        run_ = instance.create_run_for_job(
            definitions.resolve_job_def("compare"), run_config=QUIET, tags={"dagster/partition": "top-3"}
        )
        instance.report_dagster_event(planned(run_.run_id), run_.run_id)
        fresh.forget("compare")
        assert fresh.why_stale("compare", "top-3") == "comparison: the last run did not make it"


def planned(run_id: str) -> dg.DagsterEvent:
    from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent

    data = AssetMaterializationPlannedData(dg.AssetKey("comparison"), partition="top-3")
    return DagsterEvent.build_asset_materialization_planned_event("compare", "comparison", data)


def test_a_window_that_was_not_read_to_the_end_is_crawled_again(config: Path) -> None:
    settings = load_settings(config)
    with open_instance(settings) as instance:
        observe(instance, settings)
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("posts"), check_name="window_complete", passed=False, partition=FIRST
            )
        )
    assert steps_run(config) == ["Crawl 2019-07-01"]


def test_a_run_by_hand_says_so_and_is_looked_after_but_not_begun_again(config: Path) -> None:
    settings = load_settings(config)
    with open_instance(settings) as instance:
        for run in instance.get_runs():
            assert run.tags[FOLLOWED_TAG] == "stylegraph run"  # automation leaves to it what follows
            assert run.tags[MAX_RETRIES_TAG] == "0"
            assert WORKER_TAG in run.tags


def test_what_was_withdrawn_is_removed_before_anything_else(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "5a" * 32)
    assert withdrawal_steps(load_settings(config)) == []
    settings = load_settings(config)
    asked = Asked(images=[str(config.parent / "photos" / "000.jpg")], reason="asked by mail")
    assert withdraw(settings, asked, Console(file=io.StringIO()), now=False) == 0
    titles = steps_run(config)
    assert titles[0] == "Withdrawals"
    assert {"Near-duplicates", "Data set top-3"} <= set(titles)
    assert withdrawal_steps(settings) == []
    assert "Withdrawals" not in steps_run(config)


def test_before_there_is_a_label_file_only_a_persons_run_fails(tmp_path: Path) -> None:
    config = write_case(tmp_path, images=6, settings=SMALL)
    settings, there = load_settings(config), tmp_path / "labels.csv"
    there.rename(tmp_path / "later.csv")
    definitions = build_definitions(settings)

    def read(instance: dg.DagsterInstance, tags: dict[str, str]) -> tuple[bool, list[str], str]:
        job = definitions.resolve_job_def(jobs.LABELS)
        result = job.execute_in_process(instance=instance, tags=tags, raise_on_error=False, run_config=QUIET)
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        made = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
        return result.success, made, run.tags.get(REASON_TAG, "")

    by_itself = {BY_CONDITION_TAG: "true", REASON_TAG: "something that it is made from has changed"}
    with open_instance(settings) as instance:
        assert all(outcome.failure is None for outcome in run_steps(collection_steps(settings), definitions, instance))
        line = f"there is no label file: put it at {there}, or set labels.path"
        assert read(instance, by_itself) == (True, [], line)
        assert read(instance, {})[:2] == (False, [])
        (tmp_path / "later.csv").rename(there)
        success, made, reason = read(instance, by_itself)
        assert success
        assert {"annotations", "labels", "label_frequencies"} <= set(made)
        assert reason == by_itself[REASON_TAG]
        there.unlink()
        assert read(instance, by_itself)[:2] == (False, [])  # that it is gone is a fault
