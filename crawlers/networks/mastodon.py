"""The Mastodon API: hashtag timelines of Mastodon and of the many servers that speak like it.

Servers differ, so little is believed: every post's tags, date and pictures are looked at by the crawler itself, a
page is followed by the next until a timeline brings nothing new, and an older post never ends it, because some
servers order by arrival. Only where hundreds of posts have shown that a server's ids carry the time of posting is a
stretch outside the window passed over (see :mod:`crawlers.networks.id_times`).
"""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import AfterValidator, Field, model_validator

from crawlers.identity import author_hmac, key_from_env, token_from_env
from crawlers.networks.base import (
    MalformedAnswerError,
    Memory,
    Page,
    PageContent,
    PageRequest,
    Surroundings,
    clean_text,
    needed_text,
    utc_time,
)
from crawlers.networks.id_times import Seeker
from crawlers.opt_outs import profile_opt_out, tag_opt_out
from crawlers.posts import MediaItem, Post
from crawlers.sources import (
    EnvironmentName,
    Hashtags,
    NetworkSource,
    ServerAddress,
    fold_hashtags,
    server_name,
    without_port,
)

_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NOT_CURSORS = frozenset({"limit", "access_token"})
_PICTURE_NAME = re.compile(r"\.(jpe?g|png|webp|gif)$", re.IGNORECASE)


def _distinct(servers: tuple[str, ...]) -> tuple[str, ...]:
    if len({server_name(server) for server in servers}) < len(servers):
        raise ValueError("a server is named twice")
    return servers


