"""The data card of a small case: a Croissant file that its own library loads, pictures too, and no sign of a person."""

import csv
import hashlib
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from crawlers.tables import WITHDRAWALS
from pipeline import jobs
from pipeline.assets.data_card import data_card_assets
from pipeline.assets.data_sets import data_set_assets
from pipeline.data_cards import card_key, croissant_key
from pipeline.graph import build_definitions
from pipeline.partitions import window_keys
from pipeline.resources import resources
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from tests.pipeline.small_case import SETTINGS, write_case

mlcroissant = pytest.importorskip("mlcroissant", reason="the extra dev brings it")
pytestmark = [
    # of rdflib and of mlcroissant 1.1.1 about their own code
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index is deprecated"),
]

AUTHOR = "the_person_who_posted"
CARD_SETTINGS = """
[data_card]
creator = "Example University"
url = "https://example.org/styles"
license = "https://creativecommons.org/licenses/by/4.0/"
contact = "data@example.org"
"""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a case that has gone as far as the data set ``top-3``; its posts have authors."""
    config = write_case(tmp_path_factory.mktemp("card"), settings=SETTINGS + CARD_SETTINGS)
    _add_authors(config.parent / "posts.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STYLEGRAPH_HMAC_KEY", "0123456789abcdef" * 2)
        settings = load_settings(config)
        definitions = build_definitions(settings)
        with dg.DagsterInstance.ephemeral() as instance:
            steps = [(jobs.CRAWL, key) for key in window_keys(settings.windows)]
            for job, partition in [*steps, (jobs.COLLECTION, None), (jobs.LABELS, None)]:
                result = definitions.resolve_job_def(job).execute_in_process(instance=instance, partition_key=partition)
                assert result.success
    return settings


def _add_authors(path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "author"])
        writer.writeheader()
        for number, row in enumerate(rows):
            writer.writerow(row | {"author": AUTHOR if number < 6 else f"{AUTHOR}_{number}"})


@pytest.fixture(scope="module")
def storage(settings: Settings) -> Storage:
    return Storage(settings.data.location)


def write_card(settings: Settings) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [*data_set_assets(settings), *data_card_assets(settings)],
        selection=["label_frequencies", "data_set", "split_balance", "data_card"],
        partition_key="top-3",
        resources=resources(settings),
    )


@pytest.fixture(scope="module")
def result(settings: Settings) -> dg.ExecuteInProcessResult:
    return write_card(settings)


@pytest.fixture
def dataset(result: dg.ExecuteInProcessResult, storage: Storage) -> "mlcroissant.Dataset":
    assert result.success
    return mlcroissant.Dataset(storage.path(croissant_key("top-3")))


def test_the_check_has_really_looked(result: dg.ExecuteInProcessResult) -> None:
    (check,) = result.get_asset_check_evaluations()
    assert check.passed, check.description
    assert check.metadata["checked"].value is True


def test_records_are_those_of_the_data_set(dataset: "mlcroissant.Dataset", storage: Storage) -> None:
    rows = storage.read_table("data_set", ("top-3",)).to_pylist()
    records = [{key.partition("/")[2]: value for key, value in record.items()} for record in dataset.records("images")]
    texts = [
        {key: [v.decode() for v in value] if isinstance(value, list) else value.decode() for key, value in row.items()}
        for row in records
    ]
    assert texts == rows
    assert [record["labels/name"] for record in dataset.records("labels")] == ["Casual", "Romantic", "Sporty"]


def test_pictures_come_with_their_labels(dataset: "mlcroissant.Dataset", storage: Storage) -> None:
    rows = {row["file_id"]: row for row in storage.read_table("data_set", ("top-3",)).to_pylist()}
    records = list(dataset.records("pictures"))
    assert len(records) == len(rows) > 50
    for record in records:
        row = rows[record["pictures/file_id"].decode()]
        assert record["pictures/main"].decode() == row["main"]
        assert record["pictures/content"].size == (120, 150)


def test_a_changed_table_is_noticed(dataset: "mlcroissant.Dataset", storage: Storage) -> None:
    document = json.loads(storage.read_bytes(croissant_key("top-3")))
    table = storage.read_bytes("tables/data_set/top-3.parquet")
    assert document["distribution"][0]["sha256"] == hashlib.sha256(table).hexdigest()
    try:
        storage.write_bytes("tables/data_set/top-3.parquet", table + b"\0")
        with pytest.raises(mlcroissant.GenerationError):
            list(dataset.records("images"))
    finally:
        storage.write_bytes("tables/data_set/top-3.parquet", table)


def test_the_cards_name_no_person(result: dg.ExecuteInProcessResult, storage: Storage) -> None:
    assert result.success
    posts = storage.read_windows("posts", ["2019-07-01", "2019-07-08"]).to_pandas()
    hmacs = set(posts["author_hmac"].dropna())
    assert len(hmacs) > 50
    table = storage.read_bytes("tables/data_set/top-3.parquet").decode("latin-1")
    for text in (*(storage.read_bytes(key).decode() for key in (croissant_key("top-3"), card_key("top-3"))), table):
        assert AUTHOR not in text
        assert not [value for value in (*hmacs, *posts["post_id"]) if value in text]


def test_people_can_read_where_it_comes_from(result: dg.ExecuteInProcessResult, storage: Storage) -> None:
    assert result.success
    card = storage.read_bytes(card_key("top-3")).decode()
    images = storage.read_table("data_set", ("top-3",)).num_rows
    assert f"| images | {images} |" in card
    assert "Authors: 61; the most frequent one made 9.1% of the images." in card
    assert "| not given | 66 | 100.0% |" in card
    assert "Whoever wants a picture removed asks data@example.org." in card
    assert "| made by | Example University |" in card


def test_the_responsible_ai_fields_are_filled(dataset: "mlcroissant.Dataset") -> None:
    metadata = dataset.metadata
    assert any("Dates: posts from 2019-07-01 to 2019-07-14" in line for line in metadata.data_biases)
    assert "66 of 66 posts" in metadata.data_collection
    assert "66 answers" in metadata.data_annotation_protocol[0]
    assert metadata.creators[0].name == "Example University"
    assert metadata.url == "https://example.org/styles"


def test_withdrawals_are_counted_by_kind(settings: Settings, storage: Storage) -> None:
    rows = [
        {
            "tombstone_id": str(number),
            "kind": kind,
            "request": kind,
            "reason": "asked by mail",
            "requested_at": datetime(2026, 1, 1, tzinfo=UTC),
            "done_at": datetime(2026, 1, 2, tzinfo=UTC) if number else None,
        }
        for number, kind in enumerate(("author", "image", "image"))
    ]
    storage.write_table("withdrawals", pa.Table.from_pylist(rows, WITHDRAWALS))
    before = storage.read_bytes(card_key("top-3"))
    assert write_card(settings).success
    after = storage.read_bytes(card_key("top-3")).decode()
    assert "Nobody has asked for a removal so far." in before.decode()
    assert "Requests for removal so far: 2, of which 1 not carried out yet." in after
    assert "2 pictures, 1 authors" in after
    assert "asked by mail" not in after


def test_the_same_data_is_the_same_version(settings: Settings) -> None:
    versions = set()
    for _ in range(2):
        (event,) = write_card(settings).asset_materializations_for_node("data_card")
        versions.add(event.tags["dagster/data_version"])
    assert len(versions) == 1


def test_without_the_library_the_check_says_that_nobody_looked(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    (check,) = write_card(settings).get_asset_check_evaluations()
    assert "not installed" in (check.description or "")
    assert check.metadata["checked"].value is False
