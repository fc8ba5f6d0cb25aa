"""``stylegraph doctor``: settings, versions and inputs, and what is missing."""

import importlib
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from crawlers.errors import CrawlError
from crawlers.networks.base import Surroundings
from crawlers.registry import NETWORKS
from crawlers.sources import ArchiveSource, NetworkSource
from labeling.errors import LabelingError
from labeling.studio.settings import LabelStudioServer
from modeling.errors import ModelingError
from modeling.word_vectors import word_vectors
from pipeline.partitions import crawl_window
from pipeline.settings import Settings, SettingsError, load_settings
from pipeline.storage import Storage
from pipeline.tables import TableError

PACKAGES = (
    "dagster",
    "scrapy",
    "torch",
    "torchvision",
    "lightning",
    "pandas",
    "pyarrow",
    "label-studio-sdk",
    "ImageHash",
)
LEAST_FREE = 2_000_000_000  # bytes of disk


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    detail: str


def examine(config: Path, console: Console) -> int:
    """Print what was found and return 1 when something is missing."""
    findings = [Finding("Python", True, platform.python_version())]
    findings += [Finding(name, True, importlib.metadata.version(name)) for name in PACKAGES]
    findings.append(_torchvision())
    try:
        settings = load_settings(config)
    except SettingsError as error:
        findings += [Finding("settings", False, line) for line in str(error).splitlines()]
    else:
        findings.append(Finding("settings", True, str(config)))
        findings += _inputs(settings)
    for finding in findings:
        mark, style = ("✓", "green") if finding.ok else ("!", "red")
        console.print(f"[{style}]{mark}[/] {finding.what:<18} ", end="", highlight=False)
        console.print(finding.detail, markup=False, highlight=False, soft_wrap=True)
    missing = sum(not finding.ok for finding in findings)
    console.print(
        f"{missing} things to put right" if missing else "Ready: stylegraph run", style="red" if missing else "green"
    )
    return 1 if missing else 0


def _inputs(settings: Settings) -> Iterator[Finding]:
    yield _data_location(settings)
    for name, source in settings.sources.items():
        if isinstance(source, ArchiveSource):
            for path, kind in ((source.folder, "folder"), (source.posts, "table of posts")):
                yield Finding(
                    f"source {name}", path.exists(), f"{kind} {path}" + ("" if path.exists() else " does not exist")
                )
        elif isinstance(source, NetworkSource):
            yield from _secrets(name, source, settings)
            yield from (_server(name, address) for address in source.addresses)
    yield _labels(settings)
    weights = settings.backbone.weights_path
    if weights is not None:
        yield Finding("weights", weights.exists(), str(weights) + ("" if weights.exists() else " does not exist"))
    yield _vectors(settings)


def _labels(settings: Settings) -> Finding:
    if isinstance(settings.labels, LabelStudioServer):
        return _label_studio(settings)
    path = settings.labels.path
    return Finding("labels", path.exists(), str(path) + ("" if path.exists() else " does not exist; set labels.path"))


def _label_studio(settings: Settings) -> Finding:
    """Look for the server and the project, with the token that the environment holds."""
    from labeling.studio.project import find_project
    from pipeline.exported import Exported
    from pipeline.studio import open_connection, picture_source, require_project, server_of

    server, storage = server_of(settings), Storage(settings.data.location)
    try:
        picture_source(server, storage)
        with open_connection(settings, patient=False) as connection:
            version = connection.version()
            known = find_project(connection, server.project)
            exported = Exported.read(storage)
            if exported is not None:
                require_project(exported, storage, connection, known and known.project_id)
    except (LabelingError, TableError) as error:
        return Finding("labels", False, str(error))
    detail = f"Label Studio {version} at {connection.url}, project {server.project!r} " + (
        "is there" if known else "is made by the first run"
    )
    if connection.insecure:
        return Finding("labels", False, f"{detail}; the token travels unencrypted: use https")
    return Finding("labels", True, detail)


def _data_location(settings: Settings) -> Finding:
    storage = Storage(settings.data.location)
    try:
        storage.write_bytes("scratch/doctor", b"")
    except OSError as error:
        return Finding("data", False, f"{settings.data.location} cannot be written ({error}); set data.location")
    storage.filesystem.rm(storage.path("scratch/doctor"))
    free = shutil.disk_usage(storage.scratch if storage.scratch.exists() else Path.cwd()).free
    return Finding("data", free > LEAST_FREE, f"{settings.data.location}, {free / 1e9:.0f} GB free")


def _secrets(name: str, source: NetworkSource, settings: Settings) -> Iterator[Finding]:
    """Build the source's network, which needs the key for handles and the source's tokens."""
    window = crawl_window(settings.windows, settings.windows.start.isoformat())
    try:
        NETWORKS[type(source)](source, Surroundings(os.environ, window))
        yield Finding(f"source {name}", True, "its key and tokens are set in the environment")
    except CrawlError as error:
        yield Finding(f"source {name}", False, str(error))


def _server(name: str, address: str) -> Finding:
    import urllib.error
    import urllib.request

    try:  # robots.txt is the one address that every server lets a crawler ask for
        with urllib.request.urlopen(f"{address}/robots.txt", timeout=10) as answer:  # noqa: S310 - http(s), checked
            return Finding(f"source {name}", True, f"{address} answers ({answer.status})")
    except urllib.error.HTTPError as error:
        return Finding(f"source {name}", True, f"{address} answers ({error.code})")
    except OSError as error:
        return Finding(f"source {name}", False, f"{address} does not answer ({error})")


def _vectors(settings: Settings) -> Finding:
    try:
        word_vectors(list(settings.taxonomy.labels), settings.word_vectors.path, settings.word_vectors.parts)
    except ModelingError as error:
        return Finding("word vectors", False, str(error))
    return Finding("word vectors", True, str(settings.word_vectors.path or "the carried 100-d table"))


def _torchvision() -> Finding:
    try:
        for module in ("modeling.torchvision_guard", "torchvision"):  # in this order
            importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        return Finding("torchvision loads", False, str(error))
    import torch

    return Finding("torchvision loads", True, f"device {'cuda' if torch.cuda.is_available() else 'cpu'}")
