"""Schedules: what is looked at by the clock. All are off until somebody switches them on."""

from collections.abc import Mapping, Sequence

import dagster as dg

from pipeline import jobs
from pipeline.reasons import ASKED_ON_TAG, REASON_TAG
from pipeline.resources import Clock
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.windows_due import RANGE_TAGS, UNDER_WAY, DueWindow, Why, due_windows, together

CRAWL_WINDOWS = "crawl_windows"
TRAINING_DUE = "training_due"
HOURLY = "7 * * * *"
MOST_AT_ONCE = 100  # windows asked for in one look; the next look asks for more
SEVERAL: Mapping[Why, str] = {  # why several windows are asked for
    "ended": "have ended and are not crawled",
    "failed": "are not crawled: the last runs for them failed",
    "incomplete": "have no complete crawl",
    "longer": "go on longer than they were crawled for",
}


def schedules(settings: Settings) -> Sequence[dg.ScheduleDefinition]:
    """Return the schedules."""
    return [_crawl_windows(settings), _training_due(settings)]


def _crawl_windows(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=CRAWL_WINDOWS,
        job_name=jobs.NEW_WINDOW,
        # hourly in any case: what failed is looked for again, whenever windows are crawled at first
        cron_schedule=HOURLY if settings.automation.crawl_cron is None else [settings.automation.crawl_cron, HOURLY],
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Asks for every window that has ended and has no complete crawl, oldest first; several that follow "
        "each other in one run.",
    )
    def crawl_windows(
        context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings], clock: dg.ResourceParam[Clock]
    ) -> list[dg.RunRequest] | dg.SkipReason:
        """Look at what the instance knows of the windows; a window with a run under way is left alone."""
        due = due_windows(settings, context.instance, clock())
        if not due:
            return dg.SkipReason("every window that has ended is crawled, being crawled, or was asked for often enough")
        most = 1 + settings.automation.retries
        return [_request(windows, most) for windows in together(settings, due[:MOST_AT_ONCE])]

    return crawl_windows


def _request(windows: Sequence[DueWindow], most: int) -> dg.RunRequest:
    """Ask for one run over windows that follow each other; ``most`` is how often a window is asked for in a day."""
    first, last, attempt = windows[0], windows[-1], max(one.attempt for one in windows)
    again = "" if attempt == 1 else f" (attempt {attempt} of {most} today)"
    if len(windows) == 1:
        return dg.RunRequest(
            run_key=f"{first.key} {first.day} {attempt}",
            partition_key=first.key,
            tags={REASON_TAG: first.reason + again, ASKED_ON_TAG: first.day},
        )
    reason = f"{len(windows)} windows from {first.key} to {last.key} {SEVERAL[first.why]}{again}"
    return dg.RunRequest(
        run_key=f"{first.key} {last.key} {first.day} {attempt}",
        tags={
            **dict(zip(RANGE_TAGS, (first.key, last.key), strict=True)),
            REASON_TAG: reason,
            ASKED_ON_TAG: first.day,
        },
    )


def _training_due(settings: Settings) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=TRAINING_DUE,
        job_name=jobs.ASK_FOR_TRAINING,
        cron_schedule=settings.automation.look_cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Asks for each label set whether its models are to be trained anew; the rule is in [retraining].",
    )
    def training_due(
        context: dg.ScheduleEvaluationContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        clock: dg.ResourceParam[Clock],
    ) -> list[dg.RunRequest] | dg.SkipReason:
        """Ask where there are labels, and nobody is asking already."""
        if not storage.has_table("label_frequencies"):
            return dg.SkipReason("there are no labels yet")
        if context.instance.get_runs_count(dg.RunsFilter(job_name=jobs.ASK_FOR_TRAINING, statuses=UNDER_WAY)):
            return dg.SkipReason("it is being asked right now")
        return [
            dg.RunRequest(
                run_key=f"{name} {clock():%Y-%m-%dT%H:%M}",
                partition_key=name,
                tags={REASON_TAG: "the daily look whether a training is due"},
            )
            for name in settings.label_sets
        ]

    return training_due
