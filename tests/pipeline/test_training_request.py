"""When a training is due, in words and numbers, and that a killed run asks once."""

import io
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.champions import champion_version
from pipeline.settings import RetrainingSettings, Settings
from pipeline.storage import Storage
from pipeline.tables import TABLES
from pipeline.training_rule import Facts, decide_training
from tests.modeling.training_case import LABELS
from tests.pipeline.operation_case import (
    NOON,
    WINDOWS,
    failure,
    make_location,
    materialize,
    put_model,
    unique_images,
    write_labels,
)

RULE = RetrainingSettings(new_labels=200, days=28, least_images=100)
FACTS = Facts(images=900, new_labels=0, gone=0, version="v", had_data_set=True, last_data_set="2019-07-29")
SCHEDULED = {"dagster/schedule_name": "training_due"}


def decide(rule: RetrainingSettings = RULE, person: bool = False, waiting: bool = False, **facts: Any):
    return decide_training(Facts(**{**vars(FACTS), **facts}), rule, NOON, person=person, waiting=waiting)


SINCE = "since the data set of 2019-07-29"
SO_OLD = "days since the last training"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"new_labels": 212}, f"212 images with new labels {SINCE} (200 are enough)"),
        (
            {"new_labels": 1, "last_request": NOON - timedelta(days=30)},
            f"30 {SO_OLD} (28 are enough), with 1 image with a new label",
        ),
        (
            {"new_labels": 2, "drifted_windows": ("2019-08-05", "2019-08-12")},
            "windows 2019-08-05, 2019-08-12 drifted from what the champion was trained on, "
            "with 2 images with new labels",
        ),
        (
            {"new_labels": 250, "last_request": NOON - timedelta(days=40)},
            f"250 images with new labels {SINCE} (200 are enough); "
            f"40 {SO_OLD} (28 are enough), with 250 images with new labels",
        ),
        ({"had_data_set": False, "images": 100}, "the first training: 100 labelled images (100 are enough)"),
    ],
)
def test_a_training_is_due(facts: dict[str, Any], reason: str) -> None:
    answer = decide(**facts)
    assert (answer.due, answer.reason, answer.asked_by) == (True, reason, "rule")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (
            {"new_labels": 199},
            f"not due: 199 images with new labels {SINCE} (200 are needed); no newer window drifted",
        ),
        ({"new_labels": 0, "last_request": NOON - timedelta(days=300)}, "not due: no image has a new label"),
        (
            {"new_labels": 0, "gone": 3, "drifted_windows": ("2019-08-05",)},
            "not due: no image has a new label (3 images went)",
        ),
        (
            {"new_labels": 1, "last_request": NOON - timedelta(days=27.5)},
            f"not due: 1 image with a new label {SINCE} (200 are needed); 27.5 {SO_OLD} (28 are needed); "
            "no newer window drifted",
        ),
        ({"had_data_set": False, "images": 99}, "not yet the first training: 99 labelled images (100 are enough)"),
        ({"problem": "label set 'top-5' asks for more"}, "label set 'top-5' asks for more"),
    ],
)
def test_no_training_is_due(facts: dict[str, Any], reason: str) -> None:
    answer = decide(**facts)
    assert (answer.due, answer.reason) == (False, reason)


def test_a_drifted_window_waits_for_as_many_labels_as_the_rule_asks_for() -> None:
    rule = RetrainingSettings(drift_labels=20)
    facts = {"drifted_windows": ("2019-08-05",)}
    drifted = "window 2019-08-05 drifted from what the champion was trained on"
    answer = decide(rule=rule, new_labels=19, **facts)
    assert (answer.due, answer.drifted_windows) == (False, ("2019-08-05",))
    assert answer.reason.endswith(f"{drifted}, and 20 images with new labels are needed for that")
    answer = decide(rule=rule, new_labels=20, **facts)
    assert (answer.due, answer.reason) == (True, f"{drifted}, with 20 images with new labels")
    assert not decide(rule=RetrainingSettings(on_drift=False), new_labels=20, **facts).due


def test_a_training_that_has_not_begun_is_not_asked_for_twice() -> None:
    facts = {"new_labels": 300, "last_request": NOON - timedelta(hours=3)}
    assert decide(waiting=True, **facts).reason == "the training asked for 3 hours ago has not begun yet"
    assert decide(waiting=False, **facts).due
    assert decide(waiting=True, new_labels=300, last_request=NOON - timedelta(hours=20)).due, "a day later it is"
    assert decide(waiting=True, person=True, **facts).reason == "asked for by a person"


