"""Sensors that notice failed runs and failed checks. They write to the log, and tell people who are to be told."""

from collections.abc import Iterable, Sequence

import dagster as dg
from dagster._core.storage.tags import WILL_RETRY_TAG  # not exported at the top

from pipeline.alerts import Alert, tell
from pipeline.reasons import REASON_TAG, one_line
from pipeline.settings import Settings
from pipeline.windows_due import PARTITION_TAG

FAILED_RUNS = "failed_runs"
FAILED_CHECKS = "failed_checks"
MOST_LINES = 10
INNER = 300  # characters of one reason


def alert_sensors() -> Sequence[dg.SensorDefinition]:
    """Return the sensors of failed runs and of failed checks."""
    return [_failed_runs(), _failed_checks()]


def _failed_runs() -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name=FAILED_RUNS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Tells people about a run that failed and is not started again by itself.",
    )
    def failed_runs(context: dg.RunFailureSensorContext, settings: dg.ResourceParam[Settings]) -> None:
        """Say what failed, why, and what to do next."""
        run = context.dagster_run
        if run.tags.get(WILL_RETRY_TAG) == "true":
            context.log.info(f"run {run.run_id} failed and is started again")
            return
        reasons = [*_failures(context), *_checks_of(context.instance, run, blocking=True)]
        _say(
            context,
            settings,
            _alert(f"{_title(context.instance, run)} failed", reasons or [context.failure_event.message or ""], run),
        )

    return failed_runs


def _failed_checks() -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=FAILED_CHECKS,
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Tells people about the failed checks of a run that went well.",
    )
    def failed_checks(context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]) -> None:
        """Say which checks failed, and what each of them says to do."""
        run = context.dagster_run
        lines = _checks_of(context.instance, run)
        if lines:
            count = "a check" if len(lines) == 1 else f"{len(lines)} checks"
            _say(context, settings, _alert(f"{count} of {_title(context.instance, run)} failed", lines, run))

    return failed_checks


def _say(context: dg.RunStatusSensorContext, settings: Settings, alert: Alert) -> None:
    context.log.warning(alert.text())
    tell(alert, settings.alerts)


def _alert(what: str, why: Sequence[str], run: dg.DagsterRun) -> Alert:
    shown = [one_line(line, INNER) for line in why[:MOST_LINES]]
    if len(why) > MOST_LINES:
        shown.append(f"and {len(why) - MOST_LINES} more")
    do = (
        f"put that right, then launch run {run.run_id} again in the Dagster UI (Runs, Re-execute from failure); "
        "docs/operations.md says more"
    )
    return Alert(one_line(what), tuple(shown), do, run.run_id, run.job_name, run.tags.get(REASON_TAG))


def _title(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return what a run makes, for people: the job, or what it materializes."""
    name = run.job_name
    if name.startswith("__"):  # Dagster's own job around any assets
        planned = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ).records
        keys = [str(record.asset_key.to_user_string()) for record in planned if record.asset_key is not None]
        name = (", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")) or "checks"
    partition = run.tags.get(PARTITION_TAG)
    return f"{name} ({partition})" if partition else name


def _failures(context: dg.RunFailureSensorContext) -> Iterable[str]:
    """Return why each step failed: what was written for people, else the innermost error."""
    for event in context.get_step_failure_events():
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            yield str(data.user_failure_data.description)
            continue
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        yield f"{event.step_key}: {error.message if error is not None else event.message}"


def _checks_of(instance: dg.DagsterInstance, run: dg.DagsterRun, *, blocking: bool = False) -> list[str]:
    """Return a line for each check of a run that failed; with ``blocking`` only for those that stopped it."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    lines = []
    for record in instance.get_records_for_run(run.run_id, of_type=kind).records:
        check = record.event_log_entry.get_dagster_event().asset_check_evaluation_data
        if not check.passed and (check.blocking or not blocking):
            kind_of = "error" if check.severity == dg.AssetCheckSeverity.ERROR else "warning"
            said = check.description or "it says nothing"
            lines.append(f"{kind_of}: {check.asset_key.to_user_string()}, {check.check_name}: {said}")
    return lines
