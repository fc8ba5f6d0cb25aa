"""Posts and their pictures as every network delivers them, and the rows that they become."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class MediaItem:
    """A picture attached to a post: its place in the post (0, 1, ...), its address and its alternative text."""

    index: int
    url: str
    alt_text: str | None = None


@dataclass(frozen=True)
class Post:
    """A post as its network tells it; times are in UTC, hashtags folded and sorted, the author already hashed."""

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

    def to_row(self, *, window: str, reason: str | None, crawled_at: datetime) -> Mapping[str, Any]:
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
            "language": self.language,
            "sensitive": self.sensitive,
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
    """How fetching one picture ended: with facts, or with the reason (a short code) and a line for people."""

    fetched_at: datetime
    attempts: int
    facts: ImageFacts | None = None
    reason: str | None = None
    detail: str | None = None
    http_status: int | None = None

    def to_row(self, *, post_id: str, media: MediaItem, window: str) -> Mapping[str, Any]:
        """Make the picture's row of the IMAGES table."""
        facts = self.facts
        return {
            "post_id": post_id,
            "media_index": media.index,
            "window": window,
            "url": media.url,
            "image_id": facts and facts.image_id,
            "status": "ok" if facts else "failed",
            "reason": self.reason,
            "detail": self.detail,
            "http_status": self.http_status,
            "attempts": self.attempts,
            "format": facts and facts.format,
            "width": facts and facts.width,
            "height": facts and facts.height,
            "bytes": facts and facts.bytes,
            "alt_text": media.alt_text,
            "fetched_at": self.fetched_at,
        }
