"""Taking withdrawn rows out of a table, whatever table it is."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from crawlers.posts import WITHDRAWN
from crawlers.withdrawals import keyed_hash
from pipeline.withdrawal.columns import Holds, columns_holding, holds
from pipeline.withdrawal.plan import Plan
from pipeline.withdrawal.texts import Scrubber

_LAST_PART = re.compile(r"([0-9a-f]{64})$")
ABOUT = frozenset(Holds) - {Holds.ROW, Holds.NOTHING, Holds.NAMES}  # what columns may say whom a row is about
_BLANK_IMAGE = {"url": "", "status": "failed", "reason": WITHDRAWN}  # all else that may be null is


@dataclass(frozen=True)
class Editor:
    """Removes what a plan names from tables.

    Args:
        plan: what must leave.
        key: under which the names of groups are hashed, where a withdrawn picture founded one.
    """

    plan: Plan
    key: bytes

    @cached_property
    def _scrubber(self) -> Scrubber:
        return Scrubber(self.plan)

    def edited(self, name: str, table: pa.Table) -> pa.Table:
        """Return a table without what must leave; the same object where it holds nothing of it.

        Rows about a withdrawn picture, post or task go. Lists lose their withdrawn entries. Of a post that stays, the
        row of a withdrawn picture stays and says nothing but that. A group that a withdrawn picture founded gets
        another name, the same in all tables.
        """
        result = self._blanked(table) if name == "images" else table
        gone = self._gone(name, result)
        if pc.any(gone).as_py():
            result = result.filter(pc.invert(gone))
        result = self._lists(name, result)
        return self._groups(name, result)

    def _gone(self, name: str, table: pa.Table) -> pa.ChunkedArray | pa.Array:
        """Say of each row whether it must go."""
        gone = pa.array(np.zeros(table.num_rows, bool))
        for column in table.column_names:
            values = table.column(column)
            match holds(name, column):
                case Holds.IMAGE:
                    here = _among(values, self.plan.images)
                case Holds.POST:
                    here = _among(values, self.plan.posts)
                case Holds.AUTHOR:
                    here = _among(values, self.plan.authors)
                case Holds.TASK:  # a server may give the number of a task to another one later
                    here = pc.and_(_among(values.cast(pa.string()), self.plan.tasks), _no_image(name, table))
                case Holds.ADDRESS:  # a path inside an archive means nothing to another one
                    here = _among(values, [name for name in self.plan.names if "://" in name])
                case Holds.PATH | Holds.NAME | Holds.TEXT:
                    here = self._in_text(values)
                case _:
                    continue
            gone = pc.or_(gone, here)
        return gone

    def _in_text(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """Say of each text whether it names something that must go; equal texts are looked at once."""
        return _among(values, [text for text in pc.unique(values).to_pylist() if text and self._scrubber.hits(text)])

    def _blanked(self, table: pa.Table) -> pa.Table:
        """Blank the rows of withdrawn pictures in a table of images, but those of withdrawn posts, which go."""
        wanted = pc.and_not(
            _among(table.column("image_id"), self.plan.images), _among(table.column("post_id"), self.plan.posts)
        )
        if not pc.any(wanted).as_py():
            return table
        kept = ("post_id", "media_index", "window", "attempts", "fetched_at")
        columns = {}
        for field in table.schema:
            values = table.column(field.name)
            if field.name not in kept:
                values = pc.if_else(wanted, pa.scalar(_BLANK_IMAGE.get(field.name), field.type), values)
            columns[field.name] = values
        return pa.table(columns, schema=table.schema)

    def _lists(self, name: str, table: pa.Table) -> pa.Table:
        columns = [column for column in columns_holding(name, Holds.IMAGES) if column in table.column_names]
        for column in columns:
            lists = table.column(column)
            if not any(image in self.plan.images for image in pc.unique(pc.list_flatten(lists)).to_pylist()):
                continue
            kept = [[image not in self.plan.images for image in one] for one in lists.to_pylist()]
            parallel = columns_holding(name, Holds.NAMES) if column == "name_image_ids" else []
            for other in (column, *parallel):
                cut = [
                    [value for value, keep in zip(one, flags, strict=True) if keep]
                    for one, flags in zip(table.column(other).to_pylist(), kept, strict=True)
                ]
                table = _with_column(table, other, cut)
        return table

    def _groups(self, name: str, table: pa.Table) -> pa.Table:
        for column in columns_holding(name, Holds.GROUP):
            if column not in table.column_names:
                continue
            founders = set(pc.unique(table.column(column)).to_pylist()) & self.plan.images
            if founders:
                names = {founder: keyed_hash(self.key, "group", founder) for founder in founders}
                values = [names.get(value, value) for value in table.column(column).to_pylist()]
                table = _with_column(table, column, values)
        return table

    def changed_rows(self, name: str, table: pa.Table) -> int:
        """Count the rows of a table that would go or change; the columns of :data:`ABOUT` are enough."""
        touched = self._gone(name, table)
        for column in columns_holding(name, Holds.GROUP, Holds.IMAGES):
            if column in table.column_names:
                touched = pc.or_(touched, self._names_image(table.column(column)))
        return pc.sum(touched).as_py() or 0

    def _names_image(self, column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
        """Say of each id, or list of ids, whether a picture that must leave is among them."""
        if not pa.types.is_list(column.type):
            return _among(column, self.plan.images)
        lists = column.combine_chunks()
        rows = pc.list_parent_indices(lists).filter(_among(pc.list_flatten(lists), self.plan.images))
        return pc.is_in(pa.array(np.arange(len(lists))), pc.cast(rows, pa.int64()))


def last_part(path: str | None) -> str | None:
    """Return the image_id that a path or address ends in, if it does."""
    found = _LAST_PART.search(path or "")
    return found[1] if found else None


def _no_image(name: str, table: pa.Table) -> pa.ChunkedArray | pa.Array:
    """Say of each row whether it does not tell its image by another column."""
    columns = [one for one in columns_holding(name, Holds.IMAGE, Holds.NAME) if one in table.column_names]
    unknown = pa.array(np.ones(table.num_rows, bool))
    for column in columns:
        unknown = pc.and_(unknown, pc.is_null(table.column(column)))
    return unknown


def _with_column(table: pa.Table, name: str, values: list[Any]) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))


def _among(values: pa.ChunkedArray, wanted: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(values, pa.array(sorted(wanted), pa.string()))
