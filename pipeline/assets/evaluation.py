"""Scores per image, metrics with intervals, comparison between architectures, and the report."""

from collections.abc import Sequence

import dagster as dg

from modeling import figures, figures_calibration
from modeling.architectures import display_title
from modeling.calibration import reliability_table
from modeling.card_files import CARD_NAME, MODEL_CARD_NAME, update_card, write_model_card
from modeling.evaluate import compare, evaluate
from modeling.metrics import MEAN_OF_FIVE, RECALLS
from modeling.model_card import card_metrics
from modeling.montages import error_gallery
from modeling.slices import slices as slice_table
from modeling.slices import worst_errors
from pipeline.judged import image_facts, judged_scores
from pipeline.metadata import content_version, data_version, for_people, markdown, picture, table_asset, table_metadata
from pipeline.partitions import label_set_models, label_sets, model_partition
from pipeline.progress import Progress
from pipeline.report.build import build_report
from pipeline.report.collect import OF_MODEL, SINGLE, collect
from pipeline.report.lineage import collect_lineage
from pipeline.settings import Settings
from pipeline.storage import Storage

REPORT_KEY = "reports/report.html"
OF_LIVE_SERVER = {"returned_tasks", "prediction_acceptance"}


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
        """Probability of every label for each image of the validation and the test split, by each seed's model."""
        from modeling.predict import score_seeds  # brings torch

        label_set, architecture = partition = model_partition(context.partition_key)
        with for_people():
            table = score_seeds(
                storage.model_path(label_set, architecture),
                storage.read_table("data_set", (label_set,)).to_pandas(),
                storage.image_path,
                progress=progress.step(
                    f"scoring {label_set} with {display_title(architecture, settings.backbone.name)}"
                ),
            )
            table = storage.write_table("scores", table, partition)
        return dg.MaterializeResult(data_version=data_version(table), metadata=table_metadata(table))

    @dg.asset(
        **table_asset("evaluation", group="evaluation"), deps=["scores"], partitions_def=label_set_models(settings)
    )
    def evaluation(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """Recalls, precision, F1 and calibration error with 95% bootstrap intervals over groups of images."""
        partition = model_partition(context.partition_key)
        with for_people():
            scores = judged_scores(settings, storage, partition)
            table = evaluate(scores, settings.evaluation.resamples, settings.evaluation.seed)
            table = storage.write_table("evaluation", table, partition)
        frame = table.to_pandas()
        main = frame[(frame["split"] == "test") & frame["label"].isna()]
        values = {
            row.metric.replace("@", "_at_"): float(row.value)
            for row in main.itertuples()
            if row.metric in (*RECALLS, MEAN_OF_FIVE)
        }
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                metrics=dg.MetadataValue.md(markdown(main.drop(columns=["label"]))),
                plot=picture(figures.metric_bars({display_title(partition[1], settings.backbone.name): frame})),
                most_wrong=picture(error_gallery(worst_errors(scores), storage.image_or_none)),
                **values,
            ),
        )

    @dg.asset(
        **table_asset("slices", group="evaluation"),
        deps=["scores", "data_set"],
        partitions_def=label_set_models(settings),
    )
    def slices(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """Recalls by window, source, number of labels, and whether experts saw a prediction."""
        partition = model_partition(context.partition_key)
        with for_people():
            scores = judged_scores(settings, storage, partition)
            facts = image_facts(settings, storage, partition[0])
            table = slice_table(scores, facts, settings.evaluation.resamples, settings.evaluation.seed)
            table = storage.write_table("slices", table, partition)
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(table, plot=picture(figures_calibration.slices_plot(table.to_pandas()))),
        )

    @dg.asset(
        **table_asset("reliability", group="evaluation"), deps=["scores"], partitions_def=label_set_models(settings)
    )
    def reliability(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> dg.MaterializeResult:
        """How often answers of about one probability are right, before and after calibration."""
        partition = model_partition(context.partition_key)
        with for_people():
            table = reliability_table(judged_scores(settings, storage, partition))
            table = storage.write_table("reliability", table, partition)
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(table, plot=picture(figures_calibration.reliability_plot(table.to_pandas()))),
        )

    @dg.asset(
        group_name="evaluation",
        kinds={"markdown"},
        owners=["team:data"],
        deps=["model", "evaluation"],
        partitions_def=label_set_models(settings),
    )
    def model_card(context: dg.AssetExecutionContext, storage: dg.ResourceParam[Storage]) -> dg.MaterializeResult:
        """What a model is, what it was trained on, what it is worth and what not to use it for, for people to read."""
        partition = label_set, architecture = model_partition(context.partition_key)
        with for_people():
            folder = storage.model_path(label_set, architecture)
            measured = storage.read_table("evaluation", partition).to_pandas()
            update_card(folder, {"metrics": card_metrics(measured)})
            card = write_model_card(folder)
            storage.write_model_files(label_set, architecture, [CARD_NAME, MODEL_CARD_NAME])
        return dg.MaterializeResult(
            data_version=content_version(card.read_bytes()),
            metadata={
                "file": dg.MetadataValue.path(str(card)),
                "card": dg.MetadataValue.md(card.read_text(encoding="utf-8")),
            },
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
            tables = {name: judged_scores(settings, storage, (label_set, name)) for name in trained}
            table = compare(tables, settings.evaluation.resamples, settings.evaluation.seed)
            table = storage.write_table("comparison", table, (label_set,))
        evaluations = {
            display_title(name, settings.backbone.name): storage.read_table("evaluation", (label_set, name)).to_pandas()
            for name in trained
        }
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                pairs=dg.MetadataValue.md(markdown(table.to_pandas())),
                plot=picture(figures.metric_bars(evaluations)),
            ),
        )

    @dg.asset(group_name="operation", kinds={"html"}, owners=["team:data"], deps=_shown_in_report(settings))
    def report(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.MaterializeResult:
        """One self-contained HTML file about everything: data, labels, graphs, models and what they are worth."""
        with for_people():
            html = build_report(collect(settings, storage, collect_lineage(context.instance))).encode()
            storage.write_bytes(REPORT_KEY, html)
        return dg.MaterializeResult(
            data_version=content_version(html),
            metadata={"file": dg.MetadataValue.path(storage.path(REPORT_KEY)), "bytes": len(html)},
        )

    return [scores, evaluation, slices, reliability, model_card, comparison, report]


def _shown_in_report(settings: Settings) -> list[str]:
    """Return the assets that the report tells about."""
    collected = ["posts", "images", "crawl_counts", *SINGLE.values()]
    of_label_set = ["data_set", "split_balance", "correlation_matrix", "tau_sweep", "ablation", "suspicious_labels"]
    of_model = ["model", "scores", *OF_MODEL.values()]
    operation = ["champion", "data_card"]
    shown = [*collected, *of_label_set, *of_model, "comparison", *operation]
    return [name for name in shown if settings.label_studio is not None or name not in OF_LIVE_SERVER]
