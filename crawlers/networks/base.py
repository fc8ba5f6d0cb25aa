"""What the spider asks of a network. Networks make no requests: they name pages and read answers.

A network keeps nothing in itself between two pages. What it must remember (which posts it has met, how far a timeline
has come) goes through a :class:`Memory`, which the crawl's journal keeps together with the posts of each page, so that
a killed crawl goes on where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from crawlers.posts import Post
from crawlers.windows import CrawlWindow

LONGEST_TEXT = 10_000  # characters of a text that is kept; servers allow 1,500 for an alternative text


class MalformedAnswerError(ValueError):
    """An answer of a server is not what its API promises; the message is a line for people."""


class RefusedAnswerError(ValueError):
    """A server says, in an answer that is well-formed, that it gives none; the message says what to do."""


@dataclass(frozen=True)
class Page:
    """A page to be asked for. It is kept in the crawl's journal, so it holds no secret.

    Args:
        url: its address, without any token or key.
        timeline: name of the timeline that it belongs to, unique in its source, for the memory and for people.
        server: host (and port) of the server as in the ``server`` column of its posts.
        body: a JSON body; then the page is asked for by POST.
        context: what the network needs to read the answer.
    """

    url: str
    timeline: str
    server: str
    body: Mapping[str, Any] | None = None
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PageRequest:
    """A page as it is really asked for; address, headers and body may hold secrets."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class PageContent:
    """What an answer holds.

    Args:
        posts: its posts.
        malformed: the entries that are no posts, a line for people each.
        next_pages: pages to ask for because of it.
        counts: (what, outcome) of what was met beside posts, for instance ``("account", "opted_out")``.
        stopped: a line for people when paging ended before the timeline did; the crawl is incomplete then, and what an
            earlier one had of the server is kept.
        missing: a line for people when something that the settings name is not there; the crawl is incomplete then,
            but the rest of the server is what it is.
    """

    posts: tuple[Post, ...] = ()
    malformed: tuple[str, ...] = ()
    next_pages: tuple[Page, ...] = ()
    counts: tuple[tuple[str, str], ...] = ()
    stopped: str | None = None
    missing: str | None = None


class Memory(Protocol):
    """What a network remembers of a timeline, also after a kill."""

    def unseen(self, timeline: str, ids: Iterable[str]) -> list[str]:
        """Note ids; return those that were not noted before, in order and without repeats."""

    def recall(self, timeline: str) -> dict[str, Any]:
        """Return what was last kept of a timeline, or an empty dict."""

    def keep(self, timeline: str, state: Mapping[str, Any]) -> None:
        """Keep the state of a timeline; JSON must be able to hold it."""


@dataclass(frozen=True)
class Surroundings:
    """What a network is built in.

    Args:
        environment: where access tokens and the key for authors' handles come from.
        window: the crawl window.
        several_servers: does the crawl reach more than one server of this network? Then ids that are only unique on
            their server carry its name.
    """

    environment: Mapping[str, str]
    window: CrawlWindow
    several_servers: bool = False


class Network(Protocol):
    """A network as one source sees it."""

    hashtags: frozenset[str] | None
    """Folded hashtags of which a post must carry one, or None if any post will do."""

    complete_listing: bool
    """Are posts that are still there always listed? Then a post that is not listed any more is gone."""

    def first_pages(self) -> Sequence[Page]:
        """Name the first page of each timeline."""

    def request(self, page: Page) -> PageRequest:
        """Say how to ask for a page: here tokens and keys are added."""

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str], memory: Memory) -> PageContent:
        """Read the answer to a page (status 200).

        Args:
            page: the page that was asked for.
            answer: the parsed JSON.
            headers: the answer's headers, names in lower case.
            memory: what was remembered.

        Raises:
            MalformedAnswerError: if the answer as a whole is not a page; it is asked for again then.
            RefusedAnswerError: if asking again will not help; the server's part is incomplete then.
        """

    def read_refusal(self, page: Page, status: int, answer: Any, memory: Memory) -> PageContent | None:
        """Read an answer with another status than 200 that the API foresees.

        Args:
            page: the page that was asked for.
            status: HTTP status, after all attempts; 0 if there was no answer.
            answer: the parsed JSON, or None if it is none.
            memory: what was remembered.

        Returns:
            What follows from it, or None if the page could not be read: then the server's part is incomplete.
        """

    def presence_page(self, post: Mapping[str, Any]) -> Page | None:
        """Name a page that shows whether a post that was met in an earlier crawl is still there.

        Args:
            post: its row of the POSTS table.

        Returns:
            The page, or None if there is no such page.
        """

    def read_presence(self, status: int, answer: Any) -> str:
        """Read the answer to a presence page: ``deleted``, ``hidden``, ``changed`` (still there) or ``unverified``."""


class NetworkFactory(Protocol):
    """Builds a network from its source's settings."""

    def __call__(self, source: Any, surroundings: Surroundings) -> Network:
        """Build the network.

        Raises:
            CrawlError: if the environment lacks something that the source needs.
        """


def clean_text(value: Any) -> str | None:
    """Return a text that UTF-8 can hold (JSON may carry halves of surrogate pairs), or None if there is none."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        return None
    return value.encode("utf-8", "replace").decode().replace("\x00", "�")


def needed_text(entry: Any, name: str, place: str) -> str:
    """Return a text that must be there; whole numbers count as text.

    Raises:
        MalformedAnswerError: if it is missing, empty or too long.
    """
    value = entry.get(name) if isinstance(entry, Mapping) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = clean_text(value)
    if text is None:
        raise MalformedAnswerError(f"{place} has no usable {name}")
    return text


def utc_time(text: str, place: str) -> datetime:
    """Read an ISO 8601 time with any offset; one without is UTC.

    Raises:
        MalformedAnswerError: if it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise MalformedAnswerError(f"{place} has the date {text[:40]!r}, which is none") from None


def texts(value: Any) -> list[str]:
    """Return the usable texts of a list; of anything else, none."""
    items = value if isinstance(value, list) else []
    return [text for text in map(clean_text, items) if text is not None]
