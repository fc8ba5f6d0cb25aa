"""The label graph: word vectors as node features, and the correlation matrix."""

from collections.abc import Sequence

import dagster as dg

from modeling import figures
from modeling.correlation import correlation_table, graph_from_table, graph_hash, graph_health, tau_sweep
from modeling.label_sets import choose_labels
from modeling.word_vectors import word_vectors as vector_table
from pipeline.metadata import for_people, markdown, picture, table_asset, table_metadata
from pipeline.partitions import label_sets
from pipeline.settings import Settings
from pipeline.storage import Storage


def graph_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``graph``."""

    @dg.asset(
        **table_asset("word_vectors", group="graph"), deps=["label_frequencies"], partitions_def=label_sets(settings)
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
        return dg.MaterializeResult(metadata=table_metadata(table, dimensions=len(table.column("vector")[0])))

    @dg.asset(
        **table_asset("correlation_matrix", group="graph"), deps=["data_set"], partitions_def=label_sets(settings)
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
            table = correlation_table(storage.read_table("data_set", partition), labels, settings.graph)
            table = storage.write_table("correlation_matrix", table, partition)
        graph = graph_from_table(table)
        health = graph_health(graph)
        sweep = tau_sweep(graph.conditional, graph.images)
        return dg.MaterializeResult(
            data_version=dg.DataVersion(graph_hash(graph)),
            metadata=table_metadata(
                table,
                figure_6=picture(figures.heat_map(table.to_pandas())),
                adjacency=picture(figures.heat_map(table.to_pandas(), "normalized")),
                edges=health["edges"],
                isolated_labels=", ".join(health["isolated"]) or "none",
                star_share=health["star_share"],
                tau_sweep=dg.MetadataValue.md(markdown(sweep)),
                tau_plot=picture(figures.tau_sweep(sweep, settings.graph.tau)),
            ),
        )

    return [word_vectors, correlation_matrix]


def label_set_labels(settings: Settings, storage: Storage, name: str) -> list[str]:
    """Return the labels of a label set, in its order."""
    return choose_labels(storage.read_table("label_frequencies"), settings.label_sets[name])
