"""From networks and archives to posts and original images, one crawl window at a time."""

import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from dagster._core.errors import DagsterPipesExecutionError  # not exported at the top

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob
from crawlers.posts import WITHDRAWN
from crawlers.run import error_file, progress_file
from modeling.montages import picture_grid
from pipeline.crawl_checks import crawl_check_results, crawl_check_specs
from pipeline.locks import crawl_lock, one_at_a_time
from pipeline.metadata import (
    counts_markdown,
    data_version,
    for_people,
    picture,
    reason_counts,
    spec,
    table_metadata,
)
from pipeline.partitions import crawl_window, crawl_windows, window_keys
from pipeline.progress import Progress, Step
from pipeline.retries import passing_faults
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.windows_at_once import checked, materialized

GRID_PICTURES = 18
ASSETS = ("posts", "images", "deleted_posts", "crawl_counts")
TABLES = ("posts", "images", "deleted_posts")  # of which a crawl wants to know the last version
_POLL = 0.5  # seconds between two looks at how far the crawl is


def crawl_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``crawl``."""

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`backfill_policy`.*is currently in beta")
        return [_crawl(settings)]


def _crawl(settings: Settings) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="crawl",
        specs=[
            spec(
                "posts",
                group="crawl",
                description="Posts of the window under the hashtags asked for, kept or left out with the reason. "
                "Authors stand in it as keyed HMAC only.",
            ),
            spec(
                "images",
                group="crawl",
                description="Every picture of a kept post: downloaded, stored as original bytes by sha256, "
                "or failed with the reason.",
            ),
            spec(
                "deleted_posts",
                group="crawl",
                description="Posts that an earlier crawl of the window met and that are gone since: deleted, hidden, "
                "or changed so that they are not what was asked for.",
            ),
            spec(
                "crawl_counts", group="crawl", description="How often each outcome was met while crawling the window."
            ),
        ],
        check_specs=crawl_check_specs(crawl_windows(settings.windows)),
        partitions_def=crawl_windows(settings.windows),
        backfill_policy=dg.BackfillPolicy.single_run(),
        retry_policy=passing_faults(settings),  # the child was killed; what servers refuse, it has tried again itself
    )
    def crawl(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
        pipes: dg.PipesSubprocessClient,
    ) -> Iterator[Any]:
        """Crawl a window in a process of its own; several, one after the other."""
        crawled = {}
        for key in context.partition_keys:
            with (
                for_people(),
                # two crawls at once would ask a server twice as often as is polite
                one_at_a_time(crawl_lock(storage), context.log.info, "another window is crawled"),
            ):
                crawled[key] = crawl_one(context, settings, storage, pipes, key, progress.step(f"crawling {key}"))
        for asset in ASSETS:
            shown = {key: window.metadata[asset] for key, window in crawled.items()}
            yield from materialized(context, asset, shown, [window.versions[asset] for window in crawled.values()])
        yield from checked(context, {key: window.checks for key, window in crawled.items()})

    return crawl


@dataclass(frozen=True)
class CrawledWindow:
    """What people see of a window that was crawled: metadata and version of each asset, and what checks say."""

    metadata: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, dg.DataVersion]
    checks: Sequence[dg.AssetCheckResult]


def crawl_one(
    context: dg.AssetExecutionContext,
    settings: Settings,
    storage: Storage,
    pipes: dg.PipesSubprocessClient,
    key: str,
    report: Step,
) -> CrawledWindow:
    """Crawl one window and write its tables; the caller holds the lock of crawls."""
    with storage.temporary_folder() as out, storage.images_folder() as images:
        before = last_crawl(storage, key, out / "previous")
        window = crawl_window(settings.windows, key)
        job = CrawlJob(
            window=window,
            sources=tuple(settings.sources.values()),
            out=out,
            images=images,
            state=storage.cache_folder("crawl"),
            previous=out / "previous",
            known=known_images(storage, settings, key, out / "known"),
            withdrawals=withdrawals_file(storage, out),
            withdrawn_bits=settings.deduplication.duplicate_bits,
            refetch=settings.crawl.refetch,
            first_window=key == window_keys(settings.windows)[0],
            limits=settings.limits,
        )
        job_file = out / "job.json"
        job_file.write_text(job.model_dump_json(), encoding="utf-8")
        facts = run_crawl(context, pipes, job_file, report)
        tables = {
            name: storage.write_table(name, pq.read_table(out / f"{file}.parquet"), (key,))
            for name, file in (*((name, name) for name in TABLES), ("crawl_counts", "counts"))
        }
    return CrawledWindow(
        window_metadata(storage, tables, facts),
        {name: data_version(table) for name, table in tables.items()},
        tuple(crawl_check_results(settings.crawl, window, tables, facts, before)),
    )


def withdrawals_file(storage: Storage, folder: Path) -> Path | None:
    """Put the table of withdrawals into a folder; None where nothing was ever withdrawn."""
    if not storage.has_table("withdrawals"):
        return None
    table = storage.read_table("withdrawals")
    if not table.num_rows:  # then the crawler needs no key
        return None
    path = folder / "withdrawals.parquet"
    pq.write_table(table, path)
    return path


def run_crawl(
    context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, job_file: Path, report: Step
) -> Mapping[str, Any]:
    """Run the crawler in a child process and show how far it is; return its figures.

    Raises:
        CrawlError: the crawl could not be done; the message is the child's.
    """
    try:
        with _watched(progress_file(job_file), report):
            done = pipes.run(command=[sys.executable, "-m", "crawlers.run", "--job", str(job_file)], context=context)
    except DagsterPipesExecutionError:
        reason = error_file(job_file)
        if not reason.exists():
            raise
        raise CrawlError(reason.read_text(encoding="utf-8").strip()) from None
    messages: Sequence[Mapping[str, Any]] = done.get_custom_messages()
    return messages[-1]


@contextmanager
def _watched(file: Path, report: Step) -> Iterator[None]:
    """Pass on what the child writes about its progress, from a thread, until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_POLL):
            if file.exists():
                _, done, pictures = map(int, file.read_text().split())
                report(done, pictures)

    thread = threading.Thread(target=watch, name="crawl-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def last_crawl(storage: Storage, key: str, folder: Path) -> int | None:
    """Put the tables of the window's last crawl into a folder; return how many posts it kept, None if there is none."""
    folder.mkdir()
    for name in TABLES:
        if storage.has_table(name, (key,)):
            (folder / f"{name}.parquet").write_bytes(storage.read_bytes(storage.table_key(name, (key,))))
    posts = folder / "posts.parquet"
    if not posts.exists():
        return None
    return sum(pq.read_table(posts, columns=["kept"]).column("kept").to_pylist())


def known_images(storage: Storage, settings: Settings, key: str, folder: Path) -> tuple[Path, ...]:
    """Return local files of the images tables of the other windows, for addresses that need not be fetched again.

    The crawler keeps an index of them; from a remote location they are copied only where that index is missing.
    """
    others = [window for window in window_keys(settings.windows) if window != key]
    keys = [storage.table_key("images", (window,)) for window in others if storage.has_table("images", (window,))]
    if storage.is_local:
        return tuple(Path(storage.path(name)) for name in keys)
    if (storage.cache_folder("crawl") / "addresses.sqlite").exists():
        return ()
    folder.mkdir()
    for number, name in enumerate(keys):
        (folder / f"{number}.parquet").write_bytes(storage.read_bytes(name))
    return tuple(sorted(folder.iterdir()))


def window_metadata(
    storage: Storage, tables: Mapping[str, pa.Table], facts: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what people want to see of each asset of a crawled window."""
    posts, images = tables["posts"], tables["images"]
    counts = _by_outcome(tables["crawl_counts"])
    requests = counts.get("request", {})
    return {
        "posts": table_metadata(
            posts,
            outcomes=dg.MetadataValue.md(counts_markdown(reason_counts(posts.column("reason"), "kept"), "post")),
            posts_seen=counts.get("seen", {}).get("post", 0),
            posts_kept=int(facts["kept"]),
            posts_gone=int(facts["deleted"]),
            posts_withdrawn=counts.get("post", {}).get(WITHDRAWN, 0),
            malformed=counts.get("post", {}).get("malformed", 0),
            opted_out=sum(counts.get("server", {}).values()) + counts.get("account", {}).get("opted_out", 0),
            incomplete=dg.MetadataValue.md("\n".join(f"- {line}" for line in facts["incomplete"]) or "*nothing*"),
            seconds=float(facts["seconds"]),
        ),
        "images": table_metadata(
            images,
            pictures=picture(window_pictures(storage, images)),
            outcomes=dg.MetadataValue.md(counts_markdown(reason_counts(images.column("reason"), "ok"), "image")),
            known_before=sum(counts.get("known", {}).values()),
            bytes=int(sum(size or 0 for size in images.column("bytes").to_pylist())),
            bytes_received=counts.get("bytes", {}).get("pages", 0) + counts.get("bytes", {}).get("images", 0),
            requests=sum(requests.values()),
            rate_limited=requests.get("http_429", 0),
            answers=dg.MetadataValue.md(counts_markdown(requests, "answer")),
            seconds=float(facts["seconds"]),
        ),
        "deleted_posts": table_metadata(tables["deleted_posts"]),
        "crawl_counts": table_metadata(tables["crawl_counts"]),
    }


def _by_outcome(counts: pa.Table) -> dict[str, dict[str, int]]:
    """Return what -> outcome -> count, over all sources."""
    summed: dict[str, dict[str, int]] = {}
    for row in counts.to_pylist():
        outcomes = summed.setdefault(row["what"], {})
        outcomes[row["outcome"]] = outcomes.get(row["outcome"], 0) + row["count"]
    return summed


def window_pictures(storage: Storage, images: pa.Table) -> bytes:
    """Return a grid of some of the window's pictures as JPEG, evenly spread over the table."""
    rows = [row for row in images.select(["image_id", "post_id"]).to_pylist() if row["image_id"]]
    step = max(1, len(rows) // GRID_PICTURES)
    chosen = rows[::step][:GRID_PICTURES]
    return picture_grid([(storage.image_path(row["image_id"]).read_bytes(), row["post_id"]) for row in chosen])
