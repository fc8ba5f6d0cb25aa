"""``stylegraph champions`` and ``stylegraph rollback``: who answers for each label set, and going back."""

import pandas as pd
from rich.console import Console
from rich.table import Table

from modeling.architectures import display_title
from pipeline import jobs
from pipeline.champions import (
    PREVIOUS,
    champion_before,
    champion_card,
    champion_version,
    champion_versions,
    promotions,
)
from pipeline.graph import build_definitions
from pipeline.instance import open_instance
from pipeline.reasons import REASON_TAG
from pipeline.run import QUIET
from pipeline.run_launcher import own_tags
from pipeline.settings import Settings, SettingsError
from pipeline.storage import Storage
from pipeline.tables import TableError

ASSET = "champion"


def list_champions(settings: Settings, label_set: str | None, console: Console) -> int:
    """Print every version that was ever champion, with its figures; return 0.

    Raises:
        SettingsError: there is no such label set.
    """
    storage = Storage(settings.data.location)
    for name in [_known(settings, label_set)] if label_set else settings.label_sets:
        versions = champion_versions(storage, name)
        if not versions:
            console.print(f"{name}: no champion yet", highlight=False)
            continue
        history = promotions(storage, name).to_pandas()
        versions.sort(
            key=lambda version: (_first_promoted(history, version) is None, _first_promoted(history, version))
        )
        console.print(_table(storage, name, versions, history), markup=False, highlight=False)
        last = history.iloc[-1] if len(history) else None
        if last is not None:
            line = f"{last['decided_at']:%Y-%m-%d %H:%M}: {last['decision']}: {last['reason']}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return 0


def _table(storage: Storage, label_set: str, versions: list[str], history: pd.DataFrame) -> Table:
    current = champion_version(storage, label_set)
    table = Table(title=f"Champions of {label_set}", title_style="bold", title_justify="left")
    for heading in ("", "version", "architecture", "promoted", "images", "mean of the five recalls, test", "seed"):
        table.add_column(heading)
    for version in versions:
        card = champion_card(storage, label_set, version)
        promoted = _first_promoted(history, version)
        table.add_row(
            "now" if version == current else "",
            version,
            display_title(card["architecture"], card["backbone"]["name"]),
            "" if promoted is None else f"{promoted:%Y-%m-%d %H:%M}",
            f"{sum(card['images'].values()):,}",
            _figure(card),
            str(card["seed"]),
        )
    return table


def _figure(card: dict) -> str:
    metric = card.get("metrics", {}).get("test", {}).get("overall", {}).get("mean5")
    if metric is None or metric["value"] is None:
        return "–"
    interval = "" if metric["low"] is None else f" [{metric['low']:.1%}, {metric['high']:.1%}]"
    return f"{metric['value']:.1%}{interval}"


def _first_promoted(history: pd.DataFrame, version: str) -> pd.Timestamp | None:
    rows = history[(history["champion"] == version) & (history["champion_before"] != version)]
    return None if rows.empty else rows["decided_at"].iloc[0]


def roll_back(settings: Settings, label_set: str, to: str | None, console: Console) -> int:
    """Make an earlier champion the champion again by one materialization, and say so; return 0 when it went well.

    Raises:
        SettingsError: there is no such label set.
        TableError: there is no champion to go back to.
    """
    name, storage = _known(settings, label_set), Storage(settings.data.location)
    # settled here, so that a run which is launched again goes to the same version
    version = champion_before(promotions(storage, name).to_pandas()) if to in (None, PREVIOUS) else to
    if version is None:
        known = ", ".join(champion_versions(storage, name)) or "none"
        raise TableError(f"{name} had no champion before this one; there are: {known}")
    champion_card(storage, name, version)  # raises where there is no such version
    before = champion_version(storage, name)
    definitions = build_definitions(settings)
    with open_instance(settings) as instance:
        result = definitions.resolve_job_def(jobs.CHAMPION).execute_in_process(
            instance=instance,
            partition_key=name,
            run_config={**QUIET, "ops": {ASSET: {"config": {"roll_back_to": version}}}},
            tags={**own_tags(instance), REASON_TAG: f"a person goes back to {version}"},
            raise_on_error=False,
        )
    if not result.success:
        (event, *_) = result.filter_events(lambda event: event.is_step_failure)
        problem = event.step_failure_data.user_failure_data
        raise TableError(problem.description if problem else event.step_failure_data.error.message)
    said = f"{name}: {version} is the champion already"
    if before != version:
        said = (
            f"{name}: {version} is the champion now, no longer {before}. What {before} said of the images is replaced "
            "when style_predictions runs: by itself where automation is on, else with `stylegraph run`"
        )
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    return 0


def _known(settings: Settings, label_set: str) -> str:
    if label_set not in settings.label_sets:
        raise SettingsError(f"no label set is called {label_set}; there are: {', '.join(settings.label_sets)}")
    return label_set
