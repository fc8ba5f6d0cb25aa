"""Ids that carry the time of posting, and when that may be relied upon to pass over what lies outside a window.

Whether they do is not known beforehand: the same form of id is the moment of posting on one server and the moment of
arrival on the next. So every post of a timeline is compared with its id, and only when hundreds agree, without one
exception, is a stretch passed over; the first exception after that sends the crawl back to where it jumped.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from crawlers.windows import CrawlWindow

ENOUGH = 400  # posts that must agree
_TOLERANCE = timedelta(hours=1)  # between a post's date and its id's
_MARGIN = timedelta(days=1)  # kept clear on both sides of the window
_TAIL = 3  # pages older than the window and its margin before paging ends
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, as ULID uses it
_PIXELFED_EPOCH = 1_549_756_800_000  # ms


@dataclass(frozen=True)
class _Scheme:
    """A form of id: ``read`` gives milliseconds since 1970 or None, ``write`` the smallest id of a moment."""

    read: Callable[[str], int | None]
    write: Callable[[int], str]


def _decimal(shift: int, epoch: int) -> _Scheme:
    def read(native_id: str) -> int | None:
        return (int(native_id) >> shift) + epoch if native_id.isascii() and native_id.isdecimal() else None

    return _Scheme(read, lambda moment: str(max(0, moment - epoch) << shift))


def _read_ulid(native_id: str) -> int | None:
    head = native_id[:10].upper()
    if len(native_id) != 26 or any(character not in _BASE32 for character in head):
        return None
    number = 0
    for character in head:
        number = number * 32 + _BASE32.index(character)
    return number


def _write_ulid(moment: int) -> str:
    head = ""
    for _ in range(10):
        moment, digit = divmod(moment, 32)
        head = _BASE32[digit] + head
    return head + "0" * 16


SCHEMES: Mapping[str, _Scheme] = {
    "mastodon": _decimal(16, 0),
    "pixelfed": _decimal(22, _PIXELFED_EPOCH),
    "ulid": _Scheme(_read_ulid, _write_ulid),
}


def id_time(scheme: str, native_id: str) -> datetime | None:
    """Return the moment that an id carries under a scheme of :data:`SCHEMES`, or None if it is not of that form."""
    milliseconds = SCHEMES[scheme].read(native_id)
    if milliseconds is None or not 0 <= milliseconds < 1 << 45:
        return None
    return _EPOCH + timedelta(milliseconds=milliseconds)


def id_at(scheme: str, moment: datetime) -> str:
    """Return the smallest id that carries a moment."""
    return SCHEMES[scheme].write((moment - _EPOCH) // timedelta(milliseconds=1))


class Seeker:
    """Decides for the timelines of one crawl which stretches can be passed over."""

    def __init__(self, window: CrawlWindow) -> None:
        self._above, self._below = window.end + _MARGIN, window.start - _MARGIN

    @staticmethod
    def landing(state: Mapping[str, Any]) -> bool:
        """Say whether the page that is being read is the first one after a jump."""
        return "jumped_from" in state and not state.get("landed")

    def steer(
        self, state: dict[str, Any], posts: Sequence[tuple[str, datetime]], cursors: list[dict[str, str]]
    ) -> list[dict[str, str]]:
        """Look at a page's posts and replace, drop or leave the cursors that lead on from it.

        Args:
            state: what is remembered of the timeline; it is changed.
            posts: id and date of each post of the page.
            cursors: queries of the pages to ask for next.
        """
        if self.landing(state):
            if not cursors:  # nothing new there: perhaps the server takes no id that it has not given
                state["id_schemes"] = []
                return [state.pop("jumped_from")]
            state["landed"] = True
        candidates = state.get("id_schemes", list(SCHEMES))
        agreeing = [scheme for scheme in candidates if all(_agrees(scheme, *post) for post in posts)]
        state["id_schemes"] = agreeing
        state["dated_posts"] = state.get("dated_posts", 0) + len(posts)
        if not agreeing:
            returned = state.pop("jumped_from", None)
            return [*cursors, *([returned] if returned else [])]
        if state["dated_posts"] < ENOUGH or not posts or len(cursors) != 1:
            return cursors
        moments = [moment for native_id, _ in posts if (moment := id_time(agreeing[0], native_id)) is not None]
        if min(moments) > self._above and "jumped_from" not in state:
            state["jumped_from"] = cursors[0]
            return [{"max_id": id_at(agreeing[0], self._above)}]
        if max(moments) < self._below:
            state["pages_below"] = state.get("pages_below", 0) + 1
            return cursors if state["pages_below"] < _TAIL else []
        return cursors


def _agrees(scheme: str, native_id: str, created_at: datetime) -> bool:
    carried = id_time(scheme, native_id)
    return carried is not None and abs(carried - created_at) <= _TOLERANCE
