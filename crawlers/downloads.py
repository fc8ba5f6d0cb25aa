"""Scrapy's download handler behind the address gates, its settings, and what its failures mean."""

import contextlib
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yarl
from scrapy import Request
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Headers, Response

from crawlers.addresses import ForbiddenAddressError, PublicResolver, url_host, url_refusal
from crawlers.jobs import CrawlLimits
from crawlers.politeness import (
    BACKOFF_SETTING,
    CLOCK_SETTING,
    DELAY_SETTING,
    MAX_PAUSE_SETTING,
    BackoffMiddleware,
    HostClock,
    RateLimitedError,
    Trail,
    user_agent,
)
from crawlers.robots import RobotsMiddleware, RobotsRefusedError, RobotsUnreachableError

ALLOW_HOSTS_SETTING = "STYLEGRAPH_ALLOW_HOSTS"
LARGEST_PAGE = 8_000_000
"""Bytes of a page of an API; more than any of them sends, and little enough to be parsed in bounded memory."""

_MAX_REDIRECTS = 5
_DETAIL_LENGTH = 200
_CHUNK = 1 << 16
_IN_MEMORY = 1 << 20  # bytes of a body; what is larger goes to a file as it comes
_UNUSED_MIDDLEWARES = (
    "offsite.OffsiteMiddleware", "robotstxt.RobotsTxtMiddleware", "httpauth.HttpAuthMiddleware",
    "downloadtimeout.DownloadTimeoutMiddleware", "defaultheaders.DefaultHeadersMiddleware",
    "useragent.UserAgentMiddleware", "retry.RetryMiddleware", "redirect.MetaRefreshMiddleware",
    "cookies.CookiesMiddleware", "httpproxy.HttpProxyMiddleware", "stats.DownloaderStats",
    "httpcache.HttpCacheMiddleware",
)  # fmt: skip


