"""A model per label set and architecture."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa

from modeling import figures
from modeling.architectures import display_title
from modeling.card_files import read_card, seed_folders
from modeling.correlation import graph_from_table, graph_hash
from modeling.word_vectors import vectors_from_table
from pipeline.locks import TRAINING_POOL, one_training
from pipeline.metadata import data_version, for_people, markdown, picture, spec, table_metadata
from pipeline.model_inputs import TABLE_NAMES, write_inputs
from pipeline.partitions import label_set_models, model_partition
from pipeline.progress import Progress
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.training_rule import note_request


def training_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``training``."""

    @dg.multi_asset(
        name="training",
        specs=[
            dg.AssetSpec(
                "model",
                group_name="training",
                deps=TABLE_NAMES,
                description="Weights (safetensors) with a card (JSON) that says how to rebuild them. The best "
                "epoch, and of several seeds the best one, is chosen on the validation split.",
                kinds={"pytorch"},
                owners=["team:data"],
            ),
            spec(
                "training_curves", group="training", deps=TABLE_NAMES, description="Loss and validation score by epoch."
            ),
            spec(
                "seed_runs",
                group="training",
                deps=TABLE_NAMES,
                description="What each seed's training came to, and which of them predicts.",
            ),
        ],
        partitions_def=label_set_models(settings),
        pool=TRAINING_POOL,
    )
    def training(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult]:
        """Train one architecture on one label set, once for each seed; goes on where a killed run stopped."""
        from modeling.repeats import train_repeats  # brings torch
        from modeling.train import GraphReference

        partition = label_set, architecture = model_partition(context.partition_key)
        note_request(context, storage, label_set)
        turn = one_training(storage, context.log.info, progress)
        with for_people(), turn, storage.model_folder(label_set, architecture) as folder:
            tables = {name: storage.read_table(name, (label_set,)) for name in TABLE_NAMES}
            graph = graph_from_table(tables["correlation_matrix"])
            trained = train_repeats(
                tables["data_set"].to_pandas(),
                graph.labels,
                vectors_from_table(tables["word_vectors"], graph.labels),
                graph.normalized,
                architecture,
                settings.backbone,
                settings.training,
                storage.image_path,
                storage.cache_folder("cache"),
                folder,
                progress.step(f"training {display_title(architecture, settings.backbone.name)} on {label_set}"),
                GraphReference(graph_hash(graph), graph.settings.form),
            )
            write_inputs(folder, tables, settings)
            version = weights_version(folder)
        curves = storage.write_table("training_curves", trained.curves, partition)
        runs = storage.write_table("seed_runs", trained.runs, partition)
        trained.forget()  # killed before this, the next run has the model at once
        yield from _results(trained.card, curves, runs, storage.model_location(label_set, architecture), version)

    return [training]


def weights_version(folder: Path) -> str:
    """Return a hash of the weights of a model's every seed; their headers hold what decides the answers besides."""
    hashes = [read_card(path)["weights_sha256"] for path in seed_folders(folder).values()]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _results(
    card: dict[str, Any], curves: pa.Table, runs: pa.Table, location: str, version: str
) -> Iterator[dg.MaterializeResult]:
    """What people see of a training in the Dagster UI."""
    plot = picture(figures.training_curves(curves.to_pandas()))
    facts = {key: value for key, value in card.items() if isinstance(value, str | int | float)}
    yield dg.MaterializeResult(
        asset_key="model",
        data_version=dg.DataVersion(version),
        metadata={
            "weights": dg.MetadataValue.path(location),
            "card": dg.MetadataValue.json(card),
            **facts,
            "curves": plot,
        },
    )
    yield dg.MaterializeResult(
        asset_key="training_curves",
        data_version=data_version(curves),
        metadata=table_metadata(curves, epochs=dg.MetadataValue.md(markdown(curves.to_pandas())), plot=plot),
    )
    yield dg.MaterializeResult(
        asset_key="seed_runs",
        data_version=data_version(runs),
        metadata=table_metadata(runs, seeds=dg.MetadataValue.md(markdown(runs.to_pandas()))),
    )
