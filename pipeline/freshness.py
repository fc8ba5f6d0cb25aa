"""What is up to date: why an asset, or one partition of it, would have to be made again.

Dagster's own stale status (``CachingStaleStatusResolver``) is what its UI shows. ``stylegraph run`` asks this module
instead, since the former leaves out every edge from time partitions to an asset without partitions, and edges with 100
partitions or more; knows nothing of failed runs, incomplete windows and deleted files; and asks the database partition
by partition. Both read the same versions: of code, of data, and of the inputs as a step found them when it began.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg
from dagster import AssetKey, DagsterEventType, DagsterRunStatus
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecordStatus,
)  # not exported at the top

from pipeline.inputs import DATA_VERSION, GROUP
from pipeline.storage import Storage
from pipeline.tables import TABLES

ASKED_ALWAYS = frozenset({"queued_tasks", "annotations", "pre_annotations", "returned_tasks"})  # of a live server
CODE_VERSION = "dagster/code_version"  # tags of a materialization
POINTER = "dagster/input_event_pointer/"  # + asset: the newest event about it when the step began
NOT_BLOCKING_BUT_WANTED = frozenset({"window_complete"})  # checks whose failure a further run may mend
FILES: Mapping[str, str] = {"report": "reports/report.html", "data_card": "data_cards/{}/README.md"}  # by partition
MODEL_FILES: Mapping[str, str] = {"model": "card.json", "model_card": "MODEL_CARD.md"}  # in a model's folder
BODIES_AT_A_TIME = 50  # of events read from the database

Partition = str | None


@dataclass(frozen=True)
class Made:
    """The last time that an asset's partition was made."""

    storage_id: int
    run_id: str
    tags: Mapping[str, str]


class Freshness:
    """Says what would have to be made again; what it has read from Dagster's history it keeps until ``forget``."""

    def __init__(self, definitions: dg.Definitions, instance: dg.DagsterInstance, storage: Storage) -> None:
        self._definitions, self._instance, self._storage = definitions, instance, storage
        self._history: dict[AssetKey, _History] = {}
        self._versions: dict[tuple[AssetKey, int | None], dict[Partition, str]] = {}
        self._checks: dict[dg.AssetCheckKey, dict[Partition, AssetCheckExecutionRecordStatus]] = {}
        self._files: dict[str, set[tuple[str, ...]]] = {}

    @cached_property
    def _graph(self) -> Any:  # Dagster does not export its type
        return self._definitions.resolve_asset_graph()

    def forget(self, job: str) -> None:
        """Forget what is known of the assets of a job, which has just run."""
        for key in self._keys_of(job):
            self._history.pop(key, None)
            self._files.pop(_name(key), None)
            self._versions = {known: versions for known, versions in self._versions.items() if known[0] != key}
            self._checks = {check: states for check, states in self._checks.items() if check.asset_key != key}

    def why_stale(self, job: str, partition: Partition) -> str | None:
        """Return in a few words why a job would have to run; None where all that it makes is up to date."""
        keys = sorted(self._keys_of(job))
        if dg.AssetKey("queued_tasks") in self._graph.get_all_asset_keys() and {*map(_name, keys)} & ASKED_ALWAYS:
            return "a live server is asked each time"
        for key in keys:
            if reason := self._why(key, partition):
                return f"{_name(key)}: {reason}"
        return None

    def _keys_of(self, job: str) -> Iterable[AssetKey]:
        keys: Iterable[AssetKey] = self._definitions.resolve_job_def(job).asset_layer.selected_asset_keys
        return keys

    def _why(self, key: AssetKey, partition: Partition) -> str | None:
        node, history = self._graph.get(key), self._history_of(key)
        partition = partition if node.is_partitioned else None
        if node.assets_def.get_asset_spec(key).skippable and not all(spec.skippable for spec in node.assets_def.specs):
            return None  # not always made; what is always made in the same step tells
        made = history.made(partition)
        if made is None:
            return "was never made"
        if history.was_tried_since(partition):
            return "the last run did not make it"
        if made.tags.get(CODE_VERSION) != node.code_version:
            return "code or settings changed"
        if not self._is_there(_name(key), partition):
            return "its file is gone"
        for parent in sorted(node.parent_keys):
            if self._changed(key, partition, made, parent):
                return f"{_name(parent)} changed"
        return self._failed_check(key, partition)

    # inputs

    def _changed(self, key: AssetKey, partition: Partition, made: Made, parent: AssetKey) -> bool:
        """Say whether an input has another version than it had when the step began."""
        pointer = made.tags.get(f"{POINTER}{_name(parent)}")
        if pointer is None:
            return True  # no input of it until now
        then = -1 if pointer == "NULL" else int(pointer)
        if self._graph.get(parent).is_partitioned:
            mapped = self._graph.get_parent_partition_keys_for_child(partition, parent, key).partitions_subset
            parts: list[Partition] = list(mapped.get_partition_keys())
        else:
            parts = [None]
        newest = self._history_of(parent).newest
        new = [part for part in parts if newest.get(part, -1) > then]
        if not new:
            return False
        before, now = self._versions_at(parent, then), self._versions_at(parent, None)
        return any(before.get(part) != now.get(part) for part in new)

    def _versions_at(self, key: AssetKey, storage_id: int | None) -> dict[Partition, str]:
        """Return an asset's data versions by partition as of an event, or as they are."""
        if (key, storage_id) not in self._versions:
            self._versions[key, storage_id] = self._read_versions(key, storage_id)
        return self._versions[key, storage_id]

    def _read_versions(self, key: AssetKey, storage_id: int | None) -> dict[Partition, str]:
        cursor = None if storage_id is None else storage_id + 1
        if self._graph.get(key).is_partitioned:
            kind, log = self._kind(key), self._instance.event_log_storage
            found = log.get_latest_tags_by_partition(key, kind, [DATA_VERSION], before_cursor=cursor)
            return {part: tags[DATA_VERSION] for part, tags in found.items()}
        record = self._last_record(key, cursor)
        return {None: record.tags[DATA_VERSION]} if record and DATA_VERSION in record.tags else {}

    def _last_record(self, key: AssetKey, before: int | None) -> Made | None:
        wanted = dg.AssetRecordsFilter(key, before_storage_id=before)
        fetch = self._instance.fetch_observations if self._is_input(key) else self._instance.fetch_materializations
        records = fetch(wanted, limit=1).records
        return _made(records[0]) if records else None

    def _is_input(self, key: AssetKey) -> bool:
        return bool(self._graph.get(key).group_name == GROUP)

    def _kind(self, key: AssetKey) -> DagsterEventType:
        return DagsterEventType.ASSET_OBSERVATION if self._is_input(key) else DagsterEventType.ASSET_MATERIALIZATION

    # history

    def _history_of(self, key: AssetKey) -> "_History":
        if key not in self._history:
            partitioned = bool(self._graph.get(key).is_partitioned)
            self._history[key] = _History(self._instance, key, self._kind(key), partitioned)
        return self._history[key]

    def _failed_check(self, key: AssetKey, partition: Partition) -> str | None:
        for check in sorted(self._graph.get(key).check_keys):
            node = self._graph.get(check)
            if node.blocking or check.name in NOT_BLOCKING_BUT_WANTED:
                part = partition if node.partitions_def is not None else None  # else it is about all partitions
                if self._check_states(check).get(part) == AssetCheckExecutionRecordStatus.FAILED:
                    return f"check {check.name} failed"
        return None

    def _check_states(self, check: dg.AssetCheckKey) -> dict[Partition, AssetCheckExecutionRecordStatus]:
        if check not in self._checks:
            infos = self._instance.event_log_storage.get_asset_check_partition_info([check])
            self._checks[check] = {info.partition_key: info.latest_execution_status for info in infos}
        return self._checks[check]

    # files

    def _is_there(self, name: str, partition: Partition) -> bool:
        parts = _table_partition(partition)
        if name in FILES:
            return self._storage.exists(FILES[name].format(*parts))
        if name in MODEL_FILES:
            return self._storage.has_model_file(*parts, MODEL_FILES[name])
        if name not in TABLES:
            return True
        if name not in self._files:
            self._files[name] = self._storage.partitions_of(name)
        return parts in self._files[name]


