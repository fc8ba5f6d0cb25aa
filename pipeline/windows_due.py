"""Which crawl windows should be crawled now: those that ended and have no complete crawl, but not too often."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus  # not at the top

from pipeline import jobs
from pipeline.partitions import crawl_window, window_keys
from pipeline.reasons import ASKED_ON_TAG
from pipeline.settings import Settings

POSTS = dg.AssetKey("posts")
COMPLETE = dg.AssetCheckKey(POSTS, "window_complete")
PARTITION_TAG = "dagster/partition"
PARENT_TAG = "dagster/parent_run_id"  # stands on runs that Dagster started again
MOST_IN_ALL = 20  # times that one window is asked for; then somebody has to look
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class DueWindow:
    """A window to crawl now."""

    key: str
    day: str  # by the clock
    attempt: int  # of this day, from 1
    reason: str


def ended_windows(settings: Settings, now: datetime, after: timedelta) -> Mapping[str, datetime]:
    """Return the windows that ended at least ``after`` ago, oldest first, with their ends."""
    ends = {key: crawl_window(settings.windows, key).end for key in window_keys(settings.windows)}
    return {key: end for key, end in ends.items() if end + after <= now}


def complete_windows(instance: dg.DagsterInstance) -> set[str]:
    """Return the windows whose last crawl read every server to the end."""
    infos = instance.event_log_storage.get_asset_check_partition_info([COMPLETE])
    passed = AssetCheckExecutionRecordStatus.SUCCEEDED
    return {info.partition_key for info in infos if info.partition_key and info.latest_execution_status == passed}


def due_windows(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> list[DueWindow]:
    """Return the windows to ask for, oldest first.

    A window is asked for once when it ended, and again while its crawl failed or was not complete: so often a day as
    ``automation.retries`` says, and ``MOST_IN_ALL`` times in all.
    """
    ended = ended_windows(settings, now, timedelta(hours=settings.automation.crawl_delay_hours))
    crawled = instance.get_materialized_partitions(POSTS)
    waiting = set(ended) - complete_windows(instance) - _under_way(instance)
    asked, today = _asked(instance), f"{now:%Y-%m-%d}"
    due = []
    for key, end in ended.items():
        attempts = asked.get(key, Counter())
        if key not in waiting or attempts[today] > settings.automation.retries or attempts.total() >= MOST_IN_ALL:
            continue
        if not attempts and key not in crawled:
            reason = f"window {key} ended on {end:%Y-%m-%d}"
        elif key in crawled:
            reason = f"the last crawl of window {key} was not complete"
        else:
            reason = f"the last run for window {key} failed before it was crawled"
        due.append(DueWindow(key, today, attempts[today] + 1, reason))
    return due


def late_windows(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> Mapping[str, datetime]:
    """Return the windows without a complete crawl that should long have one, with when they should have had it."""
    grace = timedelta(hours=settings.automation.crawl_delay_hours + settings.automation.overdue_hours)
    complete = complete_windows(instance)
    return {key: end + grace for key, end in ended_windows(settings, now, grace).items() if key not in complete}


def _under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the windows of runs under way that crawl, whoever started them."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    crawling = [run for run in runs if run.job_name in jobs.CRAWLS or POSTS in (run.asset_selection or ())]
    return {run.tags[PARTITION_TAG] for run in crawling if PARTITION_TAG in run.tags}


def _asked(instance: dg.DagsterInstance) -> Mapping[str, Counter[str]]:
    """Return how often each window was asked for by the schedule, by day; without runs that Dagster started again."""
    asked: dict[str, Counter[str]] = {}
    for run in instance.get_runs(dg.RunsFilter(job_name=jobs.NEW_WINDOW)):
        if ASKED_ON_TAG in run.tags and PARENT_TAG not in run.tags:
            asked.setdefault(run.tags[PARTITION_TAG], Counter())[run.tags[ASKED_ON_TAG]] += 1
    return asked
