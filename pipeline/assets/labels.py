"""What stands before the experts, what they said, and the labels that follow."""

from collections.abc import Iterator, Sequence

import dagster as dg
import pandas as pd

from labeling.agreement import agreement as agreement_table
from labeling.consensus import consensus
from labeling.references import ImageIndex
from labeling.sources import read_annotations
from labeling.tasks import label_studio_tasks
from labeling.tasks import label_tasks as task_table
from labeling.taxonomy import Taxonomy
from modeling.montages import picture_grid
from pipeline.metadata import (
    counts_markdown,
    for_people,
    markdown,
    picture,
    reason_counts,
    spec,
    table_asset,
    table_metadata,
)
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

GRID_PICTURES = 18


def label_assets() -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``labels``."""

    @dg.asset(**table_asset("label_tasks", group="labels"), deps=["posts", "images", "unique_images"])
    def label_tasks(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.MaterializeResult:
        """Unique images for the experts, each once, with the context that helps to label them.

        Beside the table stands ``label_studio/tasks.json``, which Label Studio imports.
        """
        windows = window_keys(settings.windows)
        with for_people():
            images = storage.read_windows("images", windows).to_pandas()
            posts = storage.read_windows("posts", windows).to_pandas()
            unique = storage.read_table("unique_images").to_pandas()
            table = storage.write_table("label_tasks", task_table(unique, images[images["status"] == "ok"], posts))
            storage.write_json("label_studio/tasks.json", label_studio_tasks(table))
        return dg.MaterializeResult(
            metadata=table_metadata(table, import_file=dg.MetadataValue.path(storage.path("label_studio/tasks.json")))
        )

    @dg.multi_asset(
        name="expert_annotations",
        specs=[
            spec(
                "annotations",
                group="labels",
                deps=["label_tasks"],
                description="Experts' annotations that keep the rules: one main label, known labels, "
                "no sub label that is the main.",
            ),
            spec(
                "quarantined_annotations",
                group="labels",
                deps=["label_tasks"],
                description="Annotations set aside, each with the reason and what to do about it.",
            ),
        ],
    )
    def expert_annotations(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> Iterator[dg.MaterializeResult]:
        """Read the label source and check every annotation."""
        with for_people():
            index = ImageIndex.from_tasks(storage.read_table("label_tasks").to_pandas())
            read = read_annotations(settings.labels, index, Taxonomy(settings.taxonomy.labels))
            valid = storage.write_table("annotations", read.valid)
            quarantined = storage.write_table("quarantined_annotations", read.quarantined)
        reasons = counts_markdown(reason_counts(quarantined.column("reason"), ""), "reason")
        yield dg.MaterializeResult(asset_key="annotations", metadata=table_metadata(valid))
        yield dg.MaterializeResult(
            asset_key="quarantined_annotations",
            metadata=table_metadata(quarantined.drop_columns(["raw"]), reasons=dg.MetadataValue.md(reasons)),
        )

    @dg.multi_asset(
        name="consensus",
        specs=[
            spec(
                "labels",
                group="labels",
                deps=["annotations"],
                description="One main label and the sub labels of each image, after review and consensus.",
            ),
            spec("agreement", group="labels", deps=["annotations"], description="How far the annotators agree."),
        ],
    )
    def labels(storage: dg.ResourceParam[Storage]) -> Iterator[dg.MaterializeResult]:
        """Settle what the annotators said into labels."""
        with for_people():
            annotations = storage.read_table("annotations").to_pandas()
            tasks = storage.read_table("label_tasks", columns=["image_id", "window"]).to_pandas()
            table = storage.write_table(
                "labels", consensus(annotations, dict(zip(tasks.image_id, tasks.window, strict=True)))
            )
            figures = storage.write_table("agreement", agreement_table(annotations))
        frame = table.to_pandas()
        status = {str(key): int(count) for key, count in frame["status"].value_counts().items()}
        yield dg.MaterializeResult(
            asset_key="labels",
            metadata=table_metadata(
                table,
                status=dg.MetadataValue.md(counts_markdown(status, "status")),
                pictures=picture(_labelled_pictures(storage, frame)),
            ),
        )
        yield dg.MaterializeResult(
            asset_key="agreement",
            metadata=table_metadata(figures, figures=dg.MetadataValue.md(markdown(figures.to_pandas().head(40)))),
        )

    return [label_tasks, expert_annotations, labels]


def _labelled_pictures(storage: Storage, labels: pd.DataFrame) -> bytes:
    """Return a grid of labelled images with their labels as PNG, evenly spread over the table."""
    known = labels[labels["main"].notna()]
    chosen = known.iloc[:: max(1, len(known) // GRID_PICTURES)].head(GRID_PICTURES)
    return picture_grid(
        [
            (storage.image_path(row.image_id).read_bytes(), "\n".join([row.main, ", ".join(row.subs)]))
            for row in chosen.itertuples()
        ]
    )
