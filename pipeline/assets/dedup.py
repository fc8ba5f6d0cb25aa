"""Perceptual hashes per crawl window, and near-duplicate clusters over all of them."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from crawlers.dedup.clusters import hash_version
from crawlers.dedup.clusters import unique_images as cluster
from crawlers.dedup.hashing import image_hashes_table
from crawlers.dedup.index_images import COLUMNS
from crawlers.dedup.overrides import read_overrides
from crawlers.dedup.pair_index import PairIndex
from crawlers.dedup.pairs import DISTINCT, DUPLICATE, REVIEW, open_index
from modeling.montages import pair_gallery
from pipeline.locks import near_duplicates_lock, one_at_a_time
from pipeline.metadata import counts_markdown, data_version, for_people, picture, spec, table_asset, table_metadata
from pipeline.partitions import crawl_windows, window_keys
from pipeline.progress import Progress, Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError
from pipeline.windows_at_once import materialized

GALLERY_PAIRS = 12
CLUSTER_COLUMNS = (
    "image_id", "window", "status", "width", "height", "content_width", "content_height", "posts", "post_id",
    "created_at", "author_hmac", "algorithm", "version",
)  # fmt: skip


def dedup_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``dedup``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`backfill_policy`.*is currently in beta")
        return [_image_hashes(settings), _near_duplicates()]


def _image_hashes(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset("image_hashes", group="dedup"),
        deps=["posts", "images"],
        partitions_def=crawl_windows(settings.windows),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def image_hashes(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[Storage], progress: dg.ResourceParam[Progress]
    ) -> Iterator[Any]:
        """Perceptual hashes of the window's images: whole, without border, and mirrored. Only new images are hashed."""
        shown, versions = {}, []
        for window in context.partition_keys:
            with for_people():
                table = hash_window(storage, window, progress.step(f"hashing images of {window}"))
            failed = sum(status != "ok" for status in table.column("status").to_pylist())
            shown[window] = table_metadata(table, failed=failed, hashes=_version(table))
            versions.append(data_version(table))
        yield from materialized(context, "image_hashes", shown, versions)

    return image_hashes


def hash_window(storage: Storage, window: str, report: Step) -> pa.Table:
    """Hash the new images of one window, and write its table."""
    partition = (window,)
    posts = storage.read_table("posts", partition, ["post_id", "created_at", "author_hmac"]).to_pandas()
    images = storage.read_table("images", partition).to_pandas()
    downloaded = images[images["status"] == "ok"].merge(posts, on="post_id", how="left", validate="many_to_one")
    known = known_hashes(storage, partition)
    table = image_hashes_table(downloaded, storage.image_path, progress=report, known=known)
    return storage.write_table("image_hashes", table, partition)


def _near_duplicates() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="near_duplicates",
        specs=[
            spec(
                "unique_images",
                group="dedup",
                deps=["image_hashes"],
                description="Every image of every window: canonical of its near-duplicate cluster, or set aside "
                "with the reason.",
            ),
            spec(
                "similar_pairs",
                group="dedup",
                deps=["image_hashes"],
                description="Pairs of images that are duplicates, pairs that people should look at, and the closest "
                "of those that are neither.",
            ),
        ],
    )
    def near_duplicates(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult]:
        """Cluster near-duplicates over all windows; a new window is compared with all before it."""
        with one_at_a_time(near_duplicates_lock(storage), context.log.info, "near-duplicates are being looked for"):
            # until Dagster has the events: whoever waits must not be overtaken by the older ones
            yield from _clustered(settings, storage, progress)

    return near_duplicates


def _clustered(settings: Settings, storage: Storage, progress: Progress) -> Iterator[dg.MaterializeResult]:
    """Cluster, and write both tables; the caller holds the lock: the index takes one writer, and hashes that were read
    before another run wrote its tables would undo those."""
    with for_people():
        overrides = read_overrides(settings.deduplication.overrides)
        hashes = storage.read_windows("image_hashes", window_keys(settings.windows), CLUSTER_COLUMNS).to_pandas()
        index = extended_index(settings, storage, hashes, progress)
        unique, pairs = cluster(hashes, settings.deduplication, overrides, index)
        unique = storage.write_table("unique_images", unique)
        pairs = storage.write_table("similar_pairs", pairs)
    frame = unique.select(["window", "kept", "via", "cluster_size"]).to_pandas()
    similar = pairs.select(["image_a", "image_b", "distance256", "via", "band"]).to_pandas()
    yield dg.MaterializeResult(
        asset_key="unique_images",
        data_version=data_version(unique),
        metadata=table_metadata(
            unique,
            kept=int(frame["kept"].sum()),
            set_aside=int((~frame["kept"]).sum()),
            largest_cluster=int(frame["cluster_size"].max()) if len(frame) else 0,
            by_window=dg.MetadataValue.md(_by_window(frame)),
            clusters=picture(_gallery(storage, similar[similar["band"] == DUPLICATE], farthest=True)),
            overrides=len(overrides.images),
        ),
    )
    yield dg.MaterializeResult(
        asset_key="similar_pairs",
        data_version=data_version(pairs),
        metadata=table_metadata(
            pairs,
            bands=dg.MetadataValue.md(counts_markdown(similar["band"].value_counts().to_dict(), "band")),
            review_band=picture(_gallery(storage, similar[similar["band"] == REVIEW])),
            closest_kept=picture(_gallery(storage, similar[similar["band"] == DISTINCT])),
        ),
    )


def known_hashes(storage: Storage, window: tuple[str, ...]) -> pd.DataFrame | None:
    """Return the window's hashes of an earlier run, None if there are none of the present form."""
    if not storage.has_table("image_hashes", window):
        return None
    try:
        return storage.read_table("image_hashes", window).to_pandas()
    except TableError:  # of an earlier form: all is hashed again
        return None


def extended_index(settings: Settings, storage: Storage, hashes: pd.DataFrame, progress: Progress) -> PairIndex:
    """Open the index of candidate pairs and add the images of all windows that it does not have."""
    version = hash_version(hashes[hashes["status"] == "ok"])
    index = open_index(storage.cache_folder("near_duplicates"), settings.deduplication, version)
    total = int(hashes["image_id"].nunique())
    report = progress.step("comparing images")
    for window, images in hashes[hashes["status"] == "ok"].groupby("window", sort=False):
        if (index.rows(images["image_id"].tolist()) < 0).any():
            index.add(storage.read_table("image_hashes", (str(window),), COLUMNS))
        report(min(len(index), total), total)
    return index


def _version(table: pa.Table) -> str:
    frame = table.select(["algorithm", "version"]).slice(0, 1).to_pylist()
    return " ".join(frame[0].values()) if frame else ""


def _by_window(unique: pd.DataFrame) -> str:
    counts = unique.assign(what=unique["via"].where(~unique["kept"], "kept")).groupby(["window", "what"]).size()
    return counts_markdown({f"{window}: {what}": int(count) for (window, what), count in counts.items()}, "window")


def _gallery(storage: Storage, pairs: pd.DataFrame, farthest: bool = False) -> bytes:
    """Return the closest pairs, or those farthest apart, side by side, as JPEG."""
    chosen = pairs.sort_values(["distance256", "image_a", "image_b"], ascending=[not farthest, True, True])
    return pair_gallery(
        [
            (
                storage.image_path(row.image_a).read_bytes(),
                storage.image_path(row.image_b).read_bytes(),
                f"{row.distance256} of 256 bits, {row.via}",
            )
            for row in chosen.head(GALLERY_PAIRS).itertuples()
        ]
    )
