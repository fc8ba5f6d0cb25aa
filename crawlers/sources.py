"""Where posts come from: one typed settings model per kind of source."""

import re
import unicodedata
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_AROUND = re.compile(r"^[\s#＃]+|\s+$")
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


def _checked_server(url: str) -> str:
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


class _SourceModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MastodonSource(_SourceModel):
    """Posts of a server that speaks the Mastodon API, by hashtag."""

    kind: Literal["mastodon"] = "mastodon"
    name: _Name
    server: Annotated[str, AfterValidator(_checked_server)] = Field(
        description="Base address of the server, http or https, for instance https://example.social"
    )
    hashtags: Annotated[tuple[str, ...], AfterValidator(_checked_hashtags)] = Field(
        min_length=1, description="Hashtags to follow, with or without '#'; letter case does not count"
    )
    token_env: str | None = Field(
        default=None, description="Name of the environment variable that holds an access token for this server"
    )
    allow_hosts: Annotated[tuple[str, ...], AfterValidator(_checked_hosts)] = Field(
        default=(), description="Hosts that may have a private or loopback address, for instance 127.0.0.1"
    )
    include_sensitive: bool = Field(default=False, description="Fetch the pictures of posts marked sensitive, too")
    page_size: int = Field(default=40, ge=1, le=40, description="Posts asked for per page; servers give at most 40")
    max_pages: int = Field(default=10_000, ge=1, description="Pages read per hashtag before giving up")
    delay: float = Field(default=0.5, ge=0, le=60, description="Seconds between two requests to the same host")
    concurrency: int = Field(default=8, ge=1, le=64, description="Requests in flight at the same time")
    contact: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Address or URL named in the user agent, so that a server's owner can write to you",
    )

    @property
    def host(self) -> str:
        """Host name of the server, without port, in lower case."""
        return (urlsplit(self.server).hostname or "").casefold()

    @model_validator(mode="after")
    def _token_only_over_https(self) -> "MastodonSource":
        if self.token_env and self.server.startswith("http:") and self.host not in self.allow_hosts:
            raise ValueError("token_env: a token is only sent over https; change the server's address to https://")
        return self


class ArchiveSource(_SourceModel):
    """A folder of pictures with a table of posts, for data sets that already exist."""

    kind: Literal["archive"] = "archive"
    name: _Name
    folder: Path = Field(description="Folder that the pictures lie in")
    posts: Path = Field(
        description="CSV or Parquet file with a column image (path inside the folder) and optionally post_id, "
        "created_at, author, hashtags, url, alt_text"
    )
    undated: date | None = Field(
        default=None,
        description="Day (UTC) that posts without created_at count as; without it they belong to the first window",
    )


Source = Annotated[MastodonSource | ArchiveSource, Field(discriminator="kind")]
