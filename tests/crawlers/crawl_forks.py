"""Runs crawls in child processes that need not import anything: a process that has done so forks for each of them.

Started as a script, this file is that process. It reads a line of JSON per crawl, and answers with the number of the
crawl's process when it has begun, and with its exit code when it has ended.
"""

import atexit
import importlib
import json
import os
import pkgutil
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path

_TIMEOUT = 120.0
_EXTENSIONS = [
    f"scrapy.extensions.{name}" for name in ("corestats", "feedexport", "logstats", "spiderstate", "throttle")
]


class Forks:
    """The process that forks; one crawl at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        atexit.register(self.close)

    def start(self, job: Path, environment: Mapping[str, str]) -> int:
        """Start a crawl, which writes its log beside the job; return the number of its process."""
        assert self._process.stdin is not None
        line = json.dumps([str(job), str(log_of(job)), dict(environment)])
        self._process.stdin.write(f"{line}\n".encode())
        return self._answer(_TIMEOUT)

    def wait(self, process: int, timeout: float = _TIMEOUT) -> int:
        """Wait until a crawl has ended; return its exit code, negative for a signal. It is killed after the timeout."""
        try:
            return self._answer(timeout)
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            self._answer(_TIMEOUT)
            raise

    def ends_within(self, seconds: float) -> bool:
        """Wait for some time; say whether the crawl has ended."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def _answer(self, timeout: float) -> int:
        assert self._process.stdout is not None
        if not self.ends_within(timeout):
            raise TimeoutError
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@cache
def forks() -> Forks:
    """Return the process that forks, which is started when it is first needed."""
    return Forks()


def log_of(job: Path) -> Path:
    return job.with_suffix(".log")


def _serve() -> None:
    packages = ("scrapy.downloadermiddlewares", "scrapy.spidermiddlewares")
    names = ["crawlers.run", "crawlers.fetching", "pandas", "PIL.Image", "twisted.internet.asyncioreactor"]
    names += ["scrapy.core.engine", "scrapy.core.scheduler", *_EXTENSIONS]
    for package in map(importlib.import_module, packages):
        names += [f"{package.__name__}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    modules = {name: importlib.import_module(name) for name in names}
    modules["PIL.Image"].init()
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("a reactor belongs to one process")
    for line in sys.stdin:
        job, log, environment = json.loads(line)
        process = os.fork()
        if process == 0:
            _crawl(job, log, environment)
        print(process, flush=True)  # noqa: T201
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201


def _crawl(job: str, log: str, environment: Mapping[str, str]) -> None:
    from crawlers.run import main

    code = 3
    try:
        os.environ.clear()
        os.environ.update(environment)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for descriptor, source in ((0, nothing), (1, output), (2, output)):
            os.dup2(source, descriptor)
        code = main(["--job", job])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    _serve()
