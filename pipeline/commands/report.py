"""``stylegraph report``: where the report is, and its figures."""

from collections.abc import Collection
from typing import Any

from rich.console import Console

from modeling.architectures import display_title
from modeling.metrics import MEAN_OF_FIVE, RECALLS
from pipeline.assets.evaluation import REPORT_KEY
from pipeline.display import print_table
from pipeline.partitions import model_key
from pipeline.report.comparisons import GRAPH
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
            seeds = max(row["seeds"] for row in rows if row["label_set"] == label_set)
            title = f"{label_set}: test images, % with 95% interval"
            title += f", mean of {seeds} seeds ± standard deviation between them" if seeds > 1 else ""
            print_table(title, ["architecture", *RECALLS, "mean of five", "n"], table, console)
            _print_differences(settings, storage, label_set, console)
    if storage.exists(REPORT_KEY):
        console.print(f"Report: {storage.path(REPORT_KEY)}", soft_wrap=True, highlight=False)


def _print_differences(settings: Settings, storage: Storage, label_set: str, console: Console) -> None:
    """Print how far ML-GCN is ahead of each other architecture, where they were compared."""
    if not storage.has_table("comparison", (label_set,)):
        return
    table = []
    for row in storage.read_table("comparison", (label_set,)).to_pylist():
        pair = row["architecture_a"], row["architecture_b"]
        if row["metric"] == MEAN_OF_FIVE and GRAPH in pair:
            sign = 1 if pair[1] == GRAPH else -1
            other = pair[0] if sign == 1 else pair[1]
            low, high = sorted((100 * sign * row["low"], 100 * sign * row["high"]))
            difference = f"{100 * sign * row['difference']:+.1f} ({low:+.1f} to {high:+.1f})"
            tests = f"{row['p_value']:.4f}", f"{row['p_adjusted']:.4f}"
            table.append([display_title(other, settings.backbone.name), difference, *tests])
    if table:
        title = f"{label_set}: ML-GCN minus each other, mean of five, points with 95% interval"
        print_table(title, ["architecture", "difference", "p", "p, all tests corrected"], table, console)


def _percent(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    spread = f" ±{100 * row['spread']:.1f}" if row["spread"] is not None else ""
    interval = f" ({100 * row['low']:.0f}–{100 * row['high']:.0f})" if row["low"] is not None else ""
    return f"{100 * row['value']:.1f}{spread}{interval}"
