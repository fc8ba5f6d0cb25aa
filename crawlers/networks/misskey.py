"""The Misskey API: notes by hashtag, on Misskey and the servers that descend from it (Sharkey, Firefish, Iceshrimp).

Notes come by falling id and a page goes on below an id (``untilId``). Whether an id carries the time of writing or of
arrival depends on the software and its age, so a timeline is read to its end, whatever the dates of its notes, and
every note's tags, date and pictures are looked at by the crawler itself.
"""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, model_validator

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
    texts,
    utc_time,
)
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

_OPEN = ("public", "home")  # the visibilities of notes that anyone may read
_PROFILE_SIGNS = ("requireSigninToViewContents", "noCrawle", "preventAiLearning", "noindex")


class MisskeySource(NetworkSource):
    """Notes of a Misskey server, by hashtag."""

    kind: Literal["misskey"] = "misskey"
    server: ServerAddress = Field(description="Base address of the server, http or https")
    hashtags: Hashtags = Field(min_length=1)
    token_env: EnvironmentName | None = Field(
        default=None, description="Name of the environment variable that holds an access token for the server"
    )
    page_size: int = Field(default=100, ge=1, le=100, description="Notes asked for per page")

    def server_names(self) -> frozenset[str]:
        """Name the server; ids are unique on it only."""
        return frozenset({server_name(self.server)})

    @model_validator(mode="after")
    def _token_is_safe(self) -> "MisskeySource":
        if self.token_env is not None:
            self.check_token_way(self.server)
        return self