class RefusedAddressError(IgnoreRequest):
    """A request is not made: ``reason`` is a short code, the message a line for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Received:
    """Where a body is received: in memory while it is small, then in a file; its sha256 once it is complete.

    Args:
        path: of the file; it is there only if the body was large.
        data: the body, as long as it is small.
    """

    path: Path
    data: bytearray = field(default_factory=bytearray)
    in_file: bool = False
    sha256: str = ""

    def remove(self) -> None:
        """Remove what was received."""
        self.data = bytearray()
        if self.in_file:
            self.path.unlink(missing_ok=True)
        self.in_file, self.sha256 = False, ""


class GuardedDownloadHandler(BaseDownloadHandler):
    """Makes HTTP requests to public addresses only, and to the hosts that the source allows beside them.

    ``meta["receive"]`` of a request may hold a :class:`Received`: the body of an answer 200 goes there then, piece by
    piece, and the response's own body is empty. ``meta["download_maxsize"]`` bounds a body; with
    ``meta["cut"]`` what is beyond is left, otherwise the request fails.
    """

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        settings = crawler.settings
        self._allow_hosts = frozenset(settings.getlist(ALLOW_HOSTS_SETTING))
        self._timeout = settings.getfloat("DOWNLOAD_TIMEOUT")
        self._max_bytes = settings.getint("DOWNLOAD_MAXSIZE")
        self._user_agent = str(settings["USER_AGENT"])
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=PublicResolver(self._allow_hosts),
                limit=0,  # Scrapy keeps the number of requests
                limit_per_host=settings.getint("CONCURRENT_REQUESTS_PER_DOMAIN"),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,  # a proxy would resolve names on its own, behind the address gates
            skip_auto_headers=("Accept-Encoding", "Content-Type", "User-Agent"),
        )

    async def download_request(self, request: Request) -> Response:
        """Make the request.

        Raises:
            RefusedAddressError: if the address must not be asked.
            ResponseDataLossError, DownloadCancelledError and their like: as Scrapy's own handlers do.
        """
        refusal = url_refusal(request.url, self._allow_hosts)
        if refusal is not None:
            raise RefusedAddressError(*refusal)
        url = yarl.URL(request.url, encoded=True)
        if (url.host or "").casefold().rstrip(".") != url_host(request.url):  # an address that can be read in two ways
            refusal = url_refusal(f"http://{url.host}/", frozenset())
            raise RefusedAddressError(*(refusal or ("bad_url", "the address is ambiguous")))
        with _scrapy_errors(self._timeout):
            async with self._session.request(
                request.method,
                url,
                data=request.body or None,
                headers=self._headers(request),
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                allow_redirects=False,
            ) as answer:
                return await self._response(request, answer)

    def _headers(self, request: Request) -> list[tuple[str, str]]:
        own = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, values in request.headers.items()
            for value in values
        ]
        return [("User-Agent", self._user_agent), *own]

    async def _response(self, request: Request, answer: aiohttp.ClientResponse) -> Response:
        headers = Headers(list(answer.headers.items()))
        limit = min(int(request.meta.get("download_maxsize", self._max_bytes)), self._max_bytes)
        received: Received | None = request.meta.get("receive")
        if received is not None:
            if answer.status == 200:  # what an error page says is of no use
                await _receive(answer, received, limit)
            headers.pop("Content-Encoding", None)
            return Response(request.url, answer.status, headers)
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > limit:
                if not request.meta.get("cut"):
                    raise DownloadCancelledError("more bytes than the limit")
                break
        return Response(request.url, answer.status, headers, bytes(body))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _receive(answer: aiohttp.ClientResponse, received: Received, limit: int) -> None:
    """Take in a body as it comes, and hash it."""
    received.remove()  # what an attempt before this one left
    if (answer.content_length or 0) > limit:
        raise DownloadCancelledError("more bytes than the limit")
    digest, size = hashlib.sha256(), 0
    with contextlib.ExitStack() as files:
        file = None
        async for chunk in _plain_chunks(answer):
            size += len(chunk)
            if size > limit:
                raise DownloadCancelledError("more bytes than the limit")
            digest.update(chunk)
            if file is None and size > _IN_MEMORY:
                received.in_file = True
                file = files.enter_context(received.path.open("wb"))
                file.write(received.data)
                received.data = bytearray()
            if file is None:
                received.data += chunk
            else:
                file.write(chunk)
    received.sha256 = digest.hexdigest()


async def _plain_chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Undo a compression that nobody asked for, in pieces of bounded size."""
    coding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        async for chunk in answer.content.iter_any():
            yield chunk
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise RefusedAddressError(
            "unknown_encoding", f"the answer is encoded as {coding[:40]!r}, which was not asked for"
        )
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out itself whether it is gzip or zlib
    async for chunk in answer.content.iter_any():
        pending = chunk
        while pending:
            try:
                yield decoder.decompress(pending, _CHUNK)
            except zlib.error as error:
                raise RefusedAddressError("undecodable", f"decompressing failed: {error}") from error
            pending = decoder.unconsumed_tail


@contextlib.contextmanager
def _scrapy_errors(timeout: float) -> Iterator[None]:
    """Raise what Scrapy's own handlers raise, so that its middlewares understand."""
    try:
        yield
    except TimeoutError as error:
        raise DownloadTimeoutError(f"no full answer within {timeout:g} s") from error
    except aiohttp.InvalidURL as error:
        raise RefusedAddressError("bad_url", "the address is malformed") from error
    except aiohttp.ClientConnectorDNSError as error:
        if isinstance(error.os_error, ForbiddenAddressError):
            raise RefusedAddressError("forbidden_address", str(error.os_error)) from error
        raise CannotResolveHostError(str(error)) from error
    except aiohttp.ClientConnectorError as error:
        raise DownloadConnectionRefusedError(str(error)) from error
    except aiohttp.ClientPayloadError as error:
        raise ResponseDataLossError(str(error)) from error
    except aiohttp.ClientResponseError as error:  # its own text shows the address, which may hold a key
        raise DownloadFailedError(f"{type(error).__name__}: {error.message}") from error
    except aiohttp.ClientError as error:
        raise DownloadFailedError(f"{type(error).__name__}: {error}") from error


