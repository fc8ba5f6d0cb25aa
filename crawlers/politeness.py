"""How the crawler behaves towards servers: who it says it is, how long it waits, what it asks again."""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost

from crawlers.addresses import url_host

BACKOFF_SETTING = "STYLEGRAPH_BACKOFF"
MAX_PAUSE_SETTING = "STYLEGRAPH_MAX_PAUSE"
_EPOCH_FLOOR = 1_000_000_000  # a reset value above this is a moment since 1970, below it a number of seconds
_LONGEST_BACKOFF = 60.0
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 522, 524})
_PASSING_FAILURES = (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
    ConnectError,
    ConnectionDone,
    ConnectionLost,
)

_logger = logging.getLogger(__name__)


class RobotsRefusedError(IgnoreRequest):
    """The host's robots.txt asks crawlers to stay away from this address."""


class RateLimitedError(IgnoreRequest):
    """The server asks for a longer pause than the job's limit."""


def user_agent(contact: str | None) -> str:
    """Say honestly who asks: name and version, and where its user can be reached."""
    return f"stylegraph/0.1 (+{contact})" if contact else "stylegraph/0.1"


def pause_wanted(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Read from an answer how long its server wants to be left alone.

    ``Retry-After`` (seconds or an HTTP date) counts in a 429 or 503. ``X-RateLimit-Reset`` or ``RateLimit-Reset``
    (epoch seconds, seconds from now, or an ISO date) counts in a 429, and in any answer that says that nothing of the
    allowance remains.

    Args:
        status: HTTP status of the answer.
        headers: the answer's headers, names in lower case.
        now: the present moment, with a time zone.

    Returns:
        Seconds from now, at least 0, or None if the server does not say.
    """
    names = ["retry-after"] if status in (429, 503) else []
    if status == 429 or _allowance(headers) == 0:
        names += ["x-ratelimit-reset", "ratelimit-reset"]
    for name in names:
        seconds = _seconds_until(headers.get(name, "").strip(), now)
        if seconds is not None:
            return max(0.0, seconds)
    return None


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        number = float(text)
    except ValueError:
        moment = _moment(text)
        return None if moment is None else (moment - now).total_seconds()
    if not 0 <= number < 1e12:  # also not a number or infinite
        return None
    return number - now.timestamp() if number > _EPOCH_FLOOR else number


def _moment(text: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (ValueError, TypeError):
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None


def plain_headers(response: Response) -> dict[str, str]:
    """Return an answer's headers as text, names in lower case, the last value where one is repeated."""
    return {
        name.decode("latin-1").lower(): values[-1].decode("latin-1")
        for name, values in response.headers.items()
        if values
    }


class RobotsMiddleware(RobotsTxtMiddleware):
    """Scrapy's robots.txt middleware with an exception of its own, so that a refusal can be told from other ends."""

    def process_request_2(self, rp: Any, request: Request) -> None:
        """Raise RobotsRefusedError if the host's robots.txt forbids the request."""
        try:
            super().process_request_2(rp, request)
        except IgnoreRequest as error:
            raise RobotsRefusedError(str(error)) from error


class BackoffMiddleware:
    """Asks again after passing failures, and leaves a host alone for as long as it wants.

    The wait before attempt n + 1 is what the server says, else ``STYLEGRAPH_BACKOFF`` x 2^(n - 1) seconds. A host that
    answers 429 or 503, or that its allowance is used up, is left alone by all requests of the crawl.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._backoff = crawler.settings.getfloat(BACKOFF_SETTING)
        self._max_pause = crawler.settings.getfloat(MAX_PAUSE_SETTING)
        self._quiet_until: dict[str, float] = {}  # host -> time.monotonic()

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "BackoffMiddleware":
        """Build the middleware from Scrapy's settings."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Hold a request back while its host wants to be left alone."""
        host = url_host(request.url) or ""
        while (wait := self._quiet_until.get(host, 0.0) - time.monotonic()) > 0:
            await asyncio.sleep(wait)

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Give the answer on, or the request to be repeated after a pause.

        Raises:
            RateLimitedError: if the server asks for a longer pause than the limit.
        """
        pause = pause_wanted(response.status, plain_headers(response), datetime.now(UTC))
        if response.status in (429, 503):
            self._leave_alone(request, max(pause or 0.0, self._retry_wait(request)))
        elif pause is not None:
            self._leave_alone(request, min(pause, self._max_pause))
        if response.status not in _PASSING_STATUSES:
            return response
        return await self._again(request, f"http_{response.status}") or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Return the request to be repeated after a pause if the failure may pass, else None."""
        if not isinstance(exception, _PASSING_FAILURES):
            return None
        return await self._again(request, type(exception).__name__)

    async def _again(self, request: Request, reason: str) -> Request | None:
        spider = self._crawler.spider
        if spider is None:
            return None
        again = get_retry_request(request, spider=spider, reason=reason, give_up_log_level="DEBUG")
        if again is not None:
            await asyncio.sleep(self._retry_wait(request))
        return again

    def _retry_wait(self, request: Request) -> float:
        attempts: int = request.meta.get("retry_times", 0)
        return float(min(_LONGEST_BACKOFF, self._backoff * 2**attempts))

    def _leave_alone(self, request: Request, pause: float) -> None:
        host = url_host(request.url) or ""
        if pause > self._max_pause:
            raise RateLimitedError(f"{host} asks to wait {pause:.0f} s, more than the limit of {self._max_pause:.0f} s")
        if pause >= 1:
            _logger.info("%s asks for a pause of %.0f s", host, pause)
        self._quiet_until[host] = max(self._quiet_until.get(host, 0.0), time.monotonic() + pause)


def _allowance(headers: Mapping[str, str]) -> int | None:
    for name in ("x-ratelimit-remaining", "ratelimit-remaining"):
        text = headers.get(name, "").strip()
        if text.isdecimal():
            return int(text)
    return None
