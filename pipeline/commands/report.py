"""``stylegraph report``: where the report is, and its figures."""

from collections.abc import Collection
from typing import Any

from rich.console import Console

from modeling.architectures import display_title
from modeling.metrics import RECALLS
from pipeline.assets.evaluation import REPORT_KEY
from pipeline.display import print_table
from pipeline.partitions import model_key
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError


def figures(settings: Settings) -> list[dict[str, Any]]:
    """Return every metric of every trained model on the test split, with its 95% interval.

    Raises:
        TableError: nothing was evaluated yet.
    """
    storage = Storage(settings.data.location)
    rows = []
    for label_set in settings.label_sets:
        for architecture in settings.architectures:
            if not storage.has_table("evaluation", (label_set, architecture)):
                continue
            for row in storage.read_table("evaluation", (label_set, architecture)).to_pylist():
                if row.pop("split") == "test":
                    rows.append({"label_set": label_set, "architecture": architecture, **row})
    if not rows:
        raise TableError("nothing was evaluated yet: run `stylegraph run` first")
    return rows


def print_report(settings: Settings, console: Console, without: Collection[object] = ()) -> None:
    """Print the comparison table of each label set and the path of the report.

    ``without`` are partitions of models to leave out: those that failed just now, whose figures are of an earlier run.
    """
    storage = Storage(settings.data.location)
    rows = [row for row in figures(settings) if model_key(row["label_set"], row["architecture"]) not in without]
    for label_set in settings.label_sets:
        table = []
        for architecture in settings.architectures:
            values = {
                row["metric"]: row
                for row in rows
                if row["label_set"] == label_set and row["architecture"] == architecture and row["label"] is None
            }
            if values:
                cells = [_percent(values[metric]) for metric in (*RECALLS, "mean5")]
                table.append([display_title(architecture, settings.backbone.name), *cells, values["mean5"]["images"]])
        if table:
            title = f"{label_set}: test images, % with 95% interval"
            print_table(title, ["architecture", *RECALLS, "mean of five", "n"], table, console)
    if storage.exists(REPORT_KEY):
        console.print(f"Report: {storage.path(REPORT_KEY)}", soft_wrap=True, highlight=False)


def _percent(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    return f"{100 * row['value']:.1f} ({100 * row['low']:.0f}–{100 * row['high']:.0f})"