def _name(key: AssetKey) -> str:
    return key.to_user_string()


def _table_partition(partition: Partition) -> tuple[str, ...]:
    """Return the parts of a table's file name; of two dimensions, the label set comes first."""
    if partition is None:
        return ()
    return tuple(reversed(partition.split("|")))


def _made(record: dg.EventLogRecord) -> Made:
    happened = record.asset_materialization or record.asset_observation
    tags = (happened.tags or {}) if happened is not None else {}
    return Made(record.storage_id, record.run_id, tags)


class _History:
    """What Dagster has noted of one asset."""

    def __init__(self, instance: dg.DagsterInstance, key: AssetKey, kind: DagsterEventType, partitioned: bool) -> None:
        self._instance, self._key, self._kind, self._partitioned = instance, key, kind, partitioned

    @cached_property
    def newest(self) -> dict[Partition, int]:
        """The newest event by partition."""
        if self._partitioned:
            return dict(self._instance.event_log_storage.get_latest_storage_id_by_partition(self._key, self._kind))
        observed = self._kind == DagsterEventType.ASSET_OBSERVATION
        fetch = self._instance.fetch_observations if observed else self._instance.fetch_materializations
        records = fetch(self._key, limit=1).records
        return {None: records[0].storage_id} if records else {}

    def made(self, partition: Partition) -> Made | None:
        """Return the last time that a partition was made."""
        return self._all_made.get(partition)

    @cached_property
    def _all_made(self) -> dict[Partition, Made]:
        ids = sorted(self.newest.values())
        found: dict[Partition, Made] = {}
        for start in range(0, len(ids), BODIES_AT_A_TIME):
            some = ids[start : start + BODIES_AT_A_TIME]
            wanted = dg.AssetRecordsFilter(self._key, storage_ids=some)
            records = self._instance.fetch_materializations(wanted, limit=len(some)).records
            found.update({record.partition_key: _made(record) for record in records})
        return found

    def was_tried_since(self, partition: Partition) -> bool:
        """Say whether a run meant to make a partition after it was made last, and did not."""
        if self._partitioned:
            run_id, _ = self._tried.get(partition or "", (None, 0))
        else:
            run_id = self._last_planned_run
            made = self.made(None)
            run_id = None if made is not None and made.run_id == run_id else run_id
        if run_id is None:
            return False
        run = self._instance.get_run_by_id(run_id)  # one that ended well had nothing to make: a skippable asset
        return run is None or run.status != DagsterRunStatus.SUCCESS

    @cached_property
    def _tried(self) -> Mapping[str, tuple[str, int]]:
        log = self._instance.event_log_storage
        return log.get_latest_asset_partition_materialization_attempts_without_materializations(self._key)

    @cached_property
    def _last_planned_run(self) -> str | None:
        records = self._instance.get_asset_records([self._key])
        return records[0].asset_entry.last_run_id if records else None
