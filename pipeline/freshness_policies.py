"""When a crawl window counts as late: Dagster's daemon compares it with the clock and shows it in the UI.

Each window's tables are one asset, so the policy asks of the asset: was it made since the last window ended, by the
time at which that window should have been crawled? Which window is late is said by the check ``windows_on_time``.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipeline.settings import Settings

IN_TIME = frozenset({"posts", "images", "deleted_posts", "crawl_counts", "image_hashes"})
_LENGTH = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=28)}


def with_freshness(assets: Sequence[dg.AssetsDefinition], settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets with the policy of the crawled ones; where no window comes any more, nothing gets late."""
    if settings.windows.end is not None and settings.windows.end <= datetime.now(UTC).date():
        return list(assets)
    policy = window_policy(settings)

    def with_policy(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(freshness_policy=policy) if spec.key.to_user_string() in IN_TIME else spec

    return [one.map_asset_specs(with_policy) for one in assets]


def window_policy(settings: Settings) -> dg.FreshnessPolicy:
    """Return the policy: made between a window's end and its deadline, or later than that."""
    every, start = settings.windows.every, settings.windows.start
    grace = timedelta(hours=settings.automation.crawl_delay_hours + settings.automation.overdue_hours)
    grace = timedelta(minutes=max(1, min(grace, _LENGTH[every] - timedelta(minutes=1)) // timedelta(minutes=1)))
    deadline = datetime.combine(start, datetime.min.time()) + grace
    minute_and_hour = f"{deadline.minute} {deadline.hour}"
    cron = {
        "day": f"{minute_and_hour} * * *",
        "week": f"{minute_and_hour} * * {deadline.isoweekday() % 7}",
        "month": f"{minute_and_hour} {deadline.day} * *",
    }[every]
    return dg.FreshnessPolicy.cron(deadline_cron=cron, lower_bound_delta=grace, timezone="UTC")
