"""What an asset reports when several partitions go through one run: versions, metadata and check results of each."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (  # not exported at the top
    AssetCheckEvaluationTargetMaterializationData,
)
from dagster._core.definitions.data_version import DATA_VERSION_TAG  # not exported at the top

CheckResults = Mapping[str, Sequence[dg.AssetCheckResult]]
"""Results of checks by partition."""


def joined_version(versions: Sequence[dg.DataVersion]) -> dg.DataVersion:
    """Return one version for several partitions, since a result takes no more; that of a single one as is."""
    if len(versions) == 1:
        return versions[0]
    joined = " ".join(version.value for version in versions)
    return dg.DataVersion(hashlib.sha256(joined.encode()).hexdigest()[:32])


def materialized(
    context: dg.AssetExecutionContext,
    asset: str,
    metadata: Mapping[str, Mapping[str, Any]],
    versions: Sequence[dg.DataVersion],
) -> Iterator[Any]:
    """Yield the result of an asset whose partitions show metadata of their own (by partition)."""
    for partition, shown in metadata.items():
        context.add_asset_metadata(dict(shown), asset_key=asset, partition_key=partition)
    yield dg.MaterializeResult(asset_key=asset, data_version=joined_version(versions))
    if len(metadata) > 1:
        for partition, version in zip(metadata, versions, strict=True):
            yield _with_version(context, asset, partition, version)


def _with_version(
    context: dg.AssetExecutionContext, asset: str, partition: str, version: dg.DataVersion
) -> dg.AssetMaterialization:
    """Return what was just said of a partition once more, with its own version in place of the joined one."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    (record,) = context.instance.fetch_materializations(wanted, limit=1).records
    said = record.asset_materialization
    if said is None or record.run_id != context.run_id:
        raise RuntimeError(f"{asset} of {partition} was materialized by another run meanwhile: materialize it again")
    tags = {**(said.tags or {}), DATA_VERSION_TAG: version.value}
    return dg.AssetMaterialization(asset, partition=partition, metadata=said.metadata, tags=tags)


def checked(context: dg.AssetExecutionContext, results: CheckResults) -> Iterator[Any]:
    """Yield the results of checks, each for its partition; to be yielded after the materializations.

    Dagster has no result of a check for one of several partitions of a run, but takes the evaluation that it would make
    of it, and the check's output.
    """
    if len(results) == 1:
        for listed in results.values():
            yield from listed
        return
    specs = {spec.key: spec for spec in context.assets_def.check_specs}
    for key in context.selected_asset_check_keys:
        yield dg.Output(None, output_name=context.job_def.asset_layer.get_op_output_name(key))
        for partition, listed in results.items():
            yield from (
                _evaluation(context, result, partition, specs[key])
                for result in listed
                if (result.asset_key, result.check_name) == (key.asset_key, key.name)
            )


def _evaluation(
    context: dg.AssetExecutionContext, result: dg.AssetCheckResult, partition: str, spec: dg.AssetCheckSpec
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=result.passed,
        metadata=result.metadata,
        target_materialization_data=_last(context, spec.asset_key, partition),
        severity=result.severity,
        description=result.description,
        blocking=spec.blocking,
        partition=partition,
    )


def _last(
    context: dg.AssetExecutionContext, asset: dg.AssetKey, partition: str
) -> AssetCheckEvaluationTargetMaterializationData | None:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[partition])
    records: Iterable[dg.EventLogRecord] = context.instance.fetch_materializations(wanted, limit=1).records
    for record in records:
        return AssetCheckEvaluationTargetMaterializationData(
            run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
        )
    return None
