"""Scores per image, metrics with intervals, comparison between architectures, and the report."""

from collections.abc import Callable, Iterator, Sequence

import dagster as dg
import pyarrow as pa

from modeling import figures, figures_calibration
from modeling.architectures import display_title
from modeling.calibration import reliability_table
from modeling.card_files import CARD_NAME, MODEL_CARD_NAME, update_card, write_model_card
from modeling.evaluate import compare, evaluate
from modeling.metrics import RECALLS
from modeling.model_card import card_metrics
from modeling.montages import error_gallery
from modeling.slices import slices as slice_table
from modeling.slices import worst_errors
from pipeline.judged import image_facts, judged_scores
from pipeline.metadata import for_people, markdown, picture, spec, table_asset, table_metadata
from pipeline.partitions import label_set_models, label_sets, model_partition
from pipeline.progress import Progress
from pipeline.report.build import build_report
from pipeline.report.collect import collect
from pipeline.settings import Settings
from pipeline.storage import Storage

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
        return dg.MaterializeResult(metadata=table_metadata(table))

    @dg.multi_asset(
        name="evaluating",
        specs=[
            spec(
                "evaluation",
                group="evaluation",
                deps=["scores"],
                description="Recalls, average precision, F1 and calibration error with 95% bootstrap intervals over "
                "groups of images, and the spread between seeds.",
            ),
            spec(
                "slices",
                group="evaluation",
                deps=["scores", "data_set"],
                description="Recalls by window, source, number of labels, and whether experts saw a prediction.",
            ),
            spec(
                "reliability",
                group="evaluation",
                deps=["scores"],
                description="How often answers of about one probability are right, before and after calibration.",
            ),
        ],
        partitions_def=label_set_models(settings),
    )
    def evaluating(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
    ) -> Iterator[dg.MaterializeResult]:
        """Measure one architecture on one label set, and complete its model card."""
        partition = label_set, architecture = model_partition(context.partition_key)
        title = display_title(architecture, settings.backbone.name)
        options = settings.evaluation.resamples, settings.evaluation.seed
        with for_people():
            judged = judged_scores(settings, storage, partition)
            figures_table = storage.write_table("evaluation", evaluate(judged, *options), partition)
            facts = image_facts(settings, storage, label_set)
            parts = storage.write_table("slices", slice_table(judged, facts, *options), partition)
            reliability = storage.write_table("reliability", reliability_table(judged), partition)
            _complete_card(storage, label_set, architecture, figures_table)
        frame = figures_table.to_pandas()
        main = frame[(frame["split"] == "test") & frame["label"].isna()]
        values = {
            row.metric.replace("@", "_at_"): float(row.value) for row in main.itertuples() if row.metric in RECALLS
        }
        yield dg.MaterializeResult(
            asset_key="evaluation",
            metadata=table_metadata(
                figures_table,
                metrics=dg.MetadataValue.md(markdown(main.drop(columns=["label"]))),
                plot=picture(figures.metric_bars({title: frame})),
                errors=picture(error_gallery(worst_errors(judged), _picture_of(storage))),
                **values,
            ),
        )
        yield dg.MaterializeResult(
            asset_key="slices",
            metadata=table_metadata(parts, plot=picture(figures_calibration.slices_plot(parts.to_pandas()))),
        )
        yield dg.MaterializeResult(
            asset_key="reliability",
            metadata=table_metadata(
                reliability, plot=picture(figures_calibration.reliability_plot(reliability.to_pandas()))
            ),
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

    return [scores, evaluating, comparison, report]


def _picture_of(storage: Storage) -> Callable[[str], bytes]:
    return lambda image_id: storage.image_path(image_id).read_bytes()


def _complete_card(storage: Storage, label_set: str, architecture: str, evaluation: pa.Table) -> None:
    """Put what was measured into the model's card, and write the card for people."""
    folder = storage.model_path(label_set, architecture)
    update_card(folder, {"metrics": card_metrics(evaluation.to_pandas())})
    write_model_card(folder)
    storage.write_model_files(label_set, architecture, [CARD_NAME, MODEL_CARD_NAME])
