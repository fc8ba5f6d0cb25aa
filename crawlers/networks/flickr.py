"""The Flickr API: photos by tag (``flickr.photos.search``).

A query never gives more than its first 4,000 results, so a window is cut into spans of upload time, each halved until
it holds few enough; both ends of a span belong to it. What Flickr says of the number of results is not taken for
granted: a span of several pages that gives clearly fewer photos than announced is halved as well. Without a login,
which this crawler never has, Flickr shows public and safe photos only.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from pydantic import AfterValidator, Field, model_validator

from crawlers.errors import CrawlError
from crawlers.identity import author_hmac, key_from_env
from crawlers.networks.base import (
    MalformedAnswerError,
    Memory,
    Page,
    PageContent,
    PageRequest,
    RefusedAnswerError,
    Surroundings,
    clean_text,
    needed_text,
    texts,
)
from crawlers.opt_outs import tag_opt_out
from crawlers.posts import MediaItem, Post
from crawlers.sources import EnvironmentName, Hashtags, NetworkSource, ServerAddress, fold_hashtags, server_name

RESULT_LIMIT = 4_000  # results of one query that can be read; what lies behind them is a repetition
_ENOUGH = 0.95  # of the announced photos of a span; Flickr announces some that it does not show
_TAGS_PER_QUERY = 20  # the documented limit of a query for all tags; for any tag none is documented
_PASSING = frozenset({"0", "10", "105", "106", "201"})  # "currently unavailable" and "write operation failed"
_BAD_KEY = "100"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEY = re.compile(r"[\x21-\x7e]+")
_SIZES = tuple(f"url_{size}" for size in ("o", "6k", "5k", "4k", "f", "3k", "k", "h", "l", "c", "z", "m"))
_EXTRAS = ",".join(("date_upload", "license", "tags", "media", "original_format", *_SIZES))
_ALWAYS = {"tag_mode": "any", "sort": "date-posted-asc", "media": "photos", "extras": _EXTRAS}
_ALWAYS |= {"content_type": "1", "privacy_filter": "1"}  # photos without screenshots, public ones
_CC2 = ("by-nc-sa", "by-nc", "by-nc-nd", "by", "by-sa", "by-nd")
_CC4 = ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
LICENSES: Mapping[int, str] = {
    0: "All Rights Reserved",
    **{number: f"https://creativecommons.org/licenses/{kind}/2.0/" for number, kind in enumerate(_CC2, 1)},
    7: "https://www.flickr.com/commons/usage/",
    8: "https://www.usa.gov/government-copyright",
    9: "https://creativecommons.org/publicdomain/zero/1.0/",
    10: "https://creativecommons.org/publicdomain/mark/1.0/",
    **{number: f"https://creativecommons.org/licenses/{kind}/4.0/" for number, kind in enumerate(_CC4, 11)},
}
"""Name or address of each licence that ``flickr.photos.licenses.getInfo`` lists."""


def _searchable(tags: tuple[str, ...]) -> tuple[str, ...]:
    for tag in tags:
        # in a query a comma parts two tags, and a hyphen in front excludes one
        if "," in tag or tag.startswith("-") or not _bare(tag):
            raise ValueError(f"{tag!r} cannot be searched for on Flickr; write a tag without ',' or a '-' in front")
    return tags


class FlickrSource(NetworkSource):
    """Photos on Flickr, by tag."""

    kind: Literal["flickr"] = "flickr"
    hashtags: Annotated[Hashtags, AfterValidator(_searchable)] = Field(min_length=1)
    key_env: EnvironmentName = Field(description="Name of the environment variable that holds your Flickr API key")
    server: ServerAddress = Field(default="https://api.flickr.com", description="Base address of the API")
    licenses: tuple[Annotated[int, Field(ge=0, le=999)], ...] = Field(
        default=(), description="Flickr's numbers of the licences to accept, for instance [4, 5, 9, 10]; all if empty"
    )
    page_size: int = Field(default=500, ge=1, le=500, description="Photos asked for per page")

    @model_validator(mode="after")
    def _key_is_safe(self) -> "FlickrSource":
        if self.server.startswith("http:") and not self.allows(self.server):
            raise ValueError("server: the API key is only sent over https; change the address to https://")
        return self


class FlickrNetwork:
    """Photos by tag and time of upload."""

    complete_listing: bool = False

    def __init__(self, source: FlickrSource, surroundings: Surroundings) -> None:
        """Build the network.

        Raises:
            CrawlError: if the API key or the key for authors is missing.
        """
        self._source = source
        self._key = key_from_env(surroundings.environment)
        self._api_key = surroundings.environment.get(source.key_env, "").strip()
        if not _KEY.fullmatch(self._api_key):
            where = "https://www.flickr.com/services/apps/create/"
            raise CrawlError(f"source {source.name}: set {source.key_env} to a Flickr API key; get one at {where}")
        self._server = server_name(source.server)
        self._span = max(1, _seconds_up(surroundings.window.start)), _seconds_up(surroundings.window.end) - 1
        # Flickr writes a tag without its punctuation, street_style as streetstyle
        self.hashtags: frozenset[str] | None = frozenset(source.hashtags) | frozenset(map(_bare, source.hashtags))

    def first_pages(self) -> Sequence[Page]:
        """Name the first page of the whole window, once for every twenty tags."""
        tags, step = self._source.hashtags, _TAGS_PER_QUERY
        groups = (tags[at : at + step] for at in range(0, len(tags), step))
        return [self._page(group, self._span, 1) for group in groups if self._span[0] <= self._span[1]]

    def _page(self, tags: Sequence[str], span: tuple[int, int], number: int) -> Page:
        query: dict[str, Any] = {
            "method": "flickr.photos.search",
            **_ALWAYS,
            "tags": ",".join(tags),
            "min_upload_date": span[0],
            "max_upload_date": span[1],
            "safe_search": 3 if self._source.include_sensitive else 1,
            "per_page": self._source.page_size,
            "page": number,
        }
        if self._source.licenses:
            query["license"] = ",".join(map(str, self._source.licenses))
        name = f"#{tags[0]}" if len(tags) == 1 else f"#{tags[0]} to #{tags[-1]}"
        context = {"tags": list(tags), "span": list(span), "number": number}
        return Page(url=self._address(query), timeline=f"{name} on Flickr", server=self._server, context=context)

    def _address(self, query: Mapping[str, Any]) -> str:
        return f"{self._source.server}/services/rest/?{urlencode({**query, 'format': 'json', 'nojsoncallback': 1})}"

    def request(self, page: Page) -> PageRequest:
        """Ask with the API key, which the API takes in the address only."""
        return PageRequest(f"{page.url}&api_key={quote(self._api_key, safe='')}", {"Accept": "application/json"})

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str], memory: Memory) -> PageContent:
        """Read a page of a span, oldest upload first.

        Raises:
            MalformedAnswerError: if the answer is no page of photos, or says that Flickr is unavailable.
            RefusedAnswerError: if Flickr says that it does not answer.
        """
        if isinstance(answer, dict) and answer.get("stat") == "fail":
            raise RefusedAnswerError(self._failure(page, answer))
        photos = answer.get("photos") if isinstance(answer, dict) else None
        entries = photos.get("photo") if isinstance(photos, dict) else None
        if not isinstance(photos, dict) or not isinstance(entries, list):
            raise MalformedAnswerError("an object with photos was expected")
        total = int(_digits(photos, "total", "the page of photos"))
        posts, malformed, ids, counts = [], [], [], []
        for entry in entries:
            try:
                ids.append(_digits(entry, "id", "photo", longest=20))
                post = self._read(entry)
            except MalformedAnswerError as error:
                malformed.append(str(error))
                continue
            if self._source.licenses and _optional(entry, "license") not in self._source.licenses:
                counts.append(("photo", "other_license"))
            else:
                posts.append(post)
        # a server may give fewer per page than were asked for
        size = min(_optional(photos, "perpage") or self._source.page_size, self._source.page_size)
        given = self._given(page, ids, len(entries) - len(ids), memory)
        following = self._following(page, total, size, given, bool(entries))
        stopped = self._stop(page, following, total, memory)
        if not following and stopped is None:
            counts += [("photo", "announced_only")] * (total - given)
        return PageContent(tuple(posts), tuple(malformed), () if stopped else following, tuple(counts), stopped)

    @staticmethod
    def _given(page: Page, ids: list[str], without_id: int, memory: Memory) -> int:
        """Count the photos that all pages of the span have given until now, each once."""
        name = f"{page.timeline} in {page.context['span']}"
        given = int(memory.recall(name).get("given", 0)) + len(memory.unseen(name, ids)) + without_id
        memory.keep(name, {"given": given})
        return given

    def _following(self, page: Page, total: int, size: int, given: int, filled: bool) -> tuple[Page, ...]:
        """Name the pages after a page: the next one of its span, or the first ones of the span's halves."""
        tags, number, (first, last) = page.context["tags"], page.context["number"], page.context["span"]
        middle = (first + last) // 2
        halves = (self._page(tags, (first, middle), 1), self._page(tags, (middle + 1, last), 1)) if first < last else ()
        if total > RESULT_LIMIT and halves:
            return halves
        if filled and number * size < min(total, RESULT_LIMIT):
            return (self._page(tags, (first, last), number + 1),)
        return halves if total > size and given < total * _ENOUGH else ()

    def _stop(self, page: Page, following: tuple[Page, ...], total: int, memory: Memory) -> str | None:
        """Say why paging ends here although there is more."""
        state = memory.recall(page.timeline)
        state["pages"] = state.get("pages", 0) + 1
        memory.keep(page.timeline, state)
        if following and state["pages"] >= self._source.max_pages:
            return f"{page.timeline}: max_pages ({self._source.max_pages}) is reached before its end"
        if not following and total > RESULT_LIMIT:
            moment = _EPOCH + timedelta(seconds=page.context["span"][0])
            return f"{page.timeline}: {total} photos were uploaded at {moment}, and only {RESULT_LIMIT} can be read"
        return None

    def _failure(self, page: Page, answer: Mapping[str, Any]) -> str:
        """Say what a failed call means for people.

        Raises:
            MalformedAnswerError: if it may succeed when it is asked for again.
        """
        code = _code(answer)
        message = (clean_text(answer.get("message")) or "no message").replace(self._api_key, "…")[:200]
        if code in _PASSING:
            raise MalformedAnswerError(f"Flickr is unavailable (code {code}: {message})")
        if code == _BAD_KEY:
            return f"{page.timeline}: Flickr does not take the API key; set {self._source.key_env} to a valid one"
        return f"{page.timeline}: Flickr does not answer the query (code {code}: {message})"

    def read_refusal(self, page: Page, status: int, answer: Any, memory: Memory) -> PageContent | None:
        """Name an API key that is not taken; foresee nothing else, since failures have status 200."""
        failed = isinstance(answer, dict) and answer.get("stat") == "fail" and _code(answer) == _BAD_KEY
        if failed:
            raise RefusedAnswerError(self._failure(page, answer))
        return None

    def presence_page(self, post: Mapping[str, Any]) -> Page | None:
        """Name the page of a single photo's facts."""
        photo_id = str(post["post_id"]).removeprefix("flickr:")
        if not photo_id.isdecimal():
            return None
        url = self._address({"method": "flickr.photos.getInfo", "photo_id": photo_id})
        return Page(url=url, timeline="photos on Flickr", server=self._server)

    def read_presence(self, status: int, answer: Any) -> str:
        """Read a single photo's facts; Flickr says "not found" (1) of deleted photos and of those made private."""
        if status != 200 or not isinstance(answer, dict):
            return "unverified"
        if answer.get("stat") == "fail":
            return {"1": "deleted", "2": "hidden"}.get(_code(answer), "unverified")
        return "changed" if isinstance(answer.get("photo"), dict) else "unverified"

    def _read(self, photo: Mapping[str, Any]) -> Post:
        """Read one photo.

        Raises:
            MalformedAnswerError: if it lacks an id, a time of upload or an owner, or one of them makes no sense.
        """
        photo_id = _digits(photo, "id", "photo", longest=20)
        place = f"photo {photo_id}"
        tags = photo.get("tags")
        hashtags = fold_hashtags(texts(tags.split()) if isinstance(tags, str) else ())
        number = _optional(photo, "license")
        public = photo.get("ispublic", 1) in (1, "1", True)
        return Post(
            post_id=f"flickr:{photo_id}",
            network="flickr",
            source=self._source.name,
            server=self._server,
            url=f"https://www.flickr.com/photo.gne?id={photo_id}",  # leads to the photo's page, and names no author
            created_at=_EPOCH + timedelta(seconds=int(_digits(photo, "dateupload", place))),
            author_hmac=author_hmac(needed_text(photo, "owner", place), "flickr", self._key),
            hashtags=hashtags,
            media=_media(photo),
            opt_out=tag_opt_out(hashtags) if public else "visibility: private",
            license=None if number is None else LICENSES.get(number, f"flickr:{number}"),
        )


