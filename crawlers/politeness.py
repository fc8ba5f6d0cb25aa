"""How the crawler behaves towards servers: who it says it is, how long it waits, what it asks again."""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import get_retry_request
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response

from crawlers.opt_outs import USER_AGENT_TOKEN
from crawlers.sources import server_name

BACKOFF_SETTING = "STYLEGRAPH_BACKOFF"
CLOCK_SETTING = "STYLEGRAPH_CLOCK"
DELAY_SETTING = "STYLEGRAPH_DELAY"
MAX_PAUSE_SETTING = "STYLEGRAPH_MAX_PAUSE"
_EPOCH_FLOOR = 1_000_000_000  # a reset value above this is a moment since 1970, below it a number of seconds
_LONGEST_BACKOFF = 60.0
# of the header RateLimit: remaining=0, reset=50 in one draft, "default";r=0;t=50 in the next
_REMAINING = re.compile(r"\b(?:remaining|r)=(\d{1,12})")
_RESET = re.compile(r"\b(?:reset|t)=(\d{1,12})")
_MORE_WHEN_LIMITED = 3  # attempts after a 429 beyond those after other passing failures: the server is well, only busy
_PASSING_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 522, 524})
_PASSING_FAILURES = (
    CannotResolveHostError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    ResponseDataLossError,
)

_logger = logging.getLogger(__name__)


@dataclass
class Trail:
    """What became of a request and of the ones that followed from it; it travels in ``meta["trail"]``.

    Args:
        outcomes: of every answer or lack of one: ``http_200`` and so on, or ``no_answer``.
        attempts: how often it was tried; following a redirect is part of a try.
        redirects: followed so far.
        robots_txt: what the last host's robots.txt said: ``allowed``, ``absent``, ``forbidden``, ``unreachable``.
    """

    outcomes: list[str] = field(default_factory=list)
    attempts: int = 0
    redirects: int = 0
    robots_txt: str | None = None

    @classmethod
    def of(cls, request: Request) -> "Trail":
        """Return the trail of a request."""
        trail: Trail = request.meta.setdefault("trail", cls())
        return trail

    def note(self, outcome: str) -> None:
        """Add an outcome."""
        self.outcomes.append(outcome)
        self.attempts += 1

    def follow(self, redirects: int) -> None:
        """Note before a request is made how many redirects led to it."""
        if redirects > self.redirects:
            self.redirects = redirects
            self.attempts -= 1


class RateLimitedError(IgnoreRequest):
    """The server asks for a longer pause than the job's limit."""


def user_agent(contact: str | None) -> str:
    """Say honestly who asks: name and version, and where its user can be reached."""
    product = f"{USER_AGENT_TOKEN}/0.1"
    return f"{product} (+{contact})" if contact else product


