"""A crawl as it is started in earnest: ``python -m crawlers.run`` in a process of its own."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from tests.crawlers.crawl_server import Crawled, command, crawled, environment, write_job

LIMITS = {"backoff": 0.05, "timeout": 10, "retries": 3}


def crawl(folder: Path, *sources: dict[str, Any], **changes: Any) -> Crawled:
    """Crawl the week from 2019-07-01 with a folder for everything, and expect that it can be done."""
    folder.mkdir(exist_ok=True)
    job = write_job(folder, *sources, **{"limits": LIMITS} | changes)
    with job.with_suffix(".log").open("wb") as log:
        done = subprocess.run(command(job), env=environment(), stdout=log, stderr=log, timeout=120)
    ended = crawled(done.returncode, job)
    assert ended.code == 0, ended.log
    return ended


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
