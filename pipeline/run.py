"""The whole graph in the right order, in one Dagster instance: what ``stylegraph run`` does."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import dagster as dg

from modeling.architectures import display_title
from pipeline import jobs
from pipeline.freshness import Freshness
from pipeline.partitions import model_key, window_keys
from pipeline.reasons import FOLLOWED_TAG, REASON_TAG
from pipeline.run_launcher import own_tags
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
ASKED_BY_HAND = {FOLLOWED_TAG: "stylegraph run", REASON_TAG: "asked for by `stylegraph run`"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Step:
    """One run of one job.

    ``over`` are partitions that one run makes together, in their order; only from the first to the last stale one.
    ``needs`` are the keys of steps of which at least one must have gone well, ``needs_all`` of which all must. A step
    that is ``always`` run is so however fresh it is.
    """

    key: str
    job: str
    title: str
    partition: str | dg.MultiPartitionKey | None = None
    over: tuple[str, ...] = ()
    always: bool = False
    needs: tuple[str, ...] = ()
    needs_all: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How a step ended."""

    step: Step
    seconds: float
    rows: dict[str, int] = field(default_factory=dict)  # rows written, by table
    warnings: tuple[str, ...] = ()  # of asset checks that failed
    failure: str | None = None  # one line
    run_id: str | None = None
    skipped: bool = False  # since what it needs failed
    fresh: bool = False  # not run, since all that it makes is up to date


def withdrawal_steps(settings: Settings) -> list[Step]:
    """Return the step that removes what was withdrawn, where some of that is not carried out yet."""
    if not tombstones.pending(Storage(settings.data.location)):
        return []
    return [Step("withdrawals", jobs.WITHDRAWAL, "Withdrawals", always=True)]


def collection_steps(settings: Settings) -> list[Step]:
    """Return the steps from the networks to the label tasks."""
    crawl = [Step(f"crawl {key}", jobs.CRAWL, f"Crawl {key}", key) for key in window_keys(settings.windows)]
    steps = [*crawl, Step("collection", jobs.COLLECTION, "Near-duplicates", needs=tuple(step.key for step in crawl))]
    if settings.label_studio is not None:
        steps.append(Step("queue", jobs.QUEUE, "Tasks for experts", needs=("collection",)))
    return steps


def label_steps() -> list[Step]:
    """Return the step that reads what the experts did."""
    return [Step("labels", jobs.LABELS, "Experts' labels", needs=("collection",))]


def model_steps(settings: Settings) -> list[Step]:
    """Return the steps from the labels to the report."""
    steps: list[Step] = []
    suspicion: list[Step] = []
    for name in settings.label_sets:
        steps.append(Step(f"set {name}", jobs.LABEL_SET, f"Data set {name}", name, needs_all=("labels",)))
        models = [
            Step(
                f"model {name} {architecture}",
                jobs.MODEL,
                f"{display_title(architecture, settings.backbone.name)}, {name}",
                model_key(name, architecture),
                needs_all=(f"set {name}",),
            )
            for architecture in settings.architectures
        ]
        compare = Step(
            f"compare {name}", jobs.COMPARISON, f"Comparison, {name}", name, needs=tuple(m.key for m in models)
        )
        champion = Step(f"champion {name}", jobs.CHAMPION, f"Champion, {name}", name, needs_all=(compare.key,))
        steps += [*models, compare, champion]
        if settings.ablation.run:
            steps.append(Step(f"ablation {name}", jobs.ABLATION, f"Ablation, {name}", name, needs_all=(f"set {name}",)))
        suspicion.append(
            Step(f"suspicion {name}", jobs.SUSPICION, f"Suspicious labels, {name}", name, needs_all=(f"set {name}",))
        )
    steps += [*suspicion, *_style_steps(settings)]
    if settings.label_studio is not None:
        champion = f"champion {settings.label_studio.predict_with or next(iter(settings.label_sets))}"
        if settings.label_studio.pre_annotations or settings.label_studio.next_images != "newest":
            steps.append(Step("pre-annotations", jobs.PRE_ANNOTATION, "Predictions for experts", needs=(champion,)))
        if settings.label_studio.review_suspicious:
            steps.append(Step("returns", jobs.RETURN, "Back to reviewers", needs=tuple(step.key for step in suspicion)))
    return [*steps, Step("report", jobs.REPORT, "Report", needs_all=("labels",))]


