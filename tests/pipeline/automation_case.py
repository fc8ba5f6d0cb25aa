"""The graph's shape without its work, and a daemon that a test turns by hand.

Assets, partitions, dependencies, what is made together, checks and conditions are those of the real graph; the bodies
only say that they were there. The daemon asks and evaluates as Dagster's does: with the same code, on a real instance.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.automation_tick_evaluation_context import AutomationTickEvaluationContext
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils.warnings import PreviewWarning

from pipeline.automation import automation_sensors
from pipeline.reasons import BY_CONDITION_TAG
from pipeline.settings import Settings

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
Made = tuple[frozenset[str], str | None]  # names of assets, partition


@dataclass
class World:
    """What the bodies do: content by (asset, partition); what fails, is withheld, made only once, or finds a fault."""

    content: dict[tuple[str, str | None], str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    withheld: set[str] = field(default_factory=set)
    once: set[str] = field(default_factory=set)
    wrong: set[str] = field(default_factory=set)  # names of checks

    def change(self, *names: str, to: str) -> None:
        """Let assets have another content in all partitions, from the next time that they are made."""
        for name in names:
            self.content[name, None] = to

    def version(self, name: str, partition: str | None) -> str:
        return self.content.get((name, partition), self.content.get((name, None), "1"))


def bare(definitions: dg.Definitions, world: World) -> dg.Definitions:
    """Return the graph of ``definitions`` with bodies that do nothing."""
    graph = definitions.resolve_asset_graph()
    groups = {frozenset(graph.get(key).execution_set_asset_keys) for key in graph.get_all_asset_keys()}
    return dg.Definitions(
        assets=[_assets(graph, group, world) for group in sorted(groups, key=sorted)],
        asset_checks=[_check(graph, key, world) for key in graph.asset_check_keys],
        executor=dg.in_process_executor,
    )


def _assets(graph: Any, keys: frozenset[dg.AssetKey], world: World) -> dg.AssetsDefinition:
    nodes = [graph.get(key) for key in sorted(keys)]
    specs = [
        dg.AssetSpec(
            node.key,
            deps=[
                dg.AssetDep(parent, partition_mapping=node.partition_mappings.get(parent))
                for parent in sorted(node.parent_keys)
            ],
            partitions_def=node.partitions_def,
            automation_condition=node.automation_condition,
            skippable=True,
        )
        for node in nodes
    ]

    @dg.multi_asset(
        name=f"make_{nodes[0].key.to_user_string()}",
        specs=specs,
        partitions_def=nodes[0].partitions_def,
        backfill_policy=nodes[0].backfill_policy,
    )
    def make(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        partitions = context.partition_keys if context.has_partition_key_range else [None]
        if context.has_partition_key:
            partitions = [context.partition_key]
        for spec in specs:
            name = spec.key.to_user_string()
            if name in world.failing:
                raise dg.Failure(f"{name} fails", allow_retries=False)
            if name not in world.withheld:
                if name in world.once:
                    world.withheld.add(name)
                version = ",".join(world.version(name, partition) for partition in partitions)
                yield dg.MaterializeResult(asset_key=spec.key, data_version=dg.DataVersion(version))

    return make


def _check(graph: Any, key: dg.AssetCheckKey, world: World) -> dg.AssetChecksDefinition:
    node = graph.get(key)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # partitions of checks are new in Dagster

        @dg.asset_check(asset=key.asset_key, name=key.name, blocking=node.blocking, partitions_def=node.partitions_def)
        def look() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=key.name not in world.wrong)

    return look


class Daemon:
    """Evaluates the conditions, queues what they ask for, and executes the queue one by one."""

    def __init__(self, definitions: dg.Definitions, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.definitions, self.instance = definitions, instance
        self.graph = definitions.resolve_asset_graph()
        names = {key.to_user_string() for key in self.graph.get_all_asset_keys()}
        self.sensors = automation_sensors(settings, names)
        self.cursors = {sensor.name: AssetDaemonCursor.empty() for sensor in self.sensors}
        self.queue: list[dg.DagsterRun] = []
        self.now = datetime.now(UTC)

    def tick(self) -> list[Made]:
        """Evaluate every sensor once; return what was asked for, a pair for each run, and queue it."""
        asked = []
        for sensor in self.sensors:
            evaluation = AutomationTickEvaluationContext(
                evaluation_id=self.cursors[sensor.name].evaluation_id + 1,
                instance=self.instance,
                asset_graph=self.graph,
                cursor=deserialize_value(serialize_value(self.cursors[sensor.name]), AssetDaemonCursor),
                materialize_run_tags=sensor.run_tags,
                observe_run_tags={},
                auto_observe_asset_keys=set(),
                asset_selection=sensor.asset_selection,
                logger=dg.get_dagster_logger(),
                emit_backfills=sensor.emit_backfills,
                evaluation_time=self.now,
            )
            requests, self.cursors[sensor.name], _ = evaluation.evaluate()
            asked += [self._launch(request) for request in requests]
        return asked

    def begin(self) -> None:
        """Let the oldest run of the queue be under way."""
        run_id, name = self.queue[0].run_id, self.queue[0].job_name
        starting = dg.DagsterEvent(event_type_value=dg.DagsterEventType.PIPELINE_STARTING.value, job_name=name)
        self.instance.report_dagster_event(starting, run_id)
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        self.queue[0] = run

    def execute(self) -> None:
        """Execute the oldest run of the queue."""
        run = self.queue.pop(0)
        execute_run(InMemoryJob(self._job(run.asset_selection)), run, self.instance)

    def settle(self, most: int = 40) -> list[Made]:
        """Evaluate and execute until nothing follows any more; return all that was asked for, in order."""
        asked = []
        for _ in range(most):
            new = self.tick()
            asked += new
            if not new and not self.queue:
                return asked
            if self.queue:
                self.execute()
        raise AssertionError(f"it goes on and on: {asked[-5:]}")

    def make(self, *names: str, partition: str | None = None, tags: dict[str, str] | None = None) -> bool:
        """Materialize assets in one run as a person would; say whether it went well."""
        self.queue.insert(0, self._create({dg.AssetKey(name) for name in names}, partition, tags or {}))
        run_id = self.queue[0].run_id
        self.execute()
        run = self.instance.get_run_by_id(run_id)
        return run is not None and run.is_success

    def _launch(self, request: dg.RunRequest) -> Made:
        if request.asset_graph_subset is None:
            keys, partition, tags = set(request.asset_selection), request.partition_key, request.tags
        else:
            (key,) = request.asset_graph_subset.asset_keys  # only style_predictions are back-filled
            partitions = sorted(request.asset_graph_subset.get_asset_subset(key).subset_value.get_partition_keys())
            keys, partition = {key}, "…".join(dict.fromkeys((partitions[0], partitions[-1])))
            tags = {**request.tags, **dict(zip(RANGE, (partitions[0], partitions[-1]), strict=True))}
        tags = {**tags, BY_CONDITION_TAG: "true"}  # as Dagster's daemon does
        self.queue.append(self._create(keys, None if RANGE[0] in tags else partition, tags))
        return frozenset(key.to_user_string() for key in keys), partition

    def _job(self, keys: Any) -> dg.JobDefinition:
        return self.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))

    def _create(self, keys: set[dg.AssetKey], partition: str | None, tags: Any) -> dg.DagsterRun:
        job, tags = self._job(keys), dict(tags)
        if partition is not None:
            (definition,) = {self.graph.get(key).partitions_def for key in keys} - {None}
            tags |= definition.get_tags_for_partition_key(partition)
        return self.instance.create_run_for_job(
            job, tags=tags, asset_selection=frozenset(keys), status=dg.DagsterRunStatus.NOT_STARTED
        )
