"""A demo that was run to its end, and the commands that come after it."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class FinishedDemo:
    """A demo that was run to its end."""

    working_folder: Path
    folder: Path
    environment: dict[str, str]
    code: int
    output: str

    @property
    def config(self) -> Path:
        """Its settings file."""
        return self.folder / "stylegraph.toml"

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the launcher where the demo ran."""
        return subprocess.run(
            [sys.executable, "-m", "pipeline", *arguments],
            cwd=self.working_folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
