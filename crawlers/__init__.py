"""From a network to a clean, unique collection of images. Knows nothing of Dagster, torch or Label Studio."""

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob, CrawlLimits, CrawlResult
from crawlers.sources import ArchiveSource, MastodonSource, Source
from crawlers.windows import CrawlWindow

__all__ = [
    "ArchiveSource",
    "CrawlError",
    "CrawlJob",
    "CrawlLimits",
    "CrawlResult",
    "CrawlWindow",
    "MastodonSource",
    "Source",
]
