"""The spider: reads the pages of a network's timelines and fetches the pictures of the posts that are wanted."""

import asyncio
import contextlib
import gzip
import itertools
import logging
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import scrapy
from scrapy.http import Response

from crawlers.admission import admit
from crawlers.answers import json_or_none, page_request, parsed_json, server_opt_out, shown
from crawlers.downloads import Received, failure_reason, one_line
from crawlers.errand import Errand
from crawlers.images import ImageRefusedError
from crawlers.journal import Download, PageFailure
from crawlers.networks.base import MalformedAnswerError, Page, PageContent, RefusedAnswerError
from crawlers.opt_outs import robots_tag_refusal, tdm_refusal
from crawlers.page_writer import PageWriter
from crawlers.politeness import Trail, plain_headers
from crawlers.posts import ImageResult
from crawlers.sources import server_name

_PAGE_READERS = 4
_MOST_CHECKED = 1_000  # posts of an earlier crawl, gone from their timelines, that are looked up in one crawl
_IDLE = 0.2  # seconds between two looks for work, if nothing happens
_GRACE = 5.0  # seconds that requests in flight are given when a crawl is interrupted
_logger = logging.getLogger(__name__)


class TimelineSpider(scrapy.Spider):
    """Crawls one source; everything particular to a network is in the errand's ``network``."""

    name = "timeline"

    def __init__(self, errand: Errand, **kwargs: Any) -> None:
        super().__init__(errand.source, **kwargs)
        self._errand = errand
        self._changed = asyncio.Event()
        self._pages_read = False
        self._warned: set[str] = set()
        self._left_alone: set[str] = set()  # hosts whose answers ask to be left out
        self._file_numbers = itertools.count()

    async def start(self) -> AsyncIterator[scrapy.Request]:
        """Do the whole crawl; requests go to Scrapy's downloader directly, the journal is their queue."""
        errand = self._errand
        work = asyncio.ensure_future(self._crawl())
        stop = asyncio.ensure_future(errand.interruption.wait())
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait([work], timeout=_GRACE)
            work.cancel()
        stop.cancel()
        (result,) = await asyncio.gather(work, return_exceptions=True)
        while isinstance(result, BaseExceptionGroup):
            result = result.exceptions[0]
        if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
            errand.error = result
        errand.finished = result is None and not errand.interruption.asked
        nothing: tuple[scrapy.Request, ...] = ()
        for request in nothing:
            yield request  # makes this a generator, which is what Scrapy iterates over

    async def _crawl(self) -> None:
        errand = self._errand
        errand.journal.start(errand.number, errand.network.first_pages())
        failures = errand.journal.failures()  # of a crawl that is gone on with
        mine = (failure for failure in failures if failure.source == errand.number and failure.of_server)
        errand.failed_servers.update(failure.server for failure in mine)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read_pages())
            for _ in range(errand.concurrency):
                group.create_task(self._fetch_pictures())

    def _happened(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        if self._errand.on_progress is not None:
            self._errand.on_progress(self._errand.journal.progress)

    async def _wait_for_news(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE):  # wait_for of Python 3.11 may swallow a cancellation
                await self._changed.wait()

    # pages

    async def _read_pages(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_PAGE_READERS, self._errand.concurrency)):
                    group.create_task(self._page_reader())
            await self._look_for_gone_posts()
        finally:
            self._pages_read = True
            self._happened()

    async def _page_reader(self) -> None:
        journal, number = self._errand.journal, self._errand.number
        while not self._errand.interruption.asked:
            taken = journal.next_page(number)
            if taken is not None:
                await self._read_page(*taken)
                self._happened()
            elif not journal.pages_waiting(number):
                return
            else:
                await self._wait_for_news()

    async def _read_page(self, number: int, page: Page) -> None:
        """Ask for a page and write what it brings; one that is not what its API promises is asked for again."""
        errand, outcomes = self._errand, list[str]()
        if server_name(page.url) in self._left_alone:
            self._opted_out(number, page, "opted_out", "another of its answers asked for it", outcomes)
            return
        for attempt in itertools.count():
            request = page_request(errand.network.request(page))
            try:
                response = await self._ask(request)
                outcomes += Trail.of(request).outcomes
                self._take_in(number, page, response, outcomes)
                return
            except MalformedAnswerError as error:
                if attempt >= errand.limits.retries:
                    line = f"answered with something that is not a page: {one_line(str(error))}"
                    self._page_failed(number, page, "malformed", line, outcomes)
                    return
                await asyncio.sleep(min(60.0, errand.limits.backoff * 2**attempt))
            except _UnreadableError as error:
                self._page_failed(number, page, error.reason, str(error), outcomes)
                return
            except RefusedAnswerError as error:
                self._page_failed(number, page, "refused", one_line(str(error)), outcomes)
                return
            except _AskError as error:
                outcomes += Trail.of(request).outcomes
                self._unanswered(number, page, *failure_reason(error.error, request), outcomes)
                return

    def _unanswered(self, number: int, page: Page, reason: str, detail: str, outcomes: Sequence[str]) -> None:
        """Deal with a page for which there is no answer; some networks can do without it."""
        errand = self._errand
        try:
            with errand.journal.page_read(errand.number, number) as writer:
                content = errand.network.read_refusal(page, 0, None, writer)
                if content is None:
                    raise _UnreadableError(reason, detail)
                self._write(writer, page, content, outcomes)
        except _UnreadableError:
            if reason == "robots_txt":
                self._opted_out(number, page, "robots_txt", detail, outcomes)
                return
            hint = "; if that is meant, add the host to allow_hosts" if reason == "forbidden_address" else ""
            self._page_failed(number, page, reason, f"cannot be read: {detail}{hint}", outcomes)
            return
        self._say(page, content)

    async def _ask(self, request: scrapy.Request) -> Response:
        """Make a request through Scrapy's downloader and its middlewares.

        Raises:
            _AskError: it brought no answer; the error is inside.
            MalformedAnswerError: the answer is compressed, but cannot be decompressed.
            OSError: the answer cannot be stored.
        """
        engine = self.crawler.engine
        if engine is None:
            raise RuntimeError("there is no engine yet")
        try:
            return await engine.download_async(request)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise MalformedAnswerError(f"decompressing failed: {error}") from error
        except OSError:  # of the disk: those of the network have become Scrapy's
            raise
        except Exception as error:
            raise _AskError(error) from error

    def _take_in(self, number: int, page: Page, response: Response, outcomes: Sequence[str]) -> None:
        """Write what an answer brings, in one transaction.

        Raises:
            MalformedAnswerError: it is not a page.
            _UnreadableError: it says that the page cannot be had.
        """
        errand = self._errand
        sign = server_opt_out(response)
        if sign is not None:
            self._left_alone.add(server_name(page.url))
            self._opted_out(number, page, "opted_out", f"the server asks to be left out ({sign})", outcomes)
            return
        answer = parsed_json(response.body) if response.status == 200 else json_or_none(response.body)
        with errand.journal.page_read(errand.number, number) as writer:
            if response.status == 200:
                content = errand.network.read_page(page, answer, plain_headers(response), writer)
            else:
                refusal = errand.network.read_refusal(page, response.status, answer, writer)
                if refusal is None:
                    hint = "; give an access token by token_env" if response.status in (401, 403, 422) else ""
                    line = f"answered with HTTP status {response.status}{hint}"
                    raise _UnreadableError(f"http_{response.status}", line)
                content = refusal
            self._write(writer, page, content, outcomes)
            writer.count("bytes", "pages", len(response.body))
        self._say(page, content)

    def _say(self, page: Page, content: PageContent) -> None:
        """Tell people what of a page is missing."""
        errand = self._errand
        for failure in self._failures(page, content):
            self._incomplete(failure)
        for line in content.malformed:
            _logger.warning("source %s: left out: %s", errand.source, one_line(line))

    def _write(self, writer: PageWriter, page: Page, content: PageContent, outcomes: Sequence[str]) -> None:
        for failure in self._failures(page, content):
            self._errand.journal.note_failure(failure)
        for outcome in outcomes:
            writer.count("request", outcome)
        for _ in content.malformed:
            writer.count("post", "malformed")
        for what, outcome in content.counts:
            writer.count(what, outcome)
        writer.next_pages += content.next_pages
        for post in content.posts:
            if self._errand.withdrawn.covers(post):
                writer.pass_over(self._errand.withdrawn.mark(post.post_id))
            elif writer.is_new(post.post_id):
                admit(self._errand, writer, post)

    def _opted_out(self, number: int, page: Page, outcome: str, detail: str, outcomes: Sequence[str]) -> None:
        """Count that a server does not want to be crawled, say so once, and go on with the others."""
        errand = self._errand
        with errand.journal.page_read(errand.number, number) as writer:
            writer.count("server", outcome)
            for seen in outcomes:
                writer.count("request", seen)
        if page.server not in self._warned:
            self._warned.add(page.server)
            line = "source %s: %s is left alone: %s; nothing more of it is crawled"
            _logger.warning(line, errand.source, page.server, detail)

    def _page_failed(self, number: int, page: Page, reason: str, line: str, outcomes: Sequence[str]) -> None:
        errand = self._errand
        failure = PageFailure(errand.number, page.server, page.timeline, reason, f"{shown(page)} {line} ({reason})")
        errand.journal.page_failed(number, failure, outcomes)
        self._incomplete(failure)

    def _failures(self, page: Page, content: PageContent) -> list[PageFailure]:
        lines = (("stopped", content.stopped), ("missing", content.missing))
        place = (self._errand.number, page.server, page.timeline)
        return [PageFailure(*place, reason, line) for reason, line in lines if line is not None]

    def _incomplete(self, failure: PageFailure) -> None:
        errand = self._errand
        if failure.of_server:
            errand.failed_servers.add(failure.server)
        _logger.error("source %s: %s", errand.source, one_line(failure.detail))

    # posts of an earlier crawl that are not listed any more

    async def _look_for_gone_posts(self) -> None:
        errand, checked = self._errand, 0
        for row in errand.earlier():
            ids = (row["post_id"], _other_form(row))
            if row["source"] != errand.source or any(errand.journal.was_met(errand.number, id_) for id_ in ids):
                continue
            if errand.interruption.asked or checked == _MOST_CHECKED:
                return
            if row["server"] not in errand.failed_servers and self._still_asked(row):
                checked += 1
                errand.journal.note_gone(row["post_id"], *await self._presence(row))

    def _still_asked(self, row: Mapping[str, Any]) -> bool:
        hashtags = self._errand.network.hashtags
        return hashtags is None or not hashtags.isdisjoint(row["hashtags"])

    async def _presence(self, row: Mapping[str, Any]) -> tuple[str, int | None]:
        """Find out what became of a post: the outcome, and the HTTP status if something was asked."""
        network = self._errand.network
        if network.complete_listing:
            return ("unverified" if row["server"] in self._warned else "deleted"), None
        page = network.presence_page(row)
        if page is None or server_name(page.url) in self._left_alone:
            return "unverified", None
        try:
            response = await self._ask(page_request(network.request(page)))
        except (_AskError, MalformedAnswerError):
            return "unverified", None
        return network.read_presence(response.status, json_or_none(response.body)), response.status

    # pictures

    async def _fetch_pictures(self) -> None:
        errand = self._errand
        while not errand.interruption.asked:
            download = errand.journal.next_download(errand.number, errand.clock.resting())
            if download is not None:
                await self._fetch(download)
                self._happened()
            elif self._pages_read and not errand.journal.downloads_waiting(errand.number):
                return
            else:
                await self._wait_for_news()

    async def _fetch(self, download: Download) -> None:
        """Fetch a picture, validate it and keep its bytes, or note why not."""
        errand = self._errand
        received = Received(errand.incoming / f"{errand.number}-{next(self._file_numbers)}.part")
        try:
            request = scrapy.Request(
                download.fetch_url,
                headers={"Accept": "image/*,*/*;q=0.1", "Accept-Encoding": "identity"},
                meta={"receive": received, "trail": Trail()},
            )
        except ValueError as error:
            result = ImageResult(_now(), download.attempts, reason="bad_url", detail=one_line(str(error)))
            errand.journal.downloaded(errand.number, download.address, result, ())
            return
        try:
            result = await self._received(request, received, download)
        finally:
            received.remove()
        errand.journal.downloaded(errand.number, download.address, result, Trail.of(request).outcomes)

    async def _received(self, request: scrapy.Request, received: Received, download: Download) -> ImageResult:
        try:
            response = await self._ask(request)
        except _AskError as error:
            reason, detail = failure_reason(error.error, request)
            return self._result(request, download, None, reason=reason, detail=detail)
        tags = [value.decode("latin-1") for value in response.headers.getlist("X-Robots-Tag")]
        reservations = [value.decode("latin-1") for value in response.headers.getlist("TDM-Reservation")]
        signs = {
            "x_robots_tag": one_line(", ".join(tags)) or None,
            "tdm_reservation": one_line(", ".join(reservations)) or None,
        }
        directive = robots_tag_refusal(tags)
        if directive is not None or tdm_refusal(reservations):
            detail = f"X-Robots-Tag: {directive}" if directive is not None else "TDM-Reservation: 1"
            return self._result(request, download, response, reason="opted_out", detail=detail, **signs)
        if response.status != 200:
            detail = f"the server answered with HTTP status {response.status}"
            return self._result(request, download, response, reason=f"http_{response.status}", detail=detail, **signs)
        if download.sha256 is not None and download.sha256 != received.sha256:
            detail = "the bytes are not those that the post names by their hash"
            return self._result(request, download, response, reason="other_content", detail=detail, **signs)
        errand = self._errand
        try:
            source = received.path if received.in_file else bytes(received.data)
            facts = await asyncio.get_running_loop().run_in_executor(
                errand.decoders, errand.keeper.keep, source, received.sha256
            )
        except ImageRefusedError as error:
            detail = one_line(str(error))
            return self._result(request, download, response, reason=error.reason, detail=detail, **signs)
        return self._result(request, download, response, facts=facts, **signs)

    def _result(
        self, request: scrapy.Request, download: Download, response: Response | None, **known: Any
    ) -> ImageResult:
        trail = Trail.of(request)
        earlier = 0 if known.get("facts") is not None else download.attempts
        attempts = trail.attempts + earlier
        status = response.status if response is not None else None
        return ImageResult(_now(), attempts, http_status=status, robots_txt=trail.robots_txt, **known)


class _AskError(Exception):
    """A request brought no answer; ``error`` says why."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _UnreadableError(Exception):
    """A page cannot be had: ``reason`` is a short code, the message the rest of a line for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def _other_form(row: Mapping[str, Any]) -> str:
    """Return the id that a post has where the number of servers differs: with its server's name, or without it."""
    network, _, native_id = str(row["post_id"]).partition(":")
    prefix = f"{row['server']}/"
    return f"{network}:{native_id.removeprefix(prefix) if native_id.startswith(prefix) else prefix + native_id}"


def _now() -> datetime:
    return datetime.now(UTC)
