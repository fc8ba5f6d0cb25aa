"""What a model was made from, kept in its folder: ``inputs/`` with tables and settings, to make it again."""

import importlib.metadata
import io
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modeling.training_settings import BackboneSettings
from pipeline.settings import Settings
from pipeline.storage import write_file
from pipeline.tables import TableError, conform

INPUTS = "inputs"
TABLE_NAMES = ("data_set", "word_vectors", "correlation_matrix")
DATA_SET_FILE = "data_set.parquet"
SETTINGS_FILE = "settings.json"
# What decides the numbers of a training and of its evaluation.
PACKAGES = ("torch", "torchvision", "lightning", "numpy", "pillow", "safetensors", "pandas", "scipy", "scikit-learn")


def write_inputs(folder: Path, tables: Mapping[str, pa.Table], settings: Settings) -> None:
    """Write a training's tables and settings into ``folder / "inputs"``; the same inputs give the same bytes."""
    for name in TABLE_NAMES:
        write_file(folder / INPUTS / f"{name}.parquet", table_bytes(tables[name]))
    kept = {
        "backbone": settings.backbone.model_dump(mode="json") | {"weights": portable(settings.backbone)},
        "training": settings.training.model_dump(mode="json"),
        "evaluation": settings.evaluation.model_dump(mode="json"),
        "packages": package_versions(),
    }
    content = json.dumps(kept, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    write_file(folder / INPUTS / SETTINGS_FILE, content.encode())


def read_inputs_table(name: str, content: bytes) -> pa.Table:
    """Return a table of ``inputs`` from the file's content.

    Raises:
        TableError: it is damaged, or not what its schema says.
    """
    try:
        table = pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)
    except pa.ArrowInvalid as error:
        raise TableError(f"{INPUTS}/{name}.parquet is damaged ({str(error).splitlines()[0]})") from error
    return conform(name, table)


def table_bytes(table: pa.Table) -> bytes:
    """Return a table as the content of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def portable(backbone: BackboneSettings) -> str:
    """Return the weights setting without the folder, which says nothing on another machine."""
    return backbone.weights_path.name if backbone.weights_path else backbone.weights


def package_versions() -> dict[str, Any]:
    """Return the versions of Python and of the packages that decide a model's numbers and its metrics."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in PACKAGES}
