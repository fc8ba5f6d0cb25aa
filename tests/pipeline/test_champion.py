"""Champion and challenger on real models: who is promoted, what is written down, and what a kill leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from modeling.predict import load_model
from modeling.promotion import promotion_row
from pipeline import champions
from pipeline.champions import (
    champion_card,
    champion_data_set,
    champion_path,
    champion_version,
    champion_versions,
    promotions,
)
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from tests.pipeline.operation_case import NOON, failure, make_location, materialize, measure, put_model

Case = tuple[Settings, Storage]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_location(tmp_path)


def decide(case: Case, **options: object):
    return materialize(*case, "champion", "colours", **options)


def rows(case: Case) -> list[dict]:
    return promotions(case[1], "colours").to_pylist()


def test_the_first_evaluated_model_is_the_champion(case: Case) -> None:
    settings, storage = case
    assert "was trained on its data set as it is now and evaluated" in failure(decide(case))
    version = put_model(settings, storage, "basic_cnn", 1)
    result = decide(case)
    assert result.success
    (event,) = result.asset_materializations_for_node("champion")
    assert event.metadata["decision"].value == "promoted"
    assert "first champion" in str(event.metadata["reason"].value)
    assert str(event.metadata["champions"].value).startswith("![picture](data:image/png")
    assert champion_version(storage, "colours") == version
    assert version.startswith("basic_cnn-")
    (row,) = rows(case)
    assert (row["rule"], row["champion_before"], row["champion"]) == ("first", None, version)
    assert row["images"] == 12
    folder = champion_path(storage, "colours")
    assert {"card.json", "model.safetensors", "inputs"} <= {path.name for path in folder.iterdir()}
    assert len(champion_data_set(storage, "colours", version)) == 60


def test_the_same_model_again_is_no_new_decision(case: Case) -> None:
    put_model(*case, "basic_cnn", 1)
    decide(case)
    result = decide(case, now=NOON + timedelta(days=1))
    (event,) = result.asset_materializations_for_node("champion")
    assert event.metadata["decision"].value == "unchanged"
    assert len(rows(case)) == 1


def test_a_model_that_is_not_better_is_refused_once(case: Case) -> None:
    settings, storage = case
    first = put_model(settings, storage, "basic_cnn", 1)
    decide(case)
    second = put_model(settings, storage, "basic_cnn", 2)
    for day in range(3):
        result = decide(case, now=NOON + timedelta(days=day))
        assert result.success
    (event,) = result.asset_materializations_for_node("champion")
    assert event.metadata["decision"].value == "refused"
    assert "they_differ_on" in event.metadata
    assert champion_version(storage, "colours") == first
    assert len(rows(case)) == 2
    refused = rows(case)[1]
    assert (refused["decision"], refused["challenger"], refused["champion"]) == ("refused", second, first)
    assert refused["images"] == 12
    assert refused["low"] <= refused["difference"] <= refused["high"]
    assert champion_versions(storage, "colours") == [first]


def test_only_images_that_neither_was_trained_on_are_compared(case: Case) -> None:
    """Half of what is test now was train when the champion was trained."""
    settings, storage = case
    now = storage.read_table("data_set", ("colours",)).to_pandas()
    then = now.copy()
    swapped = now.index[now["split"] == "test"][:6]
    then.loc[swapped, "split"] = "train"
    storage.write_table("data_set", pa.Table.from_pandas(then, preserve_index=False), ("colours",))
    put_model(settings, storage, "basic_cnn", 1)
    decide(case)
    storage.write_table("data_set", pa.Table.from_pandas(now, preserve_index=False), ("colours",))
    put_model(settings, storage, "basic_cnn", 2)
    assert failure(decide(case)) == ""
    assert [row["images"] for row in rows(case)] == [6, 6]


def test_the_best_by_the_cards_is_the_challenger(case: Case) -> None:
    settings, storage = case
    put_model(settings, storage, "basic_cnn", 1)
    put_model(settings, storage, "backbone", 2)
    measure(storage, "basic_cnn", validation=0.4)
    best = measure(storage, "backbone", validation=0.6)
    decide(case)
    assert champion_version(storage, "colours") == best
    with storage.model_folder("colours", "backbone") as folder:  # trained anew, and not evaluated yet
        source = champion_path(storage, "colours")
        card = json.loads((source / "card.json").read_text())
        del card["metrics"]
        (folder / "card.json").write_text(json.dumps(card))
        (folder / "model.safetensors").write_bytes((source / "model.safetensors").read_bytes())
    decide(case)
    assert rows(case)[-1]["challenger"].startswith("basic_cnn-")


def test_a_champion_that_lacks_a_label_is_compared_on_those_that_both_know(case: Case) -> None:
    settings, storage = case
    now = storage.read_table("data_set", ("colours",)).to_pandas()
    before = now.assign(
        main=now["main"].replace("blue", "violet"),
        subs=[[{"blue": "violet"}.get(sub, sub) for sub in subs] for subs in now["subs"]],
    )
    labels = ["red", "green", "violet"]
    storage.write_table("data_set", pa.Table.from_pandas(before, preserve_index=False), ("colours",))
    card = {
        "labels": labels,
        "label_images": dict.fromkeys(labels, 20),
        "calibration": {"temperature": 1.0, "thresholds": dict.fromkeys(labels, 0.5)},
    }
    put_model(settings, storage, "basic_cnn", 1, **card)
    decide(case)
    storage.write_table("data_set", pa.Table.from_pandas(now, preserve_index=False), ("colours",))
    put_model(settings, storage, "basic_cnn", 2)
    result = decide(case)
    assert failure(result) == ""
    (event,) = result.asset_materializations_for_node("champion")
    assert "came: blue; went: violet" in str(event.metadata["reason"].value)
    assert "they_differ_on" in event.metadata  # pictures of a label that one of them lacks, too
    assert len(rows(case)) == 2


def test_the_champion_stays_until_the_next_training_when_its_data_set_was_edited(case: Case) -> None:
    """As a withdrawal does: no model was trained on the data set as it is then."""
    settings, storage = case
    first = put_model(settings, storage, "basic_cnn", 1)
    decide(case)
    table = storage.read_table("data_set", ("colours",))
    storage.write_table("data_set", table.slice(1), ("colours",))
    (event,) = decide(case).asset_materializations_for_node("champion")
    assert event.metadata["decision"].value == "unchanged"
    assert f"{first} stays champion: no model of colours was trained" in str(event.metadata["reason"].value)
    assert champion_version(storage, "colours") == first
    assert len(rows(case)) == 1


def test_going_back_and_not_forward_by_itself(case: Case) -> None:
    settings, storage = case
    first = put_model(settings, storage, "basic_cnn", 1)
    decide(case)
    settings = settings.model_copy(
        update={"promotion": settings.promotion.model_copy(update={"newer_by_days": 0, "margin": 0.99})}
    )
    case = settings, storage
    second = put_model(settings, storage, "basic_cnn", 2)
    assert failure(decide(case)) == ""
    assert rows(case)[-1]["rule"] == "newer"
    assert champion_version(storage, "colours") == second
    assert failure(decide(case, config={"roll_back_to": "previous"})) == ""
    assert champion_version(storage, "colours") == first
    last = rows(case)[-1]
    assert (last["decision"], last["rule"], last["champion_before"]) == ("rolled_back", "person", second)
    assert failure(decide(case)) == ""
    assert rows(case)[-1]["rule"] == "rolled_back_before"
    assert champion_version(storage, "colours") == first
    assert "had no champion before" in failure(decide(case, config={"roll_back_to": "previous"}))
    assert failure(decide(case, config={"roll_back_to": second})) == ""
    assert champion_version(storage, "colours") == second
    assert f"there are: {first}, {second}" in failure(decide(case, config={"roll_back_to": "basic_cnn-000"}))
    picture = storage.image_path(f"{3:064x}")
    answers = [load_model(champion_path(storage, "colours", name)).probabilities([picture]) for name in (first, second)]
    assert not np.allclose(*answers)
    assert champion_card(storage, "colours", first)["seed"] == 1


def test_a_run_that_goes_back_twice_goes_back_once(case: Case) -> None:
    """A run worker that is killed is launched again with the same root run."""
    storage = case[1]
    for version in ("a-1", "b-2", "c-3"):
        note(storage, "promoted", version)
    assert champions.version_before(storage, "colours", "run-1") == "b-2"
    note(storage, "rolled_back", "b-2")
    assert champions.version_before(storage, "colours", "run-1") == "b-2"
    assert champions.version_before(storage, "colours", "run-2") == "a-1"


def note(storage: Storage, decision: str, version: str) -> None:
    """Write a decision down, whatever it was about."""
    before = champion_version(storage, "colours")
    row = promotion_row(
        decided_at=NOON, decision=decision, rule="person", reason="", champion_before=before, champion=version
    )
    champions.record(storage, "colours", row)


def test_a_model_of_before_inputs_were_kept_gets_its_data_set(case: Case) -> None:
    settings, storage = case
    version = put_model(settings, storage, "basic_cnn", 1, inputs=False)
    assert failure(decide(case)) == ""
    assert len(champion_data_set(storage, "colours", version)) == 60
    storage.filesystem.rm(storage.path(f"champions/colours/{version}/inputs/data_set.parquet"))
    put_model(settings, storage, "basic_cnn", 2)
    assert "put it back from a backup" in failure(decide(case))


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.challenge import challenge
from pipeline.settings import load_settings
from pipeline.storage import Storage

settings = load_settings(Path(sys.argv[1]))
last, write = sys.argv[2], Storage.write_bytes

def killed(self, key, content):
    if key.endswith(last):
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, key, content)

Storage.write_bytes = killed
challenge(settings, Storage(settings.data.location), "colours", datetime.now(UTC), lambda done, total: None)
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A location with a model that is about to be promoted."""
    folder = tmp_path_factory.mktemp("evaluated")
    return folder, put_model(*make_location(folder), "basic_cnn", 1)


@pytest.mark.parametrize("at", ["inputs/data_set.parquet", "/card.json", "promotions/colours.parquet", "current.json"])
def test_killed_at_any_write_it_heals(evaluated: tuple[Path, str], at: str) -> None:
    """The first file of the model, its last one, the row, the pointer."""
    folder, version = evaluated
    settings = load_settings(folder / "stylegraph.toml")
    storage = Storage(settings.data.location)
    for left in ("champions", "tables/promotions"):
        shutil.rmtree(storage.path(left), ignore_errors=True)
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder / "stylegraph.toml"), at],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert champion_version(storage, "colours") is None, "the pointer comes last"
    assert champion_versions(storage, "colours") == (
        [version] if at in ("promotions/colours.parquet", "current.json") else []
    )
    assert storage.has_table("promotions", ("colours",)) == (at == "current.json")
    result = materialize(settings, storage, "champion", "colours")
    assert failure(result) == ""
    (event,) = result.asset_materializations_for_node("champion")
    assert ("healed" in event.metadata) == (at == "current.json")
    assert champion_version(storage, "colours") == version
    assert [row["champion"] for row in promotions(storage, "colours").to_pylist()] == [version]
    load_model(champion_path(storage, "colours"))
