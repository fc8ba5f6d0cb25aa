"""Alerts are kept until they are sent: a mail server that is down for a moment must not swallow one.

They stand in a file in the folder of the Dagster instance, with the ways on which each is still to be sent. An address
never stands in it. Whoever is killed between sending and writing sends an alert twice, which is better than not at all.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.alerts import Alert, AlertError, Way, send, ways
from pipeline.locks import one_at_a_time
from pipeline.settings import AlertSettings
from pipeline.storage import write_file

FILE = "unsent_alerts.json"
MOST_KEPT = 100  # the newest; where so many wait, nobody has looked for long


@dataclass(frozen=True)
class Waiting:
    """An alert, and how it is still to be sent."""

    alert: Alert
    ways: tuple[Way, ...]


def deliver(alert: Alert, settings: AlertSettings, folder: Path) -> None:
    """Send an alert on every way that the settings ask for, after those that wait; keep what could not be sent.

    Raises:
        AlertError: something could not be sent; it is kept, and the other ways were tried all the same.
    """
    _send([Waiting(alert, ways(settings))], settings, folder)


def deliver_waiting(settings: AlertSettings, folder: Path) -> int:
    """Send what waits; return how many alerts that were. Raises AlertError as ``deliver`` does."""
    return _send([], settings, folder)


def _send(new: list[Waiting], settings: AlertSettings, folder: Path) -> int:
    path = folder / FILE
    with one_at_a_time(folder / f"{FILE}.lock", lambda _: None, "alerts are being sent"):
        waiting = [*_read(path), *new]
        problems: dict[Way, str] = {}
        left = [_sent(one, settings, problems) for one in waiting]
        kept = [one for one in left if one.ways]
        if kept or path.exists():
            write_file(path, json.dumps([asdict(one) for one in kept[-MOST_KEPT:]]).encode())
    if problems:
        raise AlertError(f"{'; '.join(problems.values())}; {len(kept)} alerts are kept and sent again")
    return len(waiting)


def _sent(one: Waiting, settings: AlertSettings, problems: dict[Way, str]) -> Waiting:
    """Send one alert on its ways; return it with those that are left. A way that failed is not tried again now."""
    for way in set(one.ways) & set(ways(settings)) - set(problems):
        try:
            send(way, one.alert, settings)
        except AlertError as error:
            problems[way] = str(error)
    return replace(one, ways=tuple(way for way in one.ways if way in problems))


def _read(path: Path) -> list[Waiting]:
    if not path.exists():
        return []
    return [
        Waiting(Alert(**{**row["alert"], "why": tuple(row["alert"]["why"])}), tuple(row["ways"]))
        for row in json.loads(path.read_bytes())
    ]
