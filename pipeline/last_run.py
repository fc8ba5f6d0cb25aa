"""Which settings the last run in this folder used, so that later commands speak of the same run."""

import json
import os
from pathlib import Path

from pipeline.settings import CONFIG_VARIABLE, NOT_SETTINGS, PREFIX
from pipeline.storage import write_file

FILE = Path(".stylegraph") / "last_run.json"


def remember(config: Path) -> None:
    """Note the settings file and the overrides in the environment; secrets are not among them."""
    overrides = {key: value for key, value in os.environ.items() if key.upper().startswith(PREFIX)}
    overrides = {key: value for key, value in sorted(overrides.items()) if key.upper() not in NOT_SETTINGS}
    content = {"config": str(config.resolve()), "environment": overrides}
    write_file(FILE, (json.dumps(content, indent=1) + "\n").encode())


def choose_config(config: Path | None, *, recall: bool) -> Path:
    """Return the settings file to use: the one given, else STYLEGRAPH_CONFIG, else (with ``recall``) the last run's.

    With the last run's file come its overrides, where the environment does not set them.
    """
    if config is not None:
        return config
    if named := os.environ.get(CONFIG_VARIABLE):
        return Path(named)
    if recall and FILE.exists():
        content = json.loads(FILE.read_text(encoding="utf-8"))
        if Path(content["config"]).exists():
            for key, value in content["environment"].items():
                os.environ.setdefault(key, value)
            return Path(content["config"])
    return Path("stylegraph.toml")
