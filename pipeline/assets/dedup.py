"""Perceptual hashes per crawl window, and near-duplicate clusters over all of them."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd

from crawlers.dedup.clusters import unique_images as cluster
from crawlers.dedup.hashing import image_hashes_table
from modeling.montages import pair_gallery
from pipeline.metadata import counts_markdown, for_people, picture, spec, table_asset, table_metadata
from pipeline.partitions import crawl_windows, window_keys
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.storage import Storage

GALLERY_PAIRS = 12


def dedup_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``dedup``."""

    @dg.asset(
        **table_asset("image_hashes", group="dedup"),
        deps=["posts", "images"],
        partitions_def=crawl_windows(settings.windows),
    )
    def image_hashes(
        context: dg.AssetExecutionContext, storage: dg.ResourceParam[Storage], progress: dg.ResourceParam[Progress]
    ) -> dg.MaterializeResult:
        """Perceptual hashes of the window's images: whole, without border, and mirrored."""
        window = (context.partition_key,)
        with for_people():
            posts = storage.read_table("posts", window, ["post_id", "created_at", "author_hmac"]).to_pandas()
            images = storage.read_table("images", window).to_pandas()
            downloaded = images[images["status"] == "ok"].merge(posts, on="post_id", how="left", validate="many_to_one")
            table = image_hashes_table(
                downloaded, storage.image_path, progress=progress.step(f"hashing images of {window[0]}")
            )
            table = storage.write_table("image_hashes", table, window)
        return dg.MaterializeResult(metadata=table_metadata(table))

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
                description="Pairs of images that are duplicates, and pairs that people should look at.",
            ),
        ],
    )
    def near_duplicates(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> Iterator[dg.MaterializeResult]:
        """Cluster near-duplicates over all windows."""
        with for_people():
            hashes = storage.read_windows("image_hashes", window_keys(settings.windows))
            unique, pairs = cluster(hashes.to_pandas(), settings.deduplication)
            unique = storage.write_table("unique_images", unique)
            pairs = storage.write_table("similar_pairs", pairs)
        frame, similar = unique.to_pandas(), pairs.to_pandas()
        yield dg.MaterializeResult(
            asset_key="unique_images",
            metadata=table_metadata(
                unique,
                kept=int(frame["kept"].sum()),
                set_aside=int((~frame["kept"]).sum()),
                by_window=dg.MetadataValue.md(_by_window(frame)),
                clusters=picture(_gallery(storage, similar[similar["band"] == "duplicate"])),
            ),
        )
        yield dg.MaterializeResult(
            asset_key="similar_pairs",
            metadata=table_metadata(
                pairs, review_band=picture(_gallery(storage, similar[similar["band"] == "review"]))
            ),
        )

    return [image_hashes, near_duplicates]


def _by_window(unique: pd.DataFrame) -> str:
    counts = unique.assign(what=unique["via"].where(~unique["kept"], "kept")).groupby(["window", "what"]).size()
    return counts_markdown({f"{window}: {what}": int(count) for (window, what), count in counts.items()}, "window")


def _gallery(storage: Storage, pairs: pd.DataFrame) -> bytes:
    """Return the pairs that are farthest apart, side by side, as PNG."""
    chosen = pairs.sort_values(["distance256", "image_a", "image_b"], ascending=[False, True, True]).head(GALLERY_PAIRS)
    return pair_gallery(
        [
            (
                storage.image_path(row.image_a).read_bytes(),
                storage.image_path(row.image_b).read_bytes(),
                f"{row.distance256} of 256 bits, {row.via}",
            )
            for row in chosen.itertuples()
        ]
    )
