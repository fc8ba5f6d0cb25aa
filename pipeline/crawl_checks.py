"""Checks of a crawled window, made while it is crawled: what a person should look at before believing it."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus  # not at the top
from dagster._utils.warnings import PreviewWarning  # not exported at the top

from crawlers.posts import WITHDRAWN
from crawlers.windows import CrawlWindow
from pipeline.settings import CrawlSettings

WINDOW_COMPLETE = "window_complete"
COVERED_TO = "covered_to"  # in the metadata of that check: the end of what was crawled
_PASSED = {AssetCheckExecutionRecordStatus.SUCCEEDED}
_PAGE = 200  # results of checks that are read at once
_PASSING_HINT = "materialize the window again to try those once more"


def crawl_check_specs(windows: dg.PartitionsDefinition) -> Sequence[dg.AssetCheckSpec]:
    """Return the checks that each window goes through; one window's result does not hide another's."""
    checks = (
        (WINDOW_COMPLETE, "posts", "Every server was read to the end."),
        ("window_not_empty", "posts", "The window has posts whose pictures are wanted."),
        ("window_not_shrunk", "posts", "The window kept about as many posts as in its last crawl."),
        ("few_failures", "images", "Few of the window's pictures failed."),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PreviewWarning)  # partitions of checks are new in Dagster
        return [
            dg.AssetCheckSpec(name, asset=asset, description=description, partitions_def=windows)
            for name, asset, description in checks
        ]


def crawl_check_results(
    settings: CrawlSettings,
    window: CrawlWindow,
    tables: Mapping[str, pa.Table],
    facts: Mapping[str, Any],
    before: int | None,
) -> Iterator[dg.AssetCheckResult]:
    """Judge a window.

    Args:
        settings: from which share on a check warns.
        window: as it was crawled.
        tables: the tables just written, by name.
        facts: the crawl's own figures.
        before: posts that the window's last crawl kept, None if this is its first.
    """
    key, kept, incomplete = window.key, int(facts["kept"]), list(facts["incomplete"])
    yield dg.AssetCheckResult(
        check_name=WINDOW_COMPLETE,
        asset_key="posts",
        passed=not incomplete,
        description=f"{key}: every server was read to the end"
        if not incomplete
        else f"{key}: {incomplete[0]}; put that right and materialize the window again",
        metadata={"failures": len(incomplete), "lines": incomplete, COVERED_TO: window.end.isoformat()},
    )
    yield dg.AssetCheckResult(
        check_name="window_not_empty",
        asset_key="posts",
        passed=kept > 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{key}: {kept} posts kept" if kept else f"{key}: no post was kept: {_why_empty(tables['posts'])}",
        metadata={"kept": kept},
    )
    shrunk = before is not None and kept < before * (1 - settings.most_shrunk)
    yield dg.AssetCheckResult(
        check_name="window_not_shrunk",
        asset_key="posts",
        passed=not shrunk,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{key}: {kept} posts kept, {'no crawl' if before is None else before} before"
        + ("; look at deleted_posts and at crawl_counts" if shrunk else ""),
        metadata={"kept": kept, "kept_before": before if before is not None else -1},
    )
    images = tables["images"]
    reasons = zip(images.column("status").to_pylist(), images.column("reason").to_pylist(), strict=True)
    failed = sum(status != "ok" and reason != WITHDRAWN for status, reason in reasons)
    share = failed / max(1, images.num_rows)
    yield dg.AssetCheckResult(
        check_name="few_failures",
        asset_key="images",
        passed=share <= settings.most_failed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{key}: {failed} of {images.num_rows} pictures failed ({share:.1%})"
        + (f"; {_PASSING_HINT}" if share > settings.most_failed else ""),
        metadata={"failed": failed, "share": share},
    )


def covered_ends(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return up to which moment each window was crawled last, by what its last passed check noted (ISO 8601)."""
    key, cursor = dg.AssetCheckKey(dg.AssetKey("posts"), WINDOW_COMPLETE), None
    ends: dict[str, str | None] = {}
    while True:
        page = instance.event_log_storage.get_asset_check_execution_history(key, _PAGE, cursor, _PASSED)
        for record in page:  # newest first
            evaluation = record.evaluation
            if record.partition is not None and evaluation is not None:
                noted = evaluation.metadata.get(COVERED_TO)
                ends.setdefault(record.partition, str(noted.value) if noted is not None else None)
        if len(page) < _PAGE:
            return {window: end for window, end in ends.items() if end is not None}
        cursor = page[-1].id


def _why_empty(posts: pa.Table) -> str:
    if not posts.num_rows:
        return "no post has one of the hashtags; look at crawl_counts"
    return f"{posts.num_rows} posts were left out; look at their reasons"
