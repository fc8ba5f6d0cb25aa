"""What stands before the experts, what they said, and the labels that follow."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from labeling.agreement import agreement as agreement_table
from labeling.agreement import confusion_table
from labeling.annotations import Annotations
from labeling.annotators import annotator_figures
from labeling.consensus import consensus
from labeling.references import ImageIndex
from labeling.sources import read_annotations
from labeling.studio.settings import LabelStudioServer
from labeling.task_columns import Read, task_batches
from labeling.tasks import SHOWN, label_studio_tasks
from labeling.taxonomy import Taxonomy
from modeling.montages import picture_grid
from pipeline.exported import Exported
from pipeline.inputs import missing_label_file
from pipeline.metadata import (
    TableInPieces,
    counts_markdown,
    data_version,
    for_people,
    markdown,
    picture,
    reason_counts,
    spec,
    table_asset,
    table_metadata,
    without_addresses,
)
from pipeline.partitions import window_keys
from pipeline.progress import Progress
from pipeline.reasons import is_by_a_person, note_reason
from pipeline.retries import passing_faults
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_store, open_studio, turn
from pipeline.tables import TABLES
from pipeline.withdrawal.names import withdrawn_names

GRID_PICTURES = 18
IMPORT_FILE = "label_studio/tasks.json"


def label_assets(settings: Settings) -> Sequence[dg.AssetsDefinition]:
    """Return the assets of the group ``labels`` that there are whatever the labels come from."""

    @dg.asset(**table_asset("label_tasks", group="labels"), deps=["posts", "images", "unique_images"])
    def label_tasks(settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]) -> dg.MaterializeResult:
        """Unique images for the experts, each once, with the context that helps to label them.

        Without a live server, ``label_studio/tasks.json`` stands beside the table, for Label Studio to import.
        """
        windows = window_keys(settings.windows)
        with for_people():
            table = TableInPieces("label_tasks")
            storage.write_batches("label_tasks", table.passing(task_batches(_reader(storage, windows))))
            shown: dict[str, Any] = {}
            if settings.label_studio is None:  # tasks of a live project are queued; importing them too doubles them
                _write_import_file(storage)
                shown["import_file"] = dg.MetadataValue.path(storage.path(IMPORT_FILE))
        return dg.MaterializeResult(data_version=table.version(), metadata=table.metadata(**shown))

    return [label_tasks, _annotation_assets(settings), _consensus_assets()]


def _reader(storage: Storage, windows: Sequence[str]) -> Read:
    """Return a function that reads some columns of all unique images, pictures that are stored, or posts."""

    def read(name: str, columns: Sequence[str]) -> pa.Table:
        if name == "unique_images":
            return storage.read_table(name, columns=columns)
        if name == "posts":
            return storage.read_windows(name, windows, columns)
        found = [storage.read_windows(name, [], columns)]
        for window in windows:
            rows = storage.read_windows(name, [window], [*columns, "status"])
            found.append(rows.filter(pc.equal(rows.column("status"), "ok")).select(list(columns)))
        return pa.concat_tables(found)

    return read


def _image_index(settings: Settings, storage: Storage) -> ImageIndex:
    """Index the images of ``label_tasks``, column by column; once more where another run has written it meanwhile."""
    withdrawn = withdrawn_names(settings, storage)
    while True:
        written = storage.written_at("label_tasks") if storage.has_table("label_tasks") else None
        index = ImageIndex(lambda name: storage.read_table("label_tasks", columns=[name]).column(0), withdrawn)
        if storage.written_at("label_tasks") == written:
            return index


def _write_import_file(storage: Storage) -> None:
    """Write the tasks as Label Studio imports them, one a line of a JSON list."""
    with storage.writing(IMPORT_FILE) as file:
        file.write(b"[")
        between = b"\n"
        for batch in storage.read_batches("label_tasks", columns=SHOWN):
            for task in label_studio_tasks(pa.Table.from_batches([batch])):
                file.write(between + json.dumps(task, ensure_ascii=False).encode())
                between = b",\n"
        file.write(b"\n]\n")


def _annotation_assets(settings: Settings) -> dg.AssetsDefinition:
    live = settings.label_studio is not None
    deps = ["queued_tasks"] if live else ["label_tasks"]
    specs = [
        spec(
            "annotations",
            group="labels",
            deps=deps,
            description="Experts' annotations that keep the rules: one main label, known labels, no sub label that is "
            "the main, a known annotator.",
            skippable=not live,
        ),
        spec(
            "quarantined_annotations",
            group="labels",
            deps=deps,
            description="Annotations set aside, each with the reason and what to do about it.",
            skippable=not live,
        ),
    ]
    if live:
        specs.append(
            spec(
                "annotation_versions",
                group="labels",
                deps=deps,
                description="Every version of every annotation and draft that was ever exported, as it stood on the "
                "server; also of what was changed or deleted since.",
            )
        )

    @dg.multi_asset(name="expert_annotations", specs=specs, retry_policy=passing_faults(settings) if live else None)
    def expert_annotations(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        storage: dg.ResourceParam[Storage],
        progress: dg.ResourceParam[Progress],
    ) -> Iterator[dg.MaterializeResult]:
        """Read the label source and check every annotation; before there is a file, only a person's run fails."""
        missing = missing_label_file(settings)
        if missing and not storage.has_table("annotations") and not is_by_a_person(context.run.tags):
            context.log.info(missing)
            note_reason(context, missing)
            return
        exported: dict[str, Any] = {}
        note: Exported | None = None
        with for_people(), turn(storage) if live else contextlib.nullcontext():
            index = _image_index(settings, storage)
            taxonomy = Taxonomy(settings.taxonomy.labels)
            if isinstance(settings.labels, LabelStudioServer):
                read, note, exported = _export(settings.labels, settings, storage, index, taxonomy, progress)
            else:
                read = read_annotations(settings.labels, index, taxonomy)
            valid = storage.write_table("annotations", read.valid)
            quarantined = storage.write_table("quarantined_annotations", read.quarantined)
            if note is not None:  # only now: a run that is killed before is asked for again
                note.write(storage)
        reasons = counts_markdown(reason_counts(quarantined.column("reason"), ""), "reason")
        yield dg.MaterializeResult(
            asset_key="annotations", data_version=data_version(valid), metadata=table_metadata(valid, **exported)
        )
        yield dg.MaterializeResult(
            asset_key="quarantined_annotations",
            data_version=data_version(quarantined),
            metadata=table_metadata(quarantined.drop_columns(["raw"]), reasons=dg.MetadataValue.md(reasons)),
        )
        if live:
            columns = [field.name for field in TABLES["annotation_versions"].schema if field.name != "raw"]
            versions = storage.read_table("annotation_versions", columns=columns)
            states = counts_markdown(reason_counts(versions.column("state"), ""), "state")
            yield dg.MaterializeResult(
                asset_key="annotation_versions",
                data_version=data_version(versions),
                metadata=table_metadata(versions, states=dg.MetadataValue.md(states)),
            )

    return expert_annotations


