"""What people see of a table in the Dagster UI: row counts, previews, column schemas, plots and pictures."""

import contextlib
import hashlib
import html
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa

from crawlers.errors import CrawlError
from labeling.errors import LabelingError
from labeling.studio.errors import StudioUnavailable
from modeling.errors import ModelingError
from modeling.figures import data_uri
from pipeline.table_hash import TableHash
from pipeline.tables import TABLES, TableError

PREVIEW_ROWS = 8
PREVIEW_LENGTH = 48  # characters of a cell
PEOPLE = ("annotator", "reviewer", "annotator_a", "annotator_b")  # columns with addresses of experts


@contextlib.contextmanager
def for_people() -> Iterator[None]:
    """Turn the errors that libraries raise for people into a failure that says the same.

    A step with a retry policy is tried again only where the fault may pass by itself.
    """
    try:
        yield
    except (CrawlError, LabelingError, ModelingError, TableError) as error:
        raise dg.Failure(description=str(error), allow_retries=isinstance(error, StudioUnavailable)) from error


def table_asset(name: str, *, group: str) -> dict[str, Any]:
    """Return the arguments of an asset that is a table: group, kind, owner and columns. Its docstring describes it."""
    return {
        "group_name": group,
        "kinds": {"parquet"},
        "owners": ["team:data"],
        "metadata": {"dagster/column_schema": column_schema(name)},
    }


def spec(name: str, *, group: str, description: str, deps: Sequence[str] = (), skippable: bool = False) -> dg.AssetSpec:
    """Return the spec of a table that is made together with others; a ``skippable`` one need not be made each time."""
    made = table_asset(name, group=group)
    return dg.AssetSpec(name, description=description, deps=list(deps), skippable=skippable, **made)


def column_schema(name: str) -> dg.TableSchema:
    """Return the columns of a table for the UI."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                str(field.type),
                description=(field.metadata or {}).get(b"description", b"").decode() or None,
                constraints=dg.TableColumnConstraints(nullable=field.nullable),
            )
            for field in TABLES[name].schema
        ]
    )


def data_version(table: pa.Table) -> dg.DataVersion:
    """Return the version of a table's content: it stays as long as the rows do, whenever they were written.

    Columns that only say when or how fast a row was written (``pipeline.table_hash.MOMENTS``) do not count.
    """
    content = TableHash(table.schema)
    content.update(table)
    return dg.DataVersion(content.hexdigest())


class TableInPieces:
    """Version and preview of a table that is written in pieces, as they pass by."""

    def __init__(self, name: str) -> None:
        """Begin with no rows of the table ``name``."""
        self._content = TableHash(TABLES[name].schema)
        self._first, self._rows = TABLES[name].schema.empty_table(), 0

    def passing(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Look at batches on their way."""
        for batch in batches:
            self._content.update(batch)
            missing = PREVIEW_ROWS - self._first.num_rows
            if missing > 0:
                self._first = pa.concat_tables([self._first, pa.Table.from_batches([batch.slice(0, missing)])])
            self._rows += batch.num_rows
            yield batch

    def version(self) -> dg.DataVersion:
        """Return the version of what has passed: that of ``data_version``, wherever it was cut."""
        return dg.DataVersion(self._content.hexdigest())

    def metadata(self, **extra: Any) -> dict[str, Any]:
        """Return what ``table_metadata`` does."""
        return {**table_metadata(self._first, **extra), "dagster/row_count": self._rows}


def content_version(content: bytes) -> dg.DataVersion:
    """Return the version of a file: the hash of what it holds."""
    return dg.DataVersion(hashlib.sha256(content).hexdigest()[:32])


def table_metadata(table: pa.Table, **extra: Any) -> dict[str, Any]:
    """Return row count and preview of a table, and ``extra`` after them."""
    return {"dagster/row_count": table.num_rows, "preview": dg.MetadataValue.md(preview(table)), **extra}


def preview(table: pa.Table, rows: int = PREVIEW_ROWS) -> str:
    """Return the first rows of a table as Markdown; of people's addresses only what stands before the @."""
    return markdown(without_addresses(table.slice(0, rows).to_pandas()))


def without_addresses(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a data frame that names people by what stands before the @ of their addresses."""
    return frame.assign(**{name: frame[name].map(_short) for name in PEOPLE if name in frame})


def markdown(frame: pd.DataFrame) -> str:
    """Return a data frame as a Markdown table; what strangers wrote in it stays text."""
    if frame.empty:
        return "*no rows*"
    lines = [
        "| " + " | ".join(_cell(column) for column in frame.columns) + " |",
        "| " + " | ".join("---" for _ in frame.columns) + " |",
    ]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in frame.itertuples(index=False)]
    return "\n".join(lines)


def reason_counts(reasons: pa.ChunkedArray | pd.Series, good: str) -> dict[str, int]:
    """Count rows by reason; those without a reason count as ``good``."""
    column = pd.Series(reasons.to_pylist() if isinstance(reasons, pa.ChunkedArray) else list(reasons), dtype=object)
    counts = column.where(column.notna(), good).value_counts()
    return {str(reason): int(count) for reason, count in counts.items()}


def counts_markdown(counts: Mapping[str, int], heading: str) -> str:
    """Return counts by reason as Markdown, most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return markdown(pd.DataFrame(ordered, columns=[heading, "count"]))


def picture(data: bytes) -> dg.MetadataValue:
    """Return a PNG or JPEG as metadata that the UI shows as a picture."""
    return dg.MetadataValue.md(f"![picture]({data_uri(data)})")


def _short(address: Any) -> Any:
    return address.partition("@")[0] if isinstance(address, str) else address


def _cell(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.hex()
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        value = ", ".join(str(item) for item in value)
    text = str(value)
    if len(text) > PREVIEW_LENGTH:
        text = text[: PREVIEW_LENGTH - 1] + "…"
    return html.escape(text.replace("\n", " ")).replace("|", "&#124;").replace("[", "&#91;").replace("`", "&#96;")
