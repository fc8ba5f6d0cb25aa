"""From a network to a clean, unique collection of images. Knows nothing of Dagster, torch or Label Studio."""

from crawlers.errors import CrawlError
from crawlers.jobs import CrawlJob, CrawlLimits, CrawlResult
from crawlers.networks.bluesky import BlueskySource
from crawlers.networks.flickr import FlickrSource
from crawlers.networks.mastodon import MastodonSource
from crawlers.networks.misskey import MisskeySource
from crawlers.registry import Source
from crawlers.sources import ArchiveSource
from crawlers.windows import CrawlWindow

__all__ = [
    "ArchiveSource",
    "BlueskySource",
    "CrawlError",
    "CrawlJob",
    "CrawlLimits",
    "CrawlResult",
    "CrawlWindow",
    "FlickrSource",
    "MastodonSource",
    "MisskeySource",
    "Source",
]
