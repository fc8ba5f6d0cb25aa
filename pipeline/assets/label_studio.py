"""The round trip with a live Label Studio: tasks go out with predictions, doubtful answers go back."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import dagster as dg
import pandas as pd
import pyarrow as pa

from labeling.acceptance import anchoring
from labeling.acceptance import prediction_acceptance as acceptance_table
from modeling.montages import picture_grid
from pipeline.best_model import answers_for
from pipeline.exported import Exported
from pipeline.metadata import (
    counts_markdown,
    data_version,
    for_people,
    picture,
    reason_counts,
    table_asset,
    table_metadata,
)
from pipeline.progress import Progress
from pipeline.retries import passing_faults
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_studio, server_of, turn
from pipeline.tables import TABLES

GRID_PICTURES = 18
MODEL_LABELS_KEY = "label_studio/model_labels.json"
QUEUE_SEED = 0  # of the order among equals and of what is drawn at random


def label_studio_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets that speak to a live server; none where labels come from a file."""
    if settings.label_studio is None:
        return []
    return [_queued_tasks(settings), _pre_annotations(settings), _prediction_acceptance(), _returned_tasks(settings)]


def _queued_tasks(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset("queued_tasks", group="labels"), deps=["label_tasks"], retry_policy=passing_faults(settings)
    )
    def queued_tasks(
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """Tasks that stand in Label Studio: every unique image once for ever, in the order that the settings ask for.

        Which images come next may depend on the predictions of the last trained model (``pre_annotations``). That is
        no upstream asset, since the model itself comes from the labels.
        """
        from labeling.studio.push import push_tasks
        from labeling.studio.queue import next_images
        from labeling.studio.standing import of_this_project
        from labeling.studio.withdrawn import read_withdrawn

        server = server_of(settings)
        with for_people(), turn(storage), open_studio(settings, storage, create=True) as studio:
            previous, rows = last_table(storage, "queued_tasks"), storage.read_table("label_tasks")
            project = studio.connection.get(f"/api/projects/{studio.project.project_id}")
            withdrawn = read_withdrawn(server.withdrawn) if server.withdrawn else frozenset()
            # what was lost with an older project is sent again, and takes its places
            _, lost = of_this_project(previous.to_pylist(), datetime.fromisoformat(project["created_at"]))
            chosen = next_images(
                rows,
                previous,
                last_table(storage, "pre_annotations"),
                project["task_number"] - project["finished_task_number"] + len(lost),
                server,
                QUEUE_SEED,
                _known_labels(storage),
                withdrawn,
            )
            table = push_tasks(
                studio.connection,
                studio.project.project_id,
                server,
                rows,
                chosen,
                previous,
                studio.pictures,
                withdrawn=withdrawn,
                progress=progress.step("queueing images for the experts"),
            )
            table = storage.write_table("queued_tasks", table)
        counts = Counter(zip(table["state"].to_pylist(), table["chosen_as"].to_pylist(), strict=True))
        shown = {f"{state}, {chosen_as}": count for (state, chosen_as), count in counts.items()}
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                project=dg.MetadataValue.url(studio.project.url),
                new=table.num_rows - previous.num_rows,
                blind=sum(table["blind"].to_pylist()),
                by_state=dg.MetadataValue.md(counts_markdown(shown, "state, chosen as")),
            ),
        )

    return queued_tasks


def _pre_annotations(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset("pre_annotations", group="labels"),
        deps=["queued_tasks", "champion"],
        retry_policy=passing_faults(settings),
    )
    def pre_annotations(
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """What the champion would answer for each image without a label; a blind share never shows it to experts.

        With ``labels.pre_annotations`` off nobody sees it: it only tells which images are rare or uncertain.
        """
        from labeling.studio.pre_annotations import pre_annotations as prediction_table
        from labeling.studio.pre_annotations import with_history
        from labeling.studio.predictions import push_predictions

        server = server_of(settings)
        label_set = server.predict_with or next(iter(settings.label_sets))
        with for_people(), turn(storage), open_studio(settings, storage) as studio:
            images, tasks = _unlabelled(storage)
            answers = answers_for(
                settings, storage, label_set, list(images.values()), progress.step("predicting for the experts")
            )
            predicted = prediction_table(
                list(images),
                answers.labels,
                answers.probabilities,
                tasks if server.pre_annotations else {},
                model_version=answers.model_version,
                blind_share=server.blind_share,
                predicted_at=datetime.now(UTC),
            )
            previous, fates = last_table(storage, "pre_annotations"), {"only for the queue": len(images)}
            table, refused = with_history(previous, predicted), 0
            if server.pre_annotations:
                pushed = push_predictions(
                    studio.connection,
                    studio.project.project_id,
                    predicted,
                    previous,
                    least_score=server.least_score,
                    page_size=server.page_size,
                    progress=progress.step("showing predictions to the experts"),
                )
                table, refused = pushed.table, len(pushed.refused)
                fates = {name: value for name, value in vars(pushed).items() if isinstance(value, int)}
            known = {**_labels_of_models(storage), answers.model_version: answers.labels}
            storage.write_json(MODEL_LABELS_KEY, known)
            table = storage.write_table("pre_annotations", table)
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                model_version=answers.model_version,
                refused=refused,
                fates=dg.MetadataValue.md(counts_markdown(fates, "fate")),
                pictures=picture(_predicted_pictures(storage, predicted.to_pandas())),
            ),
        )

    return pre_annotations


