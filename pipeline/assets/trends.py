"""How styles move from window to window, and windows that are unlike what the champions were trained on."""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from modeling.drift import drift_table
from modeling.trends import trends
from pipeline.followed import followed_sets, reader, representative_images
from pipeline.metadata import (
    data_version,
    for_people,
    markdown,
    picture,
    spec,
    table_asset,
    table_metadata,
)
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

TREND_DEPS = ("style_predictions", "labels", "data_set", "champion")
DRIFT_DEPS = ("style_predictions", "labels", "champion")


def trend_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of trends and of drift."""
    return [_trends(), _drift()]


def _trends() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="trends",
        specs=[
            spec(
                "style_trends",
                group="operation",
                deps=TREND_DEPS,
                description="The share of each style in each window, by experts and by the champion, whose known error "
                "is taken out; with 95% intervals. Experts label a part of a window: their share stands for all of it "
                "where that part was chosen by no model.",
            ),
            spec(
                "style_movements",
                group="operation",
                deps=TREND_DEPS,
                description="Which styles rise and fall over the windows, with tests corrected for their number.",
            ),
            spec(
                "cooccurrence_changes",
                group="operation",
                deps=TREND_DEPS,
                description="Pairs of styles that meet more, or less, in the last windows than before.",
            ),
        ],
    )
    def style_trends(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> Iterator[dg.MaterializeResult]:
        """Follow the shares of all styles over all windows."""
        with for_people():
            sets, notes = followed_sets(settings, storage)
            found = trends(
                sets,
                window_keys(settings.windows),
                reader(storage, embeddings=False),
                storage.read_table("labels"),
                settings.trends,
                representative=representative_images(storage),
            )
            tables = {
                "style_trends": storage.write_table("style_trends", found.trends),
                "style_movements": storage.write_table("style_movements", found.movements),
                "cooccurrence_changes": storage.write_table("cooccurrence_changes", found.cooccurrence),
            }
        names = [followed.name for followed in sets]
        said = {"notes": dg.MetadataValue.md(_lines([*notes, *found.notes]))}
        for name, table in tables.items():
            yield dg.MaterializeResult(
                asset_key=name,
                data_version=data_version(table),
                metadata=table_metadata(table, **said, **_trend_plots(name, table.to_pandas(), names)),
            )

    return style_trends


def _drift() -> dg.AssetsDefinition:
    @dg.asset(**table_asset("drift", group="operation"), deps=DRIFT_DEPS)
    def drift(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.MaterializeResult:
        """Labels, scores and embeddings of windows the champions know nothing of, tested against those they do.

        A window drifted when a test is significant and the distance is above its threshold.
        """
        with for_people():
            sets, notes = followed_sets(settings, storage)
            table = drift_table(
                sets,
                window_keys(settings.windows),
                reader(storage, embeddings=True),
                storage.read_table("labels"),
                settings.drift,
            )
            table = storage.write_table("drift", table)
        frame = table.to_pandas()
        return dg.MaterializeResult(
            data_version=data_version(table), metadata=table_metadata(table, **_drift_metadata(frame, notes))
        )

    return drift


def _trend_plots(name: str, frame: pd.DataFrame, label_sets: Sequence[str]) -> dict[str, Any]:
    from modeling import figures_operation  # brings matplotlib

    plots: dict[str, Any] = {}
    for label_set in label_sets:
        rows = frame[frame["label_set"] == label_set]
        if name == "style_trends":
            for role in ("main", "any"):
                plots[f"{label_set}_{role}"] = picture(figures_operation.style_trends(rows, role))
        elif name == "style_movements":
            for role in ("main", "any"):
                plots[f"{label_set}_{role}"] = picture(figures_operation.style_movements(rows, role))
            moving = rows[rows["direction"] != "steady"]
            plots[f"{label_set}_moving"] = dg.MetadataValue.md(markdown(moving))
        else:
            for source in ("model", "experts"):
                plots[f"{label_set}_{source}"] = picture(figures_operation.cooccurrence_changes(rows, source))
    return plots


def _drift_metadata(frame: pd.DataFrame, notes: Sequence[str]) -> dict[str, Any]:
    from modeling import figures_operation  # brings matplotlib

    drifted = frame[frame["drifted"]]
    said: dict[str, Any] = {
        "drifted_windows": ", ".join(sorted(set(drifted["window"]))) or "none",
        "drifted": dg.MetadataValue.md(markdown(drifted)),
        "notes": dg.MetadataValue.md(_lines(notes)),
    }
    for label_set in frame["label_set"].unique():
        said[str(label_set)] = picture(figures_operation.drift(frame[frame["label_set"] == label_set]))
    return said


def _lines(notes: Sequence[str]) -> str:
    return "\n".join(f"- {note}" for note in notes) or "*none*"
