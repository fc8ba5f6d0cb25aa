"""Files that the graph reads and does not make: labels, archives, people's decisions, word vectors and weights.

Each kind is an asset that Dagster only observes. Its data version is the hash of what the files hold, so that what is
made from a changed file shows as stale. Of an archive's pictures, name, size and time of change count, not the bytes.
"""

import hashlib
import warnings
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._utils.warnings import BetaWarning  # not exported at the top

from crawlers.errors import CrawlError
from crawlers.sources import ArchiveSource
from pipeline.partitions import crawl_window, crawl_windows, window_keys
from pipeline.settings import Settings

GROUP = "inputs"
DATA_VERSION = "dagster/data_version"  # tag of an observation
ABSENT = "absent"

# What is read by which assets; those of one archive by the crawl of each window.
READERS: Mapping[str, tuple[str, ...]] = {
    "archive_files": ("posts", "images", "deleted_posts", "crawl_counts"),
    "duplicate_decisions": ("unique_images", "similar_pairs"),
    "label_file": ("annotations", "quarantined_annotations"),
    "word_vector_file": ("word_vectors",),
    "backbone_weights": ("tau_sweep", "model", "training_curves", "seed_runs", "suspicious_labels", "ablation"),
}
DESCRIPTIONS: Mapping[str, str] = {
    "archive_files": "Posts and pictures of the archives among the sources, those of the window.",
    "duplicate_decisions": "What people decided about near-duplicates (deduplication.overrides).",
    "label_file": "The experts' labels (labels.path).",
    "word_vector_file": "The word vectors that labels are looked up in (word_vectors.path).",
    "backbone_weights": "The weights that training starts from (backbone.weights).",
}


def files(settings: Settings) -> dict[str, Path]:
    """Return the input files that the settings name, by asset; archives are not among them."""
    named: dict[str, Any] = {
        "duplicate_decisions": settings.deduplication.overrides,
        "label_file": getattr(settings.labels, "path", None),
        "word_vector_file": settings.word_vectors.path,
        "backbone_weights": settings.backbone.weights,
    }
    return {name: Path(path) for name, path in named.items() if path and str(path) not in ("none", "imagenet")}


def missing_label_file(settings: Settings) -> str | None:
    """Return one line on the file of labels where there is none; None where there is, or where none is read."""
    path: Path | None = getattr(settings.labels, "path", None)
    if path is None or path.exists():
        return None
    return f"there is no label file: put it at {path}, or set labels.path"


def archives(settings: Settings) -> list[ArchiveSource]:
    """Return the archives among the sources."""
    return [source for source in settings.sources.values() if isinstance(source, ArchiveSource)]


def input_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return an observable asset for each kind of input file that the settings name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)  # observable assets
        found = [_observable_file(name, path) for name, path in files(settings).items()]
        return [*found, _observable_archives(settings)] if archives(settings) else found


def _observable_file(name: str, path: Path) -> dg.AssetsDefinition:
    @dg.multi_observable_source_asset(name=f"look_at_{name}", specs=[_spec(name)])
    def look() -> dg.ObserveResult:
        return dg.ObserveResult(data_version=file_version(path), metadata={"file": dg.MetadataValue.path(path)})

    return look


def _observable_archives(settings: Settings) -> dg.AssetsDefinition:
    windows = crawl_windows(settings.windows)

    @dg.multi_observable_source_asset(
        name="look_at_archive_files", specs=[_spec("archive_files")], partitions_def=windows
    )
    def look(context: dg.AssetExecutionContext) -> dg.ObserveResult:
        return dg.ObserveResult(data_version=dg.DataVersion(archive_versions(settings)[context.partition_key]))

    return look


def _spec(name: str) -> dg.AssetSpec:
    return dg.AssetSpec(name, group_name=GROUP, description=DESCRIPTIONS[name], kinds={"file"}, owners=["team:data"])


def inputs_of(name: str, settings: Settings) -> list[str]:
    """Return the input files that an asset reads, by their assets' names."""
    there = {*files(settings), *(["archive_files"] if archives(settings) else [])}
    return [one for one, readers in READERS.items() if one in there and name in readers]


def file_version(path: Path) -> dg.DataVersion:
    """Return the hash of a file's content; a file that is not there has a version of its own."""
    try:
        with path.open("rb") as file:
            return dg.DataVersion(hashlib.file_digest(file, "sha256").hexdigest()[:32])
    except OSError:  # the asset that reads it says so
        return dg.DataVersion(ABSENT)


def archive_versions(settings: Settings) -> dict[str, str]:
    """Return a hash of the archives' posts in each window, and of their pictures' names, sizes and times of change."""
    from crawlers.networks.archive_rows import read_rows

    keys = window_keys(settings.windows)
    starts = [crawl_window(settings.windows, key).start for key in keys]
    digests = {key: hashlib.sha256() for key in keys}
    for source in archives(settings):
        try:
            rows = read_rows(source)
        except CrawlError:  # the crawl says so
            rows = []
        for row in rows:
            position = _position(row.created_at, source, starts)
            if position >= 0:
                picture = _stamp(source.folder / row.image) if row.image else None
                values = (row.image, row.post_id, row.created_at, row.author, row.hashtags, row.url, row.alt_text)
                digests[keys[position]].update(repr((source.name, *values, row.problem, picture)).encode())
    return {key: digest.hexdigest()[:32] for key, digest in digests.items()}


def _position(created_at: datetime | None, source: ArchiveSource, starts: Sequence[datetime]) -> int:
    """Return the number of the window that a post belongs to; -1 before the first."""
    if created_at is None:
        if source.undated is None:
            return 0 if starts else -1
        created_at = datetime.combine(source.undated, time(), tzinfo=UTC)
    return bisect_right(starts, created_at) - 1


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def observe(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Look at all input files and note the versions that are new; return the names of what changed."""
    changed = []
    for name, path in files(settings).items():
        changed += _note(instance, name, {None: file_version(path).value})
    if archives(settings):
        changed += _note(instance, "archive_files", dict(archive_versions(settings)))
    return changed


def _note(instance: dg.DagsterInstance, name: str, versions: Mapping[str | None, str]) -> list[str]:
    key = dg.AssetKey(name)
    known = observed_versions(instance, key)
    new = {partition: version for partition, version in versions.items() if known.get(partition) != version}
    for partition, version in new.items():
        tags = {DATA_VERSION: version}
        instance.report_runless_asset_event(dg.AssetObservation(key, partition=partition, tags=tags))
    return [name] if new else []


def observed_versions(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str | None, str]:
    """Return the version of an input file that was noted last, by partition."""
    kind = dg.DagsterEventType.ASSET_OBSERVATION
    found = instance.event_log_storage.get_latest_tags_by_partition(key, kind, [DATA_VERSION])
    versions: dict[str | None, str] = {partition: tags[DATA_VERSION] for partition, tags in found.items()}
    latest = instance.fetch_observations(key, limit=1).records
    if latest and latest[0].partition_key is None and latest[0].asset_observation is not None:
        versions[None] = (latest[0].asset_observation.tags or {}).get(DATA_VERSION, ABSENT)
    return versions
