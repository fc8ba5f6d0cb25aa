"""Champions: promoted models, each kept for ever, and one of them pointed at.

champions/<label set>/<version>/               the model's folder as it was promoted
champions/<label set>/current.json             {"version", "promoted_at"}

The table ``promotions`` is what was decided; ``current.json`` only follows it. A promotion is written in this order:

1. the model's files, ``card.json`` last: a folder without a card is no version;
2. the row of ``promotions``, which is the decision;
3. ``current.json``.

Killed before 2, nothing was decided: the next run decides anew, alike, over files that are the same whoever writes
them. Killed before 3, the row says who is champion, and ``settle`` lets the pointer follow. In any other order a
pointer, or a row, could name a model that is not there, or the same decision could be written down twice.
"""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from modeling.card_files import CARD_NAME, WEIGHTS_NAME, parse_card
from modeling.label_sets import data_set_version
from modeling.promotion import version_id
from pipeline.locks import one_at_a_time
from pipeline.model_inputs import DATA_SET_FILE, INPUTS, read_inputs_table, table_bytes
from pipeline.storage import Storage, write_file
from pipeline.tables import TABLES, TableError

FOLDER = "champions"
POINTER = "current.json"
GOING_BACK = "going_back.json"  # which run goes back to which version
PREVIOUS = "previous"  # stands for the champion before this one


def card_version(card: Mapping[str, Any]) -> str:
    """Return the version of the model that a card is of: architecture and the first 12 digits of its weights' hash."""
    return version_id(card["architecture"], card["weights_sha256"])


def champion_version(storage: Storage, label_set: str) -> str | None:
    """Return the version of a label set's champion, None where there is none."""
    try:
        pointer = json.loads(storage.read_bytes(f"{FOLDER}/{label_set}/{POINTER}"))
    except FileNotFoundError:
        return None
    version: str | None = pointer["version"]
    return version


def champion_versions(storage: Storage, label_set: str) -> list[str]:
    """Return all versions of a label set that were ever champion, sorted; a copy that was cut short is none of them."""
    names = storage.names(f"{FOLDER}/{label_set}")
    return [name for name in names if storage.exists(champion_key(label_set, name) + f"/{CARD_NAME}")]


def champion_key(label_set: str, version: str) -> str:
    """Return the key of a champion's folder in the data location."""
    return f"{FOLDER}/{label_set}/{version}"


def champion_card(storage: Storage, label_set: str, version: str | None = None) -> dict[str, Any]:
    """Return a champion's card, of the current one without ``version``; nothing else is fetched.

    Raises:
        TableError: there is no such champion.
        ModelingError: the card can't be read.
    """
    key = f"{_existing_key(storage, label_set, version)}/{CARD_NAME}"
    return parse_card(storage.read_bytes(key), storage.path(key))


def champion_path(storage: Storage, label_set: str, version: str | None = None) -> Path:
    """Return a local folder with a champion's files, of the current one without ``version``.

    Where the location is remote, the folder lacks ``inputs``: those change when somebody withdraws, and a copy would
    go on naming them.

    Raises:
        TableError: there is no such champion.
    """
    key = _existing_key(storage, label_set, version)
    if storage.is_local:
        return Path(storage.path(key))
    folder = storage.cache_folder(FOLDER) / label_set / key.rpartition("/")[2]
    for file in storage.files(key):
        path = folder / file.removeprefix(f"{key}/")
        # weights never change; a card does when somebody withdraws
        if path.parts[len(folder.parts)] != INPUTS and not (path.name == WEIGHTS_NAME and path.exists()):
            write_file(path, storage.read_bytes(file))
    return folder


def champion_input(storage: Storage, label_set: str, version: str, name: str) -> bytes:
    """Return a file of ``inputs`` of a champion, as it is now.

    Raises:
        FileNotFoundError: there is none; the model was trained before models kept their inputs.
    """
    return storage.read_bytes(f"{champion_key(label_set, version)}/{INPUTS}/{name}")


def champion_data_set(storage: Storage, label_set: str, version: str) -> pd.DataFrame:
    """Return the images that a champion was trained and measured on, without those that were withdrawn since.

    Raises:
        TableError: the file is gone, and so nobody can tell which images the champion has seen.
    """
    try:
        content = champion_input(storage, label_set, version, DATA_SET_FILE)
    except FileNotFoundError as error:
        key = f"{champion_key(label_set, version)}/{INPUTS}/{DATA_SET_FILE}"
        raise TableError(
            f"{storage.path(key)} is missing, so nobody can tell which images the champion of {label_set} has seen: "
            f"put it back from a backup, or choose another champion with `stylegraph rollback {label_set} --to VERSION`"
        ) from error
    frame: pd.DataFrame = read_inputs_table("data_set", content).to_pandas()
    return frame


