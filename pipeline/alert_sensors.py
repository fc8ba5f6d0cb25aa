"""Sensors that notice failed runs and failed checks. They write to the log, and tell people who are to be told."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter  # not exported at the top
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus  # not at the top
from dagster._core.storage.tags import WILL_RETRY_TAG  # not exported at the top

from pipeline.alerts import Alert
from pipeline.reasons import FAILS_FOR, REASON_TAG, one_line
from pipeline.settings import Settings
from pipeline.unsent_alerts import deliver, deliver_waiting
from pipeline.windows_due import PARTITION_TAG, RANGE_TAGS

FAILED_RUNS = "failed_runs"
FAILED_CHECKS = "failed_checks"
UNSENT_ALERTS = "unsent_alerts"
MOST_LINES = 10
LOOKED_AT = 20  # last results of a check, among which is that of the run and the one before it
_ENDED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
INNER = 300  # characters of one reason
_AGAIN = (
    "put that right, then launch run {run} again in the Dagster UI (Runs, Re-execute from failure); "
    "docs/operations.md says more"
)
_AS_SAID = "what the lines say, nothing else has to be launched again; docs/operations.md says more (run {run})"


def alert_sensors() -> Sequence[dg.SensorDefinition]:
    """Return the sensors of failed runs and of failed checks, and that which sends what could not be sent."""
    return [_failed_runs(), _failed_checks(), _unsent_alerts()]


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
        checks = sorted(_failed_in(context.instance, run), key=lambda check: not check.blocking)
        reasons = [*_failures(context), *map(_line, checks)] or [context.failure_event.message or ""]
        _say(context, settings, _alert(f"{_title(context.instance, run)} failed", reasons, _AGAIN, run))

    return failed_runs


def _failed_checks() -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=FAILED_CHECKS,
        run_status=dg.DagsterRunStatus.SUCCESS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Tells people about the failed checks of a run that went well, unless they had failed before, too.",
    )
    def failed_checks(context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]) -> None:
        """Say which checks failed, and what each of them says to do."""
        run = context.dagster_run
        failed = [(record, check) for record, check in _evaluations(context.instance, run) if not check.passed]
        lines = [_line(check) for record, check in failed if not _failed_before(context.instance, record, check)]
        if len(lines) < len(failed):
            context.log.info(f"{len(failed) - len(lines)} checks failed as they did the last time")
        if lines:
            count = "a check" if len(lines) == 1 else f"{len(lines)} checks"
            _say(context, settings, _alert(f"{count} of {_title(context.instance, run)} failed", lines, _AS_SAID, run))

    return failed_checks


def _say(context: dg.RunStatusSensorContext, settings: Settings, alert: Alert) -> None:
    context.log.warning(alert.text())
    deliver(alert, settings.alerts, Path(context.instance.root_directory))


def _unsent_alerts() -> dg.SensorDefinition:
    @dg.sensor(
        name=UNSENT_ALERTS,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Sends the alerts that could not be sent, until they are.",
    )
    def unsent_alerts(context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]) -> dg.SkipReason:
        """Try again; nothing is launched."""
        sent = deliver_waiting(settings.alerts, Path(context.instance.root_directory))
        return dg.SkipReason(f"{sent} alerts that had waited are sent" if sent else "no alert waits")

    return unsent_alerts


def _alert(what: str, why: Sequence[str], do: str, run: dg.DagsterRun) -> Alert:
    shown = [one_line(line, INNER) for line in why[:MOST_LINES]]
    if len(why) > MOST_LINES:
        shown.append(f"and {len(why) - MOST_LINES} more")
    return Alert(
        one_line(what), tuple(shown), do.format(run=run.run_id), run.run_id, run.job_name, run.tags.get(REASON_TAG)
    )


def _title(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return what a run makes, for people: the job, or what it materializes."""
    name = run.job_name
    if name.startswith("__"):  # Dagster's own job around any assets
        planned = instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        ).records
        keys = [str(record.asset_key.to_user_string()) for record in planned if record.asset_key is not None]
        name = (", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")) or "checks"
    partition = run.tags.get(PARTITION_TAG) or " to ".join(run.tags[tag] for tag in RANGE_TAGS if tag in run.tags)
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


def _evaluations(
    instance: dg.DagsterInstance, run: dg.DagsterRun
) -> list[tuple[dg.EventLogRecord, dg.AssetCheckEvaluation]]:
    """Return the results of all checks of a run, in order."""
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
    records = instance.get_records_for_run(run.run_id, of_type=kind).records
    return [(one, one.event_log_entry.get_dagster_event().asset_check_evaluation_data) for one in records]


def _failed_in(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.AssetCheckEvaluation]:
    return [check for _, check in _evaluations(instance, run) if not check.passed]


def _failed_before(instance: dg.DagsterInstance, record: dg.EventLogRecord, check: dg.AssetCheckEvaluation) -> bool:
    """Say whether the check failed in the same way the time before: same asset, partition, severity and cause."""
    history = instance.event_log_storage.get_asset_check_execution_history(
        check.asset_check_key, LOOKED_AT, status=_ENDED, partition_filter=PartitionKeyFilter(key=check.partition)
    )
    runs = [one.run_id for one in history]
    place = runs.index(record.run_id) if record.run_id in runs else len(runs)
    before = history[place + 1].evaluation if place + 1 < len(history) else None
    if before is None or before.passed or before.severity != check.severity:
        return False
    return FAILS_FOR not in before.metadata or _fails_for(check) <= _fails_for(before)


def _fails_for(check: dg.AssetCheckEvaluation) -> set[str]:
    """Return what a check says that it fails for, where it says so."""
    return set(str(check.metadata[FAILS_FOR].value).split(", ")) if FAILS_FOR in check.metadata else set()


def _line(check: dg.AssetCheckEvaluation) -> str:
    kind = "error" if check.severity == dg.AssetCheckSeverity.ERROR else "warning"
    return f"{kind}: {check.asset_key.to_user_string()}, {check.check_name}: {check.description or 'it says nothing'}"
