"""A real Label Studio for tests: installed once per checkout, its database built once per session."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from labeling.studio.server import RunningServer, create_data_folder, install, running_server

ENVIRONMENT = Path(__file__).parents[2] / ".label-studio" / "env"
SETUP_SECONDS = 1200  # that the first test which needs the server may take: installation and database


@dataclass(frozen=True)
class LabelStudioFiles:
    """What servers are started from: an installation, and a data folder that stays as it was built."""

    environment: Path
    template: Path

    def copy(self, folder: Path) -> Path:
        """Return a data folder with the users and without projects."""
        return Path(shutil.copytree(self.template, folder))

    @contextlib.contextmanager
    def server(
        self, folder: Path, port: int | None = None, more: Mapping[str, str] | None = None
    ) -> Iterator[RunningServer]:
        """Run a new server in ``folder``."""
        data = self.copy(folder / "data")
        with running_server(self.environment, data, folder / "files", port, more) as running:
            yield running


def build(folder: Path) -> LabelStudioFiles:
    """Install the server into the checkout if needed (1 to 3 minutes), and build a database (1 to 2 minutes)."""
    environment = install(ENVIRONMENT)
    template = folder / "template"
    create_data_folder(environment, template)
    return LabelStudioFiles(environment, template)
