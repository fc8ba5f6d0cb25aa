"""Crawl networks over HTTP: one Scrapy spider per source, all in one reactor of this process."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.settings import Settings
from twisted.internet.error import ReactorNotRestartable

from crawlers.downloads import crawl_settings, process_settings
from crawlers.errand import Errand, Interruption
from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob, Progress
from crawlers.journal import Journal
from crawlers.keeping import PictureKeeper
from crawlers.known import KnownAddresses
from crawlers.networks.base import Network, Surroundings
from crawlers.outcome import earlier_rows
from crawlers.politeness import HostClock
from crawlers.registry import NETWORKS
from crawlers.sources import NetworkSource
from crawlers.spider import TimelineSpider
from crawlers.storage import ImageStore, incoming_folder
from crawlers.tables import POSTS
from crawlers.withdrawals import Withdrawn

_DECODERS = max(2, os.cpu_count() or 2)  # threads that decode pictures while the reactor goes on
_LOG_LEVELS = {
    "scrapy": logging.WARNING,
    "scrapy.downloadermiddlewares.httpcompression": logging.ERROR,
    "scrapy.downloadermiddlewares.redirect": logging.ERROR,
}


def crawl_networks(
    sources: Sequence[tuple[int, NetworkSource]],
    job: CrawlJob,
    journal: Journal,
    known: KnownAddresses,
    environment: Mapping[str, str],
    withdrawn: Withdrawn,
    progress: Progress | None = None,
) -> None:
    """Crawl sources that are reached over HTTP into the journal; can be called once per process.

    Args:
        sources: the number of each source in the job, and its settings.
        job: window, limits, and where the pictures go.
        journal: where posts and pictures are noted.
        known: addresses that need not be fetched.
        environment: where access tokens and the key for authors' handles come from.
        withdrawn: what must not be kept.
        progress: called with what counts posts and pictures.

    Raises:
        CrawlError: if nothing could be read, the crawl was interrupted, or the process has crawled before.
    """
    clock, interruption = HostClock(), Interruption()
    several = _several_servers(job)
    with (
        ThreadPoolExecutor(_DECODERS, thread_name_prefix="decoder") as decoders,
        incoming_folder(job.images, job.window.key) as incoming,
    ):
        errands = [
            _errand(
                number,
                source,
                NETWORKS[type(source)](source, Surroundings(environment, job.window, source.kind in several)),
                job,
                journal=journal,
                known=known,
                withdrawn=withdrawn,
                clock=clock,
                interruption=interruption,
                decoders=decoders,
                incoming=incoming,
            )
            for number, source in sources
        ]
        for errand in errands:
            errand.on_progress = progress
        process = _process()
        tasks = [
            process.crawl(_crawler(source, job, clock), errand=errand)
            for errand, (_, source) in zip(errands, sources, strict=True)
        ]
        _heed_signals(interruption)
        try:
            process.start(install_signal_handlers=False)
        except ReactorNotRestartable:
            raise CrawlError("this process has crawled before; run each crawl in a process of its own") from None
    for errand, task in zip(errands, tasks, strict=True):
        _check_ended(errand, task)


def _several_servers(job: CrawlJob) -> frozenset[str]:
    """Name the kinds of networks of which the job reaches more than one server."""
    servers: dict[str, set[str]] = {}
    for source in job.sources:
        if isinstance(source, NetworkSource):
            servers.setdefault(source.kind, set()).update(source.server_names())
    return frozenset(kind for kind, names in servers.items() if len(names) > 1)


def _errand(number: int, source: NetworkSource, network: Network, job: CrawlJob, **shared: Any) -> Errand:
    return Errand(
        number=number,
        source=source.name,
        network=network,
        window=job.window,
        include_sensitive=source.include_sensitive,
        concurrency=source.concurrency,
        limits=job.limits,
        allow_hosts=frozenset(source.allow_hosts),
        keeper=PictureKeeper(
            job.limits, ImageStore(job.images, shared["incoming"]), shared["withdrawn"], shared["incoming"]
        ),
        refetch=job.refetch,
        earlier=partial(earlier_rows, job, "posts", POSTS),
        **shared,
    )


def _crawler(source: NetworkSource, job: CrawlJob, clock: HostClock) -> Crawler:
    settings = crawl_settings(
        job.limits,
        clock,
        allow_hosts=frozenset(source.allow_hosts),
        delay=source.delay,
        concurrency=source.concurrency,
        contact=source.contact,
    )
    return Crawler(TimelineSpider, Settings(settings))


def _check_ended(errand: Errand, task: Any) -> None:
    """Raise what a person must know if a spider did not do its errand to the end."""
    error = errand.error
    if error is None and task.done() and not task.cancelled():
        error = task.exception()
    if isinstance(error, OSError):
        raise CrawlError(f"source {errand.source}: a file cannot be written: {error}") from error
    if error is not None:
        raise CrawlError(f"source {errand.source}: {type(error).__name__}: {error}") from error
    if not errand.finished:
        raise CrawlError(f"source {errand.source}: the crawl was interrupted; run it again, and it goes on from there")


def _heed_signals(interruption: Interruption) -> None:
    """Stop soon on SIGINT and SIGTERM; what was done so far is in the journal."""
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_event_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interruption.ask)


def _process() -> AsyncCrawlerProcess:
    """Make Scrapy's process and leave only warnings to the log.

    What fails for one picture or page is in the tables or in the crawl's own error, so those messages go, too.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.INFO)  # the process greets at once, and resets the levels of Scrapy's loggers
    try:
        process = AsyncCrawlerProcess(process_settings())
    finally:
        logging.disable(disabled)
    for name, level in _LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    return process
