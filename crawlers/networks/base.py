"""What the spider asks of a network. Networks make no requests: they name pages and read answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from crawlers.posts import Post


class MalformedAnswerError(ValueError):
    """An answer of a server is not what its API promises; the message is a line for people."""


@dataclass(frozen=True)
class Page:
    """A page to be asked for: its address and headers, and ``key``, which tells a network's timelines apart."""

    url: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold an access token


@dataclass(frozen=True)
class PageContent:
    """What an answer holds: its posts, the entries that are no posts (a line each), and the page to ask for next.

    ``stopped`` is a short code when paging ended before the timeline did.
    """

    posts: tuple[Post, ...]
    malformed: tuple[str, ...] = ()
    next_page: Page | None = None
    stopped: str | None = None


class Network(Protocol):
    """A network as one source sees it. An object serves one crawl: it remembers what it has seen."""

    hashtags: frozenset[str] | None
    """Folded hashtags of which a post must carry one, or None if any post will do."""

    def first_pages(self) -> Sequence[Page]:
        """Name the first page of each timeline."""

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str]) -> PageContent:
        """Read the answer to a page.

        Args:
            page: the page that was asked for.
            answer: the parsed JSON.
            headers: the answer's headers, names in lower case.

        Raises:
            MalformedAnswerError: if the answer as a whole is not a page.
        """


class NetworkFactory(Protocol):
    """Builds a network from its source's settings and the environment."""

    def __call__(self, source: Any, environment: Mapping[str, str]) -> Network:
        """Build the network.

        Raises:
            CrawlError: if the environment lacks something that the source needs.
        """