@pytest.fixture
def case(tmp_path: Path) -> tuple[Settings, Storage]:
    settings, storage = make_location(tmp_path)
    rule = RetrainingSettings(new_labels=5, days=28, least_images=20)
    return settings.model_copy(update={"retraining": rule}), storage


def ask(case: tuple[Settings, Storage], **options: Any) -> tuple[list[dict], bool]:
    """Ask once; return the history, and whether the request was materialized."""
    result = materialize(*case, "training_request", "colours", **options)
    assert failure(result) == ""
    keys = {event.asset_key.to_user_string() for event in result.asset_materializations_for_node("ask_for_training")}
    assert "training_requests" in keys
    return case[1].read_table("training_requests", ("colours",)).to_pylist(), "training_request" in keys


def relabelled(storage: Storage, images: int) -> None:
    """Change the labels of so many images of the data set; its own table stays."""
    rows = storage.read_table("data_set", ("colours",)).to_pandas().to_dict("records")
    for row in rows[:images]:
        row["main"] = LABELS[(LABELS.index(row["main"]) + 1) % 3]
        row["subs"] = []
    write_labels(storage, rows)


def test_new_labels_are_counted_against_the_data_set(case: tuple[Settings, Storage]) -> None:
    storage = case[1]
    (row,), asked = ask(case, tags=SCHEDULED)
    assert not asked
    assert (row["due"], row["new_labels"], row["images"]) == (False, 0, 60)
    relabelled(storage, 4)
    assert ask(case, tags=SCHEDULED)[0][-1]["reason"] == (
        "not due: 4 images with new labels since the data set of 2019-07-08 (5 are needed); no newer window drifted"
    )
    relabelled(storage, 5)
    rows, asked = ask(case, tags=SCHEDULED)
    assert asked
    assert rows[-1]["reason"] == "5 images with new labels since the data set of 2019-07-08 (5 are enough)"
    assert [row["due"] for row in rows] == [False, False, True]


def test_a_person_is_reason_enough(case: tuple[Settings, Storage]) -> None:
    (row,), asked = ask(case)
    assert asked
    assert (row["asked_by"], row["reason"]) == ("person", "asked for by a person")


def test_the_same_labels_have_the_same_version(case: tuple[Settings, Storage]) -> None:
    def version() -> str:
        result = materialize(*case, "training_request", "colours")
        (event,) = (
            event
            for event in result.asset_materializations_for_node("ask_for_training")
            if event.asset_key == dg.AssetKey("training_request")
        )
        return event.tags["dagster/data_version"]

    first = version()
    assert version() == first
    relabelled(case[1], 1)
    assert version() != first


def test_a_drifted_window_asks_where_a_label_is_new(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    row = dict.fromkeys(TABLES["drift"].schema.names) | {
        "label_set": "colours",
        "model_version": champion_version(storage, "colours"),
        "what": "scores",
        "test": "kolmogorov_smirnov",
        "images": 50,
        "reference_images": 60,
        "threshold": 0.15,
        "drifted": True,
    }
    windows = (*WINDOWS, "2019-07-15")  # the champion knows the first two
    storage.write_table(
        "drift", pa.Table.from_pylist([row | {"window": window} for window in windows], TABLES["drift"].schema)
    )
    assert not ask(case, tags=SCHEDULED)[1]
    relabelled(storage, 1)
    rows, asked = ask(case, tags=SCHEDULED)
    assert asked
    assert rows[-1]["drifted_windows"] == ["2019-07-15"]
    assert rows[-1]["reason"].startswith("window 2019-07-15 drifted")
    relabelled(storage, 2)  # the model lost against the champion, and the window has drifted still
    rows, asked = ask(case, tags=SCHEDULED, now=NOON + timedelta(days=2))
    assert not asked, "one drift asks once"
    assert rows[-1]["reason"].endswith("a training for the drift of 2019-07-15 was asked for before")
    assert rows[-1]["drifted_windows"] == []


def test_a_champion_without_images_has_no_drift(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    version = champion_version(storage, "colours")
    key = f"champions/colours/{version}/inputs/data_set.parquet"
    empty = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(storage.read_bytes(key))).slice(0, 0), empty)
    storage.write_bytes(key, empty.getvalue())  # as a withdrawal of everything leaves it
    row = dict.fromkeys(TABLES["drift"].schema.names) | {"label_set": "colours", "window": "2019-07-15"}
    row |= {"model_version": version, "what": "scores", "test": "kolmogorov_smirnov", "images": 5, "drifted": True}
    row |= {"reference_images": 0, "threshold": 0.15}
    storage.write_table("drift", pa.Table.from_pylist([row], TABLES["drift"].schema))
    relabelled(storage, 1)
    rows, asked = ask(case, tags=SCHEDULED)
    assert not asked
    assert rows[-1]["reason"].endswith("no newer window drifted")