class MisskeyNetwork:
    """Hashtag searches of one server."""

    complete_listing: bool = False

    def __init__(self, source: MisskeySource, surroundings: Surroundings) -> None:
        """Build the network.

        Raises:
            CrawlError: if a token or the key is missing.
        """
        self._source = source
        self._server = server_name(source.server)
        self._prefix = f"misskey:{self._server}/" if surroundings.several_servers else "misskey:"
        self._key = key_from_env(surroundings.environment)
        variable, environment = source.token_env, surroundings.environment
        self._token = token_from_env(environment, variable, source.name, source.server) if variable else None
        # Misskey keeps tags in the Unicode form NFKC, where a full-width letter is a plain one
        self.hashtags: frozenset[str] | None = frozenset(source.hashtags).union(
            fold_hashtags(unicodedata.normalize("NFKC", tag) for tag in source.hashtags)
        )

    def first_pages(self) -> Sequence[Page]:
        """Name the newest page of each hashtag."""
        return [self._page(tag) for tag in self._source.hashtags]

    def _page(self, tag: str, until: str | None = None) -> Page:
        # withFiles is left at its default, false: notes without a picture are counted as on every other network
        body = {"tag": tag, "limit": self._source.page_size, **({"untilId": until} if until else {})}
        return Page(
            url=f"{self._source.server}/api/notes/search-by-tag",
            timeline=f"#{tag} on {self._server}",
            server=self._server,
            body=body,
            context={"tag": tag},
        )

    def request(self, page: Page) -> PageRequest:
        """Ask with the server's token, if there is one."""
        headers = {"Accept": "application/json"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        return PageRequest(page.url, headers, page.body)

    def read_page(self, page: Page, answer: Any, headers: Mapping[str, str], memory: Memory) -> PageContent:
        """Read a page of a hashtag: a list of notes, by falling id as a rule.

        Raises:
            MalformedAnswerError: if the answer is not a list.
        """
        if not isinstance(answer, list):
            raise MalformedAnswerError("a list of notes was expected")
        posts, malformed, ids = [], [], []
        for note in answer:
            try:
                ids.append(needed_text(note, "id", "note"))
                posts.append(self._read(note))
            except MalformedAnswerError as error:
                malformed.append(str(error))
        next_pages, stopped = self._next(page, ids, bool(answer), memory)
        return PageContent(tuple(posts), tuple(malformed), next_pages, stopped=stopped)

    def _next(self, page: Page, ids: list[str], filled: bool, memory: Memory) -> tuple[tuple[Page, ...], str | None]:
        """Name the pages after a page, and say why paging stops if the timeline has not ended.

        A short page is no end, because some servers drop notes after they have cut the page off; an empty one is.
        """
        state = memory.recall(page.timeline)
        state["pages"] = state.get("pages", 0) + 1
        memory.keep(page.timeline, state)
        if filled and not ids:
            return (), f"{page.timeline}: a page has no note with an id, so the pages after it cannot be named"
        news = memory.unseen(page.timeline, ids)
        fresh = memory.unseen(f"cursors of {page.timeline}", _cursors(ids)) if news else []
        if fresh and state["pages"] >= self._source.max_pages:
            return (), f"{page.timeline}: max_pages ({self._source.max_pages}) is reached before its end"
        return tuple(self._page(page.context["tag"], cursor) for cursor in fresh), None

    def read_refusal(self, page: Page, status: int, answer: Any, memory: Memory) -> PageContent | None:
        """Foresee nothing: a search that needs a login, for instance, could not be read."""
        return None

    def presence_page(self, post: Mapping[str, Any]) -> Page | None:
        """Name the page of a single note."""
        post_id = str(post["post_id"])
        # a crawl of one server writes ids without its name, a crawl of several with it
        note_id = post_id.removeprefix("misskey:").removeprefix(f"{self._server}/")
        if post["server"] != self._server or not note_id or "/" in note_id or not post_id.startswith("misskey:"):
            return None
        url = f"{self._source.server}/api/notes/show"
        return Page(url=url, timeline=f"notes of {self._server}", server=self._server, body={"noteId": note_id})

    def read_presence(self, status: int, answer: Any) -> str:
        """Read the answer to a single note; the code of an error says what became of it."""
        fields = answer if isinstance(answer, dict) else {}
        if status == 200:
            if not clean_text(fields.get("id")):
                return "unverified"
            return "hidden" if fields.get("isHidden") is True or fields.get("visibility") not in _OPEN else "changed"
        error = fields.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        if code == "NO_SUCH_NOTE":
            return "deleted"
        return "hidden" if code == "SIGNIN_REQUIRED" or status in (401, 403) else "unverified"

    def _read(self, note: Any) -> Post:
        """Read one note of the API.

        A renote with nothing of its own is a boost: its id, date and author count, the rest is the other note's. One
        with a text, a warning, files, a poll or as a reply is a quote, and only what is its own counts.

        Raises:
            MalformedAnswerError: if it lacks an id, a date or an author, or one of them makes no sense.
        """
        native_id = needed_text(note, "id", "note")
        place = f"note {native_id[:40]}"
        user = note.get("user")
        name, host = needed_text(user, "username", f"{place}: its user"), clean_text(user.get("host"))
        boost = _is_boost(note)
        original = note.get("renote")
        content = original if boost and isinstance(original, dict) else {} if boost else note
        edited = clean_text(note.get("updatedAt"))
        hashtags = fold_hashtags(texts(content.get("tags")))
        files = _pictures(content)
        return Post(
            post_id=f"{self._prefix}{native_id}",
            network="misskey",
            source=self._source.name,
            server=self._server,
            url=f"{self._source.server}/notes/{quote(native_id, safe='')}",
            created_at=utc_time(needed_text(note, "createdAt", place), place),
            edited_at=utc_time(edited, place) if edited else None,
            author_hmac=author_hmac(f"{name}@{host}" if host else name, without_port(self._server), self._key),
            hashtags=hashtags,
            media=tuple(
                MediaItem(index, url, clean_text(file.get("comment"))) for index, (url, file) in enumerate(files)
            ),
            language=clean_text(content.get("lang")),
            sensitive=bool(content.get("cw")) or any(file.get("isSensitive") is True for _, file in files),
            boost=boost,
            opt_out=_opt_out(note) or (_opt_out(content) if content else None) or tag_opt_out(hashtags),
            identity=hashlib.sha256((clean_text(note.get("uri")) or self._uri(native_id)).encode()).hexdigest(),
        )

    def _uri(self, native_id: str) -> str:
        """Return what other servers know a note of this one by; only theirs say their ``uri``."""
        parts = urlsplit(self._source.server)
        return f"{parts.scheme}://{self._server}{parts.path}/notes/{native_id}"


def _cursors(ids: list[str]) -> list[str]:
    """Name the ids below which the next page may lie: the last one.

    On a page whose ids do not fall, the smallest and the largest are tried as well, since a page may be ordered by one
    thing and cut off by another; a try that brings nothing new costs one request.
    """
    if all(first > second for first, second in pairwise(ids)):
        return ids[-1:]
    return [ids[-1], min(ids), max(ids)]


def _is_boost(note: Mapping[str, Any]) -> bool:
    if note.get("renoteId") is None and note.get("renote") is None:
        return False
    own = (note.get("text"), note.get("cw"), note.get("replyId"), note.get("poll"))
    return all(value is None for value in own) and not note.get("files") and not note.get("fileIds")


def _opt_out(note: Mapping[str, Any]) -> str | None:
    """Return the sign by which an author asks to be left out of searches or data sets, if there is one."""
    visibility = note.get("visibility")
    if visibility not in _OPEN:
        return f"visibility: {(clean_text(visibility) or 'unknown')[:40]}"
    if note.get("isHidden") is True:
        return "visibility: hidden"
    user = note.get("user")
    if not isinstance(user, dict):
        return None
    for sign in _PROFILE_SIGNS:
        if user.get(sign) is True:
            return f"profile: {sign}"
    return profile_opt_out(clean_text(user.get("description")) or "")


def _pictures(note: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the address and the description of each picture among a note's files."""
    files = note.get("files")
    found = []
    for file in files if isinstance(files, list) else []:
        kind = file.get("type") if isinstance(file, dict) else None
        if isinstance(kind, str) and kind.startswith("image/") and (url := clean_text(file.get("url"))) is not None:
            found.append((url, file))
    return found


SOURCE, NETWORK = MisskeySource, MisskeyNetwork
