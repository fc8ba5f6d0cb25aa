"""Taking in a post that a page brought: its row, and its pictures if they are wanted and not known yet."""

from datetime import UTC, datetime

from crawlers.addresses import url_refusal
from crawlers.errand import Errand
from crawlers.filters import NOT_IN_TABLE, drop_reason
from crawlers.page_writer import PageWriter, address_key
from crawlers.posts import WITHDRAWN, ImageResult, MediaItem, Post
from crawlers.sources import server_name


def admit(errand: Errand, writer: PageWriter, post: Post) -> None:
    """Take in a post that was not met before: its row, and its pictures if they are wanted."""
    reason = drop_reason(post, errand.window, errand.network.hashtags, include_sensitive=errand.include_sensitive)
    if reason in NOT_IN_TABLE:
        writer.count("post", reason)
        return
    matched = tuple(sorted(errand.network.hashtags.intersection(post.hashtags))) if errand.network.hashtags else ()
    row = post.to_row(window=errand.window.key, reason=reason, matched=matched, crawled_at=errand.journal.began)
    if writer.add_post(post, row):
        for media in post.media:
            _add_picture(errand, writer, post, media)


def _add_picture(errand: Errand, writer: PageWriter, post: Post, media: MediaItem) -> None:
    """Note a picture to be fetched, unless its address is known or must not be asked."""
    url = media.fetch_url or media.url
    refusal = url_refusal(url, errand.allow_hosts)
    key = address_key(media, post.author_hmac)
    address = writer.add_picture(post.post_id, media, "" if refusal else server_name(url), key)
    if address is None:
        return
    if refusal is not None:
        writer.settle(address, ImageResult(datetime.now(UTC), 0, reason=refusal[0], detail=refusal[1]))
        return
    if errand.withdrawn.has("image", media.sha256):
        writer.settle(address, ImageResult(datetime.now(UTC), 0, reason=WITHDRAWN, detail="the picture was withdrawn"))
        return
    if errand.refetch:
        return
    result, attempts = errand.known.find(address)
    if result is None and media.fetch_url is not None:  # known from a table, which does not say whose the picture is
        anybodys, _ = errand.known.find(address_key(media))
        result = anybodys if anybodys is not None and anybodys.facts is not None else None
    if result is not None:
        writer.settle(address, result)
        writer.count("known", result.reason or "ok")
    elif attempts:
        writer.tried(address, attempts)
