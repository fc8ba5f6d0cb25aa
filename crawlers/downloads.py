"""Scrapy's download handler behind the address gates, its settings, and what its failures mean."""

from typing import Any

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
)
from scrapy.http import Response

from crawlers.addresses import PRIVATE_HOSTS_SETTING, PublicAddressResolver, url_host, url_refusal
from crawlers.jobs import CrawlLimits
from crawlers.politeness import (
    BACKOFF_SETTING,
    MAX_PAUSE_SETTING,
    BackoffMiddleware,
    RateLimitedError,
    RobotsMiddleware,
    RobotsRefusedError,
    user_agent,
)

ALLOW_HOSTS_SETTING = "STYLEGRAPH_ALLOW_HOSTS"
_MAX_REDIRECTS = 5
_DETAIL_LENGTH = 200


class RefusedAddressError(IgnoreRequest):
    """A request is not made: ``reason`` is a short code, the message a line for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class GuardedDownloadHandler(HTTP11DownloadHandler):
    """Makes HTTP requests to public addresses only, and to the hosts that the source allows beside them."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        self._allow_hosts = frozenset(crawler.settings.getlist(ALLOW_HOSTS_SETTING))
        self._others_private = frozenset(crawler.settings.getlist(PRIVATE_HOSTS_SETTING)) - self._allow_hosts

    async def download_request(self, request: Request) -> Response:
        """Make the request.

        Raises:
            RefusedAddressError: if the address must not be asked.
        """
        refusal = url_refusal(request.url, self._allow_hosts)
        if refusal is not None:
            raise RefusedAddressError(*refusal)
        host = url_host(request.url) or ""
        if host in self._others_private:
            raise RefusedAddressError("forbidden_address", f"{host} is a private host of another source")
        try:
            return await super().download_request(request)
        except CannotResolveHostError as error:
            address = _refused_by_resolver(host)
            if address is None:
                raise
            message = f"{host} has the address {address}, which is not public"
            raise RefusedAddressError("forbidden_address", message) from error


def _refused_by_resolver(host: str) -> str | None:
    from twisted.internet import reactor

    resolver = getattr(reactor, "nameResolver", None)
    return resolver.refused.get(host) if isinstance(resolver, PublicAddressResolver) else None


def process_settings(private_hosts: frozenset[str]) -> dict[str, Any]:
    """Scrapy settings of the whole process; hosts of any source that may have private addresses are named here."""
    return {
        "LOG_ENABLED": False,  # whoever runs the crawl configures logging
        "LOG_INSTALL_ROOT_HANDLER": False,
        "LOG_VERSIONS": [],
        "TWISTED_DNS_RESOLVER": PublicAddressResolver,
        PRIVATE_HOSTS_SETTING: sorted(private_hosts),
    }


def crawl_settings(
    limits: CrawlLimits, *, allow_hosts: frozenset[str], delay: float, concurrency: int, contact: str | None
) -> dict[str, Any]:
    """Scrapy settings for the requests of one source; delay in seconds between two requests to the same host."""
    return {
        ALLOW_HOSTS_SETTING: sorted(allow_hosts),
        BACKOFF_SETTING: limits.backoff,
        MAX_PAUSE_SETTING: limits.max_pause,
        "USER_AGENT": user_agent(contact),
        "DEFAULT_REQUEST_HEADERS": {"Accept": "*/*"},
        "ROBOTSTXT_OBEY": True,
        "CONCURRENT_REQUESTS": concurrency,
        "CONCURRENT_REQUESTS_PER_DOMAIN": concurrency,
        "DOWNLOAD_DELAY": delay,
        "DOWNLOAD_DELAY_JITTER": 0.0,
        "DOWNLOAD_TIMEOUT": limits.timeout,
        "DOWNLOAD_MAXSIZE": limits.max_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        "DOWNLOAD_HANDLERS": {
            "http": GuardedDownloadHandler,
            "https": GuardedDownloadHandler,
            **dict.fromkeys(("data", "file", "ftp", "s3")),
        },
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
            RobotsMiddleware: 100,
            "scrapy.downloadermiddlewares.retry.RetryMiddleware": None,
            BackoffMiddleware: 550,
        },
        "RETRY_TIMES": limits.retries,
        "REDIRECT_MAX_TIMES": _MAX_REDIRECTS,
        "METAREFRESH_ENABLED": False,
        "URLLENGTH_LIMIT": 0,  # the address gates have a limit of their own, which leaves a row
        "COOKIES_ENABLED": False,
        "REFERRER_POLICY": "no-referrer",
        "HTTPERROR_ALLOW_ALL": True,
        "HTTPPROXY_ENABLED": False,  # a proxy would resolve names on its own, behind the address gates
        "TELNETCONSOLE_ENABLED": False,
        "REMOTE_CONTROL_ENABLED": False,
        "MEMUSAGE_ENABLED": False,
        "STATS_DUMP": False,
        "LOGSTATS_INTERVAL": 0,
        "WARN_ON_GENERATOR_RETURN_VALUE": False,
    }


def failure_reason(error: BaseException | None, request: Request) -> tuple[str, str]:
    """Name the end of a request that brought no answer: a short reason and a line for people."""
    if isinstance(error, RefusedAddressError):
        return error.reason, one_line(str(error))
    for kind, reason, detail in (
        (RobotsRefusedError, "robots_txt", "the host's robots.txt asks crawlers to stay away"),
        (RateLimitedError, "rate_limited", str(error)),
        (DownloadTimeoutError, "timeout", "no full answer in time"),
        (CannotResolveHostError, "unknown_host", "the host's name has no address"),
        (ResponseDataLossError, "incomplete", "the connection ended before the answer did"),
        (DownloadCancelledError, "too_large", "the answer is larger than the limit"),
        (ValueError, "bad_url", str(error)),
    ):
        if isinstance(error, kind):
            return reason, one_line(detail)
    if isinstance(error, IgnoreRequest):
        if request.meta.get("redirect_times", 0) >= _MAX_REDIRECTS:
            return "too_many_redirects", f"more than {_MAX_REDIRECTS} redirects"
        return "too_large", "the answer is larger than the limit once decompressed"
    return "connection_failed", one_line(f"{type(error).__name__}: {error}")


def one_line(text: str) -> str:
    """Bring a message into one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _DETAIL_LENGTH else f"{line[: _DETAIL_LENGTH - 1]}…"
