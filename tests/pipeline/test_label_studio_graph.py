"""The round trip with a live Label Studio as far as it needs no server: definitions, settings, notes, the sensor."""

import contextlib
import io
import re
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest
from rich.console import Console

from labeling.studio.progress import MirroredProject
from labeling.studio.queue import is_blind
from labeling.tables import LABEL_TASKS, LABELS, PRE_ANNOTATIONS, QUEUED_TASKS
from modeling.tables import SCORES
from pipeline import jobs
from pipeline.commands.run import waits_for_experts
from pipeline.exported import Exported
from pipeline.graph import build_definitions
from pipeline.locks import label_studio_lock, one_at_a_time
from pipeline.partitions import model_key
from pipeline.resources import now
from pipeline.run import Step, model_steps, run_steps
from pipeline.sensors import NEW_WORK
from pipeline.settings import Settings, SettingsError, load_settings
from pipeline.storage import Storage
from pipeline.studio import MIRROR_KEY, open_connection, picture_source
from pipeline.tables import TableError
from tests.labeling.labeling_samples import image_id, task_row
from tests.labeling.studio.misbehaving import Answer, Misbehaving, misbehaving
from tests.pipeline.small_case import SETTINGS
from tests.pipeline.studio_case import live_settings

LIVE_ASSETS = {
    "queued_tasks": {"label_tasks"},
    "annotation_versions": {"queued_tasks"},
    "pre_annotations": {"queued_tasks", "champion"},
    "prediction_acceptance": {"annotation_versions", "pre_annotations"},
    "returned_tasks": {"quarantined_annotations", "labels", "suspicious_labels"},
}
PROJECT = MirroredProject("http://127.0.0.1:9", 7, "2024-05-02T08:00:00.000000Z")
NOW = datetime.now(UTC)
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def live(tmp_path: Path) -> Settings:
    return live_settings(tmp_path, "Graph")


@pytest.fixture
def from_file(tmp_path: Path) -> Settings:
    (tmp_path / "file.toml").write_text(SETTINGS, encoding="utf-8")
    return load_settings(tmp_path / "file.toml")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGRAPH_LABEL_STUDIO_URL", PROJECT.url)
    monkeypatch.setenv("STYLEGRAPH_LABEL_STUDIO_TOKEN", "0" * 40)


def storage_of(settings: Settings) -> Storage:
    return Storage(settings.data.location)


# definitions


def test_a_live_source_brings_assets_jobs_a_check_and_a_sensor_that_is_off(live: Settings) -> None:
    definitions = build_definitions(live)
    graph = definitions.resolve_asset_graph()
    for name, deps in LIVE_ASSETS.items():
        assert {key.to_user_string() for key in graph.get(dg.AssetKey(name)).parent_keys} == deps
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("annotations")).parent_keys} == {"queued_tasks"}
    assert "queued_tasks" not in selected(definitions, jobs.COLLECTION)  # a step of its own, which always runs
    assert selected(definitions, jobs.NEW_WINDOW) >= {"posts", "unique_images", "label_tasks", "queued_tasks"}
    assert selected(definitions, jobs.LABELS) >= {"annotation_versions", "prediction_acceptance", "returned_tasks"}
    assert selected(definitions, jobs.QUEUE) == {"queued_tasks"}
    assert selected(definitions, jobs.PRE_ANNOTATION) == {"pre_annotations"}
    assert selected(definitions, jobs.RETURN) == {"returned_tasks"}
    sensor = definitions.resolve_sensor_def(NEW_WORK)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
    assert sensor.job_name == jobs.LABELS
    assert sensor.minimum_interval_seconds == 60
    assert dg.AssetCheckKey(dg.AssetKey("annotations"), "no_answer_lost") in graph.asset_check_keys


