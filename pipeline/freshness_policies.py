"""When a crawl window counts as late: Dagster's daemon compares it with the clock and shows it in the UI.

Each window's tables are one asset, so the policy asks of the asset: was it made since the last window ended, by the
time at which that window should have been crawled (``crawl_cron``)? Which window is late is said by the check
``windows_on_time``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipeline.settings import Settings
from pipeline.windows_due import due_from

IN_TIME = frozenset({"posts", "images", "deleted_posts", "crawl_counts", "image_hashes"})
_LOOKED_AT = 14  # windows whose first crawls by ``crawl_cron`` are looked at
_LENGTH = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=28)}


def with_freshness(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets with the policy of the crawled ones; where no window comes any more, nothing gets late."""
    if settings.windows.end is not None and settings.windows.end <= datetime.now(UTC).date():
        return list(assets)
    policy = window_policy(settings)
    if policy is None:
        return list(assets)

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(freshness_policy=policy) if spec.key.to_user_string() in IN_TIME else spec

    return [one.map_asset_specs(with_policy) for one in assets]


def window_policy(settings: Settings) -> dg.FreshnessPolicy | None:
    """Return the policy: made between a window's end and its deadline, or later than that.

    None where ``crawl_cron`` lets windows wait longer than the next one takes: no one time of each window is a deadline
    then, and only the check tells.
    """
    every, start = settings.windows.every, settings.windows.start
    first = datetime.combine(start, datetime.min.time(), tzinfo=UTC)
    ends = [first + number * timedelta(days=7 if every == "week" else 1) for number in range(_LOOKED_AT)]
    if every == "month":
        ends = [first.replace(year=first.year + number // 12, month=number % 12 + 1) for number in range(_LOOKED_AT)]
    wait = max(due_from(settings, end) - end for end in ends)
    if wait >= _LENGTH[every] and settings.automation.crawl_cron is not None:
        return None
    grace = wait + timedelta(hours=settings.automation.overdue_hours)
    grace = timedelta(minutes=max(1, min(grace, _LENGTH[every] - timedelta(minutes=1)) // timedelta(minutes=1)))
    deadline = first + grace
    minute_and_hour = f"{deadline.minute} {deadline.hour}"
    cron = {
        "day": f"{minute_and_hour} * * *",
        "week": f"{minute_and_hour} * * {deadline.isoweekday() % 7}",
        "month": f"{minute_and_hour} {deadline.day} * *",
    }[every]
    return dg.FreshnessPolicy.cron(deadline_cron=cron, lower_bound_delta=grace, timezone="UTC")
