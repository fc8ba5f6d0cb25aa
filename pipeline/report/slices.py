"""The mean of the five recalls on parts of the test split: by crawl window, source, number of labels, and so on."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.report.data import LabelSetResult, ReportData
from pipeline.report.lanes import Lane, lane_plot
from pipeline.report.results import chosen_model, figure_of
from pipeline.report.sources import window_label
from pipeline.report.wording import count, interval, listed, missing, percent

DIMENSIONS = {  # in the order of the page
    "window": "By crawl window",
    "source": "By source",
    "labels": "By number of labels",
    "main_only": "With and without sub labels",
    "blind": "By what the experts saw",
}
NAMES = {
    ("main_only", "yes"): "main label only",
    ("main_only", "no"): "with sub labels",
    ("blind", "yes"): "saw no prediction",
    ("blind", "no"): "saw a prediction",
}
TESTED = ("window", "source", "blind")  # by number of labels, recalls differ by definition
FEW = 30  # images; below it a slice says little
ONE_IN = 20  # so many 95% intervals is one expected to leave out what it should hold
WIDE = 0.2  # of an interval, 20 points


def slices_view(data: ReportData, result: LabelSetResult) -> dict[str, Any] | None:
    """A chart and a table for each dimension with several slices; None where no slice was measured."""
    tables = {model.architecture: _test_rows(model.slices) for model in result.models}
    tables = {key: table for key, table in tables.items() if not table.empty}
    if not tables:
        return None
    tables = {key: _shown(table) for key, table in tables.items()}
    found = {name for table in tables.values() for name in table["dimension"]}
    order = [*DIMENSIONS, *sorted(found - set(DIMENSIONS))]
    dimensions = [_dimension(data, tables, name) for name in order if name in found]
    sentences = [*_apart(data, result, tables), *_by_count(tables, result), *_small(dimensions)]
    return {
        "dimensions": dimensions,
        "legend": [{"key": key, "name": data.display_name(key)} for key in tables],
        "sentences": sentences if dimensions else ["All test images are in one slice of every kind."],
    }


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of dimensions with several slices, each set of images once.

    Images without sub labels are those with one label; those with sub labels may be those with two.
    """
    table = table[table.groupby("dimension")["slice"].transform("nunique") > 1]
    one = table.loc[table["dimension"] == "labels", "slice"] == "1"
    twins = [name for name, count in (("yes", one.sum()), ("no", (~one).sum())) if count == 1]
    return table[~((table["dimension"] == "main_only") & table["slice"].isin(twins))]


def _test_rows(slices: pd.DataFrame | None) -> pd.DataFrame:
    if slices is None or slices.empty:
        return pd.DataFrame({"dimension": []})
    return slices[(slices["split"] == "test") & (slices["metric"] == "mean5")]


def _dimension(data: ReportData, tables: dict[str, pd.DataFrame], dimension: str) -> dict[str, Any]:
    parts = {key: table[table["dimension"] == dimension] for key, table in tables.items()}
    rows = []
    for name in sorted(
        {str(value) for part in parts.values() for value in part["slice"]}, key=lambda name: (name != "yes", name)
    ):
        cells = {key: part[part["slice"].astype(str) == name] for key, part in parts.items()}
        figures = {key: cell.iloc[0].to_dict() for key, cell in cells.items() if len(cell)}
        images = max(int(figure["images"]) for figure in figures.values())
        wide = any(_is_wide(figure) for figure in figures.values())
        rows.append({"name": slice_name(dimension, name), "images": images, "figures": figures})
        rows[-1] |= {"few": images < FEW, "wide": wide}
    lanes = [
        Lane(
            row["name"],
            [(key, data.display_name(key), figure) for key, figure in row["figures"].items()],
            note=f"n = {count(row['images'])}" + (", few" if row["few"] else ""),
        )
        for row in rows
    ]
    return {
        "title": DIMENSIONS.get(dimension, f"By {dimension.replace('_', ' ')}"),
        "plot": lane_plot(lanes),
        "rows": rows,
    }


def _is_wide(figure: dict[str, Any]) -> bool:
    """Also where there is no interval, because all images are of one group."""
    return missing(figure["low"]) or float(figure["high"]) - float(figure["low"]) > WIDE


def slice_name(dimension: str, name: str) -> str:
    """A slice as people read it: ``2019-07-01`` is ``1 Jul``, two labels are ``2 labels``."""
    if dimension == "window":
        return window_label(name)
    if dimension == "labels":
        return f"{name} label" if name == "1" else f"{name} labels"
    return NAMES.get((dimension, name), name)


def _apart(data: ReportData, result: LabelSetResult, tables: dict[str, pd.DataFrame]) -> list[str]:
    """Slices whose interval leaves out the mean over all test images, for the model that validation would choose.

    Slices by the number of labels are left out: they differ by definition.
    """
    model = chosen_model(result)
    whole = None if model is None else figure_of(model.evaluation, "mean5")
    if model is None or whole is None or model.architecture not in tables:
        return []
    table = tables[model.architecture]
    table = table[table["dimension"].isin(TESTED) & (table["images"] >= FEW)]
    if table.empty:
        return []
    rows = table[(table["low"] > whole["value"]) | (table["high"] < whole["value"])]
    name = (
        f"{data.display_name(model.architecture)}, the best on the validation split, reaches {percent(whole['value'])}%"
    )
    if rows.empty:
        return [
            f"{name} over all test images, and no slice of {FEW} images or more has an interval that leaves it out."
        ]
    parts = [
        f"{slice_name(row.dimension, str(row.slice))} ({percent(row.value)}%, {interval(row.low, row.high)})"
        for row in rows.itertuples()
    ]
    by_chance = f" By chance alone about one in twenty of the {len(table)} would." if len(table) >= ONE_IN else ""
    return [f"{name} over all test images. Slices whose interval leaves that out: {listed(parts)}.{by_chance}"]


def _by_count(tables: dict[str, pd.DataFrame], result: LabelSetResult) -> list[str]:
    """The figures by number of labels, which differ by definition."""
    model = chosen_model(result)
    if model is None or model.architecture not in tables:
        return []
    table = tables[model.architecture]
    rows = table[table["dimension"] == "labels"]
    if rows.empty:
        return []
    parts = [f"{percent(row.value)}% with {slice_name('labels', str(row.slice))}" for row in rows.itertuples()]
    return [
        "By number of labels the figures differ by definition, because more labels are easier to hit and harder to "
        f"find all of: {listed(parts)}."
    ]


def _small(dimensions: Sequence[dict[str, Any]]) -> list[str]:
    """Which slices say little, and why."""
    rows = [row for dimension in dimensions for row in dimension["rows"]]
    few = [row["name"] for row in rows if row["few"]]
    wide = [row["name"] for row in rows if row["wide"] and not row["few"]]
    sentences = []
    if few:
        sentences.append(f"Too few images to say much (fewer than {FEW}): {listed(few)}.")
    if wide:
        sentences.append(f"Intervals wider than {100 * WIDE:.0f} points: {listed(wide)}.")
    return sentences
