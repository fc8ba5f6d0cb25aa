"""Archives: a folder of pictures with a CSV or Parquet table of posts. Nothing is asked over the network."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from pathlib import Path

from crawlers.errors import CrawlError
from crawlers.harvest import Harvest
from crawlers.identity import author_hmac, key_from_env, names_handle
from crawlers.images import ImageRefusedError, keep_image
from crawlers.jobs import CrawlJob, CrawlLimits, Progress
from crawlers.networks.archive_rows import ArchiveRow, read_rows
from crawlers.posts import ImageResult, MediaItem, Post
from crawlers.sources import ArchiveSource, fold_hashtags
from crawlers.storage import ImageStore

_DECODERS = 2  # threads


def crawl_archive(
    source: ArchiveSource, job: CrawlJob, environment: Mapping[str, str], progress: Progress | None = None
) -> Harvest:
    """Read an archive's posts of one window; validate and keep their pictures.

    Rows with the same post_id are one post with several pictures; a row without one is a post of its own, named after
    its picture. A picture that is listed twice stays with its first row.

    Args:
        source: the settings.
        job: window, limits, and where the pictures go.
        environment: where the key for authors' handles comes from, if the posts file has any.
        progress: called with (posts seen, pictures dealt with).

    Raises:
        CrawlError: if the folder or the posts file cannot be read, or the file has no column ``image``.
    """
    if not source.folder.is_dir():
        raise CrawlError(f"source {source.name}: folder {source.folder} does not exist or is no folder")
    harvest = Harvest(source.name, job.window)
    rows = read_rows(source)
    key = key_from_env(environment) if any(row.author for row in rows) else None
    wanted: list[tuple[str, MediaItem, ArchiveRow]] = []
    for post_id, group in _by_post(source, rows).items():
        created_at = next((row.created_at for row in group if row.created_at is not None), None)
        if created_at is None and not _undated_belong(source, job):
            harvest.count("post", "outside_window")
            continue
        pictures = [row for row in group if row.image is not None]
        post = _post(source, post_id, group, pictures, created_at, key)
        problem = next((row.problem for row in group if row.problem is not None), None)
        if harvest.admit(post, problem):
            wanted += [(post_id, media, row) for media, row in zip(post.media, pictures, strict=True)]
    _fetch_all(source.folder, wanted, job, harvest, progress)
    return harvest


def _by_post(source: ArchiveSource, rows: list[ArchiveRow]) -> dict[str, list[ArchiveRow]]:
    posts: dict[str, list[ArchiveRow]] = {}
    for row in rows:
        native_id = row.post_id or row.image or f"row-{row.number}"
        posts.setdefault(f"archive:{source.name}:{native_id}", []).append(row)
    return posts


def _undated_belong(source: ArchiveSource, job: CrawlJob) -> bool:
    if source.undated is None:
        return job.first_window
    return job.window.contains(datetime.combine(source.undated, time(), UTC))


def _post(
    source: ArchiveSource,
    post_id: str,
    rows: list[ArchiveRow],
    pictures: list[ArchiveRow],
    created_at: datetime | None,
    key: bytes | None,
) -> Post:
    author = next((row.author for row in rows if row.author), None)
    return Post(
        post_id=post_id,
        network="archive",
        source=source.name,
        server=None,
        url=next((row.url for row in rows if row.url and not names_handle(row.url, author)), None),
        created_at=created_at,
        author_hmac=author_hmac(author, f"archive:{source.name}", key) if author and key else None,
        hashtags=fold_hashtags(tag for row in rows for tag in row.hashtags),
        media=tuple(MediaItem(index, row.image or "", row.alt_text) for index, row in enumerate(pictures)),
    )


def _fetch_all(
    folder: Path,
    wanted: list[tuple[str, MediaItem, ArchiveRow]],
    job: CrawlJob,
    harvest: Harvest,
    progress: Progress | None,
) -> None:
    store = ImageStore(job.images)

    def fetch(item: tuple[str, MediaItem, ArchiveRow]) -> ImageResult:
        return fetch_file(folder, item[2], job.limits, store)

    with ThreadPoolExecutor(_DECODERS) as decoders:
        results = zip(wanted, decoders.map(fetch, wanted), strict=True)
        for done, ((post_id, media, _), result) in enumerate(results, start=1):
            harvest.add_image(post_id, media, result)
            if progress is not None:
                progress(harvest.posts_seen, done)


def fetch_file(folder: Path, row: ArchiveRow, limits: CrawlLimits, store: ImageStore) -> ImageResult:
    """Validate and keep the picture that a row names; files outside the folder are not touched.

    Returns:
        The facts, or a failure with the reason ``duplicate_row``, ``forbidden_path``, ``missing_file``,
        ``unreadable_file``, or one of :func:`crawlers.images.inspect_image`.
    """
    if row.repeats is not None:
        detail = f"row {row.number} lists the picture of row {row.repeats} again"
        return ImageResult(datetime.now(UTC), 0, reason="duplicate_row", detail=detail)
    try:
        facts = keep_image(_read_inside(folder, row.image or "", limits), limits, store)
    except ImageRefusedError as error:
        detail = f"row {row.number}: {error}"
        return ImageResult(datetime.now(UTC), 1, reason=error.reason, detail=detail[:200])
    return ImageResult(datetime.now(UTC), 1, facts=facts)


def _read_inside(folder: Path, name: str, limits: CrawlLimits) -> bytes:
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ImageRefusedError("forbidden_path", "the path leads out of the archive's folder")
        if not path.is_file():
            raise ImageRefusedError("missing_file", "there is no such file in the archive's folder")
        with path.open("rb") as file:
            return file.read(limits.max_bytes + 1)  # one byte more than allowed shows that there are too many
    except (OSError, ValueError) as error:
        if isinstance(error, ImageRefusedError):
            raise
        raise ImageRefusedError("unreadable_file", f"the file cannot be read ({type(error).__name__})") from error
