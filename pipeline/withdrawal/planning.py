"""From what was asked for to a plan of what is removed, and to the tombstones that keep it away."""

import os
from dataclasses import dataclass

from crawlers.identity import key_from_env
from crawlers.withdrawals import Withdrawn
from labeling.references import spellings
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.columns import columns_holding
from pipeline.withdrawal.editing import ABOUT, Editor
from pipeline.withdrawal.finding import Found, find
from pipeline.withdrawal.kept import kept_tables
from pipeline.withdrawal.models import training_counts
from pipeline.withdrawal.plan import Plan


@dataclass(frozen=True)
class Planned:
    """A plan, and what it follows from."""

    plan: Plan
    found: Found
    key: bytes


def make_plan(settings: Settings, storage: Storage) -> Planned:
    """Say what has to be removed for all withdrawals so far, with what an unfinished run was about to remove.

    Nothing is changed.

    Raises:
        CrawlError: the key is missing, or not the one that the withdrawals were made with.
    """
    key = key_from_env(os.environ)
    withdrawn = tombstones.withdrawn(settings, storage)
    found = find(settings, storage, withdrawn) if withdrawn else Found()
    plan = Plan(found.images, found.posts, found.authors, found.names, found.tasks, set(tombstones.pending(storage)))
    plan = plan.merge(Plan.read(storage))
    tables = list(kept_tables(storage))
    editor = Editor(plan, key)
    if plan.ids():
        for table in tables:
            columns = columns_holding(table.name, *ABOUT)
            if columns and (rows := editor.changed_rows(table.name, table.read(storage, columns))):
                plan.tables[table.title] = max(rows, plan.tables.get(table.title, 0))
        plan = plan.merge(Plan(models=training_counts(storage, tables, plan)))
    return Planned(plan, found, key)


def write_tombstones(settings: Settings, storage: Storage, planned: Planned) -> set[str]:
    """Write down tombstones for everything that was found: posts of an author, pictures, their looks and names.

    They count to the oldest request that is carried out now, or to the newest at all where something came back. Returns
    the requests that are done when all of the plan is.
    """
    found = planned.found
    if not (found.posts or found.images or found.authors):
        return planned.plan.requests
    with tombstones.writing(storage):
        known: Withdrawn = tombstones.withdrawn(settings, storage)
        every = tombstones.requests(storage)
        request = next((one for one in every if one.request in planned.plan.requests), every[-1])
        names = {spelling for name in found.names for spelling in spellings(name)}
        rows = [
            *tombstones.rows_for(planned.key, request, "post", found.posts, known),
            *tombstones.rows_for(planned.key, request, "image", found.images, known),
            *tombstones.rows_for(planned.key, request, "name", names, known),
            *tombstones.look_rows(planned.key, request, found.looks.values(), known),
        ]
        tombstones.add(storage, rows)
    return planned.plan.requests | {request.request}
