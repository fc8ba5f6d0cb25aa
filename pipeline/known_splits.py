"""The splits that images had in the data sets so far: an image that had one keeps it, whatever arrives or is withdrawn.

The table ``known_splits`` is no asset: it is what data sets remember of those before them, of all label sets together.
What is written under one salt and shares counts for these only, so other ones in the settings give another split, and
going back to them gives the old one back.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from modeling.settings import SplitSettings
from pipeline.locks import one_at_a_time
from pipeline.storage import Storage
from pipeline.tables import TABLES

TABLE = "known_splits"


def known_splits(storage: Storage, settings: SplitSettings) -> Mapping[str, str]:
    """Return the split of every image, and every file of one, that a data set ever had with these settings."""
    rows = _read(storage)
    rows = rows.filter(pc.equal(rows.column("made_with"), made_with(settings)))
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("split").to_pylist(), strict=True))


def remember_splits(storage: Storage, settings: SplitSettings, data_set: pa.Table) -> None:
    """Add the images of a data set, before it is written: whatever stands in one is remembered, also after a kill.

    The caller is in :func:`splitting`.
    """
    known = known_splits(storage, settings)
    new = {
        name: split
        for column in ("image_id", "file_id")
        for name, split in zip(data_set.column(column).to_pylist(), data_set.column("split").to_pylist(), strict=True)
        if name not in known
    }
    if new or not storage.has_table(TABLE):
        columns = [list(new), list(new.values()), [made_with(settings)] * len(new)]
        added = pa.table(columns, schema=TABLES[TABLE].schema)
        rows = pa.concat_tables([_read(storage), added])
        storage.write_table(TABLE, rows.sort_by([("made_with", "ascending"), ("image_id", "ascending")]))


@contextmanager
def splitting(storage: Storage) -> Iterator[None]:
    """Keep data sets from being made at the same time: each has to know the splits of the one before."""
    say = dg.get_dagster_logger().info
    with one_at_a_time(storage.cache_folder("splits") / "running.lock", say, "another data set is made"):
        yield


def made_with(settings: SplitSettings) -> str:
    """Return what a split follows from: shares and salt."""
    return f"{'/'.join(str(share) for share in settings.shares.values())} {settings.salt}"


def _read(storage: Storage) -> pa.Table:
    return storage.read_table(TABLE) if storage.has_table(TABLE) else TABLES[TABLE].schema.empty_table()