class MastodonSource(NetworkSource):
    """Posts of servers that speak the Mastodon API, by hashtag."""

    kind: Literal["mastodon"] = "mastodon"
    server: ServerAddress | None = Field(
        default=None, description="Base address of the server, http or https, for instance https://example.social"
    )
    servers: Annotated[tuple[ServerAddress, ...], AfterValidator(_distinct)] = Field(
        default=(), description="Instead of server: several; a post that two of them show is taken from the first"
    )
    hashtags: Hashtags = Field(min_length=1)
    token_env: EnvironmentName | dict[str, EnvironmentName] | None = Field(
        default=None,
        description="Name of the environment variable that holds an access token for the server; "
        "with several servers, one for each host that needs one",
    )
    page_size: int = Field(default=40, ge=1, le=80, description="Posts asked for per page; most servers give 40")
    seek: bool = Field(
        default=True, description="Pass over posts outside the window where ids have been seen to carry their time"
    )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Base addresses of all servers."""
        return (self.server,) if self.server else self.servers

    def server_names(self) -> frozenset[str]:
        """Name the servers; ids are unique on each of them only."""
        return frozenset(map(server_name, self.addresses))

    def token_variables(self) -> Mapping[str, str]:
        """Return server name -> name of the environment variable with its token."""
        if isinstance(self.token_env, dict):
            return self.token_env
        return {server_name(self.addresses[0]): self.token_env} if self.token_env else {}

    @model_validator(mode="after")
    def _servers_and_tokens(self) -> "MastodonSource":
        if bool(self.server) == bool(self.servers):
            raise ValueError("server: name one server, or several as servers = [...]")
        if isinstance(self.token_env, str) and len(self.addresses) > 1:
            raise ValueError('token_env: with several servers write { "host.example" = "VARIABLE" }')
        by_name = {server_name(address): address for address in self.addresses}
        for name in self.token_variables():
            if name not in by_name:
                raise ValueError(f"token_env: {name} is none of the servers ({', '.join(by_name)})")
            self.check_token_way(by_name[name])
        return self


class MastodonNetwork:
    """Hashtag timelines of one or more servers."""

    complete_listing = False

    def __init__(self, source: MastodonSource, surroundings: Surroundings) -> None:
        """Build the network.

        Raises:
            CrawlError: if a token or the key is missing.
        """
        self._source = source
        self._qualify = surroundings.several_servers
        self._key = key_from_env(surroundings.environment)
        self._addresses = {server_name(address): address for address in source.addresses}
        self._ranks = {name: rank for rank, name in enumerate(self._addresses)}
        self._tokens = {
            name: token_from_env(surroundings.environment, variable, source.name, self._addresses[name])
            for name, variable in source.token_variables().items()
        }
        self._seeker = Seeker(surroundings.window) if source.seek else None
        self.hashtags: frozenset[str] | None = frozenset(source.hashtags)

    def first_pages(self) -> Sequence[Page]:
        """Name the newest page of each hashtag's timeline on each server."""
        return [self._page(name, tag, {}) for name in self._addresses for tag in self._source.hashtags]

    def _page(self, server: str, tag: str, cursor: Mapping[str, str]) -> Page:
        query = urlencode({"limit": str(self._source.page_size), **cursor})
        address = f"{self._addresses[server]}/api/v1/timelines/tag/{quote(tag, safe='')}?{query}"
        return Page(url=address, timeline=f"#{tag} on {server}", server=server, context={"tag": tag})

    def request(self, page: Page) -> PageRequest:
        """Ask with the server's own token, if there is one."""
        headers = {"Accept": "application/json"}
        if page.server in self._tokens:
            headers["Authorization"] = f"Bearer {self._tokens[page.server]}"
        return PageRequest(page.url, headers)

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str], memory: Memory) -> PageContent:
        """Read a page of a timeline: a list of statuses, newest first as a rule.

        Raises:
            MalformedAnswerError: if the answer is not a list.
        """
        if not isinstance(answer, list):
            raise MalformedAnswerError("a list of statuses was expected")
        posts, malformed, ids = [], [], []
        for status in answer:
            try:
                ids.append(needed_text(status, "id", "status"))
                posts.append((ids[-1], self._read(status, page.server)))
            except MalformedAnswerError as error:
                malformed.append(str(error))
        next_pages, stopped = self._next(page, ids, posts, bool(answer), headers.get("link", ""), memory)
        return PageContent(tuple(post for _, post in posts), tuple(malformed), next_pages, stopped=stopped)

    def _next(
        self, page: Page, ids: list[str], posts: list[tuple[str, Post]], filled: bool, link: str, memory: Memory
    ) -> tuple[tuple[Page, ...], str | None]:
        """Name the pages after a page, and say why paging stops if the timeline has not ended."""
        state = memory.recall(page.timeline)
        state["pages"] = state.get("pages", 0) + 1
        news = memory.unseen(page.timeline, ids)
        cursors = _cursors(ids, link) if news or (filled and not ids) else []
        if self._seeker is not None:
            dated = [(native_id, post.created_at) for native_id, post in posts if post.created_at is not None]
            cursors = self._seeker.steer(state, dated, cursors)
        memory.keep(page.timeline, state)
        fresh = [cursor for cursor in cursors if memory.unseen(f"cursors of {page.timeline}", [urlencode(cursor)])]
        if fresh and state["pages"] >= self._source.max_pages:
            return (), f"{page.timeline}: max_pages ({self._source.max_pages}) is reached before its end"
        return tuple(self._page(page.server, page.context["tag"], cursor) for cursor in fresh), None

    def read_refusal(self, page: Page, status: int, answer: Any, memory: Memory) -> PageContent | None:
        """Go back where a server does not take an id that none of its posts has; foresee nothing else."""
        state = memory.recall(page.timeline)
        if self._seeker is None or status not in (400, 404, 422) or not self._seeker.landing(state):
            return None
        cursors = self._seeker.steer(state, [], [])
        memory.keep(page.timeline, state)
        return PageContent(next_pages=tuple(self._page(page.server, page.context["tag"], cursor) for cursor in cursors))

    def presence_page(self, post: Mapping[str, Any]) -> Page | None:
        """Name the address of a single status."""
        server, url = post["server"], post["url"] or ""
        address = self._addresses.get(server, "")
        if not address or not url.startswith(f"{address}/"):
            return None
        return Page(url=url, timeline=f"posts of {server}", server=server)

    def read_presence(self, status: int, answer: Any) -> str:
        """Read the answer to a single status: 404 and 410 mean that it was deleted."""
        if status in (404, 410):
            return "deleted"
        if status in (401, 403):
            return "hidden"
        return "changed" if status == 200 and isinstance(answer, dict) and answer.get("id") else "unverified"

    def _read(self, status: Any, server: str) -> Post:
        """Read one status of the API.

        A boost is a status that shows another one: its own id, date and author count, the rest is the other's.

        Raises:
            MalformedAnswerError: if it lacks an id, a date or an author, or one of them makes no sense.
        """
        native_id = needed_text(status, "id", "status")
        place = f"status {native_id[:40]}"
        original = status.get("reblog")
        content = original if isinstance(original, dict) else status
        account = status.get("account")
        handle = needed_text(account, "acct", f"{place}: its account")
        edited = clean_text(status.get("edited_at"))
        uri = clean_text(status.get("uri"))
        hashtags = fold_hashtags(_tags(content))
        return Post(
            post_id=f"mastodon:{server}/{native_id}" if self._qualify else f"mastodon:{native_id}",
            network="mastodon",
            source=self._source.name,
            server=server,
            # a post's page has the author's handle in its address; this one leads to the same post
            url=f"{self._addresses[server]}/api/v1/statuses/{quote(native_id, safe='')}",
            created_at=utc_time(needed_text(status, "created_at", place), place),
            edited_at=utc_time(edited, place) if edited else None,
            author_hmac=author_hmac(handle, without_port(server), self._key),
            hashtags=hashtags,
            media=tuple(_media(content)),
            language=clean_text(content.get("language")),
            sensitive=content.get("sensitive") is True or status.get("sensitive") is True,
            boost=original is not None,
            opt_out=_opt_out(status) or _opt_out(content) or tag_opt_out(hashtags),
            identity=hashlib.sha256(uri.encode()).hexdigest() if uri else None,
            server_rank=self._ranks[server],
        )


