"""Crawl networks over HTTP: one Scrapy spider per source, all in one reactor of this process."""

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.settings import Settings
from twisted.internet.error import ReactorNotRestartable

from crawlers.downloads import crawl_settings, process_settings
from crawlers.errors import CrawlError
from crawlers.harvest import Harvest
from crawlers.jobs import CrawlJob, Progress
from crawlers.networks import network_factory
from crawlers.sources import MastodonSource
from crawlers.spider import Errand, TimelineSpider
from crawlers.storage import ImageStore

_DECODERS = 2  # threads that decode pictures while the reactor goes on
_LOG_LEVELS = {
    "scrapy": logging.WARNING,
    "scrapy.core.downloader.handlers.http11": logging.ERROR,
    "scrapy.downloadermiddlewares.httpcompression": logging.ERROR,
    "scrapy.downloadermiddlewares.robotstxt": logging.CRITICAL,
}
_STATUS_COUNTS = "downloader/response_status_count/"


def crawl_networks(
    sources: Sequence[MastodonSource], job: CrawlJob, environment: Mapping[str, str], progress: Progress | None = None
) -> dict[str, Harvest]:
    """Crawl sources that are reached over HTTP; can be called once per process.

    Args:
        sources: settings of the sources.
        job: window, limits, and where the pictures go.
        environment: where access tokens and the key for authors' handles come from.
        progress: called with (posts seen, pictures dealt with) as they come.

    Returns:
        Name of the source -> its harvest.

    Raises:
        CrawlError: if a source could not be read to its end, the crawl was interrupted, or the process has crawled
            before.
    """
    with ThreadPoolExecutor(_DECODERS, thread_name_prefix="decoder") as decoders:
        errands = [_errand(source, job, environment, decoders) for source in sources]
        for errand in errands:
            errand.on_progress = _summed(errands, progress)
        process = _process(frozenset(host for source in sources for host in source.allow_hosts))
        crawlers = [_crawler(source, job) for source in sources]
        tasks = [process.crawl(crawler, errand=errand) for crawler, errand in zip(crawlers, errands, strict=True)]
        try:
            process.start(install_signal_handlers=threading.current_thread() is threading.main_thread())
        except ReactorNotRestartable:
            raise CrawlError("this process has crawled before; run each crawl in a process of its own") from None
    for crawler, errand, task in zip(crawlers, errands, tasks, strict=True):
        if task.done() and not task.cancelled() and (error := task.exception()) is not None:
            raise CrawlError(f"source {errand.source}: {type(error).__name__}: {error}") from error
        _check_finished(crawler, errand)
        _count_requests(crawler, errand.harvest)
    return {errand.source: errand.harvest for errand in errands}


def _errand(source: MastodonSource, job: CrawlJob, environment: Mapping[str, str], decoders: Executor) -> Errand:
    network = network_factory(source.kind)(source, environment)
    return Errand(
        source=source.name,
        network=network,
        harvest=Harvest(source.name, job.window, network.hashtags, source.include_sensitive),
        limits=job.limits,
        allow_hosts=frozenset(source.allow_hosts),
        store=ImageStore(job.images),
        decoders=decoders,
    )


def _crawler(source: MastodonSource, job: CrawlJob) -> Crawler:
    settings = crawl_settings(
        job.limits,
        allow_hosts=frozenset(source.allow_hosts),
        delay=source.delay,
        concurrency=source.concurrency,
        contact=source.contact,
    )
    return Crawler(TimelineSpider, Settings(settings))


def _check_finished(crawler: Crawler, errand: Errand) -> None:
    if errand.failure is not None:
        raise CrawlError(errand.failure)
    reason = crawler.stats.get_value("finish_reason") if crawler.stats else None
    if reason != "finished":
        raise CrawlError(f"source {errand.source}: the crawl was interrupted ({reason or 'stopped'}); run it again")
    if errand.waiting:
        raise CrawlError(f"source {errand.source}: {len(errand.waiting)} pictures got no answer; run it again")


def _count_requests(crawler: Crawler, harvest: Harvest) -> None:
    for name, value in (crawler.stats.get_stats() if crawler.stats else {}).items():
        if name.startswith(_STATUS_COUNTS):
            harvest.count("request", f"http_{name.removeprefix(_STATUS_COUNTS)}", value)
        elif name == "downloader/exception_count":
            harvest.count("request", "no_answer", value)


def _summed(errands: Sequence[Errand], progress: Progress | None) -> Progress | None:
    if progress is None:
        return None

    def report(_posts: int, _images: int) -> None:
        progress(sum(e.harvest.posts_seen for e in errands), sum(len(e.harvest.images) for e in errands))

    return report


def _process(private_hosts: frozenset[str]) -> AsyncCrawlerProcess:
    """Make Scrapy's process and leave only warnings to the log.

    What fails for one picture or page is in the tables or in the crawl's own error, so those messages go, too.
    """
    disabled = logging.root.manager.disable
    logging.disable(logging.INFO)  # the process greets at once, and resets the levels of Scrapy's loggers
    try:
        process = AsyncCrawlerProcess(process_settings(private_hosts))
    finally:
        logging.disable(disabled)
    for name, level in _LOG_LEVELS.items():
        logging.getLogger(name).setLevel(level)
    return process