def _seconds_up(moment: datetime) -> int:
    """Return the first whole second since 1970 that is not before a moment."""
    return -((_EPOCH - moment) // timedelta(seconds=1))


def _bare(tag: str) -> str:
    return "".join(character for character in tag if unicodedata.category(character)[0] not in "PZC")


def _code(answer: Mapping[str, Any]) -> str:
    return (clean_text(str(answer.get("code"))) or "")[:10]


def _digits(entry: Any, name: str, place: str, longest: int = 11) -> str:
    text = needed_text(entry, name, place)
    if not (text.isascii() and text.isdecimal() and len(text) <= longest):
        raise MalformedAnswerError(f"{place} has the {name} {text[:40]!r}, which is no number")
    return text


def _optional(entry: Mapping[str, Any], name: str) -> int | None:
    try:
        return int(_digits(entry, name, ""))
    except MalformedAnswerError:
        return None


def _media(photo: Mapping[str, Any]) -> tuple[MediaItem, ...]:
    """Return the photo's largest picture, first of all the original."""
    urls = [url for name in _SIZES if (url := clean_text(photo.get(name))) is not None]
    if photo.get("media", "photo") != "photo" or not urls:
        return ()
    title = photo.get("title")
    return (MediaItem(0, urls[0], clean_text(title.get("_content") if isinstance(title, dict) else title)),)


SOURCE, NETWORK = FlickrSource, FlickrNetwork