def _cursors(ids: list[str], link: str) -> list[dict[str, str]]:
    """Name what may lead to the next page.

    That is the server's own ``rel="next"``, of which only the query is used, never the address; without it, or where it
    is of an unknown kind, the last id. On a page whose ids do not fall, the smallest and the largest id are tried as
    well, since a page may be ordered by one thing and cut off by another; a try that brings nothing new costs one
    request.
    """
    following = _next_query(link)
    if not ids:
        return [following] if following else []
    last = {"max_id": ids[-1]}
    cursors = [following] if following else [last]
    if set(following) - {"max_id"}:
        cursors.append(last)
    order = [_id_order(native_id) for native_id in ids]
    if any(first <= second for first, second in itertools.pairwise(order)):
        cursors += [{"max_id": choose(ids, key=_id_order)} for choose in (min, max)]
        cursors.append(last)
    return [cursor for number, cursor in enumerate(cursors) if cursor not in cursors[:number]]


def _id_order(native_id: str) -> tuple[int, str]:
    return (len(native_id.lstrip("0")), native_id.lstrip("0")) if native_id.isdecimal() else (0, native_id)


def _next_query(link: str) -> dict[str, str]:
    for address, parameters in _LINK.findall(link):
        if re.search(r'rel\s*=\s*"?next\b', parameters):
            try:
                pairs = parse_qsl(urlsplit(address).query)
            except ValueError:
                return {}
            return {name: value for name, value in pairs if name not in _NOT_CURSORS and len(value) < 500}
    return {}


def _opt_out(status: Mapping[str, Any]) -> str | None:
    """Return the sign by which an author asks to be left out of searches or data sets, if there is one."""
    visibility = status.get("visibility")
    if visibility in ("private", "direct"):
        return f"visibility: {visibility}"
    account = status.get("account")
    if not isinstance(account, dict):
        return None
    if account.get("noindex") is True:
        return "profile: noindex"
    return profile_opt_out(clean_text(account.get("note")) or "")


def _tags(content: Mapping[str, Any]) -> list[str]:
    tags = content.get("tags")
    entries = tags if isinstance(tags, list) else []
    names = [clean_text(tag.get("name") if isinstance(tag, dict) else tag) for tag in entries]
    return [name for name in names if name is not None]


def _media(content: Mapping[str, Any]) -> list[MediaItem]:
    attachments = content.get("media_attachments")
    items: list[MediaItem] = []
    for attachment in attachments if isinstance(attachments, list) else []:
        if not isinstance(attachment, dict):
            continue
        url = clean_text(attachment.get("url")) or clean_text(attachment.get("remote_url"))
        kind = attachment.get("type")
        # "unknown" is what a server says of a picture that it has not fetched from its origin yet
        unfetched = kind == "unknown" and url is not None and _PICTURE_NAME.search(_path(url))
        if url is not None and (kind == "image" or unfetched):
            items.append(MediaItem(len(items), url, clean_text(attachment.get("description"))))
    return items


def _path(url: str) -> str:
    """Return the path of an address, or nothing if it is malformed."""
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


SOURCE, NETWORK = MastodonSource, MastodonNetwork
