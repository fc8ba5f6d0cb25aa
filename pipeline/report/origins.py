"""What the page says of the origin of its numbers: the assets behind each section, and the lineage of all of them."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from pipeline.report.lineage import Input, Made
from pipeline.report.wording import NOTHING

UI = "http://127.0.0.1:3000"  # where `stylegraph dev` serves Dagster's pages
SHORT = 12  # characters of a version
SECTION_ASSETS: Mapping[str, Sequence[str]] = {
    "sources": ("posts", "images", "crawl_counts", "unique_images", "labels"),
    "duplicates": ("unique_images", "similar_pairs"),
    "labels": ("labels", "agreement", "annotators", "main_confusion", "quarantined_annotations", "label_frequencies"),
    "data-sets": ("data_set", "split_balance"),
    "graph": ("correlation_matrix", "word_vectors", "tau_sweep"),
    "training": ("model", "training_curves", "seed_runs"),
    "results": ("evaluation",),
    "tests": ("comparison",),
    "slices": ("slices",),
    "calibration": ("reliability", "evaluation"),
    "ablation": ("ablation",),
    "differences": ("scores",),
    "errors": ("scores",),
    "suspicious": ("suspicious_labels",),
    "browser": ("scores",),
    "champion": ("champion", "training_requests"),
    "trends": ("style_trends", "style_movements", "cooccurrence_changes"),
    "drift": ("drift",),
    "data-cards": ("data_card",),
}


def origins(lineage: Sequence[Made]) -> dict[str, list[dict[str, Any]]]:
    """The assets behind each section, as far as they were made, by the section's key."""
    rows = {section: [made for made in lineage if made.asset in assets] for section, assets in SECTION_ASSETS.items()}
    known = {made.asset for made in lineage}
    return {section: [_row(made, known) for made in part] for section, part in rows.items() if part}


def lineage_view(lineage: Sequence[Made]) -> list[dict[str, Any]]:
    """Every asset with its partitions, in the order of names."""
    known = {made.asset for made in lineage}
    assets: dict[str, list[dict[str, Any]]] = {}
    for made in lineage:
        if made.asset != "report":  # that is being made
            assets.setdefault(made.asset, []).append(_row(made, known))
    return [{"asset": name, "rows": rows} for name, rows in assets.items()]


def _row(made: Made, known: set[str]) -> dict[str, Any]:
    windows = made.partition is not None and made.partitions > 1 and made.partition[:2].isdigit()
    return {
        "asset": made.asset,
        "partition": made.partition,
        "older": made.partitions - 1 if windows else 0,
        "version": _short(made.version),
        "code": _short(made.code),
        "made": f"{made.made_at:%Y-%m-%d %H:%M} UTC",
        "run": made.run_id[:8],
        "run_link": f"{UI}/runs/{quote(made.run_id)}",
        "link": _asset_link(made.asset, made.partition),
        "inputs": [_input(one, known) for one in made.inputs],
        "changed": any(one.changed for one in made.inputs),
    }


def _input(one: Input, known: set[str]) -> dict[str, Any]:
    return {
        "asset": one.asset,
        "partition": one.partition,
        "partitions": one.partitions,
        "version": _short(one.version),
        "changed": one.changed,
        "listed": one.asset in known,
    }


def _asset_link(asset: str, partition: str | None) -> str:
    chosen = f"?view=partitions&partition={quote(partition, safe='')}" if partition else ""
    return f"{UI}/assets/{quote(asset)}{chosen}"


def _short(version: str | None) -> str:
    return version[:SHORT] if version else NOTHING
