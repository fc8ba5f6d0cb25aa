"""What a crawl collects, source by source, and the three tables that it becomes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from crawlers.filters import NOT_IN_TABLE, drop_reason
from crawlers.jobs import CrawlResult
from crawlers.posts import ImageResult, MediaItem, Post
from crawlers.storage import write_table
from crawlers.tables import CRAWL_COUNTS, IMAGES, POSTS
from crawlers.windows import CrawlWindow


@dataclass
class Harvest:
    """Posts, pictures and counts of one source in one window; a post is taken once, however often it is met.

    Args:
        source: name of the source.
        window: the crawl window.
        hashtags: folded hashtags of which a post must carry one; None lets any post pass.
        include_sensitive: keep posts that are marked sensitive.
    """

    source: str
    window: CrawlWindow
    hashtags: frozenset[str] | None = None
    include_sensitive: bool = False
    posts: dict[str, tuple[Post, str | None]] = field(default_factory=dict)
    images: dict[tuple[str, int], tuple[MediaItem, ImageResult]] = field(default_factory=dict)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _seen: set[str] = field(default_factory=set)

    @property
    def posts_seen(self) -> int:
        """Posts met so far, those outside the window included."""
        return len(self._seen)

    def admit(self, post: Post, reason: str | None = None) -> bool:
        """Take in a post; say whether its pictures are wanted.

        Args:
            post: the post.
            reason: a reason against it that its network found already.
        """
        if post.post_id in self._seen:
            return False
        self._seen.add(post.post_id)
        reason = reason or drop_reason(post, self.window, self.hashtags, include_sensitive=self.include_sensitive)
        if reason in NOT_IN_TABLE:
            self.counts["post", reason] += 1
            return False
        self.posts[post.post_id] = (post, reason)
        return reason is None

    def count(self, what: str, outcome: str, number: int = 1) -> None:
        """Count something that gets no row of its own."""
        self.counts[what, outcome] += number

    def add_image(self, post_id: str, media: MediaItem, result: ImageResult) -> None:
        """Take in how fetching one picture of a post ended."""
        self.images[post_id, media.index] = (media, result)


@dataclass(frozen=True)
class CrawlTables:
    """The finished tables of a crawl (POSTS, IMAGES and CRAWL_COUNTS), sorted by their keys."""

    posts: pa.Table
    images: pa.Table
    counts: pa.Table
    result: CrawlResult

    def write(self, folder: Path) -> None:
        """Write posts.parquet, images.parquet and counts.parquet, each atomically."""
        write_table(folder / "posts.parquet", self.posts, POSTS)
        write_table(folder / "images.parquet", self.images, IMAGES)
        write_table(folder / "counts.parquet", self.counts, CRAWL_COUNTS)


def merge(harvests: Sequence[Harvest], window: CrawlWindow, crawled_at: datetime) -> CrawlTables:
    """Make the tables of a crawl from the harvests of its sources, in the order of the settings.

    A post that two sources met belongs to the first of them and is counted as ``other_source`` for the second; posts
    of two servers that carry the same id cannot both be kept, and the second is counted as ``id_taken``.
    """
    kept_posts: dict[str, tuple[Post, str | None]] = {}
    post_rows, image_rows = [], []
    counts: Counter[tuple[str, str, str]] = Counter()
    for harvest in harvests:
        for (what, outcome), number in harvest.counts.items():
            counts[harvest.source, what, outcome] += number
        taken = set()
        for post_id, (post, reason) in harvest.posts.items():
            if post_id in kept_posts:
                same = kept_posts[post_id][0].server == post.server
                counts[harvest.source, "post", "other_source" if same else "id_taken"] += 1
                continue
            kept_posts[post_id] = (post, reason)
            taken.add(post_id)
            counts[harvest.source, "post", reason or "kept"] += 1
            post_rows.append(post.to_row(window=window.key, reason=reason, crawled_at=crawled_at))
        for (post_id, _), (media, result) in harvest.images.items():
            if post_id in taken:
                counts[harvest.source, "image", result.reason or "ok"] += 1
                image_rows.append(result.to_row(post_id=post_id, media=media, window=window.key))
    post_rows.sort(key=lambda row: row["post_id"])
    image_rows.sort(key=lambda row: (row["post_id"], row["media_index"]))
    count_rows = [
        {"window": window.key, "source": source, "what": what, "outcome": outcome, "count": number}
        for (source, what, outcome), number in sorted(counts.items())
    ]
    totals = CrawlResult(
        posts=len(post_rows),
        kept=sum(row["kept"] for row in post_rows),
        images=sum(row["status"] == "ok" for row in image_rows),
        failed=sum(row["status"] == "failed" for row in image_rows),
        counts=dict(sorted(counts.items())),
    )
    return CrawlTables(
        posts=pa.Table.from_pylist(post_rows, schema=POSTS),
        images=pa.Table.from_pylist(image_rows, schema=IMAGES),
        counts=pa.Table.from_pylist(count_rows, schema=CRAWL_COUNTS),
        result=totals,
    )
