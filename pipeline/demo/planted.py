"""The truth about the demo's world: what was planted in it, to be compared with what the pipeline finds."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PLANTED_FILE = "planted.json"
STATUSES_FILE = "statuses.json"
MEDIA_FOLDER = "media"
WEEKS_FOLDER = "weeks"

KEPT_KINDS = frozenset({"outfit", "repost", "same_bytes"})
FAILED_KINDS: dict[str, str] = {  # kind of post: the reason with which fetching its picture fails
    "truncated": "truncated",
    "html_page": "not_an_image",
    "too_many_pixels": "too_many_pixels",
    "deleted": "http_404",
    "animated": "animated",
}
DROPPED_KINDS: dict[str, str] = {"boost": "boost", "no_image": "no_image", "sensitive": "sensitive"}
UNSEEN_KINDS = frozenset({"outside_window", "other_tag"})


@dataclass(frozen=True)
class PlantedImage:
    """A good picture: its style, and the picture that it repeats if it is a repost."""

    image_id: str  # sha256 of the file
    main: str
    subs: tuple[str, ...]
    origin: str | None = None  # image_id of the picture it was made from
    edit: str | None = None  # recompressed, resized, letterboxed, mirrored, webp, brightened


@dataclass(frozen=True)
class PlantedPost:
    """A post of the network; ``kind`` says what is special about it."""

    post_id: str  # native id
    kind: str
    author: str
    created_at: str  # ISO, UTC
    hashtags: tuple[str, ...]
    image_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planted:
    """Everything that was planted, by post and by image."""

    seed: int
    hashtags: tuple[str, ...]  # the tags to crawl
    posts: tuple[PlantedPost, ...]
    images: Mapping[str, PlantedImage] = field(default_factory=dict)  # by image_id

    def kinds(self) -> Counter[str]:
        """Posts of each kind."""
        return Counter(post.kind for post in self.posts)

    def root(self, image_id: str) -> str:
        """The picture from which an image was made; itself for an original."""
        image = self.images[image_id]
        return image.origin or image.image_id

    def save(self, folder: Path) -> None:
        """Write planted.json."""
        content = {
            "seed": self.seed,
            "hashtags": self.hashtags,
            "kinds": dict(sorted(self.kinds().items())),
            "posts": [asdict(post) for post in self.posts],
            "images": [asdict(self.images[key]) for key in sorted(self.images)],
        }
        (folder / PLANTED_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Planted":
        """Read planted.json, and those of the weeks added since. Raises FileNotFoundError if there is no world."""
        content = json.loads((folder / PLANTED_FILE).read_text(encoding="utf-8"))
        posts, images = _posts(content), _images(content)
        for week in week_folders(folder):
            added = json.loads((week / PLANTED_FILE).read_text(encoding="utf-8"))
            posts = {**{key: post for key, post in posts.items() if key not in set(added["gone"])}, **_posts(added)}
            images = {**_images(added), **images}
        return cls(content["seed"], tuple(content["hashtags"]), tuple(posts.values()), images)


def week_folders(folder: Path) -> list[Path]:
    """Return the folders of the weeks that were added to a world, in their order."""
    weeks = (path for path in (folder / WEEKS_FOLDER).glob("*") if path.name.isdecimal())
    return sorted(weeks, key=lambda path: int(path.name))


def _posts(content: Mapping[str, Any]) -> dict[str, PlantedPost]:
    rows = (
        {**row, "hashtags": tuple(row["hashtags"]), "image_ids": tuple(row["image_ids"])} for row in content["posts"]
    )
    return {row["post_id"]: PlantedPost(**row) for row in rows}


def _images(content: Mapping[str, Any]) -> dict[str, PlantedImage]:
    return {row["image_id"]: PlantedImage(**{**row, "subs": tuple(row["subs"])}) for row in content["images"]}