def _style_steps(settings: Settings) -> list[Step]:
    """Return the steps from the champions to trends and drift."""
    champions = tuple(f"champion {name}" for name in settings.label_sets)
    windows = tuple(window_keys(settings.windows))
    return [
        Step("styles", jobs.STYLES, "Styles of all windows", over=windows, needs=champions),
        Step("trends", jobs.TRENDS, "Trends and drift", needs_all=("styles",)),
    ]


def run_steps(
    steps: Sequence[Step],
    definitions: dg.Definitions,
    instance: dg.DagsterInstance,
    started: Callable[[Step], None] = lambda step: None,
    freshness: Freshness | None = None,
) -> Iterator[Outcome]:
    """Run the steps in order and yield how each ended; a step whose needs failed is skipped, the others go on.

    With ``freshness``, a step is not run if all that it makes is up to date when its turn comes.
    """
    failed: set[str] = set()
    known = {step.key: step for step in steps}
    for step in steps:
        missing = [key for key in step.needs_all if key in failed]
        if not missing and step.needs and known.keys() >= set(step.needs) and failed.issuperset(step.needs):
            missing = list(step.needs)
        if missing:
            failed.add(step.key)
            yield not_run(step, known[missing[0]])
            continue
        stale = step if freshness is None or step.always else _stale_part(step, freshness)
        if stale is None:
            yield Outcome(step, 0.0, fresh=True)
            continue
        started(step)
        outcome = _run(stale, definitions, instance)
        if freshness is not None:
            freshness.forget(step.job)
        if outcome.failure:
            failed.add(step.key)
        yield outcome


def _stale_part(step: Step, freshness: Freshness) -> Step | None:
    """Return what of a step has to be run; None where nothing has."""
    if not step.over:
        return None if freshness.why_stale(step.job, step.partition) is None else step
    stale = [number for number, key in enumerate(step.over) if freshness.why_stale(step.job, key) is not None]
    return replace(step, over=step.over[stale[0] : stale[-1] + 1]) if stale else None


def not_run(step: Step, because_of: Step) -> Outcome:
    """Return how a step ends that needs another one, which failed."""
    return Outcome(step, 0.0, failure=f"not run, because of: {because_of.title}", skipped=True)


def _run(step: Step, definitions: dg.Definitions, instance: dg.DagsterInstance) -> Outcome:
    begin = time.monotonic()
    window_range = {RANGE_START: step.over[0], RANGE_END: step.over[-1]} if step.over else {}
    result = definitions.resolve_job_def(step.job).execute_in_process(
        instance=instance,
        partition_key=step.partition,
        tags={**own_tags(instance), **ASKED_BY_HAND, **window_range},
        raise_on_error=False,
        run_config=QUIET,
    )
    written: dict[tuple[str, str | None], int] = {}  # by table and partition, which may be told twice
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        count = materialization.metadata.get("dagster/row_count")
        if count is not None and materialization.asset_key is not None:
            written[materialization.asset_key.to_user_string(), materialization.partition] = int(str(count.value))
    rows: dict[str, int] = {}
    for (name, _), count in written.items():
        rows[name] = rows.get(name, 0) + count
    failure = None if result.success else _failure(result)
    warnings = tuple(
        f"{check.asset_key.to_user_string()}: {check.description}"
        for check in result.get_asset_check_evaluations()
        if not check.passed and check.description
    )
    return Outcome(step, time.monotonic() - begin, rows, warnings, failure, result.run_id)


def _failure(result: dg.ExecuteInProcessResult) -> str:
    """Return one line that says why a run failed: what was written for people, else the innermost error."""
    for event in result.filter_events(lambda event: event.is_step_failure):
        data = event.step_failure_data
        if data.user_failure_data and data.user_failure_data.description:
            return str(data.user_failure_data.description)
        error = data.error
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return f"{' '.join(error.message.split())} (details: run {result.run_id} in `stylegraph dev`)"
    return f"the run failed (details: run {result.run_id} in `stylegraph dev`)"
