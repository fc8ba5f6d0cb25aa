"""Sensors that look for a changed file of labels, and for withdrawals that wait."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import dagster as dg

from labeling.studio.settings import LabelStudioServer
from pipeline import jobs
from pipeline.inputs import file_version, missing_label_file, observe
from pipeline.reasons import REASON_TAG
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.windows_due import UNDER_WAY
from pipeline.withdrawal.tombstones import pending

LABEL_FILE_WORK = "label_file_work"
WITHDRAWALS_WAITING = "withdrawals_waiting"
WITHDRAWAL_SECONDS = 60
ANNOTATIONS = dg.AssetKey("annotations")
Stamp = tuple[int, int]  # size in bytes, time of change in ns


@dataclass(frozen=True)
class _Seen:
    """What the last look at the file of labels saw; its cursor."""

    stamp: Stamp
    read: Stamp | None = None  # of the file whose labels were asked for last
    version: str | None = None  # hash of its content

    @classmethod
    def parse(cls, cursor: str | None) -> "_Seen | None":
        if cursor is None:
            return None
        values = json.loads(cursor)
        return cls(tuple(values["stamp"]), values["read"] and tuple(values["read"]), values["version"])

    def text(self) -> str:
        return json.dumps(asdict(self))


def label_file_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor of a source that is a file."""

    @dg.sensor(
        name=LABEL_FILE_WORK,
        job_name=jobs.LABELS,
        minimum_interval_seconds=settings.automation.label_file_seconds,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Looks at the file of labels; reads it and settles it into labels when its content is another one.",
    )
    def label_file_work(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.RunRequest | dg.SkipReason:
        """Ask for a run when the content is another one, and the file was the same for two looks: nobody writes it."""
        if isinstance(settings.labels, LabelStudioServer):
            return dg.SkipReason("labels come from a live server")
        path, seen = settings.labels.path, _Seen.parse(context.cursor)
        stamp = _stamp(path)
        if stamp is None:
            return dg.SkipReason(missing_label_file(settings))
        if seen is not None and seen.read == stamp:
            return dg.SkipReason("the file has not changed")
        if not storage.has_table("label_tasks"):
            return dg.SkipReason("there are no label tasks yet: crawl a window first")
        if _is_being_read(context.instance):
            return dg.SkipReason("a run is reading labels right now")
        if seen is None or seen.stamp != stamp:
            context.update_cursor(_Seen(stamp, seen and seen.read, seen and seen.version).text())
            return dg.SkipReason("the file has changed; it is read when it stays the same until the next look")
        version = file_version(path).value
        context.update_cursor(_Seen(stamp, stamp, version).text())
        if version == seen.version or (seen.version is None and _is_read(storage, stamp)):
            return dg.SkipReason("the file was written again with the content that was read last")
        observe(context.instance, settings)
        return dg.RunRequest(run_key=f"{version} {stamp[1]}", tags={REASON_TAG: f"{path.name} has changed"})

    return label_file_work


def _is_being_read(instance: dg.DagsterInstance) -> bool:
    """Say whether a run reads labels, whoever started it: of two at once, one could end last with the older content."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    return any(run.job_name == jobs.LABELS or ANNOTATIONS in (run.asset_selection or ()) for run in runs)


def withdrawal_sensor() -> dg.SensorDefinition:
    """Return the sensor of withdrawals that nobody has carried out yet."""

    @dg.sensor(
        name=WITHDRAWALS_WAITING,
        job_name=jobs.WITHDRAWAL,
        minimum_interval_seconds=WITHDRAWAL_SECONDS,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description="Asks for a run that carries out what people withdrew; again in the next hour where that failed.",
    )
    def withdrawals_waiting(
        context: dg.SensorEvaluationContext, storage: dg.ResourceParam[Storage], clock: dg.ResourceParam[Clock]
    ) -> dg.RunRequest | dg.SkipReason:
        """Ask where a request waits and no run is at it."""
        waiting = pending(storage)
        if not waiting:
            return dg.SkipReason("no withdrawal waits")
        if context.instance.get_runs_count(dg.RunsFilter(job_name=jobs.WITHDRAWAL, statuses=UNDER_WAY)):
            return dg.SkipReason("withdrawals are being carried out right now")
        return dg.RunRequest(
            run_key=f"{','.join(waiting)} {clock():%Y-%m-%dT%H}",
            tags={REASON_TAG: f"{len(waiting)} withdrawals wait"},
        )

    return withdrawals_waiting


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_size, status.st_mtime_ns


def _is_read(storage: Storage, stamp: Stamp) -> bool:
    """Say whether the annotations were read after the file was written, before this sensor was ever on."""
    return storage.has_table("annotations") and storage.written_at("annotations").timestamp() * 1e9 > stamp[1]
