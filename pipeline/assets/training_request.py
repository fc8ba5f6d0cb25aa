"""The question whether a label set's models are to be trained anew; what asks for a training is an asset."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from pipeline.locks import one_at_a_time, training_request_lock
from pipeline.metadata import data_version, for_people, markdown, spec, table_metadata
from pipeline.partitions import label_sets
from pipeline.reasons import is_by_a_person, note_reason
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TABLES
from pipeline.training_rule import WAIT, Facts, decide_training, look, requests

DEPS = ["labels", "label_frequencies"]
SHOWN = 20  # rows of the history


def training_request_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets that ask for trainings."""

    @dg.multi_asset(
        name="ask_for_training",
        specs=[
            spec(
                "training_requests",
                group="data_sets",
                deps=DEPS,
                description="Every look at whether a training is due, with the answer in words. It reads the last "
                "`data_set` and `drift` without depending on them, since both come after it.",
            ),
            dg.AssetSpec(
                "training_request",
                group_name="data_sets",
                deps=DEPS,
                description="Materialized only when a training is due: what the data sets wait for. A run that a "
                "person starts is always due.",
                kinds={"python"},
                owners=["team:data"],
                skippable=True,
            ),
        ],
        partitions_def=label_sets(settings),
        can_subset=False,
    )
    def ask_for_training(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        clock: dg.ResourceParam[Clock],
    ) -> Iterator[dg.MaterializeResult]:
        """Look at labels, age and drift, and write the answer down."""
        label_set = context.partition_key
        busy = f"it is being asked whether {label_set} is to be trained anew"
        with one_at_a_time(training_request_lock(storage, label_set), context.log.info, busy):
            # held until Dagster has the events: whoever waits must see that a training was asked for
            yield from _asked(context, settings, storage, clock())

    return [ask_for_training]


def _asked(
    context: dg.AssetExecutionContext, settings: Settings, storage: Storage, now: datetime
) -> Iterator[dg.MaterializeResult]:
    """Decide, and write it down; the caller holds the lock."""
    label_set, by_a_person = context.partition_key, is_by_a_person(context.run.tags)
    with for_people():
        facts, table = look(settings, storage, label_set), requests(storage, label_set)
        if not _was_cut_short(table, context.instance, label_set, now):
            waiting = not _has_begun(context.instance, label_set)
            answer = decide_training(facts, settings.retraining, now, person=by_a_person, waiting=waiting)
            added = pa.Table.from_pylist([answer.row(now)], TABLES["training_requests"].schema)
            table = storage.write_table("training_requests", pa.concat_tables([table, added]), (label_set,))
    if not by_a_person:
        note_reason(context, f"{label_set}: {table['reason'][-1]}")
    yield from _results(table, facts)


def _was_cut_short(table: pa.Table, instance: dg.DagsterInstance, label_set: str, now: datetime) -> bool:
    """Say whether the last answer asks for a training, but its run was killed before it said so to Dagster.

    Then that answer still stands, and is not written down again.
    """
    last = table.slice(max(0, table.num_rows - 1)).to_pylist()
    if not last or not last[0]["due"] or now - last[0]["decided_at"] >= WAIT:
        return False
    event = _last_event(instance, "training_request", label_set)
    said = event.asset_materialization.metadata.get("decided_at") if event and event.asset_materialization else None
    return said is None or said.value != last[0]["decided_at"].isoformat()


def _has_begun(instance: dg.DagsterInstance, label_set: str) -> bool:
    """Say whether the data set was made since a training was last asked for; or none was ever asked for."""
    asked, made = (_last_event(instance, name, label_set) for name in ("training_request", "data_set"))
    return asked is None or (made is not None and made.storage_id > asked.storage_id)


def _last_event(instance: dg.DagsterInstance, name: str, label_set: str) -> dg.EventLogRecord | None:
    """The event by which a partition was last materialized; their numbers grow with time."""
    records = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=[label_set])
    events = instance.fetch_materializations(records, limit=1).records
    return events[0] if events else None


def _results(table: pa.Table, facts: Facts) -> Iterator[dg.MaterializeResult]:
    """What people see of the last answer in the Dagster UI."""
    answer = table.slice(table.num_rows - 1).to_pylist()[0]
    said: dict[str, Any] = {name: answer[name] for name in ("due", "reason", "asked_by", "new_labels", "images")}
    said["decided_at"] = answer["decided_at"].isoformat()
    said["drifted_windows"] = ", ".join(answer["drifted_windows"]) or "none"
    if answer["days"] is not None:
        said["days_since_the_last"] = round(answer["days"], 2)
    history = markdown(table.slice(max(0, table.num_rows - SHOWN)).to_pandas()[::-1])
    yield dg.MaterializeResult(
        asset_key="training_requests",
        data_version=data_version(table),
        metadata=table_metadata(table, **said, history=dg.MetadataValue.md(history)),
    )
    if answer["due"]:  # its version is that of the labels: asked again with the same ones, nothing after it is stale
        yield dg.MaterializeResult(
            asset_key="training_request", data_version=dg.DataVersion(facts.version or "no labels"), metadata=said
        )