def test_labels_of_a_file_bring_none_of_them(from_file: Settings) -> None:
    definitions = build_definitions(from_file)
    graph = definitions.resolve_asset_graph()
    assert not {key.to_user_string() for key in graph.get_all_asset_keys()} & set(LIVE_ASSETS)
    assert NEW_WORK not in {sensor.name for sensor in definitions.sensors or ()}
    names = {job.name for job in definitions.resolve_all_job_defs()}
    assert not names & {jobs.QUEUE, jobs.PRE_ANNOTATION, jobs.RETURN}
    assert "no_answer_lost" not in {key.name for key in graph.asset_check_keys}
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("annotations")).parent_keys} == {
        "label_tasks",
        "label_file",
    }
    assert {step.job for step in model_steps(from_file)}.isdisjoint({jobs.PRE_ANNOTATION, jobs.RETURN})


def selected(definitions: dg.Definitions, job: str) -> set[str]:
    graph = definitions.resolve_asset_graph()
    keys = definitions.resolve_job_def(job).asset_layer.selected_asset_keys
    assert keys <= graph.get_all_asset_keys()
    return {key.to_user_string() for key in keys}


@pytest.mark.parametrize(
    ("labels", "jobs_after_training"),
    [
        ("", {jobs.PRE_ANNOTATION}),
        ("pre_annotations = false", set()),
        ("pre_annotations = false\nreview_suspicious = 5", {jobs.RETURN}),
        ("review_suspicious = 5", {jobs.PRE_ANNOTATION, jobs.RETURN}),
    ],
)
def test_what_goes_to_experts_after_training_is_a_choice(
    tmp_path: Path, labels: str, jobs_after_training: set[str]
) -> None:
    steps = model_steps(live_settings(tmp_path, "Graph", labels))
    assert {step.job for step in steps} & {jobs.PRE_ANNOTATION, jobs.RETURN} == jobs_after_training
    assert steps[-1].job == jobs.REPORT


# settings


