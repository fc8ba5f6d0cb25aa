"""Is a post wanted? The answer is "yes" or the reason why not.

Servers filter by tag, date and media differently, and some wrongly, so everything is looked at again here.
"""

from crawlers.posts import Post
from crawlers.windows import CrawlWindow

NOT_IN_TABLE = frozenset({"other_tag", "outside_window"})
"""Reasons whose posts are only counted: they are not part of what was asked for."""


def drop_reason(
    post: Post, window: CrawlWindow, hashtags: frozenset[str] | None, *, include_sensitive: bool
) -> str | None:
    """Say why a post's pictures are not wanted, or None if they are.

    Args:
        post: the post; one without a date passes the window, its network has placed it.
        window: the crawl window.
        hashtags: folded hashtags of which the post must carry one; None lets any post pass.
        include_sensitive: are posts marked sensitive wanted?

    Returns:
        ``other_tag``, ``outside_window``, ``boost``, ``no_image``, ``opted_out``, ``sensitive`` or None.
    """
    if hashtags is not None and hashtags.isdisjoint(post.hashtags):
        return "other_tag"
    if post.created_at is not None and not window.contains(post.created_at):
        return "outside_window"
    if post.boost:
        return "boost"
    if not post.media:
        return "no_image"
    if post.opt_out is not None:
        return "opted_out"
    if post.sensitive and not include_sensitive:
        return "sensitive"
    return None
