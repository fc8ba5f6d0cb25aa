"""Which crawl windows should be crawled now: those that ended and have no complete crawl, but not too often."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Literal

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus  # not at the top
from dagster._utils.schedules import cron_string_iterator  # not at the top

from pipeline import jobs
from pipeline.crawl_checks import WINDOW_COMPLETE, covered_ends
from pipeline.partitions import crawl_window, window_keys
from pipeline.reasons import ASKED_ON_TAG
from pipeline.settings import Settings

POSTS = dg.AssetKey("posts")
COMPLETE = dg.AssetCheckKey(POSTS, WINDOW_COMPLETE)
PARTITION_TAG = "dagster/partition"
RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
PARENT_TAG = "dagster/parent_run_id"  # stands on runs that Dagster started again
MOST_IN_ALL = 20  # times that one window is asked for; then somebody has to look
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
Why = Literal["ended", "failed", "incomplete", "longer"]


@dataclass(frozen=True)
class DueWindow:
    """A window to crawl now."""

    key: str
    day: str  # by the clock
    attempt: int  # of this day, from 1
    why: Why
    reason: str
    failed: int = 0  # times that it was asked for and not crawled


def due_from(settings: Settings, end: datetime) -> datetime:
    """Return when a window that ended is crawled first: once late posts are in, at the next tick of ``crawl_cron``."""
    ready = end + timedelta(hours=settings.automation.crawl_delay_hours)
    cron = settings.automation.crawl_cron
    return ready if cron is None else next(cron_string_iterator(ready.timestamp(), cron, "UTC"))


def ended_windows(settings: Settings, now: datetime) -> Mapping[str, datetime]:
    """Return the windows that ended so long ago that late posts are in, oldest first, with their ends."""
    after = timedelta(hours=settings.automation.crawl_delay_hours)
    ends = {key: crawl_window(settings.windows, key).end for key in window_keys(settings.windows)}
    return {key: end for key, end in ends.items() if end + after <= now}


def complete_windows(settings: Settings, instance: dg.DagsterInstance) -> set[str]:
    """Return the windows whose last crawl read every server to the end, up to the window's end as it is now.

    A window that ``windows.end`` cut is longer when that moves; what was crawled of it before is a part.
    """
    passed, covered = _passed(instance), covered_ends(instance)
    return {key for key in window_keys(settings.windows) if key in passed and _is_whole(settings, key, covered)}


def due_windows(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> list[DueWindow]:
    """Return the windows to ask for, oldest first.

    A window is asked for once when it ended (at a tick of ``crawl_cron`` where there is one), and again while its crawl
    failed or was not complete: so often a day as ``automation.retries`` says, and ``MOST_IN_ALL`` times in all.
    """
    ended = ended_windows(settings, now)
    crawled, passed = instance.get_materialized_partitions(POSTS), _passed(instance)
    waiting = set(ended) - complete_windows(settings, instance) - _under_way(instance, list(ended))
    asked, today = _asked(instance, list(ended)), f"{now:%Y-%m-%d}"
    due = []
    for key in (key for key in ended if key in waiting):
        attempts = asked.get(key, Counter())
        if attempts[today] > settings.automation.retries or attempts.total() >= MOST_IN_ALL:
            continue
        why: Why = "longer" if key in passed else "incomplete" if key in crawled else "failed" if attempts else "ended"
        if why == "ended" and now < due_from(settings, ended[key]):
            continue
        failed = attempts.total() if why == "failed" else 0
        due.append(DueWindow(key, today, attempts[today] + 1, why, _reason(why, key, ended[key]), failed))
    return due


def late_windows(settings: Settings, instance: dg.DagsterInstance, now: datetime) -> Mapping[str, datetime]:
    """Return the windows without a complete crawl that should long have one, with when they should have had it."""
    complete, overdue = complete_windows(settings, instance), timedelta(hours=settings.automation.overdue_hours)
    waiting = {key: end for key, end in ended_windows(settings, now).items() if key not in complete}
    deadlines = {key: due_from(settings, end) + overdue for key, end in waiting.items()}
    return {key: deadline for key, deadline in deadlines.items() if deadline <= now}


def together(settings: Settings, due: Sequence[DueWindow]) -> list[list[DueWindow]]:
    """Return the windows that one run can crawl: those next to each other that are due for the same reason.

    Where a run over several windows failed, nobody knows which was at fault: the next runs take ever fewer of them, so
    that one that fails always does not hold up the others.
    """
    places = {key: place for place, key in enumerate(window_keys(settings.windows))}
    groups: list[list[DueWindow]] = []
    for one in due:
        last = groups[-1][-1] if groups else None
        if last and (last.why, last.failed) == (one.why, one.failed) and places[one.key] == places[last.key] + 1:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [part for group in groups for part in _parts(group)]


def windows_of(tags: Mapping[str, str], keys: Sequence[str]) -> list[str]:
    """Return which of the windows a run is about, by its tags: one, or those from the first to the last of a range."""
    if PARTITION_TAG in tags:
        return [tags[PARTITION_TAG]]
    if not all(tag in tags for tag in RANGE_TAGS):
        return []
    first, last = (tags[tag] for tag in RANGE_TAGS)
    return [key for key in keys if first <= key <= last]  # keys are days: their order is that of time


def _parts(group: list[DueWindow]) -> list[list[DueWindow]]:
    size = max(1, len(group) >> group[0].failed)
    windows = iter(group)
    return list(iter(lambda: list(islice(windows, size)), []))


def _reason(why: Why, key: str, end: datetime) -> str:
    return {
        "ended": f"window {key} ended on {end:%Y-%m-%d}",
        "failed": f"the last run for window {key} failed before it was crawled",
        "incomplete": f"the last crawl of window {key} was not complete",
        "longer": f"window {key} goes on to {end:%Y-%m-%d} now, and was crawled for a part of that",
    }[why]


def _passed(instance: dg.DagsterInstance) -> set[str]:
    infos = instance.event_log_storage.get_asset_check_partition_info([COMPLETE])
    passed = AssetCheckExecutionRecordStatus.SUCCEEDED
    return {info.partition_key for info in infos if info.partition_key and info.latest_execution_status == passed}


def _is_whole(settings: Settings, key: str, covered: Mapping[str, str]) -> bool:
    """Say whether a window was crawled up to its end of now; a crawl that did not note its end is believed."""
    end = crawl_window(settings.windows, key).end.isoformat()
    return covered.get(key, end) == end


def _under_way(instance: dg.DagsterInstance, keys: Sequence[str]) -> set[str]:
    """Return the windows of runs under way that crawl, whoever started them."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY))
    crawling = [run for run in runs if run.job_name in jobs.CRAWLS or POSTS in (run.asset_selection or ())]
    return {key for run in crawling for key in windows_of(run.tags, keys)}


def _asked(instance: dg.DagsterInstance, keys: Sequence[str]) -> Mapping[str, Counter[str]]:
    """Return how often each window was asked for by the schedule, by day; without runs that Dagster started again."""
    asked: dict[str, Counter[str]] = {}
    for run in instance.get_runs(dg.RunsFilter(job_name=jobs.NEW_WINDOW)):
        if ASKED_ON_TAG in run.tags and PARENT_TAG not in run.tags:
            for key in windows_of(run.tags, keys):
                asked.setdefault(key, Counter())[run.tags[ASKED_ON_TAG]] += 1
    return asked