def pause_wanted(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """Read from an answer how long its server wants to be left alone.

    ``Retry-After`` (seconds or an HTTP date) counts in a 429 or 503. ``X-RateLimit-Reset``, ``RateLimit-Reset`` or
    ``X-Rate-Limit-Reset`` (epoch seconds or milliseconds, seconds from now, or an ISO date), or the combined header
    ``RateLimit`` of the IETF's drafts, count in a 429, and in any answer that says that nothing of the allowance
    remains.

    Args:
        status: HTTP status of the answer.
        headers: the answer's headers, names in lower case.
        now: the present moment, with a time zone.

    Returns:
        Seconds from now, at least 0, or None if the server does not say.
    """
    names = ["retry-after"] if status in (429, 503) else []
    if status == 429 or _allowance(headers) == 0:
        names += ["x-ratelimit-reset", "ratelimit-reset", "x-rate-limit-reset"]
    for name in names:
        seconds = _seconds_until(headers.get(name, "").strip(), now)
        if seconds is not None:
            return max(0.0, seconds)
    combined = _RESET.search(headers.get("ratelimit", ""))
    return float(combined[1]) if combined and len(names) > 1 else None


def _seconds_until(text: str, now: datetime) -> float | None:
    try:
        number = float(text)
    except ValueError:
        moment = _moment(text)
        return None if moment is None else (moment - now).total_seconds()
    if not 0 <= number < 1e14:  # also not a number or infinite
        return None
    if number > _EPOCH_FLOOR * 100:
        number /= 1000  # milliseconds
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


class HostClock:
    """When each server may be asked next. All sources of a process share one, so they are polite together."""

    def __init__(self) -> None:
        self._next_turn: dict[str, float] = {}  # server -> time.monotonic()
        self._quiet_until: dict[str, float] = {}
        self._least_delay: dict[str, float] = {}

    def slow_down(self, server: str, delay: float) -> None:
        """Ask a server at most once in ``delay`` seconds, as its robots.txt wants."""
        self._least_delay[server] = delay

    def leave_alone(self, server: str, pause: float) -> None:
        """Ask a server nothing for ``pause`` seconds."""
        self._quiet_until[server] = max(self._quiet_until.get(server, 0.0), time.monotonic() + pause)

    def resting(self, more_than: float = 0.5) -> frozenset[str]:
        """Name the servers that are left alone for a while yet (seconds)."""
        soon = time.monotonic() + more_than
        return frozenset(server for server, until in self._quiet_until.items() if until > soon)

    async def turn(self, server: str, delay: float) -> None:
        """Wait until a server may be asked, at least ``delay`` seconds after the last turn."""
        delay = max(delay, self._least_delay.get(server, 0.0))
        if delay:
            turn = max(time.monotonic(), self._next_turn.get(server, 0.0))
            self._next_turn[server] = turn + delay
            await asyncio.sleep(turn - time.monotonic())
        while (wait := self._quiet_until.get(server, 0.0) - time.monotonic()) > 0:
            await asyncio.sleep(wait)


class BackoffMiddleware:
    """Asks again after passing failures, and leaves a server alone for as long as it wants.

    The wait before attempt n + 1 is what the server says, else ``STYLEGRAPH_BACKOFF`` x 2^(n - 1) seconds. A server
    that answers 429 or 503, or that its allowance is used up, is left alone by all requests of the crawl. What came of
    each attempt is noted in the request's :class:`Trail`.
    """

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._backoff = crawler.settings.getfloat(BACKOFF_SETTING)
        self._max_pause = crawler.settings.getfloat(MAX_PAUSE_SETTING)
        self._delay = crawler.settings.getfloat(DELAY_SETTING)
        self._retries = crawler.settings.getint("RETRY_TIMES")
        self._clock: HostClock = crawler.settings[CLOCK_SETTING]

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "BackoffMiddleware":
        """Build the middleware from Scrapy's settings."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Hold a request back until its server may be asked."""
        await self._clock.turn(server_name(request.url), self._delay)

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Give the answer on, or the request to be repeated after a pause.

        Raises:
            RateLimitedError: if the server asks for a longer pause than the limit.
        """
        Trail.of(request).note(f"http_{response.status}")
        limited = response.status in (429, 503)
        pause = pause_wanted(response.status, plain_headers(response), datetime.now(UTC))
        if limited:
            self._leave_alone(request, max(pause or 0.0, self._retry_wait(request)))
        elif pause is not None:
            self._leave_alone(request, min(pause, self._max_pause))
        if response.status not in _PASSING_STATUSES:
            return response
        more = _MORE_WHEN_LIMITED if response.status == 429 else 0
        again = await self._again(request, f"http_{response.status}", self._retries + more, wait=not limited)
        return again or response

    async def process_exception(self, request: Request, exception: Exception) -> Request | None:
        """Return the request to be repeated after a pause if the failure may pass, else None."""
        if isinstance(exception, IgnoreRequest):
            return None
        Trail.of(request).note("no_answer")
        if not isinstance(exception, _PASSING_FAILURES):
            return None
        return await self._again(request, type(exception).__name__, self._retries, wait=True)

    async def _again(self, request: Request, reason: str, most: int, *, wait: bool) -> Request | None:
        spider = self._crawler.spider
        if spider is None:
            return None
        again = get_retry_request(
            request, spider=spider, reason=reason, max_retry_times=most, give_up_log_level="DEBUG"
        )
        if again is not None and wait:  # one that was left alone waits for its turn anyway
            await asyncio.sleep(self._retry_wait(request))
        return again

    def _retry_wait(self, request: Request) -> float:
        attempts: int = request.meta.get("retry_times", 0)
        return float(min(_LONGEST_BACKOFF, self._backoff * 2**attempts))

    def _leave_alone(self, request: Request, pause: float) -> None:
        server = server_name(request.url)
        if pause > self._max_pause:
            line = f"{server} asks to wait {pause:.0f} s, more than the limit of {self._max_pause:.0f} s (max_pause)"
            raise RateLimitedError(line)
        if pause >= 1:
            _logger.info("%s asks for a pause of %.0f s", server, pause)
        self._clock.leave_alone(server, pause)


def _allowance(headers: Mapping[str, str]) -> int | None:
    for name in ("x-ratelimit-remaining", "ratelimit-remaining", "x-rate-limit-remaining"):
        text = headers.get(name, "").strip()
        if text.isdecimal():
            return int(text)
    combined = _REMAINING.search(headers.get("ratelimit", ""))
    return int(combined[1]) if combined else None
