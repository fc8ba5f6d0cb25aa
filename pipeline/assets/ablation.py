"""The ablation: what each choice of the label branch is worth."""

from collections.abc import Sequence

import dagster as dg

from modeling import figures_graph
from modeling.ablation import ablate
from modeling.word_vectors import vectors_from_table
from pipeline.assets.graph import label_set_labels
from pipeline.locks import TRAINING_POOL, one_training
from pipeline.metadata import data_version, for_people, markdown, picture, table_asset, table_metadata
from pipeline.partitions import label_sets
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.storage import Storage


def ablation_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the asset that compares forms of the model."""

    @dg.asset(
        **table_asset("ablation", group="evaluation"),
        pool=TRAINING_POOL,
        deps=["data_set", "word_vectors"],
        partitions_def=label_sets(settings),
    )
    def ablation(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """Adjacency form x tau x pooling x loss on features of the frozen backbone, ranked on the validation split."""
        label_set = context.partition_key
        with for_people(), one_training(storage, context.log.info, progress):
            labels = label_set_labels(settings, storage, label_set)
            table = ablate(
                storage.read_table("data_set", (label_set,)).to_pandas(),
                labels,
                vectors_from_table(storage.read_table("word_vectors", (label_set,)), labels),
                settings.graph,
                settings.ablation,
                settings.backbone,
                settings.training,
                storage.image_path,
                storage.cache_folder("cache"),
                progress.step(f"comparing forms of the model on {label_set}"),
            )
            table = storage.write_table("ablation", table, (label_set,))
        frame = table.to_pandas()
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                ranked=dg.MetadataValue.md(markdown(frame.drop(columns=["scored_on"]))),
                plot=picture(figures_graph.ablation(frame)),
                scored_on=str(frame["scored_on"].iloc[0]),
                seconds=float(frame["seconds"].sum()),
            ),
        )

    return [ablation]
