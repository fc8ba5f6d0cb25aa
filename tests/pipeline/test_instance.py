"""dagster.yaml follows the settings."""

import multiprocessing
import shutil
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import PoolGranularity

from pipeline.instance import POSTGRES_VARIABLE, instance_folder, open_instance
from pipeline.run_launcher import DetachedRunLauncher
from pipeline.services import prepare
from pipeline.settings import Settings, SettingsError, load_settings
from tests.pipeline.small_case import SETTINGS, write_case


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_case(tmp_path, images=1)


def read(settings: Settings) -> dict:
    return yaml.safe_load((instance_folder(settings) / "dagster.yaml").read_text())


def test_the_instance_works_as_the_settings_say(config: Path) -> None:
    config.write_text(SETTINGS + "\n[automation]\nruns_at_once = 3\nretries = 4\n")
    with open_instance(load_settings(config)) as instance:
        assert isinstance(instance.run_launcher, DetachedRunLauncher)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 3
        assert queue.tag_concurrency_limits == [{"key": "stylegraph/training", "value": "true", "limit": 1}]
        pools = instance.get_concurrency_config().pool_config
        assert pools.pool_granularity == PoolGranularity.RUN
        assert pools.default_pool_limit == 1
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_poll_interval_seconds == 5
        assert instance.run_retries_max_retries == 4
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_an_older_file_is_brought_up_to_date(config: Path) -> None:
    settings = load_settings(config)
    old = instance_folder(settings) / "dagster.yaml"
    old.write_text("telemetry:\n  enabled: false\nnux:\n  enabled: false\n")
    assert read(settings)["run_launcher"]["class"] == "DetachedRunLauncher"


def test_a_file_that_is_right_is_not_written_again(config: Path) -> None:
    settings = load_settings(config)
    path = instance_folder(settings) / "dagster.yaml"
    before = path.stat()
    instance_folder(settings)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_no_retries_means_none(config: Path) -> None:
    config.write_text(SETTINGS + "\n[automation]\nretries = 0\n")
    assert read(load_settings(config))["run_retries"]["enabled"] is False


def test_postgres_needs_its_address(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(POSTGRES_VARIABLE, raising=False)
    config.write_text(SETTINGS + '\n[dagster]\nstorage = "postgres"\n')
    with pytest.raises(SettingsError, match=POSTGRES_VARIABLE):
        instance_folder(load_settings(config))


@pytest.fixture
def remote(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a location that is no folder, and a DAGSTER_HOME."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    config.write_text(SETTINGS.replace('location = "data"', 'location = "memory://bucket"'))
    return load_settings(config)


def test_a_remote_location_has_the_home_that_was_prepared_for_it(remote: Settings, tmp_path: Path) -> None:
    beside_the_cache = instance_folder(remote)
    assert tmp_path / "cache" in beside_the_cache.parents  # DAGSTER_HOME may be another project's
    assert prepare(remote, tmp_path / "socket") == tmp_path / "home"
    assert prepare(remote, tmp_path / "socket") == tmp_path / "home"
    assert instance_folder(remote) == tmp_path / "home"
    assert (tmp_path / "home" / "workspace.yaml").exists()
    other = remote.model_copy(update={"data": remote.data.model_copy(update={"location": "memory://other"})})
    assert instance_folder(other) != tmp_path / "home"
    with pytest.raises(SettingsError, match="is the folder of another data location"):
        prepare(other, tmp_path / "socket")


def test_a_shell_without_the_variable_finds_the_home_that_was_prepared(
    remote: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(remote, tmp_path / "socket")
    monkeypatch.delenv("DAGSTER_HOME")
    assert instance_folder(remote) == tmp_path / "home"


def test_a_history_that_is_there_is_not_left_behind(remote: Settings, tmp_path: Path) -> None:
    @dg.asset
    def made() -> int:
        return 1

    with open_instance(remote) as instance:
        dg.materialize([made], instance=instance)
        lies = instance.root_directory
    with pytest.raises(SettingsError, match=f"the history of memory://bucket lies in {lies}"):
        prepare(remote, tmp_path / "socket")


def test_a_local_locations_folder_is_no_home_for_a_remote_one(
    remote: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    local = load_settings(write_case(tmp_path / "local", images=1))
    monkeypatch.setenv("DAGSTER_HOME", str(instance_folder(local)))
    with pytest.raises(SettingsError, match="is the folder of another data location"):
        prepare(remote, tmp_path / "socket")


def test_another_projects_home_stays_as_it_is(remote: Settings, tmp_path: Path) -> None:
    configuration = tmp_path / "home" / "dagster.yaml"
    configuration.parent.mkdir()
    configuration.write_text("telemetry:\n  enabled: true\n")
    with pytest.raises(SettingsError, match="is the folder of another project"):
        prepare(remote, tmp_path / "socket")
    assert configuration.read_text() == "telemetry:\n  enabled: true\n"


def test_a_local_locations_home_is_beside_it(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "data" / "dagster"))
    assert prepare(load_settings(config), tmp_path / "socket") == tmp_path / "data" / "dagster"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with pytest.raises(SettingsError, match=r"set DAGSTER_HOME=.*/data/dagster"):
        prepare(load_settings(config), tmp_path / "socket")


def _open(config: Path) -> None:
    with open_instance(load_settings(config)) as instance:
        assert instance.get_runs_count() == 0


def test_many_may_open_a_new_instance_at_once(config: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(config,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def test_history_is_where_dagster_itself_has_it(config: Path, tmp_path: Path) -> None:
    @dg.asset
    def made() -> int:
        return 1

    with open_instance(load_settings(config)) as instance:
        run_id = dg.materialize([made], instance=instance).run_id
        folder, events = Path(instance.root_directory), len(instance.all_logs(run_id))
        assert type(instance.event_log_storage).__name__ == "EventHistory"
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    (other / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with dg.DagsterInstance.from_config(str(other)) as plain:
        assert type(plain.event_log_storage).__name__ == "SqliteEventLogStorage"
        assert [run.run_id for run in plain.get_runs()] == [run_id]
        assert len(plain.all_logs(run_id)) == events > 5
        assert plain.get_latest_materialization_event(dg.AssetKey("made")) is not None