def promotions(storage: Storage, label_set: str) -> pa.Table:
    """Return the decisions on a label set's champion, oldest first; empty before the first."""
    if not storage.has_table("promotions", (label_set,)):
        return TABLES["promotions"].schema.empty_table()
    return storage.read_table("promotions", (label_set,))


def last_decision(storage: Storage, label_set: str) -> dict[str, Any] | None:
    """Return the newest row of ``promotions``, None before the first."""
    table = promotions(storage, label_set)
    row: dict[str, Any] | None = table.slice(table.num_rows - 1).to_pylist()[0] if table.num_rows else None
    return row


def promote(storage: Storage, label_set: str, folder: Path, version: str) -> None:
    """Copy a model's folder to its place among the champions, the card last; nothing is pointed at it yet.

    A model that was trained before models kept their inputs gets its data set from the table, if that is still it.
    """
    key = champion_key(label_set, version)
    if storage.exists(f"{key}/{CARD_NAME}"):
        return
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    if f"{INPUTS}/{DATA_SET_FILE}" not in names:
        storage.write_bytes(f"{key}/{INPUTS}/{DATA_SET_FILE}", table_bytes(_data_set_of(storage, label_set, folder)))
    for name in sorted(names, key=lambda name: name == CARD_NAME):
        storage.write_bytes(f"{key}/{name}", (folder / name).read_bytes())


def record(storage: Storage, label_set: str, row: Mapping[str, Any]) -> pa.Table:
    """Append a decision to the history, then let the pointer follow it; return the history."""
    added = pa.Table.from_pylist([dict(row)], TABLES["promotions"].schema)
    table = pa.concat_tables([promotions(storage, label_set), added])
    table = storage.write_table("promotions", table, (label_set,))
    settle(storage, label_set)
    return table


def settle(storage: Storage, label_set: str) -> bool:
    """Let the pointer follow the history, where a run was killed between the two; say whether it had to move."""
    last = last_decision(storage, label_set)
    if last is None or last["champion"] == champion_version(storage, label_set):
        return False
    point_to(storage, label_set, last["champion"], last["decided_at"])
    return True


def point_to(storage: Storage, label_set: str, version: str | None, at: datetime) -> None:
    """Make a version the champion; None where there is to be none."""
    pointer = {"version": version, "promoted_at": at.astimezone(UTC).isoformat()}
    storage.write_json(f"{FOLDER}/{label_set}/{POINTER}", pointer)


def champions_lock(storage: Storage, label_set: str) -> AbstractContextManager[None]:
    """Keep a second decision on the same label set waiting until the first is written."""
    path = storage.cache_folder("locks") / f"champion-{label_set}.lock"  # a withdrawal removes the folder of champions
    return one_at_a_time(path, lambda _: None, f"the champion of {label_set} is being decided")


def version_before(storage: Storage, label_set: str, run: str) -> str:
    """Return the version that ``previous`` means, for a run that goes back to it.

    It is noted for the run first: a run that is killed and launched again must not go back one further.

    Raises:
        TableError: there was no champion before this one.
    """
    key = f"{FOLDER}/{label_set}/{GOING_BACK}"
    if storage.exists(key) and (noted := json.loads(storage.read_bytes(key)))["run"] == run:
        return str(noted["to"])
    before = champion_before(promotions(storage, label_set).to_pandas())
    if before is None:
        known = ", ".join(champion_versions(storage, label_set)) or "none"
        raise TableError(f"{label_set} had no champion before this one; there are: {known}")
    storage.write_json(key, {"run": run, "to": before})
    return before


def champion_before(history: pd.DataFrame) -> str | None:
    """Return the champion that a roll-back without a version goes to; None where there is none before.

    Promotions put a champion on top of those before; a roll-back takes away those above the one it goes to.
    """
    line: list[str | None] = []
    for decision, champion in zip(history["decision"], history["champion"], strict=True):
        if decision == "rolled_back" and champion in line:
            del line[line.index(champion) + 1 :]
        elif not line or line[-1] != champion:
            line.append(champion)
    return line[-2] if len(line) > 1 else None


def _existing_key(storage: Storage, label_set: str, version: str | None) -> str:
    version = version or champion_version(storage, label_set)
    if version is None:
        raise TableError(f"{label_set} has no champion yet: run `stylegraph run`, or materialize `champion`")
    if not storage.exists(f"{champion_key(label_set, version)}/{CARD_NAME}"):
        known = ", ".join(champion_versions(storage, label_set)) or "none"
        raise TableError(f"{label_set} has no champion {version}; there are: {known}")
    return champion_key(label_set, version)


def _data_set_of(storage: Storage, label_set: str, folder: Path) -> pa.Table:
    table = storage.read_table("data_set", (label_set,))
    card = parse_card((folder / CARD_NAME).read_bytes(), folder / CARD_NAME)
    if data_set_version(table) != card["data_set_version"]:
        raise TableError(f"the model {card_version(card)} of {label_set} did not keep its data set: train it again")
    return table
