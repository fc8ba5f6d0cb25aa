"""Sensors: what is looked at now and then, and what it sets going. All are off until somebody switches them on."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from labeling.errors import LabelingError
from labeling.studio.settings import LabelStudioServer
from pipeline import jobs
from pipeline.exported import Exported
from pipeline.locks import is_held, label_studio_lock
from pipeline.other_sensors import label_file_sensor, withdrawal_sensor
from pipeline.reasons import REASON_TAG
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_connection, require_project
from pipeline.windows_due import UNDER_WAY

if TYPE_CHECKING:
    from labeling.studio.connection import Connection

NEW_WORK = "label_studio_work"
AT_WORK = timedelta(minutes=10)  # a run that began longer ago and holds no lock was killed, or is far beyond the export
OFTEN_ENOUGH = timedelta(hours=1)  # between two runs that only look for deleted tasks and drafts


def sensors(settings: Settings) -> Sequence[dg.SensorDefinition]:
    """Return the sensors that look for new labels and for withdrawals."""
    server = settings.label_studio
    labels = label_file_sensor(settings) if server is None else _label_studio_work(server)
    return [labels, withdrawal_sensor()]


def _label_studio_work(server: LabelStudioServer) -> dg.SensorDefinition:
    @dg.sensor(
        name=NEW_WORK,
        job_name=jobs.LABELS,
        minimum_interval_seconds=server.poll_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks Label Studio for new work of the experts; exports it and settles it into labels.",
    )
    def label_studio_work(
        context: dg.SensorEvaluationContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        clock: dg.ResourceParam[Clock],
    ) -> dg.RunRequest | dg.SkipReason:
        """Look for work that was not exported yet; the export itself keeps count of what it has."""
        exported, now = Exported.read(storage), clock()
        if exported is None:
            return dg.SkipReason("nothing stands in Label Studio yet: materialize queued_tasks")
        if is_held(label_studio_lock(storage)) or _is_running(context.instance, now):
            return dg.SkipReason("a run is exporting and settling right now")
        try:
            with open_connection(settings, patient=False) as connection:
                require_project(exported, storage, connection, exported.project.project_id)
                return _request(server, exported, connection, now)
        except LabelingError as error:  # passing: the next look may find the server again
            return dg.SkipReason(str(error))

    return label_studio_work


def _is_running(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Say whether a run of the job is under way, also one that a person or the launcher has started."""
    runs = dg.RunsFilter(job_name=jobs.LABELS, statuses=UNDER_WAY, created_after=now - AT_WORK)
    return instance.get_runs_count(runs) > 0


def _request(
    server: LabelStudioServer, exported: Exported, connection: "Connection", now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run where there is new work, a run was cut short, or deleted tasks and drafts are to be looked for."""
    from labeling.studio.poll import new_work

    work = new_work(connection, exported.project.project_id, exported.cursor)
    every = max(timedelta(hours=server.reconcile_hours), OFTEN_ENOUGH)
    due = exported.reconciled_at is None or now - exported.reconciled_at >= every
    due |= exported.settles_at is not None and now >= exported.settles_at
    if not work.changed and not due and exported.stage == "done":
        return dg.SkipReason("no new work")
    # The same state asks for one run only; if that fails, for another one in the next hour. The export keeps count of
    # what it has, so a run too many finds nothing.
    newest = work.newest.isoformat() if work.newest else "reconcile"
    known = (exported.cursor, exported.reconciled_at, exported.settles_at, exported.stage)
    state = f"{exported.project.project_id}:{':'.join(map(str, known))}"
    key = f"{state}:{newest}:{now:%Y-%m-%dT%H}"
    reason = f"{work.changed} tasks changed in Label Studio" if work.changed else "deleted tasks are looked for"
    return dg.RunRequest(run_key=key, tags={"stylegraph/changed_tasks": str(work.changed), REASON_TAG: reason})
