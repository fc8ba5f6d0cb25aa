"""Asset checks: what must hold before a number is believed, and what a person should know about it."""

from collections.abc import Sequence

import dagster as dg

from modeling.correlation import graph_health
from pipeline.partitions import window_keys
from pipeline.settings import Settings
from pipeline.storage import Storage

MOST_QUARANTINED = 0.25  # share of annotations; above it, something is wrong with the export or the taxonomy


def checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    """Return the asset checks."""
    label_sets = list(settings.label_sets)

    @dg.asset_check(asset="images", description="Every image that a table names is stored.")
    def images_stored(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        images = storage.read_windows("images", window_keys(settings.windows), ["image_id"])
        ids = sorted({image_id for image_id in images.column("image_id").to_pylist() if image_id})
        lost = [image_id for image_id in ids if not storage.exists(storage.image_key(image_id))]
        return dg.AssetCheckResult(
            passed=not lost,
            description=f"{len(ids)} images stored"
            if not lost
            else f"{len(lost)} images lost, {lost[0]} first: crawl again",
        )

    @dg.asset_check(asset="quarantined_annotations", description="Few annotations had to be set aside.")
    def few_quarantined(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        valid = storage.read_table("annotations", columns=["annotation_id"]).num_rows
        aside = storage.read_table("quarantined_annotations", columns=["annotation_id"]).num_rows
        share = aside / max(1, valid + aside)
        return dg.AssetCheckResult(
            passed=share <= MOST_QUARANTINED,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{aside} of {valid + aside} annotations set aside ({share:.1%}); see the reasons in the table",
            metadata={"share": share},
        )

    @dg.asset_check(asset="data_set", blocking=True, description="No group of images stands in two splits.")
    def no_split_leakage(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        leaks = {}
        for name in label_sets:
            if storage.has_table("data_set", (name,)):
                rows = storage.read_table("data_set", (name,), ["group_id", "split"]).to_pandas()
                leaks[name] = int((rows.groupby("group_id")["split"].nunique() > 1).sum())
        leaking = [f"{name}: {count} groups" for name, count in leaks.items() if count]
        return dg.AssetCheckResult(
            passed=not leaking,
            description="no group stands in two splits"
            if not leaking
            else f"{'; '.join(leaking)} in two splits: do not train",
        )

    @dg.asset_check(asset="correlation_matrix", description="The label graph joins labels, and is more than a star.")
    def healthy_graph(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        notes = []
        for name in label_sets:
            if storage.has_table("correlation_matrix", (name,)):
                health = graph_health(storage.read_table("correlation_matrix", (name,)))
                if not health["edges"]:
                    notes.append(f"{name}: no edge, so the graph does nothing; try a lower graph.tau")
                elif health["star_share"] == 1 and health["edges"] > 1:
                    notes.append(f"{name}: every edge points at {health['dominant']}; try a lower graph.tau")
        return dg.AssetCheckResult(
            passed=not notes,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(notes) or "every label graph has edges between several labels",
        )

    return [images_stored, few_quarantined, no_split_leakage, healthy_graph]
