"""What a crawl is asked to do and what it answers: the contract between a crawl's process and its caller."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crawlers.errors import CrawlError
from crawlers.registry import Source
from crawlers.windows import CrawlWindow

Progress = Callable[[Callable[[], tuple[int, int, int]]], None]
"""Called often while a crawl runs, with a function that counts: posts seen, pictures dealt with, all pictures."""


class CrawlLimits(BaseModel):
    """Bounds on what one request or one picture may cost."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=25_000_000, ge=1, description="Largest body of an answer, bytes, also decompressed")
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        le=178_000_000,  # Pillow itself refuses more
        description="Largest picture, width x height; checked before it is decoded",
    )
    timeout: float = Field(default=30.0, gt=0, le=600, description="Seconds that one request may take in all")
    retries: int = Field(default=3, ge=0, le=20, description="Further attempts after a passing failure (429, 5xx, ...)")
    backoff: float = Field(default=1.0, ge=0, le=60, description="Seconds before the first retry; doubles each time")
    max_pause: float = Field(
        default=900.0, ge=0, description="Longest wait, seconds, that a server's rate limit may ask for"
    )


class CrawlJob(BaseModel):
    """One window of some sources, and where the results go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: CrawlWindow
    sources: tuple[Source, ...] = Field(min_length=1)
    out: Path = Field(description="Folder for posts, images, counts and deleted_posts, each .parquet")
    images: Path = Field(description="Folder for the original bytes, by content: ab/abcdef...")
    state: Path | None = Field(
        default=None,
        description="Folder for the journal of a crawl and for the addresses that are known; "
        "default: beside the images' folder, with .state behind its name",
    )
    previous: Path | None = Field(
        default=None,
        description="Folder with the tables of the window's last crawl, for deletions and for servers that fail now; "
        "default: what lies in out",
    )
    known: tuple[Path, ...] = Field(
        default=(), description="Tables of images whose addresses need not be fetched again, as images.parquet"
    )
    withdrawals: Path | None = Field(
        default=None, description="Table of withdrawals: posts, authors and pictures that must not be kept"
    )
    withdrawn_bits: int = Field(
        default=32, ge=0, le=64, description="Bits of 256 up to which a picture looks like a withdrawn one"
    )
    refetch: bool = Field(default=False, description="Fetch pictures again whose addresses are known")
    first_window: bool = Field(default=False, description="Is it the first window? Undated posts belong there")
    limits: CrawlLimits = CrawlLimits()

    @model_validator(mode="after")
    def _unique_names(self) -> "CrawlJob":
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; give each its own name")
        return self

    @property
    def state_folder(self) -> Path:
        """Where the journal and the known addresses lie."""
        return self.state or self.images.with_name(f"{self.images.name}.state")

    @property
    def previous_folder(self) -> Path:
        """Where the tables of the window's last crawl lie, if there are any."""
        return self.previous or self.out

    def fingerprint(self) -> str:
        """Return a hash of what is crawled: a crawl with another fingerprint is another crawl."""
        what = self.model_dump_json(include={"window", "sources", "limits", "refetch", "first_window"})
        return hashlib.sha256(what.encode()).hexdigest()

    @classmethod
    def from_file(cls, path: Path) -> "CrawlJob":
        """Read a job from a JSON file.

        Raises:
            CrawlError: if the file cannot be read or says something that a job does not allow, naming the field.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise CrawlError(f"job {path}: cannot be read ({error.strerror})") from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "file"
            raise CrawlError(f"job {path}: {place}: {first['msg']}") from error


@dataclass(frozen=True)
class CrawlResult:
    """What a finished crawl holds.

    Args:
        posts: rows of the posts table, kept or not.
        kept: posts whose pictures were fetched.
        images: rows of the images table with status ok.
        failed: rows of the images table with status failed.
        deleted: rows of the deleted_posts table.
        counts: (source, what, outcome) -> count, the counts table.
        incomplete: a line for each timeline that could not be read to its end; rows that an earlier crawl had of its
            server are kept then.
        resumed: did it go on with a crawl that was killed?
    """

    posts: int
    kept: int
    images: int
    failed: int
    deleted: int
    counts: Mapping[tuple[str, str, str], int]
    incomplete: tuple[str, ...] = ()
    resumed: bool = False
