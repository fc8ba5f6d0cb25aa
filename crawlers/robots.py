"""robots.txt of every host that is asked: what it forbids is not asked for, and its pace is kept (RFC 9309)."""

import asyncio
import time
from dataclasses import dataclass

from protego import Protego
from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Response

from crawlers.opt_outs import USER_AGENT_TOKEN
from crawlers.politeness import CLOCK_SETTING, MAX_PAUSE_SETTING, HostClock, Trail
from crawlers.sources import server_name

_LARGEST = 512 * 1024  # bytes that are read, RFC 9309 section 2.5
_FAILURE_HOLDS = 60.0  # seconds until a robots.txt that could not be read is asked for again


class RobotsRefusedError(IgnoreRequest):
    """The host's robots.txt asks crawlers to stay away from this address."""


class RobotsUnreachableError(IgnoreRequest):
    """The host's robots.txt cannot be read, so nothing else of the host may be (RFC 9309 section 2.3.1.4).

    ``error`` is what asking for it by ``request`` ended with, if it brought no answer at all.
    """

    def __init__(self, message: str, error: Exception | None = None, request: Request | None = None) -> None:
        super().__init__(message)
        self.error, self.request = error, request


@dataclass(frozen=True)
class _Rules:
    """What a host says: its rules, or the reason why there are none, after so many attempts."""

    parsed: Protego | None = None
    error: Exception | None = None
    attempts: int = 0
    until: float = float("inf")  # time.monotonic()


class RobotsMiddleware:
    """Asks each host for its robots.txt first, and notes in the request's trail what it said."""

    def __init__(self, crawler: Crawler) -> None:
        self._crawler = crawler
        self._clock: HostClock = crawler.settings[CLOCK_SETTING]
        self._max_pause = crawler.settings.getfloat(MAX_PAUSE_SETTING)
        self._hosts: dict[str, asyncio.Task[_Rules]] = {}

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "RobotsMiddleware":
        """Build the middleware from Scrapy's settings."""
        return cls(crawler)

    async def process_request(self, request: Request) -> None:
        """Let a request pass, or raise what its host says against it.

        Raises:
            RobotsRefusedError: if robots.txt forbids it, or asks for a pace slower than the limit on pauses.
            RobotsUnreachableError: if robots.txt cannot be read because of the server.
        """
        trail = Trail.of(request)
        trail.follow(request.meta.get("redirect_times", 0))
        if request.meta.get("is_robots_txt"):
            return
        rules = await self._rules(request)
        if rules.error is not None:
            trail.robots_txt = "forbidden" if isinstance(rules.error, RobotsRefusedError) else "unreachable"
            trail.attempts += rules.attempts
            raise rules.error.with_traceback(None)
        allowed = rules.parsed is None or rules.parsed.can_fetch(request.url, USER_AGENT_TOKEN)
        trail.robots_txt = "absent" if rules.parsed is None else "allowed" if allowed else "forbidden"
        if not allowed:
            raise RobotsRefusedError(f"robots.txt of {server_name(request.url)} forbids it to crawlers")

    async def _rules(self, request: Request) -> _Rules:
        address = request.url.split("/", 3)
        root = "/".join(address[:3])
        task = self._hosts.get(root)
        if task is None or (task.done() and not task.cancelled() and task.result().until < time.monotonic()):
            task = self._hosts[root] = asyncio.ensure_future(self._fetch(f"{root}/robots.txt"))
        return await asyncio.shield(task)

    async def _fetch(self, url: str) -> _Rules:
        engine = self._crawler.engine
        if engine is None:
            raise RuntimeError("there is no engine yet")
        request = Request(
            url, meta={"is_robots_txt": True, "trail": Trail(), "download_maxsize": _LARGEST, "cut": True}
        )
        server = server_name(url)
        try:
            response = await engine.download_async(request)
        except Exception as error:  # whatever it is, the request that waits for it ends for the same reason
            unreachable = RobotsUnreachableError(f"robots.txt of {server} cannot be read", error, request)
            return _failed(unreachable, request)
        if response.status == 429 or response.status >= 500:
            line = f"robots.txt of {server} cannot be read (HTTP status {response.status}), so nothing else is asked"
            return _failed(RobotsUnreachableError(line), request)
        if response.status != 200:
            return _Rules()
        return self._read(response, server)

    def _read(self, response: Response, server: str) -> _Rules:
        parsed = Protego.parse(response.body[:_LARGEST].decode("utf-8-sig", "replace"))
        delay = parsed.crawl_delay(USER_AGENT_TOKEN) or 0.0
        rate = parsed.request_rate(USER_AGENT_TOKEN)
        if rate is not None and rate.requests > 0:
            delay = max(delay, rate.seconds / rate.requests)
        if delay > self._max_pause:
            line = (
                f"robots.txt of {server} asks for {delay:.0f} s between two requests, "
                f"more than the limit of {self._max_pause:.0f} s (max_pause)"
            )
            return _Rules(error=RobotsRefusedError(line))
        if delay > 0:
            self._clock.slow_down(server, delay)
        return _Rules(parsed)


def _failed(error: Exception, request: Request) -> _Rules:
    return _Rules(error=error, attempts=Trail.of(request).attempts, until=time.monotonic() + _FAILURE_HOLDS)
