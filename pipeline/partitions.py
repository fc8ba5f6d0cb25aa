"""Partitions of the graph: crawl windows in time, label sets and architectures from the settings."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from crawlers.windows import CrawlWindow
from pipeline.settings import Settings, WindowSettings

KEY_FORMAT = "%Y-%m-%d"


def crawl_windows(settings: WindowSettings) -> dg.TimeWindowPartitionsDefinition:
    """Return the crawl windows; the last one is partitioned in full, whatever part of it the settings ask for."""
    start = settings.start
    schedule = {"day": "0 0 * * *", "week": f"0 0 * * {start.isoweekday() % 7}", "month": "0 0 1 * *"}[settings.every]
    return dg.TimeWindowPartitionsDefinition(
        start=start.strftime(KEY_FORMAT),
        end=_boundary_after(settings).strftime(KEY_FORMAT) if settings.end else None,
        fmt=KEY_FORMAT,
        cron_schedule=schedule,
        timezone="UTC",
    )


def window_keys(settings: WindowSettings) -> list[str]:
    """Return the keys of all crawl windows that have begun and ended, in order of time."""
    return list(crawl_windows(settings).get_partition_keys())


def crawl_window(settings: WindowSettings, key: str) -> CrawlWindow:
    """Return the window of a partition key, cut at the end that the settings give."""
    start, end = crawl_windows(settings).time_window_for_partition_key(key)
    if settings.end is not None:
        end = min(end, datetime.combine(settings.end, datetime.min.time(), tzinfo=UTC))
    return CrawlWindow(key=key, start=start.astimezone(UTC), end=end.astimezone(UTC))


def label_sets(settings: Settings) -> dg.StaticPartitionsDefinition:
    """Return one partition per label set."""
    return dg.StaticPartitionsDefinition(list(settings.label_sets))


def label_set_models(settings: Settings) -> dg.MultiPartitionsDefinition:
    """Return one partition per label set and architecture."""
    return dg.MultiPartitionsDefinition(
        {"label_set": label_sets(settings), "architecture": dg.StaticPartitionsDefinition(list(settings.architectures))}
    )


def _boundary_after(settings: WindowSettings) -> date:
    """Return the first window boundary on or after the end."""
    if settings.end is None:
        raise ValueError("windows.end is not set")
    boundary = settings.start
    while boundary < settings.end:
        if settings.every == "month":
            boundary = (boundary.replace(day=1) + timedelta(days=32)).replace(day=1)
        else:
            boundary += timedelta(days=7 if settings.every == "week" else 1)
    return boundary


def model_partition(key: str) -> tuple[str, str]:
    """Return label set and architecture of a partition key (a ``MultiPartitionKey``, or its text)."""
    if isinstance(key, dg.MultiPartitionKey):
        dimensions = key.keys_by_dimension
        return dimensions["label_set"], dimensions["architecture"]
    architecture, label_set = key.split("|")  # Dagster orders the dimensions by name
    return label_set, architecture


def model_key(label_set: str, architecture: str) -> dg.MultiPartitionKey:
    """Return the partition key of a model."""
    return dg.MultiPartitionKey({"label_set": label_set, "architecture": architecture})
