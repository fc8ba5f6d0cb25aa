"""Labels that are probably wrong, found by what models say about images that they have not seen."""

from collections.abc import Sequence

import dagster as dg

from modeling.montages import suspicious_gallery
from pipeline.assets.graph import label_set_labels
from pipeline.locks import TRAINING_POOL, one_training
from pipeline.metadata import (
    counts_markdown,
    data_version,
    for_people,
    picture,
    reason_counts,
    table_asset,
    table_metadata,
)
from pipeline.partitions import label_sets
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.storage import Storage


def suspicion_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset that looks for wrong labels."""

    @dg.asset(
        **table_asset("suspicious_labels", group="evaluation"),
        pool=TRAINING_POOL,
        deps=["data_set"],
        partitions_def=label_sets(settings),
    )
    def suspicious_labels(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """The labels that are most likely wrong, by confident learning on scores of images held out of the training."""
        from modeling.suspicious import find_suspicious_labels  # brings torch when it is called

        label_set = context.partition_key
        with for_people(), one_training(storage, context.log.info, progress):
            labels = label_set_labels(settings, storage, label_set)
            table = find_suspicious_labels(
                storage.read_table("data_set", (label_set,)).to_pandas(),
                labels,
                label_set,
                settings.backbone,
                settings.training,
                settings.suspicion,
                storage.image_path,
                storage.cache_folder("cache"),
                progress.step(f"looking for wrong labels in {label_set}"),
            )
            table = storage.write_table("suspicious_labels", table, (label_set,))
        kinds = counts_markdown(reason_counts(table.column("kind"), ""), "kind")
        pictures = suspicious_gallery(table.to_pandas(), lambda image_id: storage.image_path(image_id).read_bytes())
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(table, kinds=dg.MetadataValue.md(kinds), pictures=picture(pictures)),
        )

    return [suspicious_labels]
