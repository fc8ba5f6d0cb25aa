"""Schedules and sensors that ask by the clock and by files: on a real instance, with runs that only stand in it."""

import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.dagster_run import DagsterRun
from dagster._core.test_utils import create_run_for_test
from rich.console import Console

from labeling.tables import LABEL_TASKS
from modeling.tables import LABEL_FREQUENCIES
from pipeline import jobs
from pipeline.commands.automation import status
from pipeline.crawl_checks import COVERED_TO, crawl_check_specs
from pipeline.freshness_policies import IN_TIME, window_policy
from pipeline.graph import build_definitions
from pipeline.partitions import crawl_window, crawl_windows
from pipeline.reasons import ASKED_ON_TAG, REASON_TAG
from pipeline.schedules import HOURLY
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.windows_due import COMPLETE, MOST_IN_ALL, PARTITION_TAG, RANGE_TAGS, late_windows
from tests.pipeline.small_case import SETTINGS, write_case

FIRST, SECOND = "2019-07-01", "2019-07-08"
END = {FIRST: datetime(2019, 7, 8, tzinfo=UTC), SECOND: datetime(2019, 7, 15, tzinfo=UTC)}
DELAY = timedelta(hours=6)


class Case:
    """Settings, an instance, and a clock that the test sets."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance = settings, instance
        self.storage = Storage(settings.data.location)
        self.now = END[SECOND] + DELAY
        self.definitions = build_definitions(settings)
        self.cursor: str | None = None

    @property
    def resources(self) -> dict[str, Any]:
        return {"settings": self.settings, "storage": self.storage, "clock": lambda: self.now}

    def end_windows(self, end: date) -> None:
        """Let the last window end on another day."""
        windows = self.settings.windows.model_copy(update={"end": end})
        self.settings = self.settings.model_copy(update={"windows": windows})
        self.definitions = build_definitions(self.settings)

    def look(self, name: str) -> list[dg.RunRequest]:
        """Evaluate a schedule once; nothing asked for must have a reason."""
        context = dg.build_schedule_context(
            instance=self.instance,
            resources=self.resources,
            repository_def=self.definitions.get_repository_def(),
            scheduled_execution_time=self.now,
        )
        ended = self.definitions.resolve_schedule_def(name).evaluate_tick(context)
        assert bool(ended.run_requests) != bool(ended.skip_message)
        return list(ended.run_requests or [])

    def sense(self, name: str) -> dg.RunRequest | str:
        """Evaluate a sensor once; return what it asks for, or why it does not."""
        context = dg.build_sensor_context(instance=self.instance, resources=self.resources, cursor=self.cursor)
        answer: Any = self.definitions.resolve_sensor_def(name)(context)
        self.cursor = context.cursor
        return answer if isinstance(answer, dg.RunRequest) else str(answer.skip_message)

    def run(
        self, request: dg.RunRequest, status: dg.DagsterRunStatus, job: str = jobs.NEW_WINDOW, **tags: str
    ) -> DagsterRun:
        """Let a run stand in the instance as if it had been launched, and come so far."""
        named = {**request.tags, **({PARTITION_TAG: request.partition_key} if request.partition_key else {}), **tags}
        return create_run_for_test(self.instance, job_name=job, status=status, tags=named)

    def crawled(self, key: str, *, complete: bool, to: datetime | None = None) -> None:
        """Let the instance know of a crawl of a window, by an asset that does nothing else."""
        specs = [spec for spec in crawl_check_specs(crawl_windows(self.settings.windows)) if spec.name == COMPLETE.name]

        @dg.asset(check_specs=specs, partitions_def=crawl_windows(self.settings.windows))
        def posts() -> dg.MaterializeResult:
            end = to or crawl_window(self.settings.windows, key).end
            check = dg.AssetCheckResult(
                passed=complete, check_name=COMPLETE.name, metadata={COVERED_TO: end.isoformat()}
            )
            return dg.MaterializeResult(check_results=[check])

        assert dg.materialize([posts], instance=self.instance, partition_key=key).success


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        yield Case(load_settings(write_case(tmp_path / "case", images=3)), instance)


def test_a_window_is_asked_for_when_it_has_ended_and_late_posts_are_in(case: Case) -> None:
    case.now = END[FIRST] + DELAY - timedelta(seconds=1)
    assert case.look("crawl_windows") == []
    case.now = END[FIRST] + DELAY
    (request,) = case.look("crawl_windows")
    assert request.partition_key == FIRST
    assert request.tags[REASON_TAG] == "window 2019-07-01 ended on 2019-07-08"
    assert request.tags[ASKED_ON_TAG] == "2019-07-08"


def test_several_windows_come_in_one_run(case: Case) -> None:
    (request,) = case.look("crawl_windows")
    assert request.partition_key is None
    assert [request.tags[tag] for tag in RANGE_TAGS] == [FIRST, SECOND]
    assert request.tags[REASON_TAG] == f"2 windows from {FIRST} to {SECOND} have ended and are not crawled"
    assert request.tags[ASKED_ON_TAG] == "2019-07-15"


@pytest.mark.parametrize("job", jobs.CRAWLS)
def test_windows_are_left_alone_while_a_run_is_at_them(case: Case, job: str) -> None:
    (both,) = case.look("crawl_windows")
    run = case.run(both, dg.DagsterRunStatus.NOT_STARTED, job)
    assert case.look("crawl_windows") == []
    case.instance.delete_run(run.run_id)
    one = dg.RunRequest(partition_key=FIRST)
    case.run(one, dg.DagsterRunStatus.STARTED, job)
    assert [request.partition_key for request in case.look("crawl_windows")] == [SECOND]


def test_windows_that_do_not_follow_each_other_are_asked_for_alone(case: Case) -> None:
    case.end_windows(date(2019, 8, 12))
    case.now = datetime(2019, 8, 12, 6, tzinfo=UTC)
    case.crawled("2019-07-15", complete=True)
    case.crawled("2019-08-05", complete=False)
    first, second, third = case.look("crawl_windows")
    assert [first.tags[tag] for tag in RANGE_TAGS] == [FIRST, SECOND]
    assert [second.tags[tag] for tag in RANGE_TAGS] == ["2019-07-22", "2019-07-29"]
    assert third.partition_key == "2019-08-05"
    assert third.tags[REASON_TAG] == "the last crawl of window 2019-08-05 was not complete"


def test_a_window_at_fault_does_not_hold_up_the_others(case: Case) -> None:
    (both,) = case.look("crawl_windows")
    case.run(both, dg.DagsterRunStatus.FAILURE)
    first, second = case.look("crawl_windows")
    assert [first.partition_key, second.partition_key] == [FIRST, SECOND]
    reason = f"the last run for window {FIRST} failed before it was crawled (attempt 2 of 3 today)"
    assert first.tags[REASON_TAG] == reason


def test_a_window_that_was_cut_is_asked_for_when_it_is_longer(case: Case) -> None:
    case.crawled(FIRST, complete=True)
    case.end_windows(date(2019, 7, 14))
    case.crawled(SECOND, complete=True)
    assert case.look("crawl_windows") == []
    case.end_windows(date(2019, 7, 22))
    (request,) = case.look("crawl_windows")
    assert request.partition_key == SECOND
    assert request.tags[REASON_TAG] == (
        f"window {SECOND} goes on to 2019-07-15 now, and was crawled for a part of that"
    )
    assert list(late_windows(case.settings, case.instance, END[SECOND] + timedelta(days=3))) == [SECOND]
    case.crawled(SECOND, complete=True)
    assert case.look("crawl_windows") == []


def test_a_crawl_that_did_not_note_its_end_is_believed(case: Case) -> None:
    evaluation = dg.AssetCheckEvaluation(
        asset_key=COMPLETE.asset_key, check_name=COMPLETE.name, passed=True, metadata={}, partition=FIRST
    )
    case.instance.report_runless_asset_event(evaluation)
    assert [request.partition_key for request in case.look("crawl_windows")] == [SECOND]


def test_a_window_comes_at_its_time_and_what_failed_every_hour(case: Case) -> None:
    automation = case.settings.automation.model_copy(update={"crawl_cron": "0 6 * * 3"})  # Wednesdays
    case.settings = case.settings.model_copy(update={"automation": automation})
    wednesday = datetime(2019, 7, 10, 6, tzinfo=UTC)
    case.now = wednesday - timedelta(minutes=1)  # the window ended on Monday
    assert case.look("crawl_windows") == []
    case.now = wednesday
    (request,) = case.look("crawl_windows")
    assert request.partition_key == FIRST
    case.run(request, dg.DagsterRunStatus.FAILURE)
    case.now = wednesday + timedelta(hours=1)
    (again,) = case.look("crawl_windows")
    assert again.partition_key == FIRST
    overdue = timedelta(hours=automation.overdue_hours)
    assert late_windows(case.settings, case.instance, wednesday + overdue - timedelta(minutes=1)) == {}
    assert late_windows(case.settings, case.instance, wednesday + overdue) == {FIRST: wednesday + overdue}
    schedule = build_definitions(case.settings).resolve_schedule_def("crawl_windows")
    assert schedule.cron_schedule == ["0 6 * * 3", HOURLY]


def test_a_complete_window_is_not_asked_for_again(case: Case) -> None:
    case.crawled(FIRST, complete=True)
    assert [request.partition_key for request in case.look("crawl_windows")] == [SECOND]


def test_an_incomplete_window_is_asked_for_again_so_often_a_day(case: Case) -> None:
    case.crawled(SECOND, complete=True)
    keys = []
    for attempt in range(1 + case.settings.automation.retries):
        (request,) = case.look("crawl_windows")
        keys.append(request.run_key)
        if attempt:
            reason = f"the last crawl of window {FIRST} was not complete (attempt {attempt + 1} of 3 today)"
            assert request.tags[REASON_TAG] == reason
        case.run(request, dg.DagsterRunStatus.SUCCESS)
        case.crawled(FIRST, complete=False)
    assert len(set(keys)) == len(keys)  # Dagster launches a key once
    assert case.look("crawl_windows") == []
    case.now += timedelta(days=1)
    assert len(case.look("crawl_windows")) == 1
    case.crawled(FIRST, complete=True)
    assert case.look("crawl_windows") == []


def test_a_window_whose_run_failed_is_asked_for_again_but_not_for_ever(case: Case) -> None:
    case.crawled(SECOND, complete=True)
    asked = 0
    for _ in range(3 * MOST_IN_ALL):
        for request in case.look("crawl_windows"):
            asked += 1
            run = case.run(request, dg.DagsterRunStatus.FAILURE)
            case.run(request, dg.DagsterRunStatus.FAILURE, **{"dagster/parent_run_id": run.run_id})  # no attempt
        case.now += timedelta(hours=8)
    assert asked == MOST_IN_ALL


def test_late_windows_are_named(case: Case) -> None:
    grace = DELAY + timedelta(hours=case.settings.automation.overdue_hours)
    case.now = END[FIRST] + grace - timedelta(minutes=1)
    assert late_windows(case.settings, case.instance, case.now) == {}
    case.now = END[FIRST] + grace
    assert late_windows(case.settings, case.instance, case.now) == {FIRST: END[FIRST] + grace}
    case.crawled(FIRST, complete=True)
    assert late_windows(case.settings, case.instance, case.now) == {}


def test_the_daily_look_asks_for_every_label_set(case: Case) -> None:
    assert case.look("training_due") == []  # no labels
    case.storage.write_table("label_frequencies", LABEL_FREQUENCIES.empty_table())
    requests = case.look("training_due")
    assert [request.partition_key for request in requests] == ["top-3", "pair"]
    assert all(request.tags[REASON_TAG] for request in requests)
    case.run(requests[0], dg.DagsterRunStatus.STARTED, jobs.ASK_FOR_TRAINING)
    assert case.look("training_due") == []


def test_a_file_of_labels_is_read_when_its_content_changed_and_nobody_writes_it(case: Case) -> None:
    assert isinstance(case.sense("label_file_work"), str)  # there are no tasks
    case.storage.write_table("label_tasks", LABEL_TASKS.empty_table())
    assert "stays the same" in str(case.sense("label_file_work"))
    first = case.sense("label_file_work")
    assert isinstance(first, dg.RunRequest)
    assert first.tags[REASON_TAG] == "labels.csv has changed"
    assert case.sense("label_file_work") == "the file has not changed"

    path = case.settings.labels.path  # type: ignore[union-attr]  # the case has a CSV file
    before = path.read_bytes()
    path.write_bytes(before)  # written anew, with the same content
    case.sense("label_file_work")
    assert "content that was read last" in str(case.sense("label_file_work"))

    path.write_bytes(before + b"001.jpg,Casual,\n")
    case.sense("label_file_work")
    path.write_bytes(before + b"001.jpg,Casual,\n002.jpg,Casual,\n")
    assert isinstance(case.sense("label_file_work"), str)  # somebody is writing
    second = case.sense("label_file_work")
    assert isinstance(second, dg.RunRequest)
    path.write_bytes(before)  # and back again
    case.sense("label_file_work")
    third = case.sense("label_file_work")
    assert isinstance(third, dg.RunRequest)
    assert len({first.run_key, second.run_key, third.run_key}) == 3

    path.unlink()
    assert "there is no label file" in str(case.sense("label_file_work"))


def test_labels_that_are_being_read_are_not_asked_for_twice(case: Case) -> None:
    case.storage.write_table("label_tasks", LABEL_TASKS.empty_table())
    case.sense("label_file_work")
    create_run_for_test(case.instance, job_name=jobs.LABELS, status=dg.DagsterRunStatus.STARTED)
    assert case.sense("label_file_work") == "a run is reading labels right now"


@pytest.mark.parametrize(
    ("every", "start", "hours", "cron", "late"),
    [
        ("week", "2019-07-01", 30.0, "0 6 * * 2", 30.0),  # Mondays end, 6 hours for late posts and 24 to be crawled
        ("day", "2019-07-01", 30.0, "59 23 * * *", 24 - 1 / 60),  # a deadline after the next window's end
        ("month", "2019-07-01", 54.0, "0 6 3 * *", 54.0),
    ],
)
def test_windows_that_go_on_have_a_deadline(
    tmp_path: Path, every: str, start: str, hours: float, cron: str, late: float
) -> None:
    windows = f'start = {start}\nend = 2100-01-01\nevery = "{every}"\n'
    text = SETTINGS.replace("start = 2019-07-01\nend = 2019-07-15\n", windows)
    text += f"\n[automation]\ncrawl_delay_hours = 6\noverdue_hours = {hours - 6}\n"
    settings = load_settings(write_case(tmp_path, images=1, settings=text))
    assert window_policy(settings) == dg.FreshnessPolicy.cron(
        deadline_cron=cron, lower_bound_delta=timedelta(hours=late), timezone="UTC"
    )
    graph = build_definitions(settings).resolve_asset_graph()
    fresh = {key.to_user_string() for key in graph.get_all_asset_keys() if graph.get(key).freshness_policy}
    assert fresh == IN_TIME


def test_the_deadline_waits_for_the_crawl(tmp_path: Path) -> None:
    windows = "start = 2019-07-03\nend = 2100-01-06\n"  # from Wednesday on
    text = SETTINGS.replace("start = 2019-07-01\nend = 2019-07-15\n", windows)
    text += '\n[automation]\ncrawl_cron = "0 6 * * 1"\n'  # Mondays
    settings = load_settings(write_case(tmp_path, images=1, settings=text))
    assert window_policy(settings) == dg.FreshnessPolicy.cron(
        deadline_cron="0 6 * * 2", lower_bound_delta=timedelta(days=6, hours=6), timezone="UTC"
    )
    windows_each_day = settings.windows.model_copy(update={"every": "day"})
    assert window_policy(settings.model_copy(update={"windows": windows_each_day})) is None


def test_windows_that_end_never_get_late_in_the_ui(case: Case) -> None:
    graph = case.definitions.resolve_asset_graph()
    assert not any(graph.get(key).freshness_policy for key in graph.get_all_asset_keys())


@pytest.mark.filterwarnings("ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning")  # Dagster's own
def test_the_command_shows_both_times_of_a_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_case(tmp_path, images=1, settings=SETTINGS + '\n[automation]\ncrawl_cron = "30 4 * * 1"\n')
    monkeypatch.setenv("STYLEGRAPH_CONFIG", str(config))
    output = io.StringIO()
    assert status(load_settings(config), Console(file=output, width=200)) == 0
    (line,) = [line for line in output.getvalue().splitlines() if "crawl_windows" in line]
    assert f"30 4 * * 1 and {HOURLY} (UTC)" in line
