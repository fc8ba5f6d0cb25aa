"""What the spider of one source is given to do."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crawlers.jobs import CrawlLimits, Progress
from crawlers.journal import Journal
from crawlers.keeping import PictureKeeper
from crawlers.known import KnownAddresses
from crawlers.networks.base import Network
from crawlers.politeness import HostClock
from crawlers.windows import CrawlWindow
from crawlers.withdrawals import Withdrawn


class Interruption:
    """Asks the spiders of a process to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._event = asyncio.Event()

    def ask(self) -> None:
        """Let the spiders stop soon."""
        self.asked = True
        self._event.set()

    async def wait(self) -> None:
        """Wait until the spiders are asked to stop."""
        await self._event.wait()


@dataclass
class Errand:
    """What the spider of one source needs, and how it ended.

    Args:
        number: of the source, in the order of the job.
        earlier: gives the rows of the POSTS table that the last crawl of the window wrote.
        error: an error of the crawler itself, or of the disk; the crawl failed then.
    """

    number: int
    source: str
    network: Network
    window: CrawlWindow
    include_sensitive: bool
    concurrency: int
    limits: CrawlLimits
    allow_hosts: frozenset[str]
    keeper: PictureKeeper
    withdrawn: Withdrawn
    incoming: Path
    decoders: Executor
    journal: Journal
    known: KnownAddresses
    refetch: bool
    clock: HostClock
    interruption: Interruption
    earlier: Callable[[], Iterator[Mapping[str, Any]]]
    on_progress: Progress | None = None
    error: BaseException | None = None
    finished: bool = False
    failed_servers: set[str] = field(default_factory=set)
