"""Where each number of the report comes from: runs, versions and inputs of the assets, read from Dagster."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

DATA_VERSION = "dagster/data_version"  # tags of a materialization
CODE_VERSION = "dagster/code_version"
INPUT_VERSION = "dagster/input_data_version/"  # + asset
POINTER = "dagster/input_event_pointer/"  # + asset: the newest event about it when the step began
WINDOW = re.compile(r"^\d{4}-\d{2}-\d{2}")  # keys of crawl windows
KIND = dg.DagsterEventType.ASSET_MATERIALIZATION


@dataclass(frozen=True)
class Input:
    """What an asset was made from: one version, or one of many partitions together."""

    asset: str
    version: str
    partition: str | None = None
    partitions: int = 0  # more than one: the version is of all of them
    changed: bool = False  # it has another version now


@dataclass(frozen=True)
class Made:
    """An asset, or one partition of it, as it was made last."""

    asset: str
    partition: str | None
    partitions: int  # that the asset has, 0 where it has none; of crawl windows only the newest is here
    version: str | None
    code: str | None
    run_id: str
    made_at: datetime
    inputs: Sequence[Input]


def collect_lineage(instance: dg.DagsterInstance) -> list[Made]:
    """Return every asset that was ever made, in the order of their names and partitions."""
    history = _History(instance)
    keys = sorted(instance.get_asset_keys(), key=lambda key: key.to_user_string())
    return [made for key in keys for made in history.made(key)]


class _History:
    """Reads Dagster's event log, each list of versions once."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._versions: dict[tuple[str, int | None], Mapping[str, str]] = {}

    def made(self, key: dg.AssetKey) -> Iterator[Made]:
        ids = self._instance.event_log_storage.get_latest_storage_id_by_partition(key, KIND)
        chosen = _newest_window(ids)
        wanted = dg.AssetRecordsFilter(key, storage_ids=sorted(chosen.values())) if chosen else key
        limit = len(chosen) or 1
        records = self._instance.fetch_materializations(wanted, limit=limit).records
        for record in sorted(records, key=lambda record: record.partition_key or ""):
            yield self._describe(key.to_user_string(), record, len(ids))

    def _describe(self, asset: str, record: Any, partitions: int) -> Made:
        tags = (record.asset_materialization.tags or {}) if record.asset_materialization else {}
        return Made(
            asset,
            record.partition_key,
            partitions,
            tags.get(DATA_VERSION),
            tags.get(CODE_VERSION),
            record.run_id,
            datetime.fromtimestamp(record.timestamp, UTC),
            [
                self._input(name.removeprefix(INPUT_VERSION), version, record.partition_key, tags)
                for name, version in sorted(tags.items())
                if name.startswith(INPUT_VERSION)
            ],
        )

    def _input(self, asset: str, version: str, child: str | None, tags: Mapping[str, str]) -> Input:
        """An input as it was; the version that Dagster notes of a partitioned one is of its partitions together."""
        pointer = tags.get(f"{POINTER}{asset}", "NULL")
        then = self._at(asset, None if pointer == "NULL" else int(pointer))
        now = self._at(asset, None)
        parts = [part for part in then if _belongs(part, child)]
        changed = any(then[part] != now.get(part) for part in parts)
        if len(parts) == 1:
            return Input(asset, then[parts[0]], parts[0] or None, changed=changed)
        return Input(asset, version, partitions=len(parts), changed=changed)

    def _at(self, asset: str, storage_id: int | None) -> Mapping[str, str]:
        """Data versions of an asset by partition, "" where it has none, as of an event or as they are."""
        if (asset, storage_id) not in self._versions:
            key = dg.AssetKey.from_user_string(asset)
            before = None if storage_id is None else storage_id + 1
            log = self._instance.event_log_storage
            found = log.get_latest_tags_by_partition(key, KIND, [DATA_VERSION], before_cursor=before)
            versions = {part: tags[DATA_VERSION] for part, tags in found.items()}
            self._versions[asset, storage_id] = versions or self._single(key, before)
        return self._versions[asset, storage_id]

    def _single(self, key: dg.AssetKey, before: int | None) -> dict[str, str]:
        wanted = dg.AssetRecordsFilter(key, before_storage_id=before)
        for fetch in (self._instance.fetch_materializations, self._instance.fetch_observations):
            for record in fetch(wanted, limit=1).records:
                noted = record.asset_materialization or record.asset_observation
                if noted is not None and DATA_VERSION in (noted.tags or {}):
                    return {"": noted.tags[DATA_VERSION]}
        return {}


def _newest_window(ids: Mapping[str, int]) -> Mapping[str, int]:
    """The partitions to show: all label sets and architectures, but only the newest of the crawl windows."""
    windows = [part for part in ids if WINDOW.match(part)]
    return {max(windows): ids[max(windows)]} if windows else ids


def _belongs(part: str, child: str | None) -> bool:
    """Say whether a partition of an input is one that the child's partition is made from.

    Keys are those of ``pipeline.partitions``: a window, a label set, or ``architecture|label set``.
    """
    if not part or child is None or bool(WINDOW.match(part)) != bool(WINDOW.match(child)):
        return True
    mine, other = child.split("|"), part.split("|")
    return mine[-1] == other[-1] and (len(mine) == 1 or len(other) == 1 or mine == other)
