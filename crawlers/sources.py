"""Where posts come from: what the typed settings of all kinds of sources share.

The model of a network stands beside the network in ``crawlers/networks``; ``crawlers.registry`` knows them all.
"""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_AROUND = re.compile(r"^[\s#＃]+|\s+$")
_ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_Name = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="Name of the source; unique, letters digits . _ -"),
]


def fold_hashtag(text: str) -> str:
    """Bring a hashtag into the form that tables hold and comparisons use: no ``#``, case-folded, Unicode NFC."""
    folded = unicodedata.normalize("NFC", _AROUND.sub("", text)).casefold()
    return unicodedata.normalize("NFC", folded)


def fold_hashtags(tags: Iterable[str]) -> tuple[str, ...]:
    """Fold hashtags, drop empty ones and repeats, and sort them."""
    return tuple(sorted({fold_hashtag(tag) for tag in tags} - {""}))


def _checked_hashtags(tags: tuple[str, ...]) -> tuple[str, ...]:
    for tag in tags:
        if not fold_hashtag(tag) or any(character.isspace() or character in "/?#" for character in fold_hashtag(tag)):
            raise ValueError(f"{tag!r} is not a hashtag; write one word, with or without '#'")
    return fold_hashtags(tags)


def checked_server(url: str) -> str:
    """Check the base address of a server and take off a slash at its end."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is not a server address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"{url!r} is not a server address; write it like https://example.social")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a server address must not hold a user name or password; use token_env")
    if parts.query or parts.fragment:
        raise ValueError(f"{url!r} must end with the host or a path, without '?' or '#'")
    return url.rstrip("/")


def _checked_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    for host in hosts:
        if not host or any(character in "/@?#[]" or character.isspace() for character in host):
            raise ValueError(f"{host!r} is not a host name or address; write it like 127.0.0.1, without port")
    return tuple(host.casefold().rstrip(".") for host in hosts)


class SourceModel(BaseModel):
    """What every source has: a kind, and a name that its rows carry."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    name: _Name


Hashtags = Annotated[
    tuple[str, ...],
    AfterValidator(_checked_hashtags),
    Field(description="Hashtags to follow, with or without '#'; letter case does not count"),
]
ServerAddress = Annotated[str, AfterValidator(checked_server)]
EnvironmentName = Annotated[str, Field(pattern=_ENVIRONMENT_NAME)]


class NetworkSource(SourceModel):
    """What every source has that is reached over HTTP."""

    hashtags: Hashtags = ()
    allow_hosts: Annotated[tuple[str, ...], AfterValidator(_checked_hosts)] = Field(
        default=(), description="Hosts that may have a private or loopback address, for instance 127.0.0.1"
    )
    include_sensitive: bool = Field(default=False, description="Fetch the pictures of posts marked sensitive, too")
    max_pages: int = Field(
        default=10_000, ge=1, description="Pages read per timeline before giving up; the window is incomplete then"
    )
    delay: float = Field(default=0.5, ge=0, le=60, description="Seconds between two requests to the same host")
    concurrency: int = Field(default=8, ge=1, le=64, description="Requests in flight at the same time")
    contact: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Address or URL named in the user agent, so that a server's owner can write to you",
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Base addresses of all servers."""
        server: str | None = getattr(self, "server", None)
        return (server,) if server else ()

    def server_names(self) -> frozenset[str]:
        """Name the servers (host and port) whose ids must be told apart; none where ids are unique in the network."""
        return frozenset()

    def allows(self, server: str) -> bool:
        """Say whether the host of a server's address may be private."""
        return (urlsplit(server).hostname or "").casefold() in self.allow_hosts

    def check_token_way(self, server: str) -> None:
        """Raise ValueError if a token would be sent to this server in the clear."""
        if server.startswith("http:") and not self.allows(server):
            raise ValueError("token_env: a token is only sent over https; change the server's address to https://")


def server_name(address: str) -> str:
    """Name a server as tables do: its host in lower case, and its port where that is not the usual one."""
    parts = urlsplit(address)
    host, port = (parts.hostname or "").casefold(), parts.port
    return host if port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f"{host}:{port}"


def without_port(server: str) -> str:
    """Return a server's name without its port: people have the same handle whatever port their server listens on."""
    return re.sub(r":\d+$", "", server)


class ArchiveSource(SourceModel):
    """A folder of pictures with a table of posts, for data sets that already exist."""

    kind: Literal["archive"] = "archive"
    folder: Path = Field(description="Folder that the pictures lie in")
    posts: Path = Field(
        description="CSV or Parquet file with a column image (path inside the folder) and optionally post_id, "
        "created_at, author, hashtags, url, alt_text"
    )
    undated: date | None = Field(
        default=None,
        description="Day (UTC) that posts without created_at count as; without it they belong to the first window",
    )
