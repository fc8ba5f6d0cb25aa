"""What the demo's services need beside them: its network, its key, and where asked for its Label Studio."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from pipeline.settings import SettingsError, load_settings

CONFIG_NAME = "stylegraph.toml"
WORLD_NAME = "network"
EXPORT_NAME = "label_studio_export.json"
SEED = 2019
KEY_NAME = "hmac.key"
KEY_VARIABLE = "STYLEGRAPH_HMAC_KEY"


def is_demo(config: Path) -> bool:
    """Say whether a settings file is one that the demo wrote."""
    return config.name == CONFIG_NAME and (config.resolve().parent / WORLD_NAME).is_dir()


@contextlib.contextmanager
def demo_environment(config: Path, console: Console, *, share: bool = False) -> Iterator[dict[str, str]]:
    """Serve the network of a demo's settings while the block runs; give the variables a run needs.

    Where its labels come from a live Label Studio, that is started too, unless the environment names one or it runs.
    Posts are known by the address of their server, so there is one network only: with ``share`` that of another command
    (``stylegraph dev``) is used while it runs.

    Raises:
        SettingsError: another command serves the network, and it is not to be shared.
    """
    folder = config.resolve().parent
    with _network(folder, share=share) as url:
        console.print(f"Demo network: {url}", highlight=False, soft_wrap=True)
        variables = {
            "STYLEGRAPH_SOURCES__DEMO__SERVER": url,
            KEY_VARIABLE: os.environ.get(KEY_VARIABLE) or _key(folder),
        }
        settings = load_settings(config)
        if settings.label_studio is None:
            yield variables
            return
        from pipeline.commands.live_demo import label_studio_environment, running_studio

        running = running_studio(folder) if share else None
        beside = contextlib.nullcontext(running) if running else label_studio_environment(folder, settings, console)
        with beside as studio:
            yield {**variables, **studio}


@contextlib.contextmanager
def _network(folder: Path, *, share: bool) -> Iterator[str]:
    """Serve the world in ``folder``, or leave it to the command that does; yields the address."""
    from pipeline.commands.ports import kept_port
    from pipeline.demo.server import running_server

    note = folder / "port"
    with (folder / "network.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not share:
                raise SettingsError(
                    f"another command (stylegraph dev, demo or run) serves the network of {folder}: stop it first"
                ) from None
            yield f"http://127.0.0.1:{note.read_text().strip()}"
            return
        with running_server(folder / WORLD_NAME, kept_port(note)) as url:
            yield url


def _key(folder: Path) -> str:
    """Return the demo's own key for author handles, made at first use and readable by its owner only."""
    path = folder / KEY_NAME
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return path.read_text().strip()
