"""The console command ``stylegraph``: run everything, try it, look at it, use it."""

import json
import os
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from crawlers.errors import CrawlError
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
    except (CrawlError, LabelingError, ModelingError, SettingsError, TableError) as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


@app.command()
def run(
    config: Config = None,
    overrides: Overrides = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is up to date.")] = False,
) -> None:
    """Materialize what is not up to date for the settings in force, in the right order."""
    path, settings = _settings(config, overrides, recall=False)
    from pipeline.commands.demo_network import demo_environment, is_demo
    from pipeline.commands.run import run_all

    remember(path)
    with demo_environment(path, console, share=True) if is_demo(path) else nullcontext({}) as demo:
        os.environ.update(demo)
        settings = load_settings(path) if demo else settings
        code = run_all(settings, console, everything=everything)
    raise typer.Exit(code)


@app.command()
def demo(
    folder: Annotated[
        Path | None, typer.Option(help="Where the demo keeps everything.", show_default=".data/demo…")
    ] = None,
    posts: Annotated[int, typer.Option(min=200, max=20_000, help="Posts in the small network.")] = 1500,
    label_studio: Annotated[
        bool, typer.Option("--label-studio", help="Let the simulated experts work in a live Label Studio.")
    ] = False,
    add_week: Annotated[
        bool, typer.Option("--add-week", help="Let one more week of posts appear in the demo that is there.")
    ] = False,
    label_week: Annotated[
        bool,
        typer.Option("--label-week", help="Let the simulated experts answer what waits in that demo."),
    ] = False,
) -> None:
    """Start a small social network on 127.0.0.1, crawl it, label it, train on it, and report."""
    folder = folder or Path(".data/demo-label-studio" if label_studio else ".data/demo")
    if add_week or label_week:
        from pipeline.commands.demo_weeks import add_one_week, label_what_waits

        code = add_one_week(folder, console) if add_week else 0
        raise typer.Exit(label_what_waits(folder, console) if label_week else code)
    from pipeline.commands.demo import run_demo

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


services_app = typer.Typer(no_args_is_help=True, help="For those who keep the services running: see deploy/.")
app.add_typer(services_app, name="services")


@services_app.command("prepare")
def services_prepare(
    socket: Annotated[Path, typer.Option(help="Where the code server is going to listen.")],
    config: Config = None,
) -> None:
    """Write dagster.yaml and workspace.yaml for the settings, and make the tables of the history."""
    _, settings = _settings(config, None, recall=False)
    from pipeline.services import prepare

    console.print(f"Ready: DAGSTER_HOME={prepare(settings, socket).resolve()}", highlight=False, soft_wrap=True)


automation_app = typer.Typer(no_args_is_help=True, help="Switch on and off what happens by itself.")
app.add_typer(automation_app, name="automation")
Names = Annotated[
    list[str] | None, typer.Argument(help="Schedules and sensors; without any, all of them.", metavar="[NAME…]")
]


@automation_app.command("on")
def automation_on(names: Names = None, config: Config = None) -> None:
    """Switch schedules and sensors on."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.automation import switch

    raise typer.Exit(switch(settings, names or [], console, on=True))


@automation_app.command("off")
def automation_off(names: Names = None, config: Config = None) -> None:
    """Switch schedules and sensors off."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.automation import switch

    raise typer.Exit(switch(settings, names or [], console, on=False))


@automation_app.command("status")
def automation_status(config: Config = None) -> None:
    """Say what is on and what is off."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.automation import status

    raise typer.Exit(status(settings, console))


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
    architecture: Annotated[str | None, typer.Option(help="Architecture; without it the champion.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per image.")] = False,
) -> None:
    """Label images with the champion, or with the best model where there is none yet."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.predict import predict_images

    raise typer.Exit(predict_images(settings, paths, label_set, architecture, console, errors, as_json=as_json))


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="File to write.", metavar="OUT.onnx")],
    config: Config = None,
    label_set: Annotated[str | None, typer.Option(help="Label set; without it the first.")] = None,
    architecture: Annotated[str | None, typer.Option(help="Architecture; without it the champion.")] = None,
) -> None:
    """Write the champion (or the best model) as an ONNX file, checked against torch."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.export import export_model

    raise typer.Exit(export_model(settings, target, label_set, architecture, console))


@app.command()
def champions(
    config: Config = None,
    label_set: Annotated[str | None, typer.Option(help="Label set; without it all.")] = None,
) -> None:
    """List the models that are or were champions, with their figures."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.rollback import list_champions

    raise typer.Exit(list_champions(settings, label_set, console))


@app.command()
def rollback(
    label_set: Annotated[str, typer.Argument(help="Label set whose champion goes.", metavar="LABEL_SET")],
    config: Config = None,
    to: Annotated[
        str | None, typer.Option(help="Version to go back to, see `stylegraph champions`; without it the one before.")
    ] = None,
) -> None:
    """Make an earlier champion the champion again."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.rollback import roll_back

    raise typer.Exit(roll_back(settings, label_set, to, console))


@app.command()
def reproduce(
    model: Annotated[
        str,
        typer.Argument(help="LABEL_SET (its champion), LABEL_SET/VERSION, or a model's folder.", metavar="MODEL"),
    ],
    config: Config = None,
) -> None:
    """Train a saved model anew from its own inputs, and compare weights and metrics with what is saved."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.reproduce import reproduce_model

    raise typer.Exit(reproduce_model(settings, model, console))


@app.command()
def withdraw(
    config: Config = None,
    post: Annotated[list[str] | None, typer.Option(help="Id of a post, network:id.", metavar="ID")] = None,
    author: Annotated[
        list[str] | None,
        typer.Option(help="Handle (with --server), or the keyed hash in author_hmac.", metavar="HANDLE"),
    ] = None,
    image: Annotated[list[str] | None, typer.Option(help="Image id, or a file.", metavar="SHA256_OR_FILE")] = None,
    server: Annotated[str | None, typer.Option(help="Host that the handle is known at; archive:NAME.")] = None,
    reason: Annotated[str, typer.Option(help="Why, in a few words that name nobody.")] = "",
    now: Annotated[bool, typer.Option("--now", help="Remove it at once, instead of with the next run.")] = False,
) -> None:
    """Withdraw posts, an author or pictures: they leave everything that is kept, and stay out."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.withdraw import Asked
    from pipeline.commands.withdraw import withdraw as withdraw_all

    asked = Asked(post or (), author or (), image or (), server, reason)
    raise typer.Exit(withdraw_all(settings, asked, console, now=now))


@app.command()
def where(
    name: Annotated[str, typer.Argument(help="Image id, post id, address, or file.", metavar="IMAGE_OR_POST")],
    config: Config = None,
) -> None:
    """Say where a picture or a post is kept, and whether it was withdrawn."""
    _, settings = _settings(config, None, recall=True)
    from pipeline.commands.where import where as say_where

    raise typer.Exit(say_where(settings, name, console))


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
