"""What data sets remember of those before them: whoever had a split keeps it, until another split is asked for."""

from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest

from modeling.settings import SplitSettings
from pipeline.assets.data_sets import data_set_assets
from pipeline.known_splits import known_splits
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.training_rule import look
from tests.pipeline.operation_case import QUIET, make_location, unique_images, write_labels

Rows = list[dict[str, Any]]


@pytest.fixture
def case(tmp_path: Path) -> tuple[Settings, Storage]:
    return make_location(tmp_path)


def groups_of_three(storage: Storage) -> Rows:
    """Give every three images an author of their own; the first of them founds the group."""
    rows: Rows = storage.read_table("data_set", ("colours",)).to_pandas().to_dict("records")
    for number, row in enumerate(rows):
        row["group_id"] = f"author-{number // 3}"
    write(storage, rows)
    return rows


def write(storage: Storage, rows: Rows) -> None:
    storage.write_table("unique_images", unique_images(rows))
    write_labels(storage, rows)


def make_data_set(settings: Settings, storage: Storage) -> pd.DataFrame:
    result = dg.materialize(
        data_set_assets(settings),
        selection=["data_set", "split_balance"],
        partition_key="colours",
        resources={"settings": settings, "storage": storage},
        run_config=QUIET,
    )
    assert result.success
    return storage.read_table("data_set", ("colours",)).to_pandas().set_index("image_id")


def salted(settings: Settings, salt: str) -> Settings:
    return settings.model_copy(update={"splits": SplitSettings(salt=salt)})


def test_nobody_moves_when_the_images_that_founded_the_groups_are_withdrawn(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    rows = groups_of_three(storage)
    before = make_data_set(settings, storage)
    rest = [row for row in rows if row["image_id"] not in set(before["group_id"])]
    write(storage, rest)
    storage.filesystem.rm(storage.path("tables/known_splits.parquet"))
    alone = make_data_set(settings, storage)
    assert not alone["split"].equals(before.loc[alone.index, "split"]), "without a memory, groups would move"

    storage.filesystem.rm(storage.path("tables/known_splits.parquet"))
    write(storage, rows)
    make_data_set(settings, storage)
    write(storage, rest)
    after = make_data_set(settings, storage)
    assert after["split"].equals(before.loc[after.index, "split"])
    assert len(after) == 40


def test_an_image_that_was_away_comes_back_to_its_split(case: tuple[Settings, Storage]) -> None:
    """A data set in between knew nothing of it."""
    settings, storage = case
    rows = groups_of_three(storage)
    before = make_data_set(settings, storage)
    test = before.index[before["split"] == "test"]
    write(storage, [row for row in rows if row["image_id"] not in {*test[1:], *before["group_id"]}])
    make_data_set(settings, storage)
    write(storage, [row for row in rows if row["image_id"] not in set(before["group_id"])])
    after = make_data_set(settings, storage)
    assert after["split"].equals(before.loc[after.index, "split"])


def test_another_salt_is_another_split_and_the_old_one_comes_back_with_the_old_salt(
    case: tuple[Settings, Storage],
) -> None:
    settings, storage = case
    rows = groups_of_three(storage)
    before = make_data_set(settings, storage)
    other = make_data_set(salted(settings, "other"), storage)
    assert not other["split"].equals(before["split"])
    write(storage, [row for row in rows if row["image_id"] not in set(before["group_id"])])
    assert known_splits(storage, settings.splits) == before["split"].to_dict()
    after = make_data_set(settings, storage)
    assert after["split"].equals(before.loc[after.index, "split"])
    assert known_splits(storage, SplitSettings(salt="third")) == {}


def test_the_training_rule_counts_what_the_data_set_would_have(case: tuple[Settings, Storage]) -> None:
    """Two authors of different splits turn out to be one: of theirs, images are left out, here and there."""
    settings, storage = case
    rows = groups_of_three(storage)
    before = make_data_set(settings, storage)
    authors = {str(row["image_id"]): row["group_id"] for row in rows}
    one, other = (authors[before.index[before["split"] == split][0]] for split in ("train", "test"))
    for row in rows:
        row["group_id"] = one if row["group_id"] == other else row["group_id"]
    write(storage, rows)
    facts = look(settings, storage, "colours")
    assert (facts.images, facts.gone) == (57, 3)
    after = make_data_set(settings, storage)
    assert len(after) == 57
    assert after["split"].equals(before.loc[after.index, "split"])


def test_what_is_remembered_is_written_once(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    make_data_set(settings, storage)
    content = storage.read_bytes("tables/known_splits.parquet")
    make_data_set(settings, storage)
    assert storage.read_bytes("tables/known_splits.parquet") == content
