"""Withdrawals: who asked for what, as keyed hashes, and the proof that it is gone."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import dagster as dg
import pandas as pd
import pyarrow as pa

from pipeline.metadata import counts_markdown, data_version, for_people, markdown, table_asset, table_metadata
from pipeline.partitions import model_key
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.carrying_out import CarriedOut, carry_out
from pipeline.withdrawal.proof import what_is_left

CHECK = "nothing_withdrawn_left"
_PROVENANCE = ("dagster/input_data_version", "dagster/input_event_pointer", "dagster/code_version")
_VERSION = "dagster/data_version"


def withdrawal_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset of what was withdrawn."""

    @dg.asset(
        **table_asset("withdrawals", group="operation"),
        check_specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset="withdrawals",
                blocking=True,
                description="No table, file, database or task holds anything of a withdrawn post or picture.",
            )
        ],
    )
    def withdrawals(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        clock: dg.ResourceParam[Callable[[], datetime]],
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        """Posts, authors and pictures that must not be kept, and their removal from everything that holds them.

        The command `stylegraph withdraw` writes them down, as keyed hashes only. Each materialization removes what is
        still, or again, there. Tables that lost rows get a new version, so what is made of them shows as stale.
        """
        with for_people():
            edited: list[dg.AssetMaterialization] = []

            def note(name: str, partition: Sequence[str], table: pa.Table) -> None:
                edited.extend(_edited(context.instance, name, partition, table))

            done = carry_out(settings, storage, context.instance, clock, note)
            table = tombstones.made(storage)
            left = what_is_left(settings, storage)
        for materialization in edited:
            context.log_event(materialization)
        yield dg.MaterializeResult(metadata=table_metadata(table, **_shown(done)), data_version=data_version(table))
        yield dg.AssetCheckResult(
            check_name=CHECK,
            passed=not left,
            description=f"nothing of {len(tombstones.requests(storage))} requests is left"
            if not left
            else f"something withdrawn is left in {', '.join(left[:5])}: materialize withdrawals again",
            metadata={"places": left},
        )

    return [withdrawals]


def _shown(done: CarriedOut) -> dict[str, dg.MetadataValue | int]:
    """Return what people see of a removal: how much of what, never which."""
    models = pd.DataFrame(sorted(done.models.items()), columns=["model", "withdrawn training images"])
    return {
        "carried_out": len(done.requests),
        "posts_removed": done.posts,
        "images_removed": done.images,
        "tasks_removed": done.tasks,
        "rows_removed": dg.MetadataValue.md(counts_markdown(done.tables, "table")),
        "models_that_learned_from_them": dg.MetadataValue.md(markdown(models)),
    }


def _edited(
    instance: dg.DagsterInstance, name: str, partition: Sequence[str], table: pa.Table
) -> Iterator[dg.AssetMaterialization]:
    """Yield the materialization that tells Dagster of a table's new content, if it knows of the table at all.

    It keeps the notes on code and inputs of the one before, so the table itself is as fresh or stale as it was.
    """
    key = _partition_key(partition)
    record = instance.get_latest_data_version_record(dg.AssetKey(name), partition_key=key)
    event = record.asset_materialization if record is not None else None
    if event is None:
        return
    tags: Mapping[str, str] = event.tags or {}
    kept = {name: value for name, value in tags.items() if name.startswith(_PROVENANCE)}
    yield dg.AssetMaterialization(
        asset_key=name,
        partition=key,
        description="rows were withdrawn",
        metadata={"dagster/row_count": table.num_rows},
        tags={**kept, _VERSION: data_version(table).value},
    )


def _partition_key(partition: Sequence[str]) -> str | None:
    match list(partition):
        case []:
            return None
        case [one]:
            return one
        case [label_set, architecture]:
            return str(model_key(label_set, architecture))
        case _:
            raise ValueError(f"a table with the partition {partition} is none of this graph")
