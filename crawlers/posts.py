"""Posts and their pictures as every network delivers them, and the rows that they become."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

WITHDRAWN = "withdrawn"
"""Why a post is passed over, or a picture not kept: somebody withdrew it."""


@dataclass(frozen=True)
class MediaItem:
    """A picture attached to a post.

    Args:
        index: its place in the post (0, 1, ...).
        url: its address as the table keeps it; it names no person.
        alt_text: its alternative text.
        fetch_url: where it is fetched from, if that is another address (one that names a person, for instance).
        sha256: hex sha256 that its bytes must have, if the network says so.
    """

    index: int
    url: str
    alt_text: str | None = None
    fetch_url: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Post:
    """A post as its network tells it; times are in UTC, hashtags folded and sorted, the author already hashed.

    Args:
        identity: the same text for the same post on any server, if the network has such a thing; it is compared only.
        server_rank: place of the server in its source, from 0: of one post on two servers, the lower rank is kept.
        opt_out: the sign by which the author asked to be left out, if there is one.
        license: name or address of the licence that the author gave, if any.
    """

    post_id: str
    network: str
    source: str
    server: str | None
    url: str | None
    created_at: datetime | None
    author_hmac: str | None
    hashtags: tuple[str, ...]
    media: tuple[MediaItem, ...]
    edited_at: datetime | None = None
    language: str | None = None
    sensitive: bool = False
    boost: bool = False
    opt_out: str | None = None
    license: str | None = None
    identity: str | None = None
    server_rank: int = 0

    def to_row(
        self, *, window: str, reason: str | None, matched: tuple[str, ...], crawled_at: datetime
    ) -> dict[str, Any]:
        """Make the post's row of the POSTS table; it is kept when there is no ``reason`` against it."""
        return {
            "post_id": self.post_id,
            "network": self.network,
            "source": self.source,
            "server": self.server,
            "window": window,
            "url": self.url,
            "created_at": self.created_at,
            "edited_at": self.edited_at,
            "author_hmac": self.author_hmac,
            "hashtags": list(self.hashtags),
            "matched_hashtags": list(matched),
            "language": self.language,
            "license": self.license,
            "sensitive": self.sensitive,
            "boost": self.boost,
            "opt_out": self.opt_out,
            "image_count": len(self.media),
            "kept": reason is None,
            "reason": reason,
            "crawled_at": crawled_at,
        }


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a valid image file: sha256 of its bytes, format, size in pixels (as stored) and in bytes."""

    image_id: str
    format: str
    width: int
    height: int
    bytes: int


@dataclass(frozen=True)
class ImageResult:
    """How fetching one picture ended: with facts, or with the reason (a short code) and a line for people.

    Args:
        robots_txt: what the host's robots.txt said: ``allowed``, ``absent``, ``forbidden`` or ``unreachable``.
        x_robots_tag: the answer's X-Robots-Tag headers, if any.
        tdm_reservation: the answer's TDM-Reservation header, if any.
    """

    fetched_at: datetime
    attempts: int
    facts: ImageFacts | None = None
    reason: str | None = None
    detail: str | None = None
    http_status: int | None = None
    robots_txt: str | None = None
    x_robots_tag: str | None = None
    tdm_reservation: str | None = None

    def to_record(self) -> dict[str, Any]:
        """Put everything into a dict that JSON can hold."""
        facts = None if self.facts is None else vars(self.facts)
        return {**vars(self), "fetched_at": self.fetched_at.isoformat(), "facts": facts}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "ImageResult":
        """Undo :meth:`to_record`."""
        facts = record["facts"]
        return cls(
            **{
                **record,
                "fetched_at": datetime.fromisoformat(record["fetched_at"]),
                "facts": ImageFacts(**facts) if facts else None,
            }
        )

    def to_row(self, *, post_id: str, media_index: int, url: str, alt_text: str | None, window: str) -> dict[str, Any]:
        """Make the picture's row of the IMAGES table; of a withdrawn picture it tells neither address nor text."""
        facts = self.facts
        if self.reason == WITHDRAWN:
            url, alt_text = "", None
        return {
            "post_id": post_id,
            "media_index": media_index,
            "window": window,
            "url": url,
            "image_id": facts and facts.image_id,
            "status": "ok" if facts else "failed",
            "reason": self.reason,
            "detail": self.detail,
            "http_status": self.http_status,
            "attempts": self.attempts,
            "robots_txt": self.robots_txt,
            "x_robots_tag": self.x_robots_tag,
            "tdm_reservation": self.tdm_reservation,
            "format": facts and facts.format,
            "width": facts and facts.width,
            "height": facts and facts.height,
            "bytes": facts and facts.bytes,
            "alt_text": alt_text,
            "fetched_at": self.fetched_at,
        }
