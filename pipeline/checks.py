"""Asset checks: what must hold before a number is believed, and what a person should know about it."""

from collections.abc import Collection, Sequence

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from modeling.correlation import graph_from_table, graph_health, graph_problems
from pipeline.metadata import for_people, markdown
from pipeline.partitions import window_keys
from pipeline.reasons import FAILS_FOR
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_studio

MOST_QUARANTINED = 0.25  # share of annotations; above it, something is wrong with the export or the taxonomy
MOST_CONFLICTS = 0.15  # share of annotated images
MOST_NAMED = 5  # windows


def checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    """Return the asset checks."""
    label_sets = list(settings.label_sets)

    @dg.asset_check(asset="images", description="Every image that a table names is stored.")
    def images_stored(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        images = storage.read_windows("images", window_keys(settings.windows), ["image_id"])
        ids = pc.unique(images.column("image_id").drop_null())
        ids = ids.take(pc.sort_indices(ids))
        lost = _without_file(storage, ids)
        return dg.AssetCheckResult(
            passed=not lost,
            description=f"{len(ids)} images stored"
            if not lost
            else f"{len(lost)} images lost, {lost[0]} first: crawl again",
        )

    @dg.asset_check(asset="unique_images", description="No window has lost a suspicious share of its images.")
    def share_set_aside(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.AssetCheckResult:
        unique = storage.read_table("unique_images", columns=["window", "kept"]).to_pandas()
        shares = 1 - unique.groupby("window")["kept"].mean()
        high = shares[shares > settings.deduplication.most_set_aside].sort_values(ascending=False)
        share = float(1 - unique["kept"].mean()) if len(unique) else 0.0
        return dg.AssetCheckResult(
            passed=high.empty,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{share:.1%} of {len(unique)} images set aside"
            if high.empty
            else f"window {high.index[0]}: {high.iloc[0]:.1%} of its images set aside; look at its clusters"
            + _also(high.index[1:]),
            metadata={
                "share": share,
                "highest": float(shares.max()) if len(shares) else 0.0,
                FAILS_FOR: ", ".join(sorted(high.index)),
            },
        )

    @dg.asset_check(asset="unique_images", description="No cluster is suspiciously large.")
    def cluster_sizes(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        unique = storage.read_table("unique_images", columns=["canonical_id", "cluster_size"]).to_pandas()
        largest = unique.sort_values("cluster_size").tail(1)
        size = int(largest["cluster_size"].iloc[0]) if len(largest) else 0
        passed = size <= settings.deduplication.largest_cluster
        return dg.AssetCheckResult(
            passed=passed,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"the largest cluster has {size} images"
            if passed
            else f"a cluster has {size} images, around {largest['canonical_id'].iloc[0]}: look at it; "
            "`keep` and `different` in deduplication.overrides undo what is wrong",
            metadata={"largest": size},
        )

    @dg.asset_check(
        asset="unique_images",
        blocking=True,
        description="Every image set aside is as near to its canonical as the rule says, or a person put it there.",
    )
    def clusters_keep_the_rule(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.AssetCheckResult:
        columns = ["image_id", "kept", "canonical_id", "stage", "distance256"]
        unique, rule = storage.read_table("unique_images", columns=columns), settings.deduplication
        kept = unique.column("image_id").filter(unique.column("kept")).combine_chunks()
        rows = unique.filter(pc.invert(unique.column("kept")))
        near = pc.is_in(rows.column("canonical_id"), kept).to_numpy()
        aside = rows.select(["image_id", "stage", "distance256"]).to_pandas()
        limits = {"phash": rule.duplicate_bits, "structure": rule.review_bits, "person": 256}
        limit = aside["stage"].map(limits).astype("float64")
        far = aside[(aside["distance256"] > limit) | ~near]
        return dg.AssetCheckResult(
            passed=far.empty,
            description=f"all {len(aside)} images set aside are near their canonical ones"
            if far.empty
            else f"{len(far)} images are too far from their canonical ones, {far['image_id'].iloc[0]} first: "
            "materialize unique_images again",
        )

    @dg.asset_check(asset="annotations", blocking=True, description="No label of an image that is set aside is lost.")
    def no_label_lost(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        valid = storage.read_table("annotations", columns=["image_id", "labeled_image_id"]).to_pandas()
        aside = storage.read_table("quarantined_annotations", columns=["image", "reason"]).to_pandas()
        unknown = aside.loc[aside["reason"] == "unknown_image", "image"].dropna()
        parts = {name: set(name.replace("=", "/").split("/")) for name in unknown}
        canonical = _canonical_images(storage, set(valid["labeled_image_id"]).union(*parts.values()))
        wrong = sum(
            canonical.get(labelled) != image
            for image, labelled in zip(valid["image_id"], valid["labeled_image_id"], strict=True)
        )
        lost = sum(not parts[name].isdisjoint(canonical) for name in unknown)
        followed = int((valid["image_id"] != valid["labeled_image_id"]).sum())
        return dg.AssetCheckResult(
            passed=not wrong and not lost,
            description=f"{followed} annotations of images set aside count for their canonical ones"
            if not wrong and not lost
            else f"{wrong + lost} annotations do not follow their images: materialize label_tasks, then annotations",
            metadata={"followed": followed, "lost": wrong + lost},
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

    @dg.asset_check(
        asset="annotations", blocking=True, description="Every answer on the server is in a table: valid or set aside."
    )
    def no_answer_lost(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        columns = ["annotation_id", "state"]
        states = storage.read_table("annotation_versions", columns=columns).to_pandas()
        given = set(states.loc[~states["annotation_id"].str.startswith("draft:"), "annotation_id"])
        kept = {
            annotation_id
            for name in ("annotations", "quarantined_annotations")
            for annotation_id in storage.read_table(name, columns=["annotation_id"]).column(0).to_pylist()
        }
        lost = sorted(given - kept)
        return dg.AssetCheckResult(
            passed=not lost,
            description=f"all {len(given)} answers are in a table"
            if not lost
            else f"{len(lost)} answers are in no table, annotation {lost[0]} first: materialize annotations again",
        )

    @dg.asset_check(asset="labels", description="Few images wait for somebody to settle what experts disagree about.")
    def few_conflicts(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        status = storage.read_table("labels", columns=["status"]).column("status").to_pylist()
        conflicts = status.count("conflict")
        share = conflicts / max(1, len(status))
        return dg.AssetCheckResult(
            passed=share <= MOST_CONFLICTS,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{conflicts} of {len(status)} images in conflict ({share:.1%})"
            + (
                ""
                if share <= MOST_CONFLICTS
                else "; look at main_confusion for the styles that are taken for each other"
            ),
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
            else f"{'; '.join(leaking)} in two splits: do not train; materialize "
            "unique_images, then ask for a training (materialize training_request)",
        )

    @dg.asset_check(asset="correlation_matrix", description="The label graph joins labels, and is more than a star.")
    def healthy_graph(storage: dg.ResourceParam[Storage]) -> dg.AssetCheckResult:
        notes, rows = [], []
        for name in label_sets:
            if storage.has_table("correlation_matrix", (name,)):
                graph = graph_from_table(storage.read_table("correlation_matrix", (name,)))
                health = graph_health(graph)
                notes += [f"{name}: {problem}" for problem in graph_problems(graph)]
                rows.append(
                    {
                        "label set": name,
                        "form": graph.settings.form,
                        "tau": graph.settings.threshold,
                        "edges": health["edges"],
                        "isolated": ", ".join(health["isolated"]) or "none",
                        "share of edges at the dominant label": health["star_share"],
                        "dominant": health["dominant"],
                    }
                )
        return dg.AssetCheckResult(
            passed=not notes,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(notes) or "every label graph has edges between several labels",
            metadata={"graphs": dg.MetadataValue.md(markdown(pd.DataFrame(rows)))},
        )

    @dg.asset_check(
        asset="pre_annotations", blocking=True, description="No image of the blind share shows a prediction."
    )
    def blind_stays_blind(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.AssetCheckResult:
        from labeling.studio.predictions import blind_with_prediction

        queued = storage.read_table("queued_tasks", columns=["task_id", "blind", "state"]).to_pandas()
        blind = queued.loc[queued["blind"] & (queued["state"] == "queued"), "task_id"].tolist()
        with for_people(), open_studio(settings, storage) as studio:
            seen = blind_with_prediction(studio.connection, studio.project.project_id, blind)
            first = studio.project.task_link(seen[0]) if seen else ""
        return dg.AssetCheckResult(
            passed=not seen,
            description=f"none of {len(blind)} blind tasks shows a prediction"
            if not seen
            else f"{len(seen)} blind tasks show a prediction, {first} first: materialize pre_annotations again",
        )

    live = [no_answer_lost, blind_stays_blind] if settings.label_studio is not None else []
    return [
        *live,
        images_stored,
        share_set_aside,
        cluster_sizes,
        clusters_keep_the_rule,
        no_label_lost,
        few_quarantined,
        few_conflicts,
        no_split_leakage,
        healthy_graph,
    ]


def _also(windows: Sequence[str]) -> str:
    """Name further windows of which the same is true."""
    if not len(windows):
        return ""
    left = f" and {len(windows) - MOST_NAMED} more" if len(windows) > MOST_NAMED else ""
    return f"; so it is with {', '.join(windows[:MOST_NAMED])}{left}"


def _without_file(storage: Storage, ids: pa.Array) -> list[str]:
    """Return those of some image ids, which are sorted, that no file has; every folder of files is listed once."""
    lost: list[str] = []
    place = 0
    for folder in pc.value_counts(pc.utf8_slice_codeunits(ids, 0, 2)).to_pylist():
        part = ids.slice(place, folder["counts"])
        place += len(part)
        there = storage.names(storage.image_key(part[0].as_py()).rpartition("/")[0])
        lost += part.filter(pc.invert(pc.is_in(part, pa.array(there, pa.string())))).to_pylist()
    return lost


def _canonical_images(storage: Storage, image_ids: Collection[str]) -> dict[str, str]:
    """Return the canonical image of each of some images, of those that there are."""
    wanted = pa.array(sorted(image_ids), pa.string())
    unique = storage.read_table("unique_images", columns=["image_id", "canonical_id"])
    found = unique.filter(pc.is_in(unique.column("image_id"), wanted))
    return dict(zip(found.column("image_id").to_pylist(), found.column("canonical_id").to_pylist(), strict=True))
