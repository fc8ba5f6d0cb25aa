"""The HTTP client: it signs requests, waits and tries again, and turns what cannot be mended into a StudioError."""

import logging
import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from typing import Any

import httpx

from labeling.studio.errors import (
    StudioError,
    not_json,
    redirected,
    refusal,
    server_message,
    still_failing,
    unreachable,
)
from labeling.studio.tokens import Token

REPEATABLE = {"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"}
RETRY = "retry"  # extension of a request: it may be sent twice whatever its method
CONNECT_SECONDS = 10.0
MOST_WAIT = 16.0  # seconds between two tries
MOST_RETRY_AFTER = 60.0  # seconds that a server may ask us to wait
MOST_TIMEOUTS = 2  # repetitions of a request that timed out; each takes the whole timeout
MOST_REDIRECTS = 3
MOST_TEXT = 300  # characters of a message of the server's that are shown

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_PASSING = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError, httpx.ProxyError)
_logger = logging.getLogger(__name__)


class _ExchangeError(Exception):
    """The server gave no access token."""

    def __init__(self, response: httpx.Response) -> None:
        super().__init__("no access token")
        self.response = response


class StudioClient(httpx.Client):
    """Sends requests to one server with one token; every answer that it returns is a success.

    A request is repeated after errors of the connection, timeouts, 429 and 5xx if its method can be repeated, if it
    carries the extension ``retry``, or if the server surely did not act on it. Waits double from ``backoff`` seconds.
    """

    def __init__(self, url: str, token: Token, *, timeout: float, retries: int, backoff: float) -> None:
        local = is_loopback(httpx.URL(url).host)
        super().__init__(
            base_url=url,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            follow_redirects=False,
            # a session of the browser's kind would outlive the token
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            trust_env=not local,  # no proxy stands before this machine itself
            # Label Studio's own server answers 40 ms late on a connection that is used again
            limits=httpx.Limits(max_keepalive_connections=0) if local else httpx.Limits(),
        )
        self._url, self._token, self._retries, self._backoff = url, token, retries, backoff

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Send a request until it succeeds or there is no use. Raises StudioError, which names what to do."""
        what = f"{request.method} {request.url.path}"
        started, tries, renewed, ever_sent = time.monotonic(), 0, False, False
        while True:
            tries += 1
            outcome, sent = self._try(request, stream)
            if isinstance(outcome, httpx.Response) and (outcome.is_success or (ever_sent and _deleted(outcome))):
                return outcome
            ever_sent |= sent
            if sent and not renewed and self._renews(outcome, request):
                renewed, tries = True, tries - 1
                continue
            wait = self._wait(outcome, tries, repeatable=not sent or self._repeatable(request))
            if wait is None:
                effort = f"tried {tries} times in {time.monotonic() - started:.1f} s" if tries > 1 else "tried once"
                raise self._error(outcome, what, effort) from None
            _logger.info("%s: %s; trying again in %.1f s", what, self._reason(outcome), wait)
            time.sleep(wait)

    def _try(self, request: httpx.Request, stream: bool) -> tuple[httpx.Response | httpx.RequestError, bool]:
        """Return an answer or what hindered it, and whether the server may have acted on the request."""
        try:
            request.headers["Authorization"] = self._token.header(self._exchange)
        except _ExchangeError as error:
            return error.response, False
        except httpx.RequestError as error:
            return error, False
        try:
            response = super().send(request, stream=stream)
            for _ in range(MOST_REDIRECTS):
                follow = response.next_request
                if follow is None or request.method != "GET" or not _same_place(follow.url, request.url):
                    break
                response.close()
                response = super().send(follow, stream=stream)
            if stream and not response.is_success:
                response.read()
        except httpx.RequestError as error:
            return error, not isinstance(error, _NEVER_SENT)
        return response, response.status_code != httpx.codes.TOO_MANY_REQUESTS

    def _exchange(self, refresh: str) -> str:
        """Return a new access token. Raises _ExchangeError, StudioError for no JSON, or what httpx raises."""
        request = self.build_request("POST", "/api/token/refresh", json={"refresh": refresh})
        response = super().send(request)
        if not response.is_success:
            raise _ExchangeError(response)
        try:
            return str(response.json()["access"])
        except (ValueError, KeyError, TypeError):
            raise not_json(response, self._url, "POST /api/token/refresh") from None

    def _renews(self, outcome: httpx.Response | httpx.RequestError, request: httpx.Request) -> bool:
        refused = isinstance(outcome, httpx.Response) and outcome.status_code == httpx.codes.UNAUTHORIZED
        return refused and self._token.forget(request.headers["Authorization"])

    def _repeatable(self, request: httpx.Request) -> bool:
        return request.method in REPEATABLE or bool(request.extensions.get(RETRY))

    def _wait(self, outcome: httpx.Response | httpx.RequestError, tries: int, repeatable: bool) -> float | None:
        """Return how many seconds to wait before the next try; None if there is to be none."""
        most = min(self._retries, MOST_TIMEOUTS) if isinstance(outcome, httpx.TimeoutException) else self._retries
        if not repeatable or tries > most or not _may_pass(outcome):
            return None
        wait = min(self._backoff * float(2 ** (tries - 1)), MOST_WAIT)
        if isinstance(outcome, httpx.Response):
            wait = max(wait, _retry_after(outcome))
        return wait

    def _error(self, outcome: httpx.Response | httpx.RequestError, what: str, effort: str) -> StudioError:
        reason = self._reason(outcome)
        if isinstance(outcome, httpx.RequestError):
            return unreachable(outcome, self._url, what, reason, effort)
        if outcome.is_redirect:
            return redirected(outcome, self._url, what)
        if _may_pass(outcome):
            return still_failing(outcome, self._url, what, reason, effort)
        return refusal(outcome, self._url, what, reason)

    def _reason(self, outcome: httpx.Response | httpx.RequestError) -> str:
        """Return what went wrong as one short line without any token."""
        said = server_message(outcome) if isinstance(outcome, httpx.Response) else str(outcome)
        text = self._token.hide(" ".join(said.split())) or type(outcome).__name__
        return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its name or number."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _may_pass(outcome: httpx.Response | httpx.RequestError) -> bool:
    """Return whether an error can be over at the next try; a certificate that is refused will not."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code == httpx.codes.TOO_MANY_REQUESTS or outcome.is_server_error
    cause: BaseException | None = outcome
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return False
        cause = cause.__cause__ or cause.__context__
    return isinstance(outcome, _PASSING)


def _deleted(response: httpx.Response) -> bool:
    """Return whether a repeated request finds that the first one, whose answer was lost, has deleted the thing."""
    return response.request.method == "DELETE" and response.status_code == httpx.codes.NOT_FOUND


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds that the server asks us to wait, within bounds; 0 if it does not say."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text) if text.isdecimal() else _seconds_until(parsedate_to_datetime(text))
    except ValueError:
        return 0.0
    return min(max(seconds, 0.0), MOST_RETRY_AFTER)


def _seconds_until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()


def _same_place(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
