"""The champions' labels for every unique image, window by window."""

import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import dagster as dg
import pyarrow as pa

from modeling.montages import picture_grid
from pipeline.metadata import counts_markdown, for_people, picture, preview, table_asset
from pipeline.partitions import crawl_windows
from pipeline.progress import Progress, Step
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.style_rows import BY_VERSIONS, NOT_READ, Champions, WindowAnswers, answer_window, wanted_images
from pipeline.windows_at_once import materialized

GALLERY_PICTURES = 18
MOST_ERRORS = 5  # shown of one window


def style_prediction_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset of the predictions."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*`backfill_policy`.*is currently in beta")
        return [_style_predictions(settings)]


def _style_predictions(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset("style_predictions", group="operation"),
        deps=[
            dg.AssetDep("champion", partition_mapping=dg.AllPartitionMapping()),
            "image_hashes",
            "unique_images",
        ],
        partitions_def=crawl_windows(settings.windows),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def style_predictions(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[Any]:
        """What the champion of each label set says about every unique image first seen in the window.

        Images that the same champion has answered for are taken over. Any number of windows go through one run.
        """
        windows = list(context.partition_keys)
        told, shown, versions = progress.step("predicting styles"), {}, []
        with for_people():
            champions, wanted = Champions.now(settings, storage), wanted_images(storage, windows)
            total = max(1, sum(map(len, wanted.values())) * len(champions.versions))
            done = 0
            for window in windows:
                answers = answer_window(storage, champions, window, wanted[window], partial(_tell, told, done, total))
                done += len(wanted[window]) * len(champions.versions)
                told(done, total)
                versions.append(dg.DataVersion(answers.version))
                shown[window] = _metadata(storage, champions, answers)
        yield from materialized(context, "style_predictions", shown, versions)

    return style_predictions


def _tell(told: Step, before: int, total: int, done: int) -> None:
    told(before + done, total)


def _metadata(storage: Storage, champions: Champions, answers: WindowAnswers) -> dict[str, Any]:
    """What people see of one window; pictures where some were looked at."""
    named = [f"{label_set}: {version}" for label_set, version in champions.versions.items()]
    said: dict[str, Any] = {
        "dagster/row_count": answers.rows,
        "scored": answers.scored,
        "taken_over": answers.taken_over,
        "champions": ", ".join(named) or "none yet: materialize champion",
        "unreadable": len(answers.unreadable_ids),
        NOT_READ: list(answers.unreadable_ids),
        BY_VERSIONS: dict(champions.versions),
    }
    if answers.unreadable:
        said["not_read"] = dg.MetadataValue.md("\n".join(f"- {line}" for line in answers.unreadable[:MOST_ERRORS]))
    if answers.fresh is not None and answers.fresh.num_rows:
        rows = answers.fresh.drop_columns(["embedding"])
        counts = rows.select(["label_set", "main"]).to_pandas().value_counts().to_dict()
        styles = {f"{label_set}: {main}": int(count) for (label_set, main), count in counts.items()}
        said["preview"] = dg.MetadataValue.md(preview(rows))
        said["main_labels"] = dg.MetadataValue.md(counts_markdown(styles, "new rows"))
        said["pictures"] = picture(_pictures(storage, rows))
    return said


def _pictures(storage: Storage, rows: pa.Table) -> bytes:
    """A JPEG of pictures of the first label set with what the champion says, evenly spread."""
    frame = rows.to_pandas()
    frame = frame[frame["label_set"] == frame["label_set"].iloc[0]]
    pictures = []
    for row in frame.iloc[:: max(1, len(frame) // GALLERY_PICTURES)].head(GALLERY_PICTURES).itertuples():
        content = storage.image_or_none(row.image_id)
        if content is not None:
            pictures.append((content, f"{row.main} {max(row.probabilities):.0%}\n{', '.join(row.subs)}"))
    return picture_grid(pictures)
