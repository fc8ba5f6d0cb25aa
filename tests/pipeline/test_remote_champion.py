"""Champions on remote storage (fsspec's own in memory): what is fetched, and what is not."""

import uuid
from pathlib import Path

import pytest

from modeling.predict import load_model
from pipeline.best_model import best_architecture
from pipeline.champions import champion_path, champion_version, champion_versions
from pipeline.reproduction import find_model, look_at_inputs
from pipeline.settings import Settings
from pipeline.storage import Storage
from tests.pipeline.operation_case import WINDOWS, failure, make_location, materialize, put_model

Case = tuple[Settings, Storage]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return make_location(tmp_path, location=f"memory://champions-{uuid.uuid4().hex}")


def test_a_champion_is_kept_fetched_and_asked(case: Case, tmp_path: Path) -> None:
    settings, storage = case
    version = put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    assert champion_version(storage, "colours") == version
    assert champion_versions(storage, "colours") == [version]
    folder = champion_path(storage, "colours")
    assert folder.is_relative_to(tmp_path / "scratch")
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.safetensors"], "no names of images"
    load_model(folder)
    assert failure(materialize(settings, storage, "style_predictions", WINDOWS[0])) == ""
    assert storage.read_table("style_predictions", (WINDOWS[0],)).num_rows == 30
    assert look_at_inputs(find_model(settings, storage, "colours"), settings, storage).gone == []


def test_a_card_that_was_changed_is_fetched_anew(case: Case) -> None:
    settings, storage = case
    version = put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    before = champion_path(storage, "colours") / "card.json"
    key = f"champions/colours/{version}/card.json"
    storage.write_bytes(key, storage.read_bytes(key).replace(b'"seed": 1', b'"seed":  1'))
    assert before.read_bytes() != storage.read_bytes(key)
    champion_path(storage, "colours")
    assert before.read_bytes() == storage.read_bytes(key)


def test_the_best_architecture_is_found_by_cards_alone(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, storage = case
    put_model(settings, storage, "basic_cnn", 1)
    put_model(settings, storage, "backbone", 2)
    read: list[str] = []
    read_bytes = Storage.read_bytes

    def noted(self: Storage, key: str) -> bytes:
        read.append(key.rpartition("/")[2])
        return read_bytes(self, key)

    monkeypatch.setattr(Storage, "read_bytes", noted)
    monkeypatch.setattr(Storage, "_fetch_folder", None)
    assert best_architecture(settings, storage, "colours") in ("basic_cnn", "backbone")
    assert set(read) == {"current", "card.json"}
