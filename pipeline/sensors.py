"""Sensors: what is looked at now and then, and what it sets going. All are off until somebody switches them on."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from labeling.errors import LabelingError
from labeling.studio.settings import LabelStudioServer
from pipeline import jobs
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import Exported, open_connection

if TYPE_CHECKING:
    from labeling.studio.connection import Connection

NEW_WORK = "label_studio_work"


def sensors(settings: Settings) -> Sequence[dg.SensorDefinition]:
    """Return the sensors; without a live Label Studio there is none."""
    server = settings.label_studio
    if server is None:
        return []

    @dg.sensor(
        name=NEW_WORK,
        job_name=jobs.LABELS,
        minimum_interval_seconds=server.poll_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks Label Studio for new work of the experts; exports it and settles it into labels.",
    )
    def label_studio_work(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.RunRequest | dg.SkipReason:
        """Look for work that was not exported yet; the export itself keeps count of what it has."""
        exported = Exported.read(storage)
        if exported is None:
            return dg.SkipReason("nothing stands in Label Studio yet: materialize queued_tasks")
        try:
            with open_connection(settings) as connection:
                return _request(server, exported, connection, datetime.now(UTC))
        except LabelingError as error:  # passing: the next look may find the server again
            return dg.SkipReason(str(error))

    return [label_studio_work]


def _request(
    server: LabelStudioServer, exported: Exported, connection: "Connection", now: datetime
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run where there is new work, or where it is time to look for deleted tasks and drafts."""
    from labeling.studio.poll import new_work

    work = new_work(connection, exported.project_id, exported.cursor)
    due = exported.reconciled_at is None or now - exported.reconciled_at >= timedelta(hours=server.reconcile_hours)
    if not work.changed and not due:
        return dg.SkipReason("no new work")
    # The same state asks for one run only; if that fails, for another one in the next hour. The export keeps count of
    # what it has, so a run too many finds nothing.
    newest = work.newest.isoformat() if work.newest else "reconcile"
    key = f"{exported.project_id}:{exported.cursor}:{exported.reconciled_at}:{newest}:{now:%Y-%m-%dT%H}"
    return dg.RunRequest(run_key=key, tags={"stylegraph/changed_tasks": str(work.changed)})
