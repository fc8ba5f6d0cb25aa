"""``stylegraph predict``: labels for images, by the champion, or by the best model of the last run."""

import codecs
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modeling.architectures import ARCHITECTURES, display_title
from modeling.card_files import read_card
from modeling.picture_files import picture_files, printable
from pipeline.best_model import best_architecture
from pipeline.champions import card_version, champion_path, champion_version
from pipeline.settings import Settings, SettingsError
from pipeline.storage import Storage

if TYPE_CHECKING:
    from modeling.predict import Prediction


def predict_images(
    settings: Settings,
    paths: Sequence[Path],
    label_set: str | None,
    architecture: str | None,
    console: Console,
    errors: Console,
    *,
    as_json: bool,
) -> int:
    """Print the labels of each image, and of each image in each folder; return 1 when one could not be read.

    A folder without an image is a failure as well. Images come one after the other, so a folder may hold any number of
    them. What the encoding of an output lacks is written with backslashes. Raises ModelingError when the model can't
    be used.
    """
    for stream in (console.file, errors.file):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    model = chosen_model(settings, label_set, architecture)
    from modeling.predict import load_model  # brings torch

    predictor = load_model(model.folder)
    folders = any(path.is_dir() for path in paths)
    title = model.title
    failures = 0
    empty: list[Path] = []
    with _bar(console, errors, shown=folders) as bar:
        task = bar.add_task(title, total=sum(1 for _ in _sources(paths, [])) if not bar.disable else None)
        # Where both are one terminal, lines go through the bar's console, which puts them above the bar.
        complaints = bar.console if errors.is_terminal else errors
        for prediction in predictor.stream(_sources(paths, empty)):
            bar.advance(task)
            if prediction.error:
                failures += 1
                complaints.print(prediction.error, style="red", markup=False, highlight=False, soft_wrap=True)
            elif as_json:
                line = _json_line(prediction, model, as_ascii=not _is_unicode(console))
                console.out(line, highlight=False)
            elif folders:
                console.print(_short(prediction), markup=False, highlight=False, soft_wrap=True)
            else:
                _print_all(prediction, title, console)
        for folder in empty:
            message = f"there is no picture in {printable(folder)}: give another folder"
            complaints.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    return 1 if failures or empty else 0


@dataclass(frozen=True)
class ChosenModel:
    """A saved model, and what people are told of it."""

    label_set: str
    architecture: str
    folder: Path
    version: str
    is_champion: bool
    title: str


def chosen_model(settings: Settings, label_set: str | None, architecture: str | None) -> ChosenModel:
    """Return the model of an architecture as it was trained last; without one the champion of the label set.

    Without a label set it is the first one; without a champion the best model on validation.

    Raises:
        SettingsError: there is no such label set or architecture.
        TableError: there is no such model yet.
    """
    if architecture is not None and architecture not in ARCHITECTURES:
        raise SettingsError(f"no architecture is called {architecture}; there are: {', '.join(ARCHITECTURES)}")
    label_set = label_set or next(iter(settings.label_sets))
    if label_set not in settings.label_sets:
        raise SettingsError(f"no label set is called {label_set}; there are: {', '.join(settings.label_sets)}")
    storage = Storage(settings.data.location)
    champion = champion_version(storage, label_set) if architecture is None else None
    if champion is not None:
        folder = champion_path(storage, label_set, champion)
    else:
        folder = storage.model_path(label_set, architecture or best_architecture(settings, storage, label_set))
    card = read_card(folder)
    title = f"{display_title(card['architecture'], card['backbone']['name'])}, {label_set}"
    if champion is not None:
        title += f", champion {champion}"
    return ChosenModel(label_set, card["architecture"], folder, card_version(card), champion is not None, title)


def _sources(paths: Iterable[Path], empty: list[Path]) -> Iterator[Path]:
    """The pictures; a folder without one is put into ``empty``."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        picture = None
        for picture in picture_files(path):
            yield picture
        if picture is None:
            empty.append(path)


def _is_unicode(console: Console) -> bool:
    return codecs.lookup(console.encoding).name.startswith("utf")


def _bar(console: Console, errors: Console, *, shown: bool) -> Progress:
    """A bar on the terminal that people look at: standard error where the lines go to a file or a program."""
    screen = console if console.is_terminal else errors
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        redirect_stdout=False,  # the lines are wanted where standard output goes
        redirect_stderr=False,
        disable=not (shown and screen.is_terminal),
    )


def _json_line(prediction: "Prediction", model: ChosenModel, *, as_ascii: bool) -> str:
    r"""One JSON object; with ``as_ascii`` other characters are ``\uXXXX``, for an output that can't have them."""
    line = {
        "image": _shown(prediction),
        "label_set": model.label_set,
        "architecture": model.architecture,
        "model_version": model.version,
        "champion": model.is_champion,
        "labels": prediction.probabilities,
        "chosen": prediction.labels,
    }
    return json.dumps(line, ensure_ascii=as_ascii)


def _shown(prediction: "Prediction") -> str:
    return printable(prediction.path or "")


def _short(prediction: "Prediction") -> str:
    """One line: the chosen labels, or the most probable one in brackets where none reaches its threshold."""
    chosen = [f"{label} {prediction.probabilities[label]:.0%}" for label in prediction.labels]
    label, probability = next(iter(prediction.probabilities.items()))
    return f"{_shown(prediction)}  {', '.join(chosen) or f'({label} {probability:.0%})'}"


def _print_all(prediction: "Prediction", title: str, console: Console) -> None:
    """Every label with its probability, those that are chosen with a tick."""
    tick, block = "✓█" if _is_unicode(console) else "*#"
    console.print(f"{_shown(prediction)}  ({title})", markup=False, soft_wrap=True)
    for label, probability in prediction.probabilities.items():
        mark = tick if label in prediction.labels else " "
        console.print(f"{mark} {label:<24} {probability:6.1%}  {block * round(30 * probability)}", markup=False)
