"""Bluesky and other servers of the AT Protocol: a search by hashtag, or whole repositories.

A search is asked of an AppView, or of an account's server that passes it on. Servers may ignore the hashtag and the
dates, so every post is looked at again by the crawler. A search gives no more than some thousands of posts, so when
its pages end it is asked again for what is older than the oldest post met, until that brings nothing new.

Repositories are read from the servers that hold them, which are complete: a post that is not listed any more is gone.
They are listed by record key, the order of writing, and ``createdAt`` may be anything, so each is read to its end.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from crawlers.identity import key_from_env, token_from_env
from crawlers.networks.base import (
    MalformedAnswerError,
    Memory,
    Page,
    PageContent,
    PageRequest,
    Surroundings,
    clean_text,
)
from crawlers.networks.bluesky_pages import Pages, fresh_cursor, iso
from crawlers.networks.bluesky_records import (
    Home,
    account_server,
    checked_accounts,
    entries_of,
    is_did,
    opted_out,
    read_accounts,
    read_listing,
    read_post,
    record_address,
    trimmed_view,
    what_is_missing,
)
from crawlers.posts import Post
from crawlers.sources import EnvironmentName, NetworkSource, ServerAddress

_BARREN_PAGES = 3  # in a row; a search hides posts after it has cut its pages, so one without any is not its end
_SECOND = timedelta(seconds=1)


class BlueskySource(NetworkSource):
    """Posts of Bluesky and other servers of the AT Protocol, by hashtag or by account."""

    kind: Literal["bluesky"] = "bluesky"
    server: ServerAddress = Field(
        description="Base address: for search an AppView or a server that passes searches on, for sync the accounts' "
        "own server"
    )
    mode: Literal["search", "sync"] = Field(description="search: posts with a hashtag; sync: whole repositories")
    accounts: Annotated[tuple[str, ...], AfterValidator(checked_accounts)] = Field(
        default=(), description="For sync: handles or DIDs to read; without any, every account of the server"
    )
    token_env: EnvironmentName | None = Field(
        default=None, description="For search: name of the environment variable that holds an access token"
    )
    plc_directory: ServerAddress | None = Field(
        default="https://plc.directory",
        description="Directory that knows each account's own server; empty: everything is asked of server",
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Posts asked for per page")

    @field_validator("plc_directory", mode="before")
    @classmethod
    def _no_directory(cls, value: Any) -> Any:
        return None if value == "" else value

    @model_validator(mode="after")
    def _parts_of_the_mode(self) -> "BlueskySource":
        if self.mode == "search":
            if not self.hashtags:
                raise ValueError('hashtags: a search needs at least one; for whole accounts write mode = "sync"')
            if self.accounts:
                raise ValueError('accounts: a search covers all accounts; remove them or write mode = "sync"')
            if self.token_env:
                self.check_token_way(self.server)
        elif self.token_env:
            raise ValueError('token_env: repositories are read without a token; remove it or write mode = "search"')
        return self


class BlueskyNetwork:
    """A search for each hashtag, or the repositories of a server.

    Attributes:
        complete_listing: True where a crawl lists all that is there, every account of a server, so that a post which
            is not listed any more is gone. Not so in a search or for some accounts: there it stays unverified.
    """

    def __init__(self, source: BlueskySource, surroundings: Surroundings) -> None:
        """Build the network.

        Raises:
            CrawlError: if the token or the key is missing.
        """
        self._source = source
        self._window = surroundings.window
        self._home = Home(source.name, source.server, key_from_env(surroundings.environment))
        variable, environment = source.token_env, surroundings.environment
        self._token = token_from_env(environment, variable, source.name, source.server) if variable else None
        self._pages = Pages(self._home, surroundings.window, source.page_size, source.plc_directory)
        self.hashtags: frozenset[str] | None = frozenset(source.hashtags) or None
        self.complete_listing = source.mode == "sync" and not source.accounts  # a list of accounts may change

    def first_pages(self) -> Sequence[Page]:
        """Name the first page of each search, of each listed account, or of the list of repositories."""
        if self._source.mode == "search":
            return [self._pages.search(tag, iso(self._window.end)) for tag in self._source.hashtags]
        if self._source.accounts:
            return [self._pages.account(position, name) for position, name in enumerate(self._source.accounts)]
        return [self._pages.repositories()]

    def request(self, page: Page) -> PageRequest:
        """Ask with the token, which only the source's own server gets, and only for a search."""
        headers = {"Accept": "application/json"}
        if self._token is not None and page.url.startswith(f"{self._source.server}/xrpc/"):
            headers["Authorization"] = f"Bearer {self._token}"
        return PageRequest(page.url, headers)

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str], memory: Memory) -> PageContent:
        """Read a page of any step.

        Raises:
            MalformedAnswerError: if the answer is not what the step needs.
        """
        match page.context["step"]:
            case "search":
                return self._read_search(page, answer, memory)
            case "author":
                return self._read_author(page, answer, memory)
            case "repositories":
                return self._read_repositories(page, answer, memory)
            case "handle" | "identity":
                return self._read_identity(page, answer)
            case "profile":
                return self._read_profile(page, answer, memory)
            case _:
                return self._read_records(page, answer, memory)

    def read_refusal(self, page: Page, status: int, answer: Any, memory: Memory) -> PageContent | None:
        """Read what says that an account or its profile is not there; posts do not wait for an author in vain."""
        step = page.context["step"]
        if step == "author":
            return self._read_author(page, None, memory)
        if step in ("handle", "identity"):
            return _unresolved(page) if status in (400, 404, 410) else None
        missing = what_is_missing(answer) if step in ("profile", "records") and 400 <= status < 500 else None
        if missing == "account":
            return PageContent(counts=(("account", "gone"),))
        return self._go_on(page, memory) if missing == "record" and step == "profile" else None

    def presence_page(self, post: Mapping[str, Any]) -> Page | None:
        """Name none: see ``complete_listing``."""
        return None

    def read_presence(self, status: int, answer: Any) -> str:
        """Say that nothing is known: no page is asked for."""
        return "unverified"

    def _read_search(self, page: Page, answer: Any, memory: Memory) -> PageContent:
        entries = entries_of(answer, "posts")
        met: list[Post] = []
        ready: list[Post] = []
        malformed: list[str] = []
        hosts: dict[str, str | None] = {}
        waiting: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            view = trimmed_view(entry)
            try:
                did = record_address(view).did
                if view["author"].get("did") != did:
                    raise MalformedAnswerError("record and its author do not agree")
                if did not in hosts:
                    hosts[did] = self._known_host(did, memory)
                met.append(read_post(view, self._home, hosts[did] or self._source.server))
            except MalformedAnswerError as error:
                malformed.append(str(error))
                continue
            if hosts[did] is None and self._wanted(met[-1]):
                waiting.setdefault(did, []).append(view)
            else:
                ready.append(met[-1])
        following, stopped = self._next_search(page, answer, met, memory)
        authors = [self._pages.author(did, views) for did, views in waiting.items()]
        return PageContent(tuple(ready), tuple(malformed), (*authors, *following), stopped=stopped)

    def _next_search(
        self, page: Page, answer: Mapping[str, Any], met: list[Post], memory: Memory
    ) -> tuple[list[Page], str | None]:
        """Name the next page of a search; at its end, the search for what is older, until that has no news."""
        tag, until = page.context["tag"], page.context["until"]
        state = memory.recall(page.timeline)
        news = memory.unseen(page.timeline, [post.identity or "" for post in met])
        state["barren"] = 0 if met else state.get("barren", 0) + 1
        state["news"] = bool(news) or state.get("news", False)
        dates = [iso(post.created_at) for post in met if post.created_at and self._window.contains(post.created_at)]
        state["oldest"] = min([*dates, state.get("oldest", until)])
        following: list[Page] = []
        if news or 0 < state["barren"] < _BARREN_PAGES:
            following = [self._pages.search(tag, until, cursor) for cursor in fresh_cursor(page, answer, memory)]
        if not following and state["news"]:
            oldest = datetime.fromisoformat(state["oldest"])
            earlier = iso(oldest + min(_SECOND, self._window.end - oldest))
            following = [self._pages.search(tag, earlier)] if earlier < until else []
            state |= {"news": False, "barren": 0}
        return self._within_limit(page, state, following, memory)

    def _known_host(self, did: str, memory: Memory) -> str | None:
        """Return the server of an author if it is known or nobody can be asked for it, else None."""
        if self._pages.document(did) is None:
            return self._source.server
        return clean_text(memory.recall(f"author {self._home.author(did)}").get("host"))

    def _wanted(self, post: Post) -> bool:
        """Say whether a post's pictures may be fetched at all; only then its author's server is looked up."""
        if post.created_at is None or not self._window.contains(post.created_at) or not post.media or post.boost:
            return False
        tagged = self.hashtags is None or not self.hashtags.isdisjoint(post.hashtags)
        return tagged and post.opt_out is None and (self._source.include_sensitive or not post.sensitive)

    def _read_author(self, page: Page, answer: Any, memory: Memory) -> PageContent:
        """Deliver the posts that waited for their author's server; if there is none, the source's own is asked."""
        did = page.context["did"]
        host = account_server(answer, did) or self._source.server
        memory.keep(f"author {self._home.author(did)}", {"host": host})
        return PageContent(tuple(read_post(view, self._home, host) for view in page.context["views"]))

    def _read_repositories(self, page: Page, answer: Any, memory: Memory) -> PageContent:
        accounts, malformed = read_accounts(entries_of(answer, "repos"), self._home)
        news = [accounts[author] for author in memory.unseen(page.timeline, accounts)]
        following = [self._pages.repositories(cursor) for cursor in fresh_cursor(page, answer, memory) if news]
        following, stopped = self._within_limit(page, memory.recall(page.timeline), following, memory)
        profiles = [self._pages.profile(did, self._source.server) for did, active in news if active]
        inactive = [("account", "inactive") for _, active in news if not active]
        return PageContent((), tuple(malformed), (*profiles, *following), tuple(inactive), stopped)

    def _read_identity(self, page: Page, answer: Any) -> PageContent:
        """Read what a handle leads to, and then the document of that DID."""
        if page.context["step"] == "identity":
            host = account_server(answer, page.context["did"])
            following = self._pages.profile(page.context["did"], host) if host else None
        else:
            did = answer.get("did") if isinstance(answer, dict) else None
            usable = isinstance(did, str) and is_did(did)
            following = self._pages.identity(page.context["position"], str(did)) if usable else None
        return PageContent(next_pages=(following,)) if following else _unresolved(page)

    def _read_profile(self, page: Page, answer: Any, memory: Memory) -> PageContent:
        profile = answer.get("value") if isinstance(answer, dict) else None
        if not isinstance(profile, dict):
            raise MalformedAnswerError("the record of a profile was expected")
        return PageContent(counts=(("account", "opted_out"),)) if opted_out(profile) else self._go_on(page, memory)

    def _go_on(self, page: Page, memory: Memory) -> PageContent:
        """Go on to an account's posts, once: it may be listed by its handle and by its DID."""
        did, host = page.context["did"], page.context["host"]
        first = memory.unseen("repositories read", [self._home.author(did)])
        return PageContent(next_pages=(self._pages.records(did, host),) if first else ())

    def _read_records(self, page: Page, answer: Any, memory: Memory) -> PageContent:
        did, host = page.context["did"], page.context["host"]
        posts, malformed = read_listing(entries_of(answer, "records"), did, self._home, host)
        go_on = memory.unseen(page.timeline, [post.post_id for post in posts]) or (malformed and not posts)
        following = [self._pages.records(did, host, cursor) for cursor in fresh_cursor(page, answer, memory) if go_on]
        following, stopped = self._within_limit(page, memory.recall(page.timeline), following, memory)
        return PageContent(tuple(posts), tuple(malformed), tuple(following), stopped=stopped)

    def _within_limit(
        self, page: Page, state: dict[str, Any], following: list[Page], memory: Memory
    ) -> tuple[list[Page], str | None]:
        """Count a page, and keep its timeline's state; say why paging stops if the timeline has not ended."""
        state["pages"] = state.get("pages", 0) + 1
        memory.keep(page.timeline, state)
        if following and state["pages"] >= self._source.max_pages:
            return [], f"{page.timeline}: max_pages ({self._source.max_pages}) is reached before its end"
        return following, None


def _unresolved(page: Page) -> PageContent:
    return PageContent(missing=f"accounts[{page.context['position']}] cannot be resolved")


SOURCE, NETWORK = BlueskySource, BlueskyNetwork
