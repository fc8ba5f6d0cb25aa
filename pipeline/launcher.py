"""The console command ``stylegraph``: run everything, try it, look at it, use it."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from labeling.errors import LabelingError
from modeling.errors import ModelingError
from pipeline.last_run import choose_config, remember
from pipeline.settings import CONFIG_VARIABLE, PREFIX, Settings, SettingsError, load_settings
from pipeline.tables import TableError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
LOG_WIDTH = 140  # columns where there is no terminal
console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)
errors = Console(stderr=True)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file; without it the last run's, else ./stylegraph.toml."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", help="Override a setting, as in --set training.epochs=3.")
]


def main() -> None:
    """Run the command; what a person has to put right is one line on standard error and exit code 2."""
    warnings.filterwarnings("ignore", message=".*expected_writer_count")  # Dagster's own call
    try:
        app()
    except (LabelingError, ModelingError, SettingsError, TableError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.command()
def run(config: Config = None, overrides: Overrides = None) -> None:
    """Materialize everything for the settings in force, in the right order."""
    path, settings = _settings(config, overrides, recall=False)
    from pipeline.commands.run import run_all

    remember(path)
    raise typer.Exit(run_all(settings, console))


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where the demo keeps everything.", show_default=".data/demo…")
    ] = None,
    posts: Annotated[int, typer.Option(min=200, max=20_000, help="Posts in the small network.")] = 1500,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Let the simulated experts work in a live Label Studio.")
    ] = False,
) -> None:
    """Start a small social network on 127.0.0.1, crawl it, label it, train on it, and report."""
    from pipeline.commands.demo import run_demo

    folder = folder or Path(".data/demo-label-studio" if label_studio else ".data/demo")
    raise typer.Exit(run_demo(folder, posts, console, live=label_studio))


@app.command()
def label_studio(
    config: Config = None,
    folder: Annotated[Path, typer.Option(help="Where the server and its data are kept.")] = Path(".label-studio"),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 8080,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start empty; the data of last time is put aside.")] = False,
) -> None:
    """Install Label Studio into a folder of its own and run it on 127.0.0.1, with users for trying."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.label_studio import serve as serve_label_studio
    from pipeline.storage import Storage
    from pipeline.studio import served_folder

    storage = Storage(settings.data.location)
    document_root = served_folder(storage) if storage.is_local else folder / "files"
    raise typer.Exit(serve_label_studio(folder, document_root, port, fresh, console))


@app.command()
def dev(
    config: Config = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Open the Dagster UI on 127.0.0.1, on the instance of the last run."""
    path, settings = _settings(config, None, recall=True)
    from pipeline.commands.dev import serve

    raise typer.Exit(serve(path, settings, port, console))


@app.command()
def report(
    config: Config = None,
    as_json: Annotated[bool, typer.Option("--json", help="Figures as JSON, for programs.")] = False,
) -> None:
    """Say where the report is, and what it says."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.report import figures, print_report

    if as_json:
        typer.echo(json.dumps(figures(settings), indent=1))
    else:
        print_report(settings, console)


@app.command()
def predict(
    paths: Annotated[list[Path], typer.Argument(help="Image files, and folders of any size.", metavar="PATH…")],
    config: Config = None,
    label_set: Annotated[str | None, typer.Option(help="Label set; without it the first.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Architecture; without it the best on validation.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per image.")] = False,
) -> None:
    """Label images with the best model of the last run."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.predict import predict_images

    raise typer.Exit(predict_images(settings, paths, label_set, architecture, console, errors, as_json=as_json))


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write.", metavar="OUT.onnx")],
    config: Config = None,
    label_set: Annotated[str | None, typer.Option(help="Label set; without it the first.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Architecture; without it the best on validation.")] = None,
) -> None:
    """Write the best model of the last run as an ONNX file, checked against torch."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.export import export_model

    raise typer.Exit(export_model(settings, target, label_set, architecture, console))


@app.command()
def doctor(config: Config = None) -> None:
    """Check settings, versions and inputs, and say what is missing."""
    from pipeline.commands.doctor import examine

    path = choose_config(config, recall=True)
    raise typer.Exit(examine(path, console))


def _settings(config: Path | None, overrides: list[str] | None, *, recall: bool) -> tuple[Path, Settings]:
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise SettingsError(f"--set {override}: write it as --set KEY=VALUE, for example --set training.epochs=3")
        os.environ[PREFIX + key.strip().upper().replace(".", "__")] = value.strip()
    path = choose_config(config, recall=recall)
    os.environ[CONFIG_VARIABLE] = str(path.resolve())
    return path, load_settings(path)
