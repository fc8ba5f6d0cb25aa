"""The Mastodon API: hashtag timelines of Mastodon and of the many servers that speak like it.

Servers differ, so little is believed: every post's tags, date and pictures are looked at by the crawler itself, a
page is followed by the next until a timeline brings nothing new, and an older post never ends it, because some
servers order by arrival.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac, key_from_env
from crawlers.networks.base import MalformedAnswerError, Page, PageContent
from crawlers.posts import MediaItem, Post
from crawlers.sources import MastodonSource, fold_hashtags

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_LONGEST_TEXT = 10_000  # characters of an alternative text; servers allow 1,500


@dataclass
class _Timeline:
    """How far the paging of one hashtag has come."""

    seen: set[str] = field(default_factory=set)  # ids of posts
    cursors: set[str] = field(default_factory=set)
    pages: int = 0


class MastodonNetwork:
    """Hashtag timelines of one server.

    Args:
        source: the settings.
        environment: where the access token and the key for authors' handles come from.

    Raises:
        CrawlError: if the token or the key is missing.
    """

    def __init__(self, source: MastodonSource, environment: Mapping[str, str]) -> None:
        self._source = source
        self._key = key_from_env(environment)
        self._headers = {"Accept": "application/json"}
        if source.token_env is not None:
            token = environment.get(source.token_env, "").strip()
            if not re.fullmatch(r"[\x21-\x7e]+", token):
                raise CrawlError(f"source {source.name}: set {source.token_env} to an access token of {source.server}")
            self._headers["Authorization"] = f"Bearer {token}"
        self._timelines = {tag: _Timeline() for tag in source.hashtags}
        self.hashtags: frozenset[str] | None = frozenset(source.hashtags)

    def first_pages(self) -> Sequence[Page]:
        """Name the newest page of each hashtag's timeline."""
        return [self._page(tag, None) for tag in self._source.hashtags]

    def _page(self, tag: str, cursor: str | None) -> Page:
        query = {"limit": str(self._source.page_size)} | ({"max_id": cursor} if cursor is not None else {})
        address = f"{self._source.server}/api/v1/timelines/tag/{quote(tag, safe='')}?{urlencode(query)}"
        return Page(url=address, key=tag, headers=self._headers)

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str]) -> PageContent:
        """Read a page of a timeline: a list of statuses, newest first as a rule.

        Raises:
            MalformedAnswerError: if the answer is not a list.
        """
        if not isinstance(answer, list):
            raise MalformedAnswerError("a list of statuses was expected")
        posts, malformed, ids = [], [], []
        for status in answer:
            try:
                ids.append(_text(status, "id"))
                posts.append(read_status(status, self._source, self._key))
            except MalformedAnswerError as error:
                malformed.append(str(error))
        timeline = self._timelines[page.key]
        timeline.pages += 1
        news = set(ids) - timeline.seen
        timeline.seen |= news
        next_page, stopped = None, None
        cursor = _next_cursor(headers.get("link", "")) or (ids[-1] if ids else None)
        if news and cursor is not None and cursor not in timeline.cursors:
            if timeline.pages < self._source.max_pages:
                timeline.cursors.add(cursor)
                next_page = self._page(page.key, cursor)
            else:
                stopped = "max_pages"
        return PageContent(tuple(posts), tuple(malformed), next_page, stopped)


def _next_cursor(link: str) -> str | None:
    """Read ``max_id`` of the ``rel="next"`` entry of a Link header; the rest of its address is not trusted."""
    for address, parameters in _LINK.findall(link):
        if re.search(r'rel\s*=\s*"?next\b', parameters):
            try:
                values = parse_qs(urlsplit(address).query).get("max_id", [])
            except ValueError:
                return None
            return values[0] if values else None
    return None


def read_status(status: Any, source: MastodonSource, key: bytes) -> Post:
    """Read one status of the API.

    A boost is a status that shows another one: its own id, date and author count, the rest is the other's.

    Args:
        status: parsed JSON.
        source: settings of the source that it came from.
        key: secret key for the author's handle.

    Raises:
        MalformedAnswerError: if it lacks an id, a date or an author, or one of them makes no sense.
    """
    native_id = _text(status, "id")
    original = status.get("reblog")
    boost = original is not None
    content = original if isinstance(original, dict) else status
    return Post(
        post_id=f"mastodon:{native_id}",
        network="mastodon",
        source=source.name,
        server=source.host,
        # a post's page has the author's handle in its address; this one leads to the same post
        url=f"{source.server}/api/v1/statuses/{quote(native_id, safe='')}",
        created_at=_time(_text(status, "created_at"), native_id),
        edited_at=_time(edited, native_id) if (edited := _optional_text(status, "edited_at")) else None,
        author_hmac=author_hmac(_text(status.get("account"), "acct", f"status {native_id[:40]}"), source.host, key),
        hashtags=fold_hashtags(_tags(content)),
        media=tuple(_media(content)),
        language=_optional_text(content, "language"),
        sensitive=content.get("sensitive") is True or status.get("sensitive") is True,
        boost=boost,
    )


def _text(entry: Any, name: str, place: str = "status") -> str:
    value = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = _clean(value)
    if text is None:
        raise MalformedAnswerError(f"{place} has no usable {name}")
    return text


def _optional_text(entry: dict[str, Any], name: str) -> str | None:
    return _clean(entry.get(name))


def _clean(value: Any) -> str | None:
    """Return a text that UTF-8 can hold (JSON may carry halves of surrogate pairs), or None if there is none."""
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_TEXT:
        return None
    return value.encode("utf-8", "replace").decode()


def _time(text: str, native_id: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedAnswerError(f"status {native_id[:40]} has the date {text[:40]!r}, which is none") from None


def _tags(content: dict[str, Any]) -> list[str]:
    tags = content.get("tags")
    if not isinstance(tags, list):
        return []
    names = [_clean(tag.get("name")) for tag in tags if isinstance(tag, dict)]
    return [name for name in names if name is not None]


def _media(content: dict[str, Any]) -> list[MediaItem]:
    attachments = content.get("media_attachments")
    items: list[MediaItem] = []
    for attachment in attachments if isinstance(attachments, list) else []:
        if not isinstance(attachment, dict) or attachment.get("type") != "image":
            continue
        url = _optional_text(attachment, "url") or _optional_text(attachment, "remote_url")
        if url is not None:
            items.append(MediaItem(len(items), url, _optional_text(attachment, "description")))
    return items
