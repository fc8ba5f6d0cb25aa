"""What Dagster's daemon does, in this process and at the time of a simulation.

Schedules, sensors and conditions are the graph's own. Run requests are made by functions of Dagster's own daemon,
so that they are grouped as the daemon groups them; runs come one after the other.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext
from dagster._core.storage.tags import (
    ASSET_EVALUATION_ID_TAG,
    AUTO_MATERIALIZE_TAG,
    AUTOMATION_CONDITION_TAG,
    RUN_KEY_TAG,
    SCHEDULED_EXECUTION_TIME_TAG,
    SENSOR_NAME_TAG,
)
from dagster._utils.schedules import cron_string_iterator

from pipeline.simulation.runs import Ran, backfill_requests, execute

_BETWEEN_LOOKS = timedelta(seconds=30)
_REST = timedelta(hours=12)


@dataclass
class SimulatedClock:
    """The time, as the simulation sets it."""

    now: datetime

    def __call__(self) -> datetime:
        """Return the time, in UTC."""
        return self.now


@dataclass(frozen=True)
class Tick:
    """What a schedule or sensor answered when it asked for no run."""

    at: datetime
    name: str
    message: str


class Daemon:
    """Schedules, sensors and automation conditions of one instance, with what they remember."""

    def __init__(
        self,
        instance: dg.DagsterInstance,
        clock: SimulatedClock,
        ran: Callable[[Ran], None],
        skipped: Callable[[Tick], None],
        most_rounds: int = 40,
    ) -> None:
        """``ran`` is told of every run that ended, ``skipped`` of every schedule tick that asked for none.

        Conditions that go on asking for runs are stopped after ``most_rounds``.
        """
        self._instance = instance
        self._clock = clock
        self._ran, self._skipped = ran, skipped
        self._most_rounds = most_rounds
        self._cursors: dict[str, str | None] = {}
        self._conditions: dict[str, AssetDaemonCursor] = {}
        self._done = 0  # runs that ended
        self._seen: dict[str, int] = {}  # how many of them conditions know of, by the sensor that evaluates them
        self._resting: dict[str, datetime] = {}  # until when a schedule that asked for nothing is left alone
        self._passed = clock.now  # schedules have had their ticks until here

    def load(self, definitions: dg.Definitions) -> None:
        """Use these definitions from now on; what sensors and conditions remember stays."""
        self._repository = definitions.get_repository_def()
        self._resources = dict(definitions.resources or {})

    def pass_time(self, until: datetime) -> None:
        """Let the time pass; schedules have their ticks, and what follows from each is done before the next.

        Where a tick asks for nothing, nothing has changed but the time: nobody looks until the next one that asks, and
        the schedule's further times (all but the first that it names) are left out for 12 hours, or until there was a
        run.
        """
        if not self._conditions:
            self.look()  # as the daemon does all the time: what was before the first tick is nothing new
        ticks = sorted(
            (at, schedule.name, further)
            for schedule in self._repository.schedule_defs
            for at, further in self._ticks(schedule, until)
        )
        for at, name, further in ticks:
            if further and at < self._resting.get(name, at):
                continue
            self._clock.now = max(at, self._clock.now)
            if self._tick(self._repository.get_schedule_def(name), at):
                self.look()
            else:
                self._resting[name] = at + _REST
        self._clock.now = self._passed = max(until, self._clock.now)

    def look(self) -> None:
        """Let all sensors look, and all conditions be evaluated, until nothing is asked for any more.

        Where no run has ended since conditions were evaluated, they are not evaluated again in the same look.
        """
        self._seen.clear()
        for _ in range(self._most_rounds):
            self._clock.now += _BETWEEN_LOOKS
            asked = [self._look(sensor) for sensor in self._sensors()]
            asked += [
                self._evaluate(sensor) for sensor in self._automatic() if self._seen.get(sensor.name) != self._done
            ]
            # a sensor may want to see the same thing twice before it asks
            again = [self._look(sensor) for sensor in self._sensors()] if not any(asked) else [True]
            if not any(again):
                return
        raise RuntimeError(f"the conditions do not come to rest on {self._clock.now:%Y-%m-%d}")

    def run_job(self, name: str, by: str, tags: Mapping[str, str] | None = None) -> Ran:
        """Run a job as a person does in the UI."""
        return self._execute(dg.RunRequest(job_name=name, tags=dict(tags or {})), by)

    def _sensors(self) -> list[dg.SensorDefinition]:
        """Return the sensors that look for something; those that react to failed runs do so in `_execute`."""
        automatic = (dg.AutomationConditionSensorDefinition, dg.RunStatusSensorDefinition)
        return [sensor for sensor in self._repository.sensor_defs if not isinstance(sensor, automatic)]

    def _automatic(self) -> list[dg.AutomationConditionSensorDefinition]:
        sensors = self._repository.sensor_defs
        return [sensor for sensor in sensors if isinstance(sensor, dg.AutomationConditionSensorDefinition)]

    def _ticks(self, schedule: dg.ScheduleDefinition, until: datetime) -> Iterator[tuple[datetime, bool]]:
        """Give the times of a schedule's ticks, and whether each comes from another cron line than the first."""
        crons = schedule.cron_schedule if isinstance(schedule.cron_schedule, list) else [schedule.cron_schedule]
        for index, cron in enumerate(crons):
            for at in cron_string_iterator(self._passed.timestamp(), str(cron), schedule.execution_timezone or "UTC"):
                if at > until:
                    break
                if at > self._passed:
                    yield at, index > 0

    def _tick(self, schedule: dg.ScheduleDefinition, at: datetime) -> bool:
        """Let a schedule have its tick; say whether it asked for a run."""
        context = dg.build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=at,
            resources=self._resources,
            repository_def=self._repository,
        )
        context._instance = self._instance  # else it opens the same one again
        with context:
            data = schedule.evaluate_tick(context)
        for request in data.run_requests or []:
            tags = {**dg.DagsterRun.tags_for_schedule(schedule), SCHEDULED_EXECUTION_TIME_TAG: at.isoformat()}
            if not self._is_done(request, tags):
                self._execute(request, schedule.name, schedule.job_name, tags)
        if not data.run_requests:
            self._skipped(Tick(at, schedule.name, data.skip_message or ""))
        return bool(data.run_requests)

    def _look(self, sensor: dg.SensorDefinition) -> bool:
        """Let one sensor look; say whether it asked for a run."""
        context = dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursors.get(sensor.name),
            sensor_name=sensor.name,
            resources=self._resources,
            repository_def=self._repository,
        )
        context._instance = self._instance
        with context:
            data = sensor.evaluate_tick(context)
        self._cursors[sensor.name] = data.cursor
        tags = {SENSOR_NAME_TAG: sensor.name}
        new = [request for request in data.run_requests or [] if not self._is_done(request, tags)]
        for request in new:
            self._execute(request, sensor.name, request.job_name or sensor.job_name, tags)
        return bool(new)

    def _evaluate(self, sensor: dg.AutomationConditionSensorDefinition) -> bool:
        """Evaluate the conditions of a sensor's assets; say whether they asked for a run."""
        self._seen[sensor.name] = self._done
        cursor = self._conditions.get(sensor.name, AssetDaemonCursor.empty())
        tick = AutomationTickEvaluationContext(
            evaluation_id=cursor.evaluation_id + 1,
            instance=self._instance,
            asset_graph=self._repository.asset_graph,
            cursor=cursor,
            materialize_run_tags={SENSOR_NAME_TAG: sensor.name, **sensor.run_tags},
            observe_run_tags={},
            auto_observe_asset_keys=set(),
            asset_selection=sensor.asset_selection,
            logger=logging.getLogger("stylegraph.simulation"),
            emit_backfills=sensor.emit_backfills,
            evaluation_time=self._clock.now,
        )
        requests, self._conditions[sensor.name], _ = tick.evaluate()
        tags = {
            AUTO_MATERIALIZE_TAG: "true",
            AUTOMATION_CONDITION_TAG: "true",
            ASSET_EVALUATION_ID_TAG: str(cursor.evaluation_id + 1),
        }
        for request in requests:
            for part in self._parts(request):
                self._execute(part, sensor.name, None, tags)
        return bool(requests)

    def _parts(self, request: dg.RunRequest) -> Sequence[dg.RunRequest]:
        if not request.requires_backfill_daemon():
            return [request]
        return backfill_requests(request, self._repository.asset_graph, self._instance)

    def _is_done(self, request: dg.RunRequest, tags: Mapping[str, str]) -> bool:
        """Say whether a run with the request's key was launched before, by the same schedule tick or sensor."""
        if request.run_key is None:
            return False
        same = dg.RunsFilter(tags={**tags, RUN_KEY_TAG: request.run_key})
        return self._instance.get_runs_count(same) > 0

    def _execute(
        self, request: dg.RunRequest, by: str, job: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Ran:
        key = {RUN_KEY_TAG: request.run_key} if request.run_key is not None else {}
        ran = execute(
            self._repository,
            self._instance,
            request,
            job or request.job_name,
            {**request.tags, **(tags or {}), **key},
            at=self._clock.now,
            by=by,
        )
        self._done += 1
        self._resting.clear()
        self._ran(ran)
        if ran.failure:
            self._tell_of_failure(ran)
        return ran

    def _tell_of_failure(self, ran: Ran) -> None:
        """Let the sensors that react to failed runs do so."""
        run = self._instance.get_run_by_id(ran.run_id)
        events: list[Any] = self._instance.all_logs(ran.run_id, dg.DagsterEventType.RUN_FAILURE)
        for sensor in self._repository.sensor_defs:
            if isinstance(sensor, dg.RunStatusSensorDefinition) and run is not None and events:
                context = dg.build_run_status_sensor_context(
                    sensor_name=sensor.name,
                    dagster_event=events[-1].dagster_event,
                    dagster_instance=self._instance,
                    dagster_run=run,
                    resources=self._resources,
                )
                sensor(context.for_run_failure())
