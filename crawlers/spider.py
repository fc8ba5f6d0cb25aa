"""The spider: pages through a network's timelines and fetches the pictures of the posts that are wanted."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn, Self

import scrapy
from scrapy import signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import CloseSpider
from scrapy.http import Response
from twisted.python.failure import Failure

from crawlers.addresses import url_refusal
from crawlers.downloads import failure_reason, one_line
from crawlers.harvest import Harvest
from crawlers.images import ImageRefusedError, keep_image
from crawlers.jobs import CrawlLimits, Progress
from crawlers.networks import Network
from crawlers.networks.base import MalformedAnswerError, Page
from crawlers.politeness import plain_headers
from crawlers.posts import ImageFacts, ImageResult, MediaItem, Post
from crawlers.storage import ImageStore

_PAGE_PRIORITY = 10  # pages before pictures, or a timeline would wait for all pictures of its first page
_logger = logging.getLogger(__name__)


@dataclass
class Errand:
    """What the spider of one source needs, and where it leaves what it found.

    ``failure`` is a line for people when the source could not be read to its end: its harvest is not complete then.
    """

    source: str
    network: Network
    harvest: Harvest
    limits: CrawlLimits
    allow_hosts: frozenset[str]
    store: ImageStore
    decoders: Executor
    on_progress: Progress | None = None
    failure: str | None = None
    waiting: dict[str, list[tuple[str, MediaItem]]] = field(default_factory=dict)
    fetched: dict[str, ImageResult] = field(default_factory=dict)


class TimelineSpider(scrapy.Spider):
    """Crawls one source; everything particular to a network is in the errand's ``network``."""

    name = "timeline"

    def __init__(self, errand: Errand, **kwargs: Any) -> None:
        super().__init__(errand.source, **kwargs)
        self._errand = errand

    @classmethod
    def from_crawler(cls, crawler: Crawler, *args: Any, **kwargs: Any) -> Self:
        """Build the spider and let it hear of its own errors."""
        spider = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider._spider_error, signal=signals.spider_error)
        return spider

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """Ask for the first page of each timeline."""
        for page in self._errand.network.first_pages():
            yield self._page_request(page)

    def _page_request(self, page: Page) -> scrapy.Request:
        return scrapy.Request(
            page.url,
            headers=dict(page.headers),
            callback=self.parse_page,
            errback=self.page_failed,
            cb_kwargs={"page": page},
            priority=_PAGE_PRIORITY,
            dont_filter=True,
        )

    def parse_page(self, response: Response, page: Page) -> Iterator[scrapy.Request]:
        """Take in the posts of a page; go on with the next page and with the pictures of the posts."""
        errand = self._errand
        if response.status != 200:
            hint = "; give an access token by token_env" if response.status in (401, 403, 422) else ""
            self._fail(f"{page.url} answered with HTTP status {response.status}{hint}")
        try:
            content = errand.network.read_page(page, _json(response.body), plain_headers(response))
        except MalformedAnswerError as error:
            again = get_retry_request(_request(response), spider=self, reason="malformed", give_up_log_level="DEBUG")
            if again is None:
                self._fail(f"{page.url} answered with something that is not a page: {error}")
            else:
                yield again
            return
        if content.next_page is not None:
            yield self._page_request(content.next_page)
        if content.stopped is not None:
            errand.harvest.count("request", content.stopped)
            _logger.warning("source %s: %s ended early (%s)", errand.source, page.key, content.stopped)
        for line in content.malformed:
            errand.harvest.count("post", "malformed")
            _logger.warning("source %s: left out: %s", errand.source, one_line(line))
        for post in content.posts:
            if errand.harvest.admit(post):
                yield from self._image_requests(post)
        self._report()

    def _image_requests(self, post: Post) -> Iterator[scrapy.Request]:
        """Ask for a post's pictures; an address that is known already is not asked for again."""
        errand = self._errand
        for media in post.media:
            if media.url in errand.fetched:
                errand.harvest.add_image(post.post_id, media, errand.fetched[media.url])
                continue
            waiting = errand.waiting.setdefault(media.url, [])
            waiting.append((post.post_id, media))
            if len(waiting) > 1:
                continue
            refusal = url_refusal(media.url, errand.allow_hosts)
            if refusal is not None:
                self._settle(media.url, ImageResult(_now(), 0, reason=refusal[0], detail=refusal[1]))
                continue
            try:
                request = scrapy.Request(media.url)
            except ValueError as error:
                self._settle(media.url, ImageResult(_now(), 0, reason="bad_url", detail=one_line(str(error))))
                continue
            yield request.replace(
                callback=self.parse_image,
                errback=self.image_failed,
                cb_kwargs={"url": media.url},
                dont_filter=True,
            )

    async def parse_image(self, response: Response, url: str) -> None:
        """Validate a picture and keep its bytes, or note why not."""
        errand, attempts = self._errand, _attempts(_request(response))
        result: ImageFacts | tuple[str, str]
        if response.status != 200:
            result = f"http_{response.status}", f"the server answered with HTTP status {response.status}"
        else:
            try:
                result = await asyncio.get_running_loop().run_in_executor(
                    errand.decoders, keep_image, response.body, errand.limits, errand.store
                )
            except ImageRefusedError as error:
                result = error.reason, one_line(str(error))
            except OSError as error:
                self._fail(f"a picture cannot be stored: {error}")
        if isinstance(result, ImageFacts):
            self._settle(url, ImageResult(_now(), attempts, facts=result, http_status=response.status))
        else:
            reason, detail = result
            self._settle(url, ImageResult(_now(), attempts, None, reason, detail, response.status))

    def image_failed(self, failure: Failure) -> None:
        """Note why a picture's request brought no answer."""
        request: scrapy.Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy
        reason, detail = failure_reason(failure.value, request)
        attempts = 0 if reason in ("forbidden_address", "bad_url", "robots_txt") else _attempts(request)
        self._settle(request.cb_kwargs["url"], ImageResult(_now(), attempts, reason=reason, detail=detail))

    def page_failed(self, failure: Failure) -> None:
        """Note that a timeline cannot be read: without one of its pages a window would silently lack posts."""
        request: scrapy.Request = failure.request  # type: ignore[attr-defined]  # set by Scrapy
        reason, detail = failure_reason(failure.value, request)
        if reason == "robots_txt":  # an opt-out of the server, not a failure
            self._errand.harvest.count("request", "robots_txt")
            _logger.warning("source %s: robots.txt forbids %s; nothing is crawled", self._errand.source, request.url)
            return
        hint = "; if that is meant, add the host to allow_hosts" if reason == "forbidden_address" else ""
        self._fail(f"{request.url} cannot be read: {detail} ({reason}){hint}")

    def _settle(self, url: str, result: ImageResult) -> None:
        errand = self._errand
        errand.fetched[url] = result
        for post_id, media in errand.waiting.pop(url, ()):
            errand.harvest.add_image(post_id, media, result)
        self._report()

    def _report(self) -> None:
        harvest = self._errand.harvest
        if self._errand.on_progress is not None:
            self._errand.on_progress(harvest.posts_seen, len(harvest.images))

    def _fail(self, line: str) -> NoReturn:
        """End the crawl of this source."""
        self._errand.failure = self._errand.failure or one_line(f"source {self._errand.source}: {line}")
        raise CloseSpider("failed")

    def _spider_error(self, failure: Failure) -> None:
        """Note an error of the crawler itself (Scrapy logs it, with its trace, and would go on)."""
        line = f"source {self._errand.source}: {failure.getBriefTraceback()}"
        self._errand.failure = self._errand.failure or one_line(line)


def _request(response: Response) -> scrapy.Request:
    if response.request is None:
        raise ValueError("a response without its request")
    return response.request


def _attempts(request: scrapy.Request) -> int:
    retries: int = request.meta.get("retry_times", 0)
    return retries + 1


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"not JSON ({type(error).__name__})") from error


def _now() -> datetime:
    return datetime.now(UTC)
