"""The crawlers that are compared, each as a command on a folder of its own."""

import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from crawling.server import TAG, WINDOW, Served
from crawling.trees import Cost, cost

CONCURRENCY = 16  # requests of ours in flight; gallery-dl makes one at a time
_ROOT = Path(__file__).parents[2]
_VALIDATE = """
import sys
from pathlib import Path
from PIL import Image
for path in Path(sys.argv[1]).rglob("*.jpg"):
    with Image.open(path, formats=("JPEG", "PNG", "WEBP", "GIF")) as picture:
        width, height = picture.size
        picture.draft("L", (max(1, width // 8), max(1, height // 8)))
        picture.load()
"""


@dataclass(frozen=True)
class Crawl:
    """One crawl: what it cost, the requests that the server got, the server's own CPU seconds, pictures on disk."""

    cost: Cost
    requests: int
    server_cpu: float
    pictures: int


def _environment(home: Path) -> dict[str, str]:
    """Return an environment in which no setting, cache or proxy of the user is found."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        kept[name] = str(home / name.lower())
    return {**kept, "HOME": str(home), "NO_PROXY": "*", "STYLEGRAPH_HMAC_KEY": "00112233445566778899aabbccddeeff"}


def _measured(served: Served, command: list[str], folder: Path) -> Crawl:
    before = served.state()
    spent = cost(command, _environment(folder.with_name(f"{folder.name}.home")), _ROOT, folder.with_suffix(".log"))
    after = served.state()
    requests = sum(int(after[kind] - before[kind]) for kind in ("pages", "pictures", "robots", "other"))
    return Crawl(spent, requests, after["cpu"] - before["cpu"], 0)


def ours(served: Served, folder: Path) -> Crawl:
    """Crawl the timeline by ``python -m crawlers.run``; pictures, tables and journal lie in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = {
        "kind": "mastodon",
        "name": "benchmark",
        "server": served.url,
        "hashtags": [TAG],
        "allow_hosts": ["127.0.0.1"],
        "delay": 0,
        "concurrency": CONCURRENCY,
    }
    start, end = (moment.isoformat() for moment in WINDOW)
    job = {
        "window": {"key": "week", "start": start, "end": end},
        "sources": [source],
        "out": str(folder / "tables"),
        "images": str(folder / "images"),
    }
    job_file = folder / "job.json"
    job_file.write_text(json.dumps(job))
    crawl = _measured(served, [sys.executable, "-m", "crawlers.run", "--job", str(job_file)], folder)
    kept = pq.read_table(folder / "tables" / "images.parquet", columns=["status"])["status"].to_pylist().count("ok")
    stored = sum(1 for path in folder.glob("images/??/*") if len(path.name) == 64)
    if kept != stored:
        raise SystemExit(f"the table names {kept} pictures, but {stored} are stored")
    return replace(crawl, pictures=stored)


def gallery_dl(served: Served, folder: Path, *, archive: bool = False) -> Crawl:
    """Crawl the timeline by gallery-dl, without a pause between requests.

    Args:
        archive: keep an archive (``--download-archive``) of what was downloaded, and skip what is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    extractor = {
        "base-directory": str(folder / "images"),
        "sleep": 0,
        "sleep-request": 0,
        "mastodon": {"benchmark": {"root": served.url}},
    }
    config = folder / "config.json"
    config.write_text(json.dumps({"extractor": extractor}))
    command = [sys.executable, "-m", "gallery_dl", "--config-ignore", "--quiet", "--config", str(config)]
    if archive:
        command += ["--download-archive", str(folder / "archive.sqlite3")]
    crawl = _measured(served, [*command, f"mastodon:{served.url}/tags/{TAG}"], folder)
    return replace(crawl, pictures=sum(1 for _ in (folder / "images").rglob("*.jpg")))


def validation(folder: Path) -> Cost:
    """Decode every JPEG below a folder to the end, at an eighth of its size, as our crawler does."""
    command = [sys.executable, "-c", _VALIDATE, str(folder)]
    return cost(command, _environment(folder.with_name(f"{folder.name}.home")), _ROOT, folder.with_suffix(".log"))


def remove(folder: Path) -> None:
    """Remove a crawl's folder, to make room."""
    shutil.rmtree(folder, ignore_errors=True)
