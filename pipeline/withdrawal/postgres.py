"""Taking ids out of Dagster's storage where that is a PostgreSQL server."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import sqlalchemy as db

Clean = Callable[[str], str]
_BATCH = 200  # rows read at a time


class _RowPlace(db.types.UserDefinedType[str]):
    """Where a row of a table without a primary key lies; it holds as long as nobody changes the row."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TID"


def scrub_postgres(instance: dg.DagsterInstance, clean: Clean) -> int:
    """Clean every text of Dagster's tables on a PostgreSQL server; return how many rows changed.

    Does nothing where Dagster keeps its history in SQLite files, which lie in the data location.
    """
    storages = (instance.event_log_storage, instance.run_storage, instance.schedule_storage)
    engines = {str(engine.url): engine for storage in storages if (engine := getattr(storage, "_engine", None))}
    return sum(_scrub_engine(engine, clean) for engine in engines.values() if engine.dialect.name == "postgresql")


def _scrub_engine(engine: db.Engine, clean: Clean) -> int:
    metadata = db.MetaData()
    metadata.reflect(bind=engine)
    total = 0
    for table in metadata.sorted_tables:
        changed = _scrub_server_table(engine, table, clean)
        if changed:  # what a row was before stays in the table's file until that is written anew
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(db.text(f'VACUUM FULL "{table.name}"'))
        total += changed
    return total


def _scrub_server_table(engine: db.Engine, table: db.Table, clean: Clean) -> int:
    """Clean the texts of one table, which is read some rows at a time."""
    texts = [column for column in table.columns if isinstance(column.type, db.String)]
    keys: list[Any] = list(table.primary_key.columns) or [db.literal_column("ctid", _RowPlace)]
    if not texts:
        return 0
    changed = 0
    own = engine.execution_options(isolation_level="READ COMMITTED")  # Dagster's engine has no transactions
    with own.connect() as reader, own.begin() as writer:
        rows = reader.execution_options(yield_per=_BATCH).execute(db.select(*keys, *texts))
        for row in rows:
            found = {
                column.name: cleaned
                for column, value in zip(texts, row[len(keys) :], strict=True)
                if value is not None and (cleaned := clean(value)) != value
            }
            if found:
                same = [key == value for key, value in zip(keys, row[: len(keys)], strict=True)]
                writer.execute(table.update().where(*same).values(**found))
                changed += 1
    return changed
