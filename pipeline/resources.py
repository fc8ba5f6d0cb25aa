"""What assets are given: settings, storage, progress and the client that runs child processes."""

from typing import Any

import dagster as dg

from pipeline.progress import LogProgress, Progress
from pipeline.settings import Settings
from pipeline.storage import Storage


def resources(settings: Settings, progress: Progress | None = None) -> dict[str, Any]:
    """Return the resources by name; progress goes to the log unless another display is given."""
    return {
        "settings": settings,
        "storage": Storage(settings.data.location),
        "progress": progress or LogProgress(dg.get_dagster_logger("progress").info),
        "pipes": dg.PipesSubprocessClient(),
    }
