"""One connection to a Label Studio server: its address, a token, and requests that answer JSON or raise StudioError."""

import os
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from labeling.studio.client import RETRY, StudioClient, is_loopback
from labeling.studio.errors import TOKEN_VARIABLE, URL_VARIABLE, StudioError, StudioNotFound, not_json
from labeling.studio.tokens import parse_token

if TYPE_CHECKING:
    from label_studio_sdk import LabelStudio

__all__ = ["TOKEN_VARIABLE", "URL_VARIABLE", "Connection", "StudioError", "StudioNotFound"]

TIMEOUT = 60.0  # seconds that the server may take to answer
RETRIES = 6  # with the waits between them about 31 s: longer than Label Studio takes to start again
BACKOFF = 0.5  # seconds before the first repetition; they double


class Connection:
    """Speaks to one server with one token; several threads may share it.

    A failed request is repeated where that is safe (see StudioClient). Every method raises StudioError when the server
    cannot be reached or refuses, StudioNotFound when it does not have what the request is about.
    """

    def __init__(
        self, url: str, token: str, *, timeout: float = TIMEOUT, retries: int = RETRIES, backoff: float = BACKOFF
    ) -> None:
        """Take an address and a legacy or personal access token. Raises StudioError if one cannot be right."""
        self.url = _checked_url(url)
        self._http = StudioClient(self.url, parse_token(token), timeout=timeout, retries=retries, backoff=backoff)

    @classmethod
    def from_env(
        cls,
        environment: Mapping[str, str] = os.environ,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        backoff: float = BACKOFF,
    ) -> Self:
        """Connect as the two environment variables say. Raises StudioError if one is missing or cannot be right."""
        missing = [name for name in (URL_VARIABLE, TOKEN_VARIABLE) if not environment.get(name, "").strip()]
        if missing:
            raise StudioError(
                f"set {' and '.join(missing)}: the address of your Label Studio and a token of yours from its "
                "Account & Settings page (`stylegraph label-studio` starts a server of your own and prints both)"
            )
        url, token = environment[URL_VARIABLE], environment[TOKEN_VARIABLE]
        return cls(url, token, timeout=timeout, retries=retries, backoff=backoff)

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def sdk(self) -> "LabelStudio":
        """The official client over the same HTTP client: same token, retries and errors."""
        from label_studio_sdk import LabelStudio  # takes a second to import

        # the HTTP client signs each request over the header that the SDK sets, so that the SDK needs no token
        return LabelStudio(  # type: ignore[no-untyped-call]
            base_url=self.url, api_key="set-by-the-client", httpx_client=self._http, max_retries=0
        )

    @property
    def insecure(self) -> bool:
        """Whether the token travels unencrypted over a network: plain http to another machine."""
        parsed = httpx.URL(self.url)
        return parsed.scheme == "http" and not is_loopback(parsed.host)

    def request(self, method: str, path: str, *, retry: bool = False, **options: Any) -> httpx.Response:
        """Send a request and return the successful answer; ``options`` are those of httpx.Client.request.

        ``retry`` says that a POST may safely arrive twice; the other methods always may.
        """
        extensions = {**options.pop("extensions", {}), RETRY: retry}
        return self._http.request(method, path, extensions=extensions, **options)

    def get(self, path: str, **params: Any) -> Any:
        """Return the JSON at a path; ``params`` go into the query."""
        return self._json("GET", path, params=params)

    def post(self, path: str, body: Any, *, retry: bool = False, **params: Any) -> Any:
        """Send a JSON body and return the answer's JSON; ``retry`` says that it may safely arrive twice."""
        return self._json("POST", path, json=body, params=params, retry=retry)

    def patch(self, path: str, body: Any) -> Any:
        """Change fields of a thing and return it as it is now."""
        return self._json("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        """Delete a thing. Raises StudioNotFound if it was not there."""
        self.request("DELETE", path)

    def users(self) -> dict[int, str]:
        """Return the email address of each user of the organization by id; those who were removed are left out."""
        # the server goes on listing removed people, all of them with the same word for an address
        return {int(user["id"]): str(user["email"]) for user in self.get("/api/users") if "@" in user["email"]}

    def version(self) -> str:
        """Return the server's version, such as ``1.23.2``."""
        return str(self.get("/api/version")["release"])

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def _json(self, method: str, path: str, **options: Any) -> Any:
        response = self.request(method, path, **options)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            return response.json()
        except ValueError:
            raise not_json(response, self.url, f"{method} {path}") from None


def _checked_url(text: str) -> str:
    """Return an address without a slash at its end. Raises StudioError, which repeats nothing: it may be a token."""
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, TypeError):
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment or url.userinfo:
        raise StudioError(
            f"{URL_VARIABLE} is not an address like https://label-studio.example.org "
            "(http or https, a host, no user, no query)"
        )
    return str(url).rstrip("/")
