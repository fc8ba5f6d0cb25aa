"""Scores per image, metrics with intervals, comparison between architectures, and the report."""

from collections.abc import Sequence

import dagster as dg
import pyarrow as pa

from labeling.studio.queue import is_blind
from modeling import figures
from modeling.architectures import display_title
from modeling.evaluate import compare, evaluate
from modeling.metrics import RECALLS
from pipeline.metadata import for_people, markdown, picture, table_asset, table_metadata
from pipeline.partitions import label_set_models, label_sets, model_partition
from pipeline.progress import Progress
from pipeline.report.build import build_report
from pipeline.report.collect import collect
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import server_of
from pipeline.tables import TableError

REPORT_KEY = "reports/report.html"


def evaluation_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``evaluation``."""

    @dg.asset(
        **table_asset("scores", group="evaluation"),
        deps=["model", "data_set"],
        partitions_def=label_set_models(settings),
    )
    def scores(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """Probability of every label for each image of the validation and the test split."""
        from modeling.model_files import load_model  # brings torch
        from modeling.predict import score

        label_set, architecture = partition = model_partition(context.partition_key)
        with for_people():
            table = score(
                load_model(storage.model_path(label_set, architecture)),
                storage.read_table("data_set", (label_set,)).to_pandas(),
                storage.image_path,
                progress.step(f"scoring {label_set} with {display_title(architecture, settings.backbone.name)}"),
            )
            table = storage.write_table("scores", table, partition)
        return dg.MaterializeResult(metadata=table_metadata(table))

    @dg.asset(
        **table_asset("evaluation", group="evaluation"), deps=["scores"], partitions_def=label_set_models(settings)
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """Any-recall, all-recall and average precision with 95% bootstrap intervals over groups of images."""
        partition = model_partition(context.partition_key)
        with for_people():
            table = evaluate(
                _judged_scores(settings, storage, partition), settings.evaluation.resamples, settings.evaluation.seed
            )
            table = storage.write_table("evaluation", table, partition)
        frame = table.to_pandas()
        main = frame[(frame["split"] == "test") & frame["label"].isna()]
        values = {
            row.metric.replace("@", "_at_"): float(row.value) for row in main.itertuples() if row.metric in RECALLS
        }
        return dg.MaterializeResult(
            metadata=table_metadata(
                table,
                metrics=dg.MetadataValue.md(markdown(main.drop(columns=["label"]))),
                plot=picture(figures.metric_bars({display_title(partition[1], settings.backbone.name): frame})),
                **values,
            )
        )

    @dg.asset(
        **table_asset("comparison", group="evaluation"),
        deps=["scores", "evaluation"],
        partitions_def=label_sets(settings),
    )
    def comparison(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """Every pair of architectures on the same test images: differences with intervals, and exact McNemar tests."""
        label_set = context.partition_key
        with for_people():
            trained = [name for name in settings.architectures if storage.has_table("evaluation", (label_set, name))]
            tables = {name: _judged_scores(settings, storage, (label_set, name)) for name in trained}
            table = compare(tables, settings.evaluation.resamples, settings.evaluation.seed)
            table = storage.write_table("comparison", table, (label_set,))
        evaluations = {
            display_title(name, settings.backbone.name): storage.read_table("evaluation", (label_set, name)).to_pandas()
            for name in trained
        }
        return dg.MaterializeResult(
            metadata=table_metadata(
                table,
                pairs=dg.MetadataValue.md(markdown(table.to_pandas())),
                plot=picture(figures.metric_bars(evaluations)),
            )
        )

    @dg.asset(group_name="evaluation", kinds={"html"}, owners=["team:data"], deps=["comparison"])
    def report(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.MaterializeResult:
        """One self-contained HTML file about everything: data, labels, graphs, models and what they are worth."""
        with for_people():
            html = build_report(collect(settings, storage)).encode()
            storage.write_bytes(REPORT_KEY, html)
        return dg.MaterializeResult(
            metadata={"file": dg.MetadataValue.path(storage.path(REPORT_KEY)), "bytes": len(html)}
        )

    return [scores, evaluation, comparison, report]


def _judged_scores(settings: Settings, storage: Storage, partition: Sequence[str]) -> pa.Table:
    """Return the scores that models are judged by: of all images, or of those whose experts saw no prediction.

    Raises:
        TableError: no image of a split is left.
    """
    scores = storage.read_table("scores", partition)
    if not settings.evaluation.only_blind:
        return scores
    share = server_of(settings).blind_share
    ids = scores.column("image_id").to_pylist()
    stood, shown = _queued_images(storage, ids), _images_with_shown_predictions(storage)
    blind = [all(is_blind(image_id, share) and image_id not in shown for image_id in stood[key]) for key in ids]
    left = scores.filter(pa.array(blind, pa.bool_()))
    for split in ("validation", "test"):
        if split not in left.column("split").to_pylist():
            raise TableError(
                f"evaluation.only_blind: no {split} image of {partition[0]} is blind, at labels.blind_share {share:g}; "
                "label more images, or set evaluation.only_blind to false"
            )
    return left


def _queued_images(storage: Storage, image_ids: Sequence[str]) -> dict[str, set[str]]:
    """Return, for each image, those of its near-duplicate cluster that stood in the queue: what experts saw.

    Which image speaks for a cluster may change after one was queued. Where none stood there, it is the image itself.
    """
    if not storage.has_table("queued_tasks"):
        return {image_id: {image_id} for image_id in image_ids}
    queued = set(storage.read_table("queued_tasks", columns=["image_id"]).column("image_id").to_pylist())
    clusters: dict[str, Sequence[str]] = {}
    for members in storage.read_table("label_tasks", columns=["image_ids"]).column("image_ids").to_pylist():
        clusters.update(dict.fromkeys(members, members))
    return {image_id: queued.intersection(clusters.get(image_id, ())) or {image_id} for image_id in image_ids}


def _images_with_shown_predictions(storage: Storage) -> set[str]:
    """Return the images that once stood before experts with a prediction, as before labels.blind_share was raised."""
    if not storage.has_table("pre_annotations"):
        return set()
    rows = storage.read_table("pre_annotations", columns=["image_id", "task_id", "blind"]).to_pylist()
    return {row["image_id"] for row in rows if row["task_id"] is not None and not row["blind"]}
