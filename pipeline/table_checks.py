"""Checks that every table goes through when it is made: its columns as they are on disk, and how many rows it has."""

import warnings
from collections.abc import Iterator, Sequence

import dagster as dg
import pyarrow.parquet as pq
from dagster._utils.warnings import PreviewWarning  # not exported at the top

from pipeline.partitions import model_partition
from pipeline.storage import Storage
from pipeline.tables import TABLES

SCHEMA = "schema"
ROWS = "rows"
MOST_FALLEN = 0.1  # share of its rows that a table may lose from one time to the next before a check warns
LOOKED_AT = 10  # materializations, of which the last two with a count are compared
# Tables that grow as windows and labels come. Others are as long as what they are about.
GROWING = (
    "unique_images",
    "label_tasks",
    "queued_tasks",
    "annotations",
    "annotation_versions",
    "labels",
    "pre_annotations",
    "style_trends",
    "data_set",  # each label set's with its own
)
TABLE_OF = {"champion": "promotions"}  # assets that write a table of another name


def table_checks(assets: Sequence[dg.AssetsDefinition]) -> list[dg.AssetChecksDefinition]:
    """Return the checks of the tables among ``assets``: one step for all tables that share their partitions."""
    by_partitions: dict[dg.PartitionsDefinition | None, list[str]] = {}
    windowed: set[str] = set()
    for one in assets:
        for spec in one.specs:
            name = spec.key.to_user_string()
            if TABLE_OF.get(name, name) in TABLES:
                # a run over many windows has no partition of its own: the check looks at all windows of the run
                many = one.backfill_policy is not None and one.backfill_policy.max_partitions_per_run is None
                windowed |= {name} if many else set()
                by_partitions.setdefault(None if many else spec.partitions_def, []).append(name)
    return [
        _of(partitions, names, windowed, number) for number, (partitions, names) in enumerate(by_partitions.items())
    ]


def _of(
    partitions: dg.PartitionsDefinition | None, names: list[str], windowed: set[str], number: int
) -> dg.AssetChecksDefinition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # partitions of checks are new in Dagster
        specs = [
            dg.AssetCheckSpec(
                SCHEMA,
                asset=name,
                description="The table on disk has the columns that it should have.",
                partitions_def=partitions,
            )
            for name in names
        ]
        what = f"The table has not lost more than {MOST_FALLEN:.0%} of its rows since the last time."
        specs += [
            dg.AssetCheckSpec(ROWS, asset=name, description=what, partitions_def=partitions)
            for name in names
            if name in GROWING
        ]

    @dg.multi_asset_check(name=f"tables_{number}", specs=specs, can_subset=True)
    def look(
        context: dg.AssetCheckExecutionContext, storage: dg.ResourceParam[Storage]
    ) -> Iterator[dg.AssetCheckResult]:
        own = _partitions_of(context)
        for check in sorted(context.selected_asset_check_keys):
            name = check.asset_key.to_user_string()
            if check.name == SCHEMA:
                yield _schema(storage, name, own if partitions is not None or name in windowed else None)
            else:
                yield _rows(context.instance, name, context.partition_key if partitions is not None else None)

    return look


def _partitions_of(context: dg.AssetCheckExecutionContext) -> list[tuple[str, ...]] | None:
    """Return the partitions of the run; None of a run without, as of a check that a person launches alone."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    return [model_partition(key) if "|" in str(key) else (str(key),) for key in context.partition_keys]


def _schema(storage: Storage, name: str, partitions: list[tuple[str, ...]] | None) -> dg.AssetCheckResult:
    table = TABLE_OF.get(name, name)
    looked_at = sorted(storage.partitions_of(table)) if partitions is None else partitions
    problems = []
    for part in looked_at:
        with storage.filesystem.open(storage.path(storage.table_key(table, part)), "rb") as file:
            schema = pq.read_schema(file)
        if not schema.equals(TABLES[table].schema):
            where = f" of {' | '.join(part)}" if part else ""
            problems.append(f"table {table}{where} was written by another version")
    return dg.AssetCheckResult(
        check_name=SCHEMA,
        asset_key=name,
        passed=not problems,
        description=f"{problems[0]}: materialize it again" if problems else "the columns are those of this version",
        metadata={"looked_at": len(looked_at), "wrong": len(problems)},
    )


def _rows(instance: dg.DagsterInstance, name: str, partition: str | None) -> dg.AssetCheckResult:
    wanted = dg.AssetRecordsFilter(
        asset_key=dg.AssetKey(name), asset_partitions=None if partition is None else [partition]
    )
    counts = [
        int(count.value)
        for record in instance.fetch_materializations(wanted, limit=LOOKED_AT).records
        if record.asset_materialization
        and (count := record.asset_materialization.metadata.get("dagster/row_count")) is not None
    ]
    now, before = counts[0] if counts else 0, counts[1] if len(counts) > 1 else None
    fallen = before is not None and now < before * (1 - MOST_FALLEN)
    return dg.AssetCheckResult(
        check_name=ROWS,
        asset_key=name,
        passed=not fallen,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{now} rows, {'never made' if before is None else before} before"
        + (
            ": look at what it is made from; where that is right (a withdrawal, another rule), nothing is to be done"
            if fallen
            else ""
        ),
        metadata={"rows": now, "rows_before": -1 if before is None else before},
    )
