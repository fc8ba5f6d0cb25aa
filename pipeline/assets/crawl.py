"""From networks and archives to posts and original images, one crawl window at a time."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from dagster._core.errors import DagsterPipesExecutionError  # not exported at the top

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob
from crawlers.run import error_file
from modeling.montages import picture_grid
from pipeline.metadata import counts_markdown, for_people, picture, reason_counts, spec, table_metadata
from pipeline.partitions import crawl_window, crawl_windows, window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

GRID_PICTURES = 18


def crawl_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``crawl``."""

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
                "crawl_counts", group="crawl", description="How often each outcome was met while crawling the window."
            ),
        ],
        partitions_def=crawl_windows(settings.windows),
    )
    def crawl(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        pipes: dg.PipesSubprocessClient,
    ) -> Iterator[dg.MaterializeResult]:
        """Crawl one window in a process of its own."""
        key = context.partition_key
        with for_people(), storage.temporary_folder() as out, storage.images_folder() as images:
            job = CrawlJob(
                window=crawl_window(settings.windows, key),
                sources=tuple(settings.sources.values()),
                out=out,
                images=images,
                first_window=key == window_keys(settings.windows)[0],
                limits=settings.limits,
            )
            job_file = out / "job.json"
            job_file.write_text(job.model_dump_json(), encoding="utf-8")
            run_crawl(context, pipes, job_file)
            posts = storage.write_table("posts", pq.read_table(out / "posts.parquet"), (key,))
            downloads = storage.write_table("images", pq.read_table(out / "images.parquet"), (key,))
            counts = storage.write_table("crawl_counts", pq.read_table(out / "counts.parquet"), (key,))
        grid = window_pictures(storage, downloads)
        yield dg.MaterializeResult(
            asset_key="posts",
            metadata=table_metadata(
                posts,
                outcomes=dg.MetadataValue.md(counts_markdown(reason_counts(posts.column("reason"), "kept"), "post")),
            ),
        )
        yield dg.MaterializeResult(
            asset_key="images",
            metadata=table_metadata(
                downloads,
                outcomes=dg.MetadataValue.md(counts_markdown(reason_counts(downloads.column("reason"), "ok"), "image")),
                bytes=int(sum(size or 0 for size in downloads.column("bytes").to_pylist())),
                pictures=picture(grid),
            ),
        )
        yield dg.MaterializeResult(asset_key="crawl_counts", metadata=table_metadata(counts))

    return [crawl]


def run_crawl(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient, job_file: Path) -> None:
    """Run the crawler in a child process.

    Raises:
        CrawlError: the crawl could not be done; the message is the child's.
    """
    try:
        pipes.run(command=[sys.executable, "-m", "crawlers.run", "--job", str(job_file)], context=context)
    except DagsterPipesExecutionError:
        reason = error_file(job_file)
        if not reason.exists():
            raise
        raise CrawlError(reason.read_text(encoding="utf-8").strip()) from None


def window_pictures(storage: Storage, images: pa.Table) -> bytes:
    """Return a grid of some of the window's pictures as PNG, evenly spread over the table."""
    rows = [row for row in images.select(["image_id", "post_id"]).to_pylist() if row["image_id"]]
    step = max(1, len(rows) // GRID_PICTURES)
    chosen = rows[::step][:GRID_PICTURES]
    return picture_grid([(storage.image_path(row["image_id"]).read_bytes(), row["post_id"]) for row in chosen])