def _prediction_acceptance() -> dg.AssetsDefinition:
    @dg.asset(**table_asset("prediction_acceptance", group="labels"), deps=["annotation_versions", "pre_annotations"])
    def prediction_acceptance(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> dg.MaterializeResult:
        """How often experts took a model's answer as it was, changed it, or rejected it, by label and model version.

        What each said first counts, not what became of it when a reviewer objected. Blind answers are counted apart:
        how much less they agree with the model is what predictions do to experts.
        """
        with for_people():
            predictions = last_table(storage, "pre_annotations").to_pandas()
            versions = storage.read_table("annotation_versions").to_pandas()
            table = acceptance_table(versions, predictions, settings.taxonomy.labels, _labels_of_models(storage))
            table = storage.write_table("prediction_acceptance", table)
        sentences = "\n\n".join(one.sentence() for one in anchoring(table)) or "*no answer to a prediction yet*"
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(table, anchoring=dg.MetadataValue.md(sentences)),
        )

    return prediction_acceptance


def _returned_tasks(settings: Settings) -> dg.AssetsDefinition:
    @dg.asset(
        **table_asset("returned_tasks", group="labels"),
        deps=["quarantined_annotations", "labels", "suspicious_labels"],
        retry_policy=passing_faults(settings),
    )
    def returned_tasks(
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> dg.MaterializeResult:
        """What went back: wrong answers to the expert who gave them, conflicts to another one, doubts to reviewers."""
        from labeling.studio.corrections import clear_returned
        from labeling.studio.returns import Returns

        with for_people(), turn(storage), open_studio(settings, storage) as studio:
            exported, previous = Exported.read(storage), last_table(storage, "returned_tasks")
            suspicious, most = _suspicious(settings, storage, previous)
            server = studio.settings.model_copy(update={"review_suspicious": most})
            annotations, labels = storage.read_table("annotations"), storage.read_table("labels")
            quarantined = storage.read_table("quarantined_annotations")
            returns = Returns(studio.connection, studio.project.project_id, server, studio.taxonomy, previous)
            new = [
                returns.return_invalid(quarantined, annotations, progress.step("sending wrong answers back")),
                returns.return_conflicts(labels, annotations, progress.step("asking others about conflicts")),
            ]
            if most:
                new.append(
                    returns.return_suspicious(suspicious, annotations, progress.step("showing doubts to reviewers"))
                )
            table = storage.write_table("returned_tasks", pa.concat_tables([previous, *new]))
            cleared = clear_returned(
                studio.connection,
                studio.project.project_id,
                studio.taxonomy,
                table,
                quarantined,
                labels,
                annotations,
                studio.settings.answers_per_image,
            )
            if exported is not None:
                exported.advance(storage, "done")
        reasons = counts_markdown(reason_counts(table.column("reason"), ""), "reason")
        return dg.MaterializeResult(
            data_version=data_version(table),
            metadata=table_metadata(
                table,
                new=sum(part.num_rows for part in new),
                settled=dg.MetadataValue.json(vars(cleared)),
                reasons=dg.MetadataValue.md(reasons),
            ),
        )

    return returned_tasks


def _suspicious(settings: Settings, storage: Storage, returned: pa.Table) -> tuple[pa.Table, int]:
    """Return the suspicious labels of all label sets, and how many more of them may still be shown to reviewers.

    So many go to reviewers after a training as the settings say, however often tasks are given back until the next.
    """
    from labeling.studio.returns import SUSPICIOUS

    parts = [(name,) for name in settings.label_sets if storage.has_table("suspicious_labels", (name,))]
    most = server_of(settings).review_suspicious
    if not parts or not most:
        return TABLES["suspicious_labels"].schema.empty_table(), 0
    found = max(storage.written_at("suspicious_labels", part) for part in parts)
    shown = sum(row["reason"] == SUSPICIOUS and row["returned_at"] >= found for row in returned.to_pylist())
    return pa.concat_tables(storage.read_table("suspicious_labels", part) for part in parts), max(0, most - shown)


def _labels_of_models(storage: Storage) -> dict[str, list[str]]:
    """Return the labels that each model knew whose predictions were ever made, by its version."""
    if not storage.exists(MODEL_LABELS_KEY):
        return {}
    known: dict[str, list[str]] = json.loads(storage.read_bytes(MODEL_LABELS_KEY))
    return known


def last_table(storage: Storage, name: str) -> pa.Table:
    """Return a table as it was written last; empty before the first time."""
    return storage.read_table(name) if storage.has_table(name) else TABLES[name].schema.empty_table()


def _known_labels(storage: Storage) -> dict[str, str]:
    labels = last_table(storage, "labels").to_pandas()
    known = labels[labels["main"].notna()]
    return dict(zip(known["image_id"], known["main"], strict=True))


def _unlabelled(storage: Storage) -> tuple[dict[str, str], dict[str, int]]:
    """Return the images without a label with the file that experts see of each, and the tasks of those queued."""
    decided = set(last_table(storage, "labels").to_pandas().query("status != 'conflict'")["image_id"])
    tasks = storage.read_table("label_tasks", columns=["image_id", "image_path"]).to_pylist()
    images = {row["image_id"]: row["image_path"].rpartition("/")[2] for row in tasks if row["image_id"] not in decided}
    queued = storage.read_table("queued_tasks").to_pylist()
    return images, {row["image_id"]: row["task_id"] for row in queued if row["state"] == "queued"}


def _predicted_pictures(storage: Storage, predicted: pd.DataFrame) -> bytes:
    """Return a grid of images with what the model says, from the surest to the least sure."""
    ordered = predicted.sort_values("score", ascending=False)
    chosen = ordered.iloc[:: max(1, len(ordered) // GRID_PICTURES)].head(GRID_PICTURES)
    return picture_grid(
        [
            (storage.image_path(row.image_id).read_bytes(), f"{row.main} {row.score:.0%}\n{', '.join(row.subs)}")
            for row in chosen.itertuples()
        ]
    )
