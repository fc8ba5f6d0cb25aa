"""Archives: a folder of pictures with a CSV or Parquet table of posts. Nothing is asked over the network."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from pathlib import Path

from crawlers.errors import CrawlError
from crawlers.filters import NOT_IN_TABLE, drop_reason
from crawlers.identity import author_hmac, key_from_env, names_handle
from crawlers.images import ImageRefusedError
from crawlers.jobs import CrawlJob, CrawlLimits, Progress
from crawlers.journal import Journal
from crawlers.keeping import PictureKeeper
from crawlers.networks.archive_rows import ArchiveRow, read_rows
from crawlers.page_writer import PageWriter
from crawlers.posts import ImageResult, MediaItem, Post
from crawlers.sources import ArchiveSource, fold_hashtags
from crawlers.storage import ImageStore, incoming_folder
from crawlers.withdrawals import Withdrawn

_DECODERS = 2  # threads


def crawl_archive(
    source: ArchiveSource,
    number: int,
    job: CrawlJob,
    journal: Journal,
    environment: Mapping[str, str],
    withdrawn: Withdrawn,
    progress: Progress | None = None,
) -> None:
    """Read an archive's posts of one window into the journal; validate and keep their pictures.

    Rows with the same post_id are one post with several pictures; a row without one is a post of its own, named after
    its picture. A picture that is listed twice stays with its first row.

    Args:
        source: the settings.
        number: of the source, in the order of the job.
        job: window, limits, and where the pictures go.
        journal: where posts and pictures are noted.
        environment: where the key for authors' handles comes from, if the posts file has any.
        withdrawn: what must not be kept.
        progress: called with what counts posts and pictures.

    Raises:
        CrawlError: if the folder or the posts file cannot be read, or the file has no column ``image``.
    """
    if not source.folder.is_dir():
        raise CrawlError(f"source {source.name}: folder {source.folder} does not exist or is no folder")
    rows = read_rows(source)
    key = key_from_env(environment) if any(row.author for row in rows) else None
    with journal.archive(number) as writer:
        wanted: list[tuple[str, ArchiveRow]] = []
        for post_id, group in _by_post(source, rows).items():
            wanted += _admit(source, post_id, group, job, writer, key, journal.began, withdrawn)
        _fetch_all(
            source.folder, wanted, job, writer, withdrawn, lambda: progress(journal.progress) if progress else None
        )


def _admit(
    source: ArchiveSource,
    post_id: str,
    rows: list[ArchiveRow],
    job: CrawlJob,
    writer: PageWriter,
    key: bytes | None,
    crawled_at: datetime,
    withdrawn: Withdrawn,
) -> list[tuple[str, ArchiveRow]]:
    """Take in a post; return the keys of its pictures with their rows."""
    writer.count("seen", "post")
    created_at = next((row.created_at for row in rows if row.created_at is not None), None)
    if created_at is None and not _undated_belong(source, job):
        writer.count("post", "outside_window")
        return []
    pictures = [row for row in rows if row.image is not None]
    post = _post(source, post_id, rows, pictures, created_at, key)
    if withdrawn.covers(post):
        writer.pass_over(withdrawn.mark(post_id))
        return []
    problem = next((row.problem for row in rows if row.problem is not None), None)
    reason = problem or drop_reason(post, job.window, None, include_sensitive=True)
    if reason in NOT_IN_TABLE:
        writer.count("post", reason)
        return []
    writer.add_post(post, post.to_row(window=job.window.key, reason=reason, matched=(), crawled_at=crawled_at))
    if reason is not None:
        return []
    wanted = []
    for media, row in zip(post.media, pictures, strict=True):
        address = f"{post_id} {media.index}"  # the same path in two rows is two pictures: the second names the first
        writer.add_picture(post_id, media, "", address=address)
        wanted.append((address, row))
    return wanted


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
    wanted: list[tuple[str, ArchiveRow]],
    job: CrawlJob,
    writer: PageWriter,
    withdrawn: Withdrawn,
    report: Callable[[], None],
) -> None:
    with incoming_folder(job.images, job.window.key) as incoming, ThreadPoolExecutor(_DECODERS) as decoders:
        keeper = PictureKeeper(job.limits, ImageStore(job.images, incoming), withdrawn, incoming)

        def fetch(item: tuple[str, ArchiveRow]) -> ImageResult:
            return fetch_file(folder, item[1], job.limits, keeper)

        for (address, _), result in zip(wanted, decoders.map(fetch, wanted), strict=True):
            writer.settle(address, result)
            report()


def fetch_file(folder: Path, row: ArchiveRow, limits: CrawlLimits, keeper: PictureKeeper) -> ImageResult:
    """Validate and keep the picture that a row names; files outside the folder are not touched.

    Returns:
        The facts, or a failure with the reason ``duplicate_row``, ``forbidden_path``, ``missing_file``,
        ``unreadable_file``, ``withdrawn``, or one of :func:`crawlers.images.inspect_image`.
    """
    if row.repeats is not None:
        detail = f"row {row.number} lists the picture of row {row.repeats} again"
        return ImageResult(datetime.now(UTC), 0, reason="duplicate_row", detail=detail)
    try:
        facts = keeper.keep(_read_inside(folder, row.image or "", limits))
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
