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
from pathlib import Path

from dagster_pipes import DAGSTER_PIPES_CONTEXT_ENV_VAR, open_dagster_pipes

from crawlers.errors import CrawlError
from crawlers.identity import key_from_env
from crawlers.jobs import CrawlJob, CrawlResult, Progress
from crawlers.journal import Journal, open_journal
from crawlers.known import KnownAddresses, known_addresses
from crawlers.networks.archive import crawl_archive
from crawlers.outcome import write_tables
from crawlers.sources import ArchiveSource, NetworkSource
from crawlers.storage import ImageStore, write_bytes
from crawlers.withdrawals import Withdrawn

_REPORT_EVERY = 3.0  # seconds between two progress lines
_WRITE_EVERY = 0.5  # seconds between two versions of the progress file
_logger = logging.getLogger("crawlers.run")  # also when the module runs as __main__


def crawl(job: CrawlJob, environment: Mapping[str, str] | None = None, progress: Progress | None = None) -> CrawlResult:
    """Crawl one window of some sources and write its tables.

    Writes posts, images, counts and deleted_posts (each .parquet) to ``job.out`` once everything is there, sorted by
    their keys, and the original bytes of the pictures to ``job.images`` as they come. A crawl that was killed is gone
    on with: what it had done is in its journal, in ``job.state_folder``.

    Args:
        job: what to crawl.
        environment: where secrets come from; by default the process's environment.
        progress: called often with a function that counts posts and pictures.

    Raises:
        CrawlError: if a source could not be read at all, or the crawl was interrupted; then no table is written.
    """
    environment = os.environ if environment is None else environment
    folder = job.state_folder
    with (
        open_journal(folder / "journals", job.window.key, job.fingerprint()) as journal,
        known_addresses(folder, job.limits, ImageStore(job.images)) as known,
    ):
        if journal.resumed:
            _logger.info("window %s: going on with the crawl of %s", job.window.key, journal.began.isoformat())
        _collect(job, journal, known, environment, progress)
        failures = journal.failures()
        if failures and not any(
            what == "seen" or (what, outcome) == ("bytes", "pages") for _, what, outcome, _ in journal.counts()
        ):
            raise CrawlError(f"source {job.sources[failures[0].source].name}: {failures[0].detail}")
        os.sync()  # pictures first: a table never names one that a power cut could still take
        try:
            result = write_tables(journal, job)
        except OSError as error:
            raise CrawlError(f"the tables cannot be written to {job.out}: {error.strerror}") from error
        known.learn(journal.settled())
        journal.remove()
    return result


def _collect(
    job: CrawlJob,
    journal: Journal,
    known: KnownAddresses,
    environment: Mapping[str, str],
    progress: Progress | None,
) -> None:
    key = None if job.withdrawals is None else key_from_env(environment)
    withdrawn = Withdrawn.from_file(job.withdrawals, key, job.withdrawn_bits)
    networks = [(number, source) for number, source in enumerate(job.sources) if isinstance(source, NetworkSource)]
    for number, source in enumerate(job.sources):
        if isinstance(source, ArchiveSource):
            crawl_archive(source, number, job, journal, environment, withdrawn, progress)
    if networks:
        from crawlers.fetching import crawl_networks  # an archive needs no Scrapy

        known.learn_tables(job.known)
        crawl_networks(networks, job, journal, known, environment, withdrawn, progress)


def summary(job: CrawlJob, result: CrawlResult, seconds: float) -> dict[str, object]:
    """Put a finished crawl's figures into a form that JSON can hold, as it is reported to Dagster."""
    return {
        "window": job.window.key,
        "posts": result.posts,
        "kept": result.kept,
        "images": result.images,
        "failed": result.failed,
        "deleted": result.deleted,
        "incomplete": list(result.incomplete),
        "resumed": result.resumed,
        "seconds": round(seconds, 3),
        "counts": [
            {"source": source, "what": what, "outcome": outcome, "count": number}
            for (source, what, outcome), number in result.counts.items()
        ],
    }


def _progress_lines(job_file: Path, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Log how far the crawl is, and keep it in :func:`progress_file` for whoever draws a bar."""
    last_line = last_file = clock()
    file = progress_file(job_file)

    def report(count: Callable[[], tuple[int, int, int]]) -> None:
        nonlocal last_line, last_file
        now = clock()
        if now - last_file < _WRITE_EVERY:
            return
        last_file = now
        posts, done, pictures = count()
        write_bytes(file, f"{posts} {done} {pictures}".encode())
        if now - last_line >= _REPORT_EVERY:
            last_line = now
            _logger.info("%d posts seen, %d of %d pictures dealt with", posts, done, pictures)

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
    result = crawl(job, progress=_progress_lines(job_file))
    seconds = time.monotonic() - began
    for line in result.incomplete:
        _logger.warning("window %s is incomplete: %s; run it again", job.window.key, line)
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


def progress_file(job_file: Path) -> Path:
    """Say where a crawl keeps how far it is: posts seen, pictures dealt with, pictures in all."""
    return job_file.with_suffix(".progress.txt")


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