def _export(
    server: LabelStudioServer,
    settings: Settings,
    storage: Storage,
    index: ImageIndex,
    taxonomy: Taxonomy,
    progress: Progress,
) -> tuple[Annotations, Exported, dict[str, Any]]:
    """Bring the mirror of the live project up to date and write all versions.

    Returns the annotations, how far they have come, and what was new.
    """
    from labeling.studio.answers import annotation_versions, read_store
    from labeling.studio.pull import pull

    with open_studio(settings, storage) as studio, open_store(storage) as store:
        pulled = pull(
            studio.connection,
            studio.project.project_id,
            store,
            page_size=server.page_size,
            reconcile_after=timedelta(hours=server.reconcile_hours),
            progress=progress.step("exporting what experts did"),
        )
        users = studio.connection.users()
        returned = _returned_annotations(storage)
        read = read_store(store, index, taxonomy, users, studio.project.task_link, returned)
        storage.write_batches("annotation_versions", annotation_versions(store, index, users))
        sync = store.sync
        note = Exported(store.project, server.project, sync.swept, sync.reconciled_at, "exported", sync.settles_at)
    return read, note, {"exported": dg.MetadataValue.json(vars(pulled))}


def _returned_annotations(storage: Storage) -> frozenset[str]:
    """Return the ids of annotations that were sent back to their annotators."""
    if not storage.has_table("returned_tasks"):
        return frozenset()
    return frozenset(storage.read_table("returned_tasks").column("annotation_id").drop_null().to_pylist())


