"""Run one crawl in a process of its own: ``python -m crawlers.run --job job.json``.

Secrets (the key for authors' handles, access tokens) come by the environment. Started by Dagster through Pipes, the
process reports its log lines and counts there; started by hand, it logs to standard error. A process runs one crawl,
because the reactor under Scrapy cannot be started twice.
"""

import argparse
import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from crawlers.errors import CrawlError
from crawlers.harvest import Harvest, merge
from crawlers.jobs import CrawlJob, CrawlResult, Progress
from crawlers.networks.archive import crawl_archive
from crawlers.sources import ArchiveSource

_REPORT_EVERY = 3.0  # seconds between two progress lines
_logger = logging.getLogger("crawlers.run")  # also when the module runs as __main__


def crawl(job: CrawlJob, environment: Mapping[str, str] | None = None, progress: Progress | None = None) -> CrawlResult:
    """Crawl one window of some sources and write its tables.

    Writes posts.parquet, images.parquet and counts.parquet to ``job.out`` once everything is there, sorted by their
    keys, and the original bytes of the pictures to ``job.images`` as they come.

    Args:
        job: what to crawl.
        environment: where secrets come from; by default the process's environment.
        progress: called with (posts seen, pictures dealt with), often.

    Raises:
        CrawlError: if a source could not be read to its end; then no table is written.
    """
    environment = os.environ if environment is None else environment
    started = datetime.now(UTC)
    harvests: dict[str, Harvest] = {}
    for source in job.sources:
        if isinstance(source, ArchiveSource):
            harvests[source.name] = crawl_archive(source, job, environment, progress)
    live = [source for source in job.sources if not isinstance(source, ArchiveSource)]
    if live:
        from crawlers.fetching import crawl_networks  # an archive needs no Scrapy

        harvests |= crawl_networks(live, job, environment, progress)
    tables = merge([harvests[source.name] for source in job.sources], job.window, started)
    try:
        tables.write(job.out)
    except OSError as error:
        raise CrawlError(f"the tables cannot be written to {job.out}: {error.strerror}") from error
    return tables.result


def summary(job: CrawlJob, result: CrawlResult, seconds: float) -> dict[str, object]:
    """Put a finished crawl's figures into a form that JSON can hold, as it is reported to Dagster."""
    return {
        "window": job.window.key,
        "posts": result.posts,
        "kept": result.kept,
        "images": result.images,
        "failed": result.failed,
        "seconds": round(seconds, 3),
        "counts": [
            {"source": source, "what": what, "outcome": outcome, "count": number}
            for (source, what, outcome), number in result.counts.items()
        ],
    }


def _progress_lines(clock: Callable[[], float] = time.monotonic) -> Progress:
    last = clock()

    def report(posts: int, images: int) -> None:
        nonlocal last
        if clock() - last >= _REPORT_EVERY:
            last = clock()
            _logger.info("%d posts seen, %d images dealt with", posts, images)

    return report


class _PipesHandler(logging.Handler):
    """Passes log lines on to Dagster."""

    def __init__(self, pipes_logger: logging.Logger) -> None:
        super().__init__()
        self._pipes_logger = pipes_logger

    def emit(self, record: logging.LogRecord) -> None:
        self._pipes_logger.log(record.levelno, self.format(record))


def _run(job_file: Path) -> dict[str, object]:
    job = CrawlJob.from_file(job_file)
    began = time.monotonic()
    result = crawl(job, progress=_progress_lines())
    seconds = time.monotonic() - began
    _logger.info(
        "window %s: %d posts, %d kept, %d images, %d failed, %.1f s",
        job.window.key,
        result.posts,
        result.kept,
        result.images,
        result.failed,
        seconds,
    )
    return summary(job, result, seconds)


def error_file(job_file: Path) -> Path:
    """Say where a crawl that could not be done leaves its one-line reason: beside the job, for whoever started it."""
    return job_file.with_suffix(".error.txt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the crawl that ``--job`` names.

    Returns:
        The exit code: 0 when done, 1 when the crawl could not be done (then the reason is in :func:`error_file`).
    """
    parser = argparse.ArgumentParser(prog="python -m crawlers.run", description="Crawl one window of some sources.")
    parser.add_argument("--job", type=Path, required=True, help="JSON file that says what to crawl")
    job_file: Path = parser.parse_args(arguments).job
    error_file(job_file).unlink(missing_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if DAGSTER_PIPES_CONTEXT_ENV_VAR not in os.environ:  # Pipes would warn that nobody listens
        return 1 if _run_or_say_why(job_file) is None else 0
    logging.getLogger().handlers[0].setLevel(logging.CRITICAL)  # Dagster gets the lines below
    with open_dagster_pipes() as pipes:
        handler = _PipesHandler(pipes.log)
        logging.getLogger("crawlers").addHandler(handler)
        try:
            done = _run_or_say_why(job_file)
        finally:
            logging.getLogger("crawlers").removeHandler(handler)
        if done is None:
            return 1
        pipes.report_custom_message(done)
    return 0


def _run_or_say_why(job_file: Path) -> dict[str, object] | None:
    """Run a job; when it could not be done, log the reason, leave it in the error file, and return None."""
    try:
        return _run(job_file)
    except CrawlError as error:
        _logger.error("%s", error)
        with contextlib.suppress(OSError):  # the line is in the log already
            error_file(job_file).write_text(f"{error}\n", encoding="utf-8")
        return None


if __name__ == "__main__":
    sys.exit(main())
