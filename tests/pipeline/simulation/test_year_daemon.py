"""The daemon of a simulation does at simulated times what Dagster's daemon does at real ones."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipeline.simulation.daemon import Daemon, SimulatedClock, Tick
from pipeline.simulation.runs import Ran

pytestmark = pytest.mark.filterwarnings(
    "ignore:Parameter .backfill_policy.:dagster.BetaWarning"
)  # as the graph uses it

BEGIN = datetime(2019, 1, 7, tzinfo=UTC)
WEEKS = dg.TimeWindowPartitionsDefinition(
    start="2019-01-07", end="2019-02-04", fmt="%Y-%m-%d", cron_schedule="0 0 * * 1"
)
FOLLOWS = dg.AutomationCondition.any_deps_updated().since_last_handled()


class Case:
    """Two windows a tick, what follows from them in one back-fill, and what follows from that."""

    def __init__(self, folder: Path, *, fails: bool = False) -> None:
        self.runs: list[Ran] = []
        self.ticks: list[Tick] = []
        self.clock = SimulatedClock(BEGIN)
        self.told: list[str] = []
        self.instance = dg.DagsterInstance.from_config(str(_home(folder)))
        self.daemon = Daemon(self.instance, self.clock, self.runs.append, self.ticks.append, most_rounds=4)
        self.daemon.load(self._definitions(fails))

    def _definitions(self, fails: bool) -> dg.Definitions:
        @dg.asset(partitions_def=WEEKS)
        def crawled() -> None:
            if fails:
                raise dg.Failure("the server is down")

        @dg.asset(
            partitions_def=WEEKS,
            deps=[crawled],
            automation_condition=FOLLOWS,
            backfill_policy=dg.BackfillPolicy.single_run(),
        )
        def predicted() -> None: ...

        @dg.asset(deps=[predicted], automation_condition=FOLLOWS & ~dg.AutomationCondition.any_deps_in_progress())
        def trends() -> None: ...

        job = dg.define_asset_job("crawl", ["crawled"])

        @dg.schedule(job=job, cron_schedule="0 8 * * 1", execution_timezone="UTC")
        def every_monday(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
            now = context.scheduled_execution_time
            ended = [key for key in ("2019-01-07", "2019-01-14") if now >= datetime(2019, 1, 21, tzinfo=UTC)]
            return [dg.RunRequest(run_key=key, partition_key=key) for key in ended] or dg.SkipReason("none ended")

        @dg.sensor(job=job)
        def once(context: dg.SensorEvaluationContext) -> dg.RunRequest:
            return dg.RunRequest(run_key="the same for ever", partition_key="2019-01-28")

        @dg.run_failure_sensor
        def failed(context: dg.RunFailureSensorContext) -> None:
            self.told.append(context.dagster_run.job_name)

        what = dg.AutomationConditionSensorDefinition("what_follows", target="*", emit_backfills=True)
        return dg.Definitions(
            assets=[crawled, predicted, trends],
            jobs=[job],
            schedules=[every_monday],
            sensors=[once, failed, what],
            executor=dg.in_process_executor,
        )


def _home(folder: Path) -> Path:
    (folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return folder


def test_a_schedule_has_its_ticks_and_what_follows_is_grouped_as_the_daemon_groups_it(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.daemon.pass_time(BEGIN + timedelta(weeks=2, days=1))
    assert [(tick.name, tick.at) for tick in case.ticks] == [
        ("every_monday", BEGIN + timedelta(hours=8)),
        ("every_monday", BEGIN + timedelta(weeks=1, hours=8)),
    ]
    done = [(run.by, run.assets, run.partitions) for run in case.runs]
    assert done.count(("once", ("crawled",), "2019-01-28")) == 1  # its run key was used already
    assert ("every_monday", ("crawled",), "2019-01-07") in done
    assert ("what_follows", ("predicted",), "2019-01-07 to 2019-01-14") in done
    assert done[-1] == ("what_follows", ("trends",), "")
    assert case.told == []


def test_a_failed_run_is_told_of_and_nothing_follows_from_it(tmp_path: Path) -> None:
    case = Case(tmp_path, fails=True)
    case.daemon.pass_time(BEGIN + timedelta(weeks=2, days=1))
    assert {run.failure for run in case.runs} == {"the server is down"}
    assert case.told == ["crawl"] * 3


def test_conditions_that_never_rest_are_stopped(tmp_path: Path) -> None:
    @dg.asset(automation_condition=~dg.AutomationCondition.in_progress())
    def restless() -> None: ...

    what = dg.AutomationConditionSensorDefinition("what_follows", target="*")
    case = Case(tmp_path)
    case.daemon.load(dg.Definitions(assets=[restless], sensors=[what], executor=dg.in_process_executor))
    with pytest.raises(RuntimeError, match="do not come to rest on 2019-01-07"):
        case.daemon.look()
