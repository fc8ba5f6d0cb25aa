"""What a crawl is asked to do and what it answers: the contract between a crawl's process and its caller."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from crawlers.errors import CrawlError
from crawlers.sources import Source
from crawlers.windows import CrawlWindow

Progress = Callable[[int, int], None]
"""Called now and then while a crawl runs with (posts seen, pictures dealt with)."""


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
    out: Path = Field(description="Folder for posts.parquet, images.parquet and counts.parquet")
    images: Path = Field(description="Folder for the original bytes, by content: ab/abcdef...")
    first_window: bool = Field(default=False, description="Is it the first window? Undated posts belong there")
    limits: CrawlLimits = CrawlLimits()

    @model_validator(mode="after")
    def _unique_names(self) -> "CrawlJob":
        names = [source.name for source in self.sources]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two sources are called {name!r}; give each its own name")
        return self

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
        counts: (source, what, outcome) -> count, the counts table.
    """

    posts: int
    kept: int
    images: int
    failed: int
    counts: Mapping[tuple[str, str, str], int]
