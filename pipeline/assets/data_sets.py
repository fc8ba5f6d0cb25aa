"""Label frequencies (Table 2), and the images of each label set with their splits."""

from collections.abc import Iterator, Sequence

import dagster as dg

from modeling import figures
from modeling.label_sets import choose_labels, chosen_images, data_set_candidates, data_set_version
from modeling.label_sets import label_frequencies as frequency_table
from modeling.label_sets import split_balance as balance_table
from pipeline.known_splits import known_splits, remember_splits, splitting
from pipeline.metadata import (
    counts_markdown,
    data_version,
    for_people,
    markdown,
    picture,
    reason_counts,
    spec,
    table_asset,
    table_metadata,
)
from pipeline.partitions import label_sets
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.training_rule import note_request

# A data set is made anew when a training is asked for, not whenever a label changes.
DATA_SET_DEPS = ("labels", "label_frequencies", "unique_images", "similar_pairs", "training_request")


def data_set_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``data_sets``."""

    @dg.asset(**table_asset("label_frequencies", group="data_sets"), deps=["labels"])
    def label_frequencies(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.MaterializeResult:
        """How often each label is the main label, and a sub label (Table 2 of the paper)."""
        with for_people():
            labels = storage.read_table("labels").to_pandas()
            table = storage.write_table("label_frequencies", frequency_table(labels, settings.taxonomy.labels))
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                table_2=dg.MetadataValue.md(markdown(table.to_pandas())),
                plot=picture(figures.label_frequencies(table.to_pandas())),
            ),
        )

    @dg.multi_asset(
        name="data_sets",
        specs=[
            spec(
                "data_set",
                group="data_sets",
                deps=DATA_SET_DEPS,
                description="Images of the label set with their split. Near-duplicates and images of one author are "
                "never "
                "in two splits, and an image keeps its split whatever arrives or is withdrawn.",
            ),
            spec(
                "split_balance",
                group="data_sets",
                deps=DATA_SET_DEPS,
                description="How far each label's splits are off 70/10/20.",
            ),
        ],
        partitions_def=label_sets(settings),
    )
    def data_sets(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> Iterator[dg.MaterializeResult]:
        """Choose the labels, the images that belong to them, and their splits."""
        partition = (context.partition_key,)
        label_set = settings.label_sets[context.partition_key]
        note_request(context, storage, label_set.name)
        with for_people(), splitting(storage):
            chosen = choose_labels(storage.read_table("label_frequencies"), label_set)
            inputs = [storage.read_table(name) for name in ("labels", "unique_images", "similar_pairs")]
            earlier = known_splits(storage, settings.splits)
            rows = data_set_candidates(*inputs, chosen, label_set.membership, settings.splits, earlier)
            table = chosen_images(rows, label_set.name)
            remember_splits(storage, settings.splits, table)
            table = storage.write_table("data_set", table, partition)
            balance = storage.write_table("split_balance", balance_table(table, chosen, settings.splits), partition)
        yield dg.MaterializeResult(
            asset_key="data_set",
            data_version=dg.DataVersion(data_set_version(table)),
            metadata=table_metadata(
                table,
                labels=", ".join(chosen),
                membership=label_set.membership,
                images=dg.MetadataValue.md(
                    counts_markdown(reason_counts(rows["reason"], "in the label set"), "labelled images")
                ),
            ),
        )
        yield dg.MaterializeResult(
            asset_key="split_balance",
            data_version=data_version(balance),
            metadata=table_metadata(balance, plot=picture(figures.split_bars(balance.to_pandas()))),
        )

    return [label_frequencies, data_sets]
