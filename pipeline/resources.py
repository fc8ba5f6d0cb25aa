"""What assets are given: settings, storage, progress, the clock and the client that runs child processes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipeline.progress import LogProgress, Progress
from pipeline.settings import Settings
from pipeline.storage import Storage

Clock = Callable[[], datetime]
"""Returns the time in UTC. What decides by itself takes it from the resource ``clock``, which a simulation sets."""


def now() -> datetime:
    """Return the time by the machine's clock, in UTC."""
    return datetime.now(UTC)


def resources(settings: Settings, progress: Progress | None = None, clock: Clock = now) -> dict[str, Any]:
    """Return the resources by name; progress goes to the log unless another display is given."""
    return {
        "settings": settings,
        "storage": Storage(settings.data.location),
        "progress": progress or LogProgress(dg.get_dagster_logger("progress").info),
        "clock": clock,
        "pipes": dg.PipesSubprocessClient(),
    }
