"""Carrying withdrawals out, step by step; killed at any moment, the next run goes on and finishes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa

from pipeline.exported import Exported
from pipeline.locks import crawl_lock, one_at_a_time
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.studio import open_studio, turn
from pipeline.tables import TableError
from pipeline.withdrawal import places, tombstones
from pipeline.withdrawal.columns import Holds, columns_holding
from pipeline.withdrawal.editing import Editor
from pipeline.withdrawal.kept import kept_tables
from pipeline.withdrawal.models import mark_cards
from pipeline.withdrawal.plan import Plan
from pipeline.withdrawal.planning import make_plan, write_tombstones
from pipeline.withdrawal.proof import what_is_left
from pipeline.withdrawal.texts import Scrubber

Edited = Callable[[str, Sequence[str], pa.Table], None]
"""Told of each table that was edited, at the end: its name, its partition, and what it holds now."""


@dataclass(frozen=True)
class CarriedOut:
    """What one carrying-out removed."""

    requests: tuple[str, ...] = ()
    posts: int = 0
    images: int = 0
    tasks: int = 0  # in the live Label Studio
    tables: Mapping[str, int] = field(default_factory=dict)  # rows removed or changed
    models: Mapping[str, int] = field(default_factory=dict)  # that learned from them: images withdrawn so far


def carry_out(
    settings: Settings,
    storage: Storage,
    instance: dg.DagsterInstance,
    now: Callable[[], datetime],
    edited: Edited,
) -> CarriedOut:
    """Remove everything that was ever withdrawn and is still, or again, kept somewhere.

    No crawl runs meanwhile, and nothing is written to Label Studio by others.

    Raises:
        CrawlError: the key is missing or another one.
        StudioError: Label Studio cannot be used. What is to be removed stays noted, and the next run goes on.
        TableError: something is left although everything was done; the message says where.
    """
    say = dg.get_dagster_logger().info
    with (
        one_at_a_time(storage.cache_folder("withdrawal") / "running.lock", say, "another run carries withdrawals out"),
        one_at_a_time(crawl_lock(storage), say, "a window is crawled"),
        turn(storage),
    ):
        planned = make_plan(settings, storage)
        plan = planned.plan
        if not plan:
            tombstones.mark_done(storage, plan.requests, now())
            return CarriedOut(tuple(sorted(plan.requests)))
        requests = write_tombstones(settings, storage, planned)
        plan.write(storage)  # from here on a kill cannot lose what has to be removed
        tasks = _clean_label_studio(settings, storage, plan)
        _edit_tables(storage, plan, planned.key)
        mark_cards(storage, plan)
        _clean_files(storage, plan)
        scrubber = Scrubber(plan)
        _clean_texts(storage, instance, scrubber, plan)
        for table in kept_tables(storage):
            if table.title in plan.tables and table.partition is not None:
                edited(table.name, table.partition, table.read(storage))
        _require_clean(settings, storage)
        Plan.remove(storage)
        tombstones.mark_done(storage, requests, now())
    return CarriedOut(
        tuple(sorted(plan.requests)), len(plan.posts), len(plan.images), tasks, dict(plan.tables), dict(plan.models)
    )


def _clean_label_studio(settings: Settings, storage: Storage, plan: Plan) -> int:
    """Remove tasks from the live project, if there is one, then from its mirror; return how many the server had."""
    removed = 0
    if settings.label_studio is not None and Exported.read(storage) is not None:
        from labeling.studio.withdrawn import remove_from_project

        with open_studio(settings, storage) as studio:
            removed = remove_from_project(studio.connection, studio.project.project_id, plan.images)
    places.clean_mirror(storage, plan)
    places.clean_tasks_file(storage, plan)
    plan.write(storage)  # with the numbers of the tasks that the mirror knew
    return removed


def _edit_tables(storage: Storage, plan: Plan, key: bytes) -> None:
    """Edit the tables that the plan names, and those with tasks, of which the mirror may have known more."""
    editor = Editor(plan, key)
    for table in kept_tables(storage):
        if table.title not in plan.tables and not columns_holding(table.name, Holds.TASK):
            continue
        rows = table.read(storage)
        after = editor.edited(table.name, rows)
        if after is not rows:
            if table.partition is not None and table.title not in plan.tables:
                plan.tables[table.title] = max(1, rows.num_rows - after.num_rows)
                plan.write(storage)
            table.write(storage, after)


def _clean_files(storage: Storage, plan: Plan) -> None:
    places.remove_pictures(storage, plan)
    places.clean_crawl_state(storage, plan)
    places.remove_reports(storage)
    places.remove_leftovers(storage)


def _clean_texts(storage: Storage, instance: dg.DagsterInstance, scrubber: Scrubber, plan: Plan) -> None:
    from pipeline.withdrawal.postgres import scrub_postgres  # late: the graph is loaded without SQLAlchemy

    places.clean_texts(storage, scrubber)
    places.clean_scratch(storage, scrubber, plan)
    for folder in {places.history_folder(storage), Path(instance.root_directory)}:
        places.clean_history(folder, scrubber)
    scrub_postgres(instance, lambda text: scrubber.cleaned(text, pictures=True))
    places.remove_caches(storage)  # last: a training that was under way may have filled them again


def _require_clean(settings: Settings, storage: Storage) -> None:
    left = what_is_left(settings, storage)
    if left:
        raise TableError(
            f"withdrawn posts or pictures are still in {left[0]}"
            + (f" and {len(left) - 1} other places" if len(left) > 1 else "")
            + ": end what writes there, then materialize withdrawals again"
        )