@pytest.mark.parametrize(
    ("labels", "more", "message"),
    [
        ("predict_with = 'top-9'", "", r"labels\.predict_with: no label set is called 'top-9'; allowed: top-3, pair"),
        ("answers_per_image = 0", "", r"labels\.answers_per_image: .*greater than or equal to 1 \(got 0\)"),
        ("random_share = -0.1", "", r"labels\.random_share: .*\(got -0\.1\)"),
        ("next_images = 'oldest'", "", r"labels\.next_images: .*'newest', 'rare' or 'uncertain' \(got 'oldest'\)"),
        (
            "next_images = 'rare'",
            "",
            r"labels: next_images = 'rare' needs open_tasks: without it all images are queued",
        ),
        ("next_images = 'uncertain'", "", r"labels: next_images = 'uncertain' needs open_tasks"),
        ("language = 'de'", "", r"labels\.language: .*'en' or 'ko' \(got 'de'\)"),
        ("poll_seconds = 1", "", r"labels\.poll_seconds: .*greater than or equal to 10"),
        ("timeout = 0", "", r"labels\.timeout: .*greater than 0"),
        ("path = 'labels.csv'", "", r"labels\.path: no such key; allowed: .*open_tasks.*project"),
        ("token = 'secret'", "", r"labels\.token: no such key"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, labels: str, more: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        live_settings(tmp_path, "Graph", labels, more)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("blind_share = 0.3", "blind_share = 2", r"labels\.blind_share: .*less than or equal to 1 \(got 2\)"),
        ('project = "Graph"', 'project = "G"', r"labels\.project: .*at least 3 characters \(got 'G'\)"),
        ('kind = "label_studio"', 'kind = "labelstudio"', r"labels: .*'label_studio'"),
    ],
)
def test_a_wrong_value_in_place_of_a_good_one_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        live_settings(tmp_path, "Graph", replaced={old: new})
    assert re.search(message, str(caught.value)), str(caught.value)


def test_only_blind_needs_a_live_source(tmp_path: Path) -> None:
    text = SETTINGS.replace("resamples = 100", "resamples = 100\nonly_blind = true")
    (tmp_path / "file.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"evaluation\.only_blind needs labels\.kind = 'label_studio'"):
        load_settings(tmp_path / "file.toml")


@pytest.mark.parametrize("missing", ["STYLEGRAPH_LABEL_STUDIO_URL", "STYLEGRAPH_LABEL_STUDIO_TOKEN"])
def test_a_missing_variable_is_one_line_of_the_failed_step(
    live: Settings, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    with dg.DagsterInstance.ephemeral() as instance:
        (outcome,) = run_steps([Step("queue", jobs.QUEUE, "Queue")], build_definitions(live), instance)
    assert outcome.failure is not None
    assert outcome.failure.startswith(f"set {missing}: ")
    assert "\n" not in outcome.failure


def test_pictures_need_a_folder_or_a_bucket(tmp_path: Path, live: Settings) -> None:
    assert live.label_studio is not None
    with pytest.raises(TableError, match=r"memory://elsewhere: Label Studio can show pictures of a folder or of s3://"):
        picture_source(live.label_studio, Storage("memory://elsewhere", tmp_path))


# the note of the export


def test_the_note_comes_back_as_it_was_written(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert Exported.read(storage) is None
    for note in (
        Exported(PROJECT, "Graph"),
        Exported(PROJECT, "Stile für 2024", NOW, NOW + timedelta(microseconds=1), "exported"),
    ):
        note.write(storage)
        assert Exported.read(storage) == note


def test_the_note_advances_step_by_step_and_not_over_another_export(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    first = Exported(PROJECT, "Graph", NOW, NOW, "exported")
    first.write(storage)
    first.advance(storage, "done")  # labels do not follow from it yet
    assert Exported.read(storage) == first
    first.advance(storage, "labelled")
    labelled = Exported.read(storage)
    assert labelled == Exported(PROJECT, "Graph", NOW, NOW, "labelled")
    second = Exported(PROJECT, "Graph", NOW + timedelta(seconds=1), NOW, "exported")
    second.write(storage)
    labelled.advance(storage, "done")
    assert Exported.read(storage) == second


# storage


def versions(*numbers: int) -> pa.RecordBatch:
    rows = [{"label": str(n), "main_images": n, "main_share": 1.0, "sub_images": 0, "sub_share": 0.0} for n in numbers]
    types = {"main_images": pa.int64(), "sub_images": pa.int64(), "rank": pa.int32()}
    names = ["label", "main_images", "main_share", "sub_images", "sub_share", "rank"]
    table = pa.Table.from_pylist([{**row, "rank": 1} for row in rows]).select(names)
    schema = pa.schema([pa.field(name, types.get(name, table.schema.field(name).type)) for name in names])
    return table.cast(schema).combine_chunks().to_batches()[0]


@pytest.mark.parametrize("location", ["folder", "memory://written-in-batches"])
def test_a_table_is_written_batch_by_batch(tmp_path: Path, location: str) -> None:
    storage = Storage(str(tmp_path / "folder") if location == "folder" else location, tmp_path / "scratch")
    alive: list[int] = []

    def batches(count: int) -> Any:
        for number in range(count):
            alive.append(pa.total_allocated_bytes())
            yield versions(*range(number * 5000, number * 5000 + 5000))

    assert storage.write_batches("label_frequencies", batches(40)) == 200_000
    assert storage.read_table("label_frequencies").column("main_images").to_pylist() == list(range(200_000))
    assert max(alive[20:]) < max(alive[:20]) + 2_000_000  # bytes; all of it is about 10 MB
    assert not list((storage.scratch / "tmp").iterdir())


@pytest.mark.parametrize("location", ["folder", "memory://old-stays"])
def test_a_batch_that_does_not_fit_leaves_the_old_table(tmp_path: Path, location: str) -> None:
    storage = Storage(str(tmp_path / "folder") if location == "folder" else location, tmp_path / "scratch")
    storage.write_batches("label_frequencies", [versions(1, 2)])
    wrong = versions(4).drop_columns(["rank"])
    with pytest.raises(TableError, match=r"missing columns \['rank'\]"):
        storage.write_batches("label_frequencies", [versions(3), wrong])

    def broken() -> Any:
        yield versions(5)
        raise OSError("the source went away")

    with pytest.raises(OSError, match="went away"):
        storage.write_batches("label_frequencies", broken())
    assert storage.read_table("label_frequencies").column("main_images").to_pylist() == [1, 2]
    assert not list((storage.scratch / "tmp").iterdir())


def test_no_batches_make_an_empty_table(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert storage.write_batches("annotation_versions", []) == 0
    assert storage.read_table("annotation_versions").num_rows == 0


def test_a_working_file_of_a_folder_is_the_file_itself(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    with storage.working_file(MIRROR_KEY) as path:
        path.write_text("first")
    assert path == tmp_path / MIRROR_KEY
    assert storage.read_bytes(MIRROR_KEY) == b"first"


def test_working_files_of_two_places_are_never_mistaken_for_each_other(tmp_path: Path) -> None:
    for place in ("one", "two"):
        with Storage(f"memory://{place}", tmp_path).working_file(MIRROR_KEY) as path:
            assert not path.exists()
            path.write_text(place)
    assert Storage("memory://one", tmp_path).read_bytes(MIRROR_KEY) == b"one"


def test_a_working_file_of_another_place_is_fetched_and_put_back_also_after_an_error(tmp_path: Path) -> None:
    storage = Storage("memory://working-file", tmp_path / "one")
    with storage.working_file(MIRROR_KEY) as path:
        assert not path.exists()
    assert not storage.exists(MIRROR_KEY)  # nothing was made, nothing is put back
    with storage.working_file(MIRROR_KEY) as path:
        path.write_text("first")
    other = Storage("memory://working-file", tmp_path / "two")

    def work() -> None:
        with other.working_file(MIRROR_KEY) as path:
            assert path.read_text() == "first"
            path.write_text("second")
            raise OSError("in the middle")

    with pytest.raises(OSError, match="in the middle"):
        work()
    with storage.working_file(MIRROR_KEY) as path:  # the older copy of this machine does not win
        assert path.read_text() == "second"


def test_a_working_file_of_another_place_begins_without_what_a_killed_process_left(tmp_path: Path) -> None:
    storage = Storage("memory://killed", tmp_path)
    with storage.working_file(MIRROR_KEY) as path, contextlib.closing(sqlite3.connect(path)) as mirror:
        mirror.execute("CREATE TABLE kept (value)")
    code = """
import os, signal, sqlite3, sys
from pathlib import Path
from pipeline.storage import Storage
storage = Storage("memory://killed", Path(sys.argv[1]))
storage.write_bytes("label_studio/answers.sqlite", sys.stdin.buffer.read())
with storage.working_file("label_studio/answers.sqlite") as path:
    mirror = sqlite3.connect(path, isolation_level=None)
    mirror.execute("PRAGMA journal_mode = WAL")
    mirror.execute("INSERT INTO kept VALUES (1)")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    child = [sys.executable, "-c", code, str(tmp_path)]
    killed = subprocess.run(child, input=storage.read_bytes(MIRROR_KEY), cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    with storage.working_file(MIRROR_KEY) as path:
        assert [other.name for other in path.parent.iterdir()] == [path.name]
        with contextlib.closing(sqlite3.connect(path)) as mirror:
            assert mirror.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_two_do_not_work_on_one_file_of_another_place(tmp_path: Path) -> None:
    storage = Storage("memory://two-at-once", tmp_path)
    with (
        storage.working_file(MIRROR_KEY),
        pytest.raises(TableError, match=r"another run is at work on memory://two-at-once/label_studio/answers\.sqlite"),
        Storage("memory://two-at-once", tmp_path).working_file(MIRROR_KEY),
    ):
        pass
    with storage.working_file(MIRROR_KEY):
        pass


# the launcher


def test_people_are_told_that_tasks_wait_until_there_is_a_label(live: Settings, from_file: Settings) -> None:
    storage = storage_of(live)
    row = {"task_id": 1, "window": "2019-07-01", "chosen_as": "newest", "blind": False, "queued_at": NOW}
    states = ["queued"] * 1200 + ["withdrawn", "deleted"]
    rows = [{**row, "image_id": f"{number:04}", "state": state} for number, state in enumerate(states)]
    storage.write_table("queued_tasks", pa.Table.from_pylist(rows, schema=QUEUED_TASKS))
    label = {"window": "2019-07-01", "status": "agreed", "subs": [], "annotators": 1, "mains": []}
    without = [{**label, "image_id": "0000", "answer": "cant_tell", "main": None}]
    storage.write_table("labels", pa.Table.from_pylist(without, schema=LABELS))
    assert waits_for_experts(live) == (
        "1,200 images wait in Label Studio, in the project 'Graph', and none has a label yet. Run this again when "
        "experts have answered, or switch on the sensor in `stylegraph dev`."
    )
    assert waits_for_experts(from_file) is None
    with_label = [*without, {**label, "image_id": "0001", "answer": "style", "main": "Casual"}]
    storage.write_table("labels", pa.Table.from_pylist(with_label, schema=LABELS))
    assert waits_for_experts(live) is None


# the sensor


def look(settings: Settings, instance: dg.DagsterInstance | None = None) -> Any:
    """Evaluate the sensor once."""
    definitions = build_definitions(settings)
    with instance or dg.DagsterInstance.ephemeral() as used:
        context = dg.build_sensor_context(
            instance=used, resources={"settings": settings, "storage": storage_of(settings), "clock": now}
        )
        return definitions.resolve_sensor_def(NEW_WORK)(context)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Any:
    with misbehaving() as running:
        monkeypatch.setenv("STYLEGRAPH_LABEL_STUDIO_URL", running.url)
        running.answer(f"/api/projects/{PROJECT.project_id}", project_answer())
        yield running


def project_answer(**changes: Any) -> Answer:
    return Answer(body={"id": PROJECT.project_id, "created_at": PROJECT.created_at} | changes)


def tasks_answer(*times: str) -> Answer:
    tasks = [{"id": number, "updated_at": time} for number, time in enumerate(times, start=1)]
    return Answer(body={"tasks": tasks[:1], "total": len(tasks)})


def test_before_the_first_task_nobody_is_asked(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STYLEGRAPH_LABEL_STUDIO_URL")
    assert "materialize queued_tasks" in look(live).skip_message


def test_a_server_that_is_down_is_a_reason_to_skip(live: Settings) -> None:
    Exported(PROJECT, "Graph", NOW, NOW).write(storage_of(live))
    started = datetime.now(UTC)
    reason = look(live)
    assert isinstance(reason, dg.SkipReason)
    assert "cannot reach http://127.0.0.1:9" in reason.skip_message
    assert datetime.now(UTC) - started < timedelta(seconds=20)  # Dagster gives a sensor 60


def test_a_missing_token_is_a_reason_to_skip(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    Exported(PROJECT, "Graph", NOW, NOW).write(storage_of(live))
    monkeypatch.delenv("STYLEGRAPH_LABEL_STUDIO_TOKEN")
    assert look(live).skip_message.startswith("set STYLEGRAPH_LABEL_STUDIO_TOKEN: ")


def test_another_project_of_the_same_number_is_a_reason_to_skip(live: Settings, server: Misbehaving) -> None:
    Exported(PROJECT, "Graph", NOW, NOW).write(storage_of(live))
    server.answer("/api/projects/7", project_answer(created_at="2025-01-01T00:00:00.000000Z"))
    message = look(live).skip_message
    assert "are about the project 'Graph' (project 7 of http://127.0.0.1:9, created 2024-05-02T08:00:00)" in message
    assert f"not about project 7 of {server.url}, created 2025-01-01T00:00:00" in message


def test_new_work_asks_for_one_run_of_the_same_state(live: Settings, server: Misbehaving) -> None:
    storage = storage_of(live)
    Exported(PROJECT, "Graph", NOW, NOW).write(storage)
    server.answer("/api/tasks", tasks_answer())
    assert look(live).skip_message == "no new work"
    server.answer("/api/tasks", tasks_answer("2024-05-03T08:00:00.000000Z", "2024-05-02T08:00:00.000000Z"))
    first, second = look(live), look(live)
    assert first.tags["stylegraph/changed_tasks"] == "2"
    assert first.run_key == second.run_key
    server.answer("/api/tasks", tasks_answer("2024-05-03T08:00:00.000001Z"))
    assert look(live).run_key != first.run_key


@pytest.mark.parametrize("stage", ["exported", "labelled"])
def test_a_run_that_was_cut_short_is_asked_for_again(live: Settings, server: Misbehaving, stage: Any) -> None:
    Exported(PROJECT, "Graph", NOW, NOW, stage).write(storage_of(live))
    server.answer("/api/tasks", tasks_answer())
    assert isinstance(look(live), dg.RunRequest)


@pytest.mark.parametrize(
    ("hours", "ago", "asks"), [(24, 23, False), (24, 25, True), (0, 0.5, False), (0, 1.5, True), (24, None, True)]
)
def test_deleted_tasks_and_drafts_are_looked_for_now_and_then(
    tmp_path: Path, server: Misbehaving, hours: int, ago: float | None, asks: bool
) -> None:
    settings = live_settings(tmp_path, "Graph", f"reconcile_hours = {hours}")
    last = None if ago is None else datetime.now(UTC) - timedelta(hours=ago)
    Exported(PROJECT, "Graph", NOW, last).write(storage_of(settings))
    server.answer("/api/tasks", tasks_answer())
    assert isinstance(look(settings), dg.RunRequest if asks else dg.SkipReason)


@pytest.mark.parametrize(("minutes", "asks"), [(-1, True), (1, False), (None, False)])
def test_one_more_run_is_asked_for_when_what_was_committed_late_can_be_seen(
    live: Settings, server: Misbehaving, minutes: int | None, asks: bool
) -> None:
    now = datetime.now(UTC)
    settles_at = None if minutes is None else now + timedelta(minutes=minutes)
    Exported(PROJECT, "Graph", NOW, now, settles_at=settles_at).write(storage_of(live))
    server.answer("/api/tasks", tasks_answer())
    assert isinstance(look(live), dg.RunRequest if asks else dg.SkipReason)


def test_while_another_process_works_with_the_project_no_run_is_asked_for(live: Settings, server: Misbehaving) -> None:
    storage = storage_of(live)
    Exported(PROJECT, "Graph", NOW, NOW, "exported").write(storage)
    server.answer("/api/tasks", tasks_answer())
    with one_at_a_time(label_studio_lock(storage), print, "busy"):
        assert "right now" in look(live).skip_message
    assert isinstance(look(live), dg.RunRequest)


def test_while_a_run_is_under_way_none_is_asked_for(live: Settings, server: Misbehaving) -> None:
    Exported(PROJECT, "Graph", NOW, NOW, "exported").write(storage_of(live))
    server.answer("/api/tasks", tasks_answer())
    instance = dg.DagsterInstance.ephemeral()
    instance.create_run_for_job(
        build_definitions(live).resolve_job_def(jobs.LABELS), status=dg.DagsterRunStatus.STARTED
    )
    assert "right now" in look(live, instance).skip_message


def test_a_glance_does_not_wait_for_long(live: Settings, server: Misbehaving, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answer("/api/version", Answer(503), Answer(body={"release": "1"}))
    with open_connection(live, patient=False) as connection, pytest.raises(ValueError, match="503"):
        connection.version()
    with open_connection(live) as connection:
        assert connection.version() == "1"


# figures of blind images only

IMAGES = [f"{number:064x}" for number in range(200)]


@pytest.fixture
def scored(tmp_path: Path) -> Settings:
    """Scores of two architectures for 200 images; one of them hits every blind test image, and no other."""
    settings = live_settings(tmp_path, "Graph")
    for architecture in settings.architectures:
        rows = [
            {
                "seed": 0,
                "image_id": image,
                "split": "validation" if number % 2 else "test",
                "group_id": image,
                "main": "Casual",
                "subs": [],
                "labels": ["Casual", "Sporty", "Romantic"],
                "scores": [0.9, 0.1, 0.1] if is_blind(image, 0.3) == (architecture == "ml_gcn") else [0.1, 0.9, 0.1],
                "logits": [2.2, -2.2, -2.2]
                if is_blind(image, 0.3) == (architecture == "ml_gcn")
                else [-2.2, 2.2, -2.2],
            }
            for number, image in enumerate(IMAGES)
        ]
        table = pa.Table.from_pylist(rows, schema=SCORES)
        storage_of(settings).write_table("scores", table, ("top-3", architecture))
    return settings


def evaluate(settings: Settings) -> tuple[list[str], pd.DataFrame, pd.DataFrame]:
    """Evaluate and compare; return failures, and the rows of EVALUATION and COMPARISON."""
    definitions, failures = build_definitions(settings), []
    parts: list[tuple[str, Any]] = [("evaluation", model_key("top-3", name)) for name in settings.architectures]
    with dg.DagsterInstance.ephemeral() as instance:
        for asset, partition in [*parts, ("comparison", "top-3")]:
            job = {"evaluation": jobs.MODEL, "comparison": jobs.COMPARISON}[asset]
            result = definitions.resolve_job_def(job).execute_in_process(
                instance=instance,
                asset_selection=[dg.AssetKey(asset)],
                partition_key=partition,
                raise_on_error=False,
            )
            failures += [
                event.step_failure_data.user_failure_data.description
                for event in result.filter_events(lambda event: event.is_step_failure)
            ]
    storage = storage_of(settings)
    if failures:
        return failures, pd.DataFrame(), pd.DataFrame()
    return (
        failures,
        pd.concat(
            storage.read_table("evaluation", ("top-3", name)).to_pandas().assign(architecture=name)
            for name in settings.architectures
        ),
        storage.read_table("comparison", ("top-3",)).to_pandas(),
    )


def test_only_blind_images_count_when_the_settings_say_so(tmp_path: Path, scored: Settings) -> None:
    blind = [image for image in IMAGES if is_blind(image, 0.3)]
    failures, figures, _ = evaluate(scored)
    assert not failures
    hits = figures[(figures.metric == "any@1") & figures.label.isna()].set_index(["architecture", "split"])
    assert hits.loc[("ml_gcn", "test"), "images"] == 100
    assert 0 < hits.loc[("ml_gcn", "test"), "value"] < 1
    settings = live_settings(tmp_path, "Graph", more="only_blind = true\n")
    assert settings.evaluation.only_blind
    failures, figures, comparison = evaluate(settings)
    assert not failures
    hits = figures[(figures.metric == "any@1") & figures.label.isna()].set_index(["architecture", "split"])
    for split in ("validation", "test"):
        expected = sum((number % 2 == 1) == (split == "validation") for number in map(IMAGES.index, blind))
        assert hits.loc[("ml_gcn", split), "images"] == expected
        assert hits.loc[("ml_gcn", split), "value"] == 1
        assert hits.loc[("basic_cnn", split), "value"] == 0
    assert comparison.set_index("metric").loc["any@1", "difference"] in {-1, 1}


def test_images_that_were_shown_a_prediction_before_they_became_blind_do_not_count(
    tmp_path: Path, scored: Settings
) -> None:
    blind = [image for image in IMAGES[::2] if is_blind(image, 0.3)]
    row = {"model_version": "m", "main": "Casual", "subs": [], "score": 1.0, "predicted_at": NOW}
    rows = [
        {**row, "image_id": blind[0], "task_id": 1, "blind": False},
        {**row, "image_id": blind[1], "task_id": None, "blind": False},  # never stood before an expert
        {**row, "image_id": blind[2], "task_id": 3, "blind": True},
    ]
    storage_of(scored).write_table("pre_annotations", pa.Table.from_pylist(rows, schema=PRE_ANNOTATIONS))
    _, figures, _ = evaluate(live_settings(tmp_path, "Graph", more="only_blind = true\n"))
    hits = figures[(figures.metric == "any@1") & figures.label.isna()].set_index(["architecture", "split"])
    assert hits.loc[("ml_gcn", "test"), "images"] == len(blind) - 1


def test_a_label_is_judged_by_the_images_of_its_cluster_that_stood_before_experts(
    tmp_path: Path, scored: Settings
) -> None:
    others = list(map(image_id, range(10**4, 10**4 + 100)))
    v, w, x, *_ = (image for image in others if not is_blind(image, 0.3))
    y, z, *_ = (image for image in others if is_blind(image, 0.3))
    tests = IMAGES[::2]
    a, b, c, *_ = (image for image in tests if is_blind(image, 0.3))
    d, e, *_ = (image for image in tests if not is_blind(image, 0.3))
    clusters = {
        a: ([a, v], [v]),  # could show a prediction, before another image spoke for the cluster
        b: ([b, w], [b, w]),  # of two tasks one was blind
        c: ([c, x], [c]),  # blind: the other one never stood before anybody
        d: ([d, y], [y]),  # blind, although the canonical one is not
        e: ([e, z], []),  # never queued
    }
    write_clusters(storage_of(scored), clusters)
    _, figures, _ = evaluate(live_settings(tmp_path, "Graph", more="only_blind = true\n"))
    hits = figures[(figures.metric == "any@1") & figures.label.isna()].set_index(["architecture", "split"])
    blind = sum(is_blind(image, 0.3) for image in tests)
    assert hits.loc[("ml_gcn", "test"), "images"] == blind - 2 + 1
    assert hits.loc[("ml_gcn", "test"), "value"] == pytest.approx((blind - 2) / (blind - 1))  # it misses d


def write_clusters(storage: Storage, clusters: dict[str, tuple[list[str], list[str]]]) -> None:
    """Write label tasks and the queue: of each canonical image its cluster, and those that stood in the queue."""
    tasks = [task_row(0) | {"image_id": image, "image_ids": members} for image, (members, _) in clusters.items()]
    storage.write_table("label_tasks", pa.Table.from_pylist(tasks, schema=LABEL_TASKS))
    stood = {image for _, queued in clusters.values() for image in queued}
    row = {"window": "2019-07-01", "chosen_as": "newest", "blind": False, "state": "queued", "queued_at": NOW}
    rows = [{**row, "image_id": image, "task_id": number} for number, image in enumerate(sorted(stood), start=1)]
    storage.write_table("queued_tasks", pa.Table.from_pylist(rows, schema=QUEUED_TASKS))


def test_without_a_blind_image_left_the_message_says_what_to_do(tmp_path: Path, scored: Settings) -> None:
    none_blind = {"blind_share = 0.3": "blind_share = 0.0"}
    failures, *_ = evaluate(live_settings(tmp_path, "Graph", more="only_blind = true\n", replaced=none_blind))
    assert failures[0] == (
        "evaluation.only_blind: no validation image of top-3 is blind, at labels.blind_share 0; label more images, or "
        "set evaluation.only_blind to false"
    )


def test_the_doctor_knows_the_tables_are_about_another_project(
    live: Settings, tmp_path: Path, server: Misbehaving
) -> None:
    from pipeline.commands.doctor import examine

    Exported(PROJECT, "Graph", NOW, NOW).write(storage_of(live))
    server.answer("/api/version", Answer(body={"release": "1.23.2"}))
    server.answer("/api/projects", Answer(body={"results": [{"id": 8, "title": "Graph"}], "next": None}))
    server.answer("/api/projects/8", project_answer(id=8))
    output = io.StringIO()
    assert examine(tmp_path / "stylegraph.toml", Console(file=output, width=1000)) != 0
    assert "are about the project 'Graph' (project 7" in output.getvalue()