def test_too_few_labels_for_the_set_are_no_failure(case: tuple[Settings, Storage]) -> None:
    storage = case[1]
    rows = [row for row in storage.read_table("data_set", ("colours",)).to_pylist() if row["main"] != "blue"]
    for row in rows:
        row["subs"] = []
    write_labels(storage, rows)
    (row,), asked = ask(case, tags=SCHEDULED)
    assert not asked
    assert "no image has 'blue' as its main label" in row["reason"]


def test_images_that_no_split_takes_do_not_count_as_new(case: tuple[Settings, Storage]) -> None:
    """An image of two authors' groups is bridging: it is in no data set, however often one is made."""
    storage = case[1]
    rows = storage.read_table("data_set", ("colours",)).to_pandas().to_dict("records")
    unique = unique_images(rows).to_pandas()
    late = {**unique.iloc[0].to_dict(), "image_id": "f" * 64, "canonical_id": "f" * 64, "best_image_id": "f" * 64}
    late |= {"window": "2019-07-15", "author_hmac": "another"}
    unique = pd.concat([unique, pd.DataFrame([late])], ignore_index=True)
    storage.write_table("unique_images", pa.Table.from_pandas(unique, preserve_index=False))
    by_split = {row["split"]: row["image_id"] for row in rows}
    pair = {"distance64": 3, "distance256": 40, "chroma_distance": 1.0, "structure": None, "via": "plain"}
    pair |= {"band": "review", "decided_by": "rule", "image_b": "f" * 64}
    pairs = [pair | {"image_a": image_id} for image_id in by_split.values()]
    storage.write_table("similar_pairs", pa.Table.from_pylist(pairs, TABLES["similar_pairs"].schema))
    (row, *_), _ = ask(case, tags=SCHEDULED)
    assert row["new_labels"] == 0
    write_labels(storage, [*rows, {**rows[0], "image_id": "f" * 64, "window": "2019-07-15"}])
    assert ask(case, tags=SCHEDULED)[0][-1]["new_labels"] == 0


def test_a_run_killed_before_it_could_ask_asks_when_it_is_launched_again(case: tuple[Settings, Storage]) -> None:
    relabelled(case[1], 5)
    assert ask(case, tags=SCHEDULED)[1]  # its events went with its own instance, as those of a killed worker
    with dg.DagsterInstance.ephemeral() as instance:
        rows, asked = ask(case, tags=SCHEDULED, instance=instance, now=NOON + timedelta(minutes=5))
        assert (len(rows), asked) == (1, True)
        rows, asked = ask(case, tags=SCHEDULED, instance=instance, now=NOON + timedelta(minutes=10))
        assert (len(rows), asked) == (2, False)
        assert rows[-1]["reason"] == "the training asked for 10 minutes ago has not begun yet"


def test_two_looks_at_once_ask_once(case: tuple[Settings, Storage], tmp_path: Path) -> None:
    relabelled(case[1], 5)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance, ThreadPoolExecutor(2) as threads:
        looks = [
            threads.submit(materialize, *case, "training_request", "colours", tags=SCHEDULED, instance=instance)
            for _ in range(2)
        ]
        assert [failure(look.result()) for look in looks] == ["", ""]
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey("training_request"), asset_partitions=["colours"])
        assert len(instance.fetch_materializations(wanted, limit=5).records) == 1
    rows = case[1].read_table("training_requests", ("colours",)).to_pylist()
    assert [row["due"] for row in rows] == [True, False]
    assert "has not begun yet" in rows[1]["reason"]