def _consensus_assets() -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="consensus",
        specs=[
            spec(
                "labels",
                group="labels",
                deps=["annotations"],
                description="One main label and the sub labels of each image, after review and consensus.",
            ),
            spec(
                "agreement",
                group="labels",
                deps=["annotations"],
                description="How far the annotators agree: over all, by window, by label and by pair.",
            ),
            spec(
                "main_confusion",
                group="labels",
                deps=["annotations"],
                description="Which main labels two annotators give to the same image.",
            ),
            spec(
                "annotators",
                group="labels",
                deps=["annotations", "quarantined_annotations"],
                description="Each annotator's answers, speed, reviews, agreement with the others, and drift of it.",
            ),
        ],
    )
    def labels(
        settings: dg.ResourceParam[Settings], storage: dg.ResourceParam[Storage]
    ) -> Iterator[dg.MaterializeResult]:
        """Settle what the annotators said into labels."""
        with for_people():
            exported = Exported.read(storage)
            annotations = storage.read_table("annotations").to_pandas()
            quarantined = storage.read_table("quarantined_annotations").to_pandas()
            tasks = _tasks_of(storage, annotations["image_id"])
            windows = dict(zip(tasks.image_id, tasks.window, strict=True))
            tables = {
                "labels": consensus(annotations, windows, settings.consensus),
                "agreement": agreement_table(annotations, windows),
                "main_confusion": confusion_table(annotations, settings.taxonomy.labels),
                "annotators": annotator_figures(annotations, quarantined),
            }
            tables = {name: storage.write_table(name, table) for name, table in tables.items()}
            if exported is not None:
                exported.advance(storage, "labelled")
        files = {
            image_id: path.rpartition("/")[2] for image_id, path in zip(tasks.image_id, tasks.image_path, strict=True)
        }
        yield from _label_results(storage, annotations, tables, files)

    return labels


def _tasks_of(storage: Storage, image_ids: "pd.Series[str]") -> pd.DataFrame:
    """Return window and picture of the tasks of some images."""
    wanted = pa.array(image_ids.unique(), pa.string())
    schema = pa.schema([TABLES["label_tasks"].schema.field(name) for name in ("image_id", "window", "image_path")])
    batches = storage.read_batches("label_tasks", columns=schema.names)
    found = [batch.filter(pc.is_in(batch.column("image_id"), wanted)) for batch in batches]
    frame: pd.DataFrame = pa.Table.from_batches(found, schema).to_pandas()
    return frame


def _label_results(
    storage: Storage, annotations: pd.DataFrame, tables: Mapping[str, pa.Table], files: Mapping[str, str]
) -> Iterator[dg.MaterializeResult]:
    """What the UI shows of the labels and of how they came about; ``files`` are what experts saw of each image."""
    from labeling import figures  # brings matplotlib

    labels, agreement, confusion, annotators = (table.to_pandas() for table in tables.values())
    status = {str(key): int(count) for key, count in labels["status"].value_counts().items()}
    shown: dict[str, dict[str, Any]] = {
        "labels": {
            "status": dg.MetadataValue.md(counts_markdown(status, "status")),
            "pictures": picture(_labelled_pictures(storage, labels, files)),
        },
        "agreement": {
            "figures": dg.MetadataValue.md(markdown(without_addresses(agreement.head(40)))),
            "pairs": picture(figures.pair_map(agreement)),
            "by_window": picture(figures.agreement_by_window(agreement)),
        },
        "main_confusion": {"heat_map": picture(figures.confusion_map(confusion))},
        "annotators": {
            "lead_times": picture(figures.lead_times(annotations)),
            "kappa_by_week": picture(figures.kappa_by_week(annotators)),
        },
    }
    for name, table in tables.items():
        yield dg.MaterializeResult(
            asset_key=name, data_version=data_version(table), metadata=table_metadata(table, **shown[name])
        )


def _labelled_pictures(storage: Storage, labels: pd.DataFrame, files: Mapping[str, str]) -> bytes:
    """Return a JPEG of labelled images with their labels, evenly spread; ``files`` says which file was shown."""
    known = labels[labels["main"].notna()]
    chosen = known.iloc[:: max(1, len(known) // GRID_PICTURES)].head(GRID_PICTURES)
    return picture_grid(
        [
            (storage.image_path(files[row.image_id]).read_bytes(), "\n".join([row.main, ", ".join(row.subs)]))
            for row in chosen.itertuples()
        ]
    )
