"""The label graph: word vectors as node features, the choice of tau, and the correlation matrix."""

from collections.abc import Sequence

import dagster as dg

from modeling import figures, figures_graph
from modeling.correlation import correlation_table, graph_from_table, graph_hash, graph_health
from modeling.label_sets import choose_labels
from modeling.tau_choice import choose_tau, with_chosen_tau
from modeling.word_vectors import vectors_from_table
from modeling.word_vectors import word_vectors as vector_table
from pipeline.locks import TRAINING_POOL, one_training
from pipeline.metadata import data_version, for_people, markdown, picture, table_asset, table_metadata
from pipeline.partitions import label_sets
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.storage import Storage


def graph_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``graph``."""

    @dg.asset(
        **table_asset("word_vectors", group="graph"),
        deps=["label_frequencies", "training_request"],
        partitions_def=label_sets(settings),
    )
    def word_vectors(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """GloVe vectors of the label names; a name of several words is the mean of its parts."""
        with for_people():
            labels = label_set_labels(settings, storage, context.partition_key)
            table = vector_table(labels, settings.word_vectors.path, settings.word_vectors.parts)
            table = storage.write_table("word_vectors", table, (context.partition_key,))
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(table, dimensions=len(table.column("vector")[0])),
        )

    @dg.asset(
        **table_asset("tau_sweep", group="graph"),
        pool=TRAINING_POOL,
        deps=["data_set", "word_vectors"],
        partitions_def=label_sets(settings),
    )
    def tau_sweep(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """The label graph that each threshold leaves, and how well label branches trained on it do on validation."""
        label_set = context.partition_key
        with for_people(), one_training(storage, context.log.info, progress):
            labels = label_set_labels(settings, storage, label_set)
            table = choose_tau(
                storage.read_table("data_set", (label_set,)).to_pandas(),
                labels,
                vectors_from_table(storage.read_table("word_vectors", (label_set,)), labels),
                settings.graph,
                settings.tau_sweep,
                settings.backbone,
                settings.training,
                storage.image_path,
                storage.cache_folder("cache"),
                progress.step(f"choosing tau for {label_set}"),
            )
            table = storage.write_table("tau_sweep", table, (label_set,))
        frame = table.to_pandas()
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                chosen_tau=float(frame.loc[frame["chosen"], "tau"].iloc[0]),
                best_tau=float(frame.loc[frame["best"], "tau"].iloc[0]),
                sweep=dg.MetadataValue.md(markdown(frame.drop(columns=["scored_on"]))),
                plot=picture(figures_graph.tau_sweep(frame)),
                scored_on=str(frame["scored_on"].iloc[0]),
            ),
        )

    @dg.asset(
        **table_asset("correlation_matrix", group="graph"),
        deps=["data_set", "tau_sweep"],
        partitions_def=label_sets(settings),
    )
    def correlation_matrix(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """Conditional probabilities between labels in the train split, and the adjacency made from them (Figure 6)."""
        partition = (context.partition_key,)
        with for_people():
            labels = label_set_labels(settings, storage, context.partition_key)
            chosen = with_chosen_tau(settings.graph, storage.read_table("tau_sweep", partition))
            table = correlation_table(storage.read_table("data_set", partition), labels, chosen)
            table = storage.write_table("correlation_matrix", table, partition)
        graph = graph_from_table(table)
        health = graph_health(graph)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(graph_hash(graph)),
            metadata=table_metadata(
                table,
                figure_6=picture(figures.heat_map(table.to_pandas())),
                adjacency=picture(figures.heat_map(table.to_pandas(), "normalized")),
                tau=chosen.threshold,
                edges=health["edges"],
                isolated_labels=", ".join(health["isolated"]) or "none",
                star_share=health["star_share"],
            ),
        )

    return [word_vectors, tau_sweep, correlation_matrix]


def label_set_labels(settings: Settings, storage: Storage, name: str) -> list[str]:
    """Return the labels of a label set, in its order."""
    return choose_labels(storage.read_table("label_frequencies"), settings.label_sets[name])
