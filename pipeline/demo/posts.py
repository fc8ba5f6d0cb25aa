"""Posts of the demo's network in the form in which a Mastodon server answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

HASHTAGS = ("ootd", "streetstyle")  # those of the demo's settings
OTHER_TAGS = ("latteart", "catsofmastodon", "sunset")
BASE = "{base}"  # stands for the server's address in the stored statuses
AUTHORS = 400

_EXTRA_TAGS = (
    "fashion",
    "style",
    "lookbook",
    "summer",
    "vintage",
    "secondhand",
    "weekend",
    "outfit",
    "데일리룩",
    "패션",
)
_TEXTS = (
    "Today's look", "Out for a walk", "What do you think?", "Old favourites, new mix", "Weekend plans", "Ready to go",
    "Found this one second hand", "Too hot for more than this", "Comfy all day", "오늘의 코디", "Dressed up for once",
    "Saw this on the way to work", "Mirror picture", "Festival day", "New shoes!", "Coffee first",
)  # fmt: skip


@dataclass(frozen=True)
class Media:
    """A picture of a post."""

    name: str  # file name on the server
    width: int  # pixels
    height: int
    description: str | None


def post_time(rng: np.random.Generator, start: datetime, end: datetime) -> datetime:
    """A moment between two, to the second, more often by day than by night."""
    while True:
        moment = start + timedelta(seconds=int(rng.integers(0, int((end - start).total_seconds()))))
        if 7 <= moment.hour <= 23 or rng.random() < 0.25:
            return moment


def snowflake(arrival: datetime, number: int) -> int:
    """Id of a status that arrived at a moment: milliseconds in the upper bits, a number in the lower 16."""
    return (int(arrival.timestamp() * 1000) << 16) + number % 65_536


def author_name(number: int) -> str:
    """A handle that nobody takes for a real one."""
    return f"user{number:04d}"


def choose_author(rng: np.random.Generator, authors: int = AUTHORS) -> str:
    """An author; some post more than others."""
    weights = 1.0 / (np.arange(authors) + 60.0) ** 0.8
    return author_name(1 + int(rng.choice(authors, p=weights / weights.sum())))


def choose_tags(rng: np.random.Generator) -> tuple[str, ...]:
    """Hashtags of a post of which at least one is crawled."""
    count = 1 + int(rng.random() < 0.3)
    crawled = [HASHTAGS[at] for at in sorted(rng.choice(len(HASHTAGS), size=count, replace=False, p=(0.65, 0.35)))]
    extra = [
        _EXTRA_TAGS[at] for at in sorted(rng.choice(len(_EXTRA_TAGS), size=int(rng.integers(0, 4)), replace=False))
    ]
    return (*crawled, *extra)


def choose_text(rng: np.random.Generator) -> str:
    """A few words."""
    return _TEXTS[int(rng.integers(len(_TEXTS)))]


def timestamp(moment: datetime) -> str:
    """A moment as Mastodon writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def account(handle: str) -> dict[str, Any]:
    """The author of a status; the id is the number in the handle."""
    return {
        "id": str(100_000 + int(handle.removeprefix("user"))),
        "username": handle,
        "acct": handle,
        "display_name": f"Synthetic {handle}",
        "locked": False,
        "bot": False,
        "discoverable": True,
        "indexable": True,
        "group": False,
        "created_at": "2019-01-01T00:00:00.000Z",
        "note": "<p>A made-up account of a demo.</p>",
        "url": f"{BASE}/@{handle}",
        "uri": f"{BASE}/users/{handle}",
        "avatar": f"{BASE}/avatar.png",
        "avatar_static": f"{BASE}/avatar.png",
        "header": f"{BASE}/header.png",
        "header_static": f"{BASE}/header.png",
        "followers_count": 12,
        "following_count": 34,
        "statuses_count": 56,
        "emojis": [],
        "fields": [],
    }


def attachment(media: Media) -> dict[str, Any]:
    """A picture of a status."""
    url = f"{BASE}/media/{media.name}"
    size = {
        "width": media.width,
        "height": media.height,
        "size": f"{media.width}x{media.height}",
        "aspect": media.width / media.height,
    }
    return {
        "id": media.name.partition(".")[0],
        "type": "image",
        "url": url,
        "preview_url": url,
        "remote_url": None,
        "preview_remote_url": None,
        "text_url": None,
        "meta": {"original": size, "small": size},
        "description": media.description,
        "blurhash": None,
    }


def status(
    post_id: int, author: str, created_at: datetime, tags: Sequence[str], text: str, media: Sequence[Media],
    *, sensitive: bool = False, reblog: dict[str, Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A status as the API gives it, with ``{base}`` for the server's address."""
    links = " ".join(
        f'<a href="{BASE}/tags/{tag}" class="mention hashtag" rel="tag">#<span>{tag}</span></a>' for tag in tags
    )
    korean = any("가" <= letter <= "힣" for letter in text)
    return {
        "id": str(post_id),
        "uri": f"{BASE}/users/{author}/statuses/{post_id}",
        "url": f"{BASE}/@{author}/{post_id}",
        "created_at": timestamp(created_at),
        "edited_at": None,
        "account": account(author),
        "content": f"<p>{text} {links}</p>",
        "visibility": "public",
        "sensitive": sensitive,
        "spoiler_text": "",
        "language": "ko" if korean else "en",
        "in_reply_to_id": None,
        "in_reply_to_account_id": None,
        "reblog": reblog,
        "application": {"name": "Web", "website": None},
        "media_attachments": [attachment(one) for one in media],
        "mentions": [],
        "tags": [{"name": tag, "url": f"{BASE}/tags/{tag}"} for tag in tags],
        "emojis": [],
        "card": None,
        "poll": None,
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
    }
