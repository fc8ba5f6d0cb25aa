"""The pages that a crawl of the AT Protocol asks for. Each says in its context which step it is."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from crawlers.networks.base import Memory, Page, clean_text
from crawlers.networks.bluesky_records import POSTS, Home, document_address
from crawlers.sources import server_name
from crawlers.windows import CrawlWindow

_REPOSITORIES = 1000  # per page, the most that the API allows
_CLOCKS = timedelta(hours=1)  # a search goes by the moment of arrival where an author's clock is ahead
_BEGINNING = datetime.min.replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """Write a moment in UTC as the API reads it; such texts are ordered as the moments are."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def fresh_cursor(page: Page, answer: Mapping[str, Any], memory: Memory) -> list[str]:
    """Return the cursor of an answer, if it has one that the same listing has not had before."""
    cursor = clean_text(answer.get("cursor"))
    return memory.unseen(f"cursors of {page.timeline} {page.context.get('until', '')}", [cursor] if cursor else [])


class Pages:
    """Names pages. A page's timeline is shown to people, so it holds a hash instead of a DID or a handle.

    Args:
        home: what the posts of the source share.
        window: the crawl window.
        page_size: posts per page.
        plc_directory: base address of the directory of DIDs; None if the source's own server is asked for everything.
    """

    def __init__(self, home: Home, window: CrawlWindow, page_size: int, plc_directory: str | None) -> None:
        self._home = home
        self._name = server_name(home.server)
        self._since = iso(window.start - min(_CLOCKS, window.start - _BEGINNING))
        self._limit = str(page_size)
        self._directory = plc_directory

    def _page(
        self, server: str, method: str, query: Mapping[str, str], cursor: str | None, timeline: str, **context: Any
    ) -> Page:
        address = f"{server}/xrpc/{method}?{urlencode({**query, **({'cursor': cursor} if cursor else {})})}"
        return Page(address, f"{timeline} {self._name}", self._name, context=context)

    def search(self, tag: str, until: str, cursor: str | None = None) -> Page:
        """Name a page of a search. Its text is the hashtag as well, since some servers do not know ``tag``."""
        query = {"q": f"#{tag}", "tag": tag, "sort": "latest", "since": self._since, "until": until}
        method, query["limit"] = "app.bsky.feed.searchPosts", self._limit
        return self._page(self._home.server, method, query, cursor, f"#{tag} on", step="search", tag=tag, until=until)

    def author(self, did: str, views: Sequence[Mapping[str, Any]]) -> Page:
        """Name the document of an author, for whose server posts wait."""
        context = {"step": "author", "did": did, "views": list(views)}
        return Page(self.document(did) or "", f"authors on {self._name}", self._name, context=context)

    def document(self, did: str) -> str | None:
        """Return the address of a DID's document, or None if its server is not looked up."""
        return document_address(did, self._directory) if self._directory else None

    def repositories(self, cursor: str | None = None) -> Page:
        """Name a page of the list of a server's repositories."""
        query = {"limit": str(_REPOSITORIES)}
        method = "com.atproto.sync.listRepos"
        return self._page(self._home.server, method, query, cursor, "repositories on", step="repositories")

    def account(self, position: int, name: str) -> Page:
        """Name the first page of a listed account, given by its handle or DID."""
        if name.startswith("did:"):
            return self.identity(position, name)
        method, timeline = "com.atproto.identity.resolveHandle", f"accounts[{position}] on"
        return self._page(self._home.server, method, {"handle": name}, None, timeline, step="handle", position=position)

    def identity(self, position: int, did: str) -> Page:
        """Name the document of a listed account, or its profile where the source's own server is asked."""
        address = self.document(did)
        if address is None:
            return self.profile(did, self._home.server)
        context = {"step": "identity", "did": did, "position": position}
        return Page(address, f"accounts[{position}] on {self._name}", self._name, context=context)

    def profile(self, did: str, host: str) -> Page:
        """Name the profile of an account on the server that has it."""
        query = {"repo": did, "collection": "app.bsky.actor.profile", "rkey": "self"}
        return self._repository("com.atproto.repo.getRecord", query, None, "profile", did, host)

    def records(self, did: str, host: str, cursor: str | None = None) -> Page:
        """Name a page of the posts of an account."""
        query = {"repo": did, "collection": POSTS, "limit": self._limit}
        return self._repository("com.atproto.repo.listRecords", query, cursor, "records", did, host)

    def _repository(
        self, method: str, query: Mapping[str, str], cursor: str | None, step: str, did: str, host: str
    ) -> Page:
        timeline = f"repository {self._home.author(did)[:12]} on"
        return self._page(host, method, query, cursor, timeline, step=step, did=did, host=host)
