"""Runs of a simulation: executed in this process, and what became of them."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import dagster as dg
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph
from dagster._core.definitions.automation_tick_evaluation_context import build_run_requests_with_backfill_policies
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from pipeline.reasons import REASON_TAG
from pipeline.run import QUIET

TO = " to "


@dataclass(frozen=True)
class FailedCheck:
    """An asset check that failed."""

    name: str
    asset: str
    description: str


@dataclass(frozen=True)
class Ran:
    """A run that ended."""

    run_id: str
    at: datetime  # simulated
    by: str  # schedule, sensor or person
    job: str | None  # None: assets of their own
    assets: tuple[str, ...]  # materialized
    checks: tuple[str, ...]  # evaluated
    partitions: str  # key, or the first and last one; empty without partitions
    reason: str | None
    seconds: float
    failure: str | None = None  # one line
    failed_checks: tuple[FailedCheck, ...] = ()

    def covers(self, window: str) -> bool:
        """Say whether the run was for a window, alone or among others."""
        first, _, last = self.partitions.partition(TO)
        return first <= window <= (last or first)


def execute(
    repository: dg.RepositoryDefinition,
    instance: dg.DagsterInstance,
    request: dg.RunRequest,
    job: str | None,
    tags: Mapping[str, str],
    *,
    at: datetime,
    by: str,
) -> Ran:
    """Execute what a request asks for; a run that fails is told of, not raised."""
    begin = time.monotonic()
    definition = repository.get_job(job) if job else repository.get_implicit_global_asset_job_def()
    if request.asset_check_keys and not request.asset_selection:
        definition = definition.get_subset(asset_check_selection=set(request.asset_check_keys))
    result = definition.execute_in_process(
        run_config={**QUIET, **request.run_config},
        instance=instance,
        asset_selection=list(request.asset_selection or []),
        tags=tags,
        raise_on_error=False,
    )
    run = instance.get_run_by_id(result.run_id)
    done = {**tags, **(run.tags if run else {})}
    return Ran(
        run_id=result.run_id,
        at=at,
        by=by,
        job=job,
        assets=_materialized(result),
        checks=tuple(check.check_name for check in result.get_asset_check_evaluations()),
        partitions=_partitions(done),
        reason=done.get(REASON_TAG),
        seconds=time.monotonic() - begin,
        failure=None if result.success else _failure(result),
        failed_checks=tuple(
            FailedCheck(check.check_name, check.asset_key.to_user_string(), check.description or "")
            for check in result.get_asset_check_evaluations()
            if not check.passed
        ),
    )


def backfill_requests(
    request: dg.RunRequest, graph: BaseAssetGraph, instance: dg.DagsterInstance
) -> Sequence[dg.RunRequest]:
    """Return the runs of a back-fill in their order: level by level of the graph, grouped by the assets' policies."""
    if request.asset_graph_subset is None:
        return [request]
    wanted = list(request.asset_graph_subset.iterate_asset_partitions())
    runs: list[dg.RunRequest] = []
    for level in graph.toposorted_asset_keys_by_level:
        partitions = [one for one in wanted if one.asset_key in level]
        runs += [
            part.with_replaced_attrs(tags={**request.tags, **part.tags})
            for part in build_run_requests_with_backfill_policies(partitions, graph, instance)
        ]
    return runs


def _materialized(result: dg.ExecuteInProcessResult) -> tuple[str, ...]:
    keys = (event.asset_key for event in result.get_asset_materialization_events())
    return tuple(dict.fromkeys(key.to_user_string() for key in keys if key is not None))


def _partitions(tags: Mapping[str, str]) -> str:
    if ASSET_PARTITION_RANGE_START_TAG in tags:
        first, last = tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG]
        return first if first == last else f"{first}{TO}{last}"
    return tags.get(PARTITION_NAME_TAG, "")


def _failure(result: dg.ExecuteInProcessResult) -> str:
    """Return one line: what was written for people, else the innermost error."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return str(data.user_failure_data.description)
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return " ".join(error.message.split())
    return "the run failed before its first step"
