"""Crawl windows: the spans of time that a crawl is asked for, one at a time."""

from dataclasses import dataclass
from datetime import UTC, datetime

from crawlers.errors import CrawlError


@dataclass(frozen=True)
class CrawlWindow:
    """A span of time with an inclusive start and an exclusive end.

    Args:
        key: name of the window, the partition key of every row crawled for it.
        start: first moment of the window, with a time zone; kept in UTC.
        end: first moment after the window, with a time zone; kept in UTC.

    Raises:
        CrawlError: if a time has no time zone, or the window does not end after its start.
    """

    key: str
    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            moment: datetime = getattr(self, name)
            if moment.tzinfo is None:
                raise CrawlError(f"window {self.key!r}: {name} has no time zone; write it as {moment.isoformat()}Z")
            object.__setattr__(self, name, moment.astimezone(UTC))
        if not self.key:
            raise CrawlError("window: key is empty; name the window, for instance by its first day")
        if self.start >= self.end:
            raise CrawlError(f"window {self.key!r}: it ends ({self.end}) before or as it starts ({self.start})")

    def contains(self, moment: datetime) -> bool:
        """Say whether a moment with a time zone lies in the window: start inclusive, end exclusive."""
        return self.start <= moment < self.end