def process_settings() -> dict[str, Any]:
    """Scrapy settings of the whole process."""
    return {
        "LOG_ENABLED": False,  # whoever runs the crawl configures logging
        "LOG_INSTALL_ROOT_HANDLER": False,
        "LOG_VERSIONS": [],
    }


def crawl_settings(
    limits: CrawlLimits,
    clock: HostClock,
    *,
    allow_hosts: frozenset[str],
    delay: float,
    concurrency: int,
    contact: str | None,
) -> dict[str, Any]:
    """Scrapy settings for the requests of one source; delay in seconds between two requests to the same host."""
    return {
        ALLOW_HOSTS_SETTING: sorted(allow_hosts),
        BACKOFF_SETTING: limits.backoff,
        CLOCK_SETTING: clock,
        DELAY_SETTING: delay,
        MAX_PAUSE_SETTING: limits.max_pause,
        "USER_AGENT": user_agent(contact),
        "CONCURRENT_REQUESTS": concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
        "DOWNLOAD_DELAY": 0.0,  # the clock above keeps the delay
        "DOWNLOAD_TIMEOUT": limits.timeout,
        "DOWNLOAD_MAXSIZE": limits.max_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_HANDLERS": {
            "http": GuardedDownloadHandler,
            "https": GuardedDownloadHandler,
            **dict.fromkeys(("data", "file", "ftp", "s3")),
        },
        "DOWNLOADER_MIDDLEWARES": {
            **{f"scrapy.downloadermiddlewares.{name}": None for name in _UNUSED_MIDDLEWARES},
            RobotsMiddleware: 100,
            BackoffMiddleware: 650,
        },
        "RETRY_TIMES": limits.retries,
        "REDIRECT_MAX_TIMES": _MAX_REDIRECTS,
        "REFERRER_POLICY": "no-referrer",
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "MEMUSAGE_ENABLED": False,
        "STATS_DUMP": False,
        "LOGSTATS_INTERVAL": 0,
        "WARN_ON_GENERATOR_RETURN_VALUE": False,
    }


def failure_reason(error: BaseException, request: Request) -> tuple[str, str]:
    """Name the end of a request that brought no answer: a short reason and a line for people."""
    if isinstance(error, RefusedAddressError):
        return error.reason, one_line(str(error))
    if isinstance(error, RobotsUnreachableError) and error.error is not None:
        return failure_reason(error.error, error.request or request)
    for kind, reason, detail in (
        (RobotsRefusedError, "robots_txt", str(error)),
        (RobotsUnreachableError, "robots_unreachable", str(error)),
        (RateLimitedError, "rate_limited", str(error)),
        (DownloadTimeoutError, "timeout", "no full answer in time"),
        (CannotResolveHostError, "unknown_host", "the host's name has no address"),
        (DownloadConnectionRefusedError, "connection_failed", "the server takes no connection"),
        (ResponseDataLossError, "incomplete", "the connection ended before the answer did"),
        (DownloadCancelledError, "too_large", "the answer is larger than the limit"),
        (ValueError, "bad_url", str(error)),
    ):
        if isinstance(error, kind):
            return reason, one_line(detail)
    if isinstance(error, IgnoreRequest):
        if sum(outcome.startswith("http_3") for outcome in Trail.of(request).outcomes) > _MAX_REDIRECTS:
            return "too_many_redirects", f"more than {_MAX_REDIRECTS} redirects"
        return "too_large", "the answer is larger than the limit once decompressed"
    return "connection_failed", one_line(f"{type(error).__name__}: {error}")


def one_line(text: str) -> str:
    """Bring a message into one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL_LENGTH else f"{line[: _DETAIL_LENGTH - 1]}…"
