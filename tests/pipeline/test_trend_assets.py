"""Trends and drift from what the data location holds; the numbers themselves are tested with modeling."""

from pathlib import Path

import pytest

from pipeline.champions import champion_version
from pipeline.followed import followed_sets
from pipeline.settings import Settings
from pipeline.storage import Storage
from tests.modeling.training_case import LABELS
from tests.pipeline.operation_case import WINDOWS, failure, make_location, materialize, put_model

Case = tuple[Settings, Storage]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A location without a champion yet."""
    return make_location(tmp_path_factory.mktemp("case"), images=120)


def test_before_and_after_the_first_champion(case: Case) -> None:
    settings, storage = case
    result = materialize(settings, storage, "style_trends")
    assert failure(result) == ""
    assert set(storage.read_table("style_trends").column("source").to_pylist()) == {"experts"}
    assert failure(materialize(settings, storage, "drift")) == ""
    assert storage.read_table("drift").num_rows == 0

    put_model(settings, storage, "basic_cnn", 1)
    assert failure(materialize(settings, storage, "champion", "colours")) == ""
    for window in WINDOWS:
        assert failure(materialize(settings, storage, "style_predictions", window)) == ""
    result = materialize(settings, storage, "style_trends")
    assert failure(result) == ""
    events = {event.asset_key.to_user_string(): event for event in result.asset_materializations_for_node("trends")}
    assert set(events) == {"style_trends", "style_movements", "cooccurrence_changes"}
    plots = events["style_trends"].metadata
    assert str(plots["colours_main"].value).startswith("![picture](data:image/png")
    trends = storage.read_table("style_trends").to_pandas()
    experts = trends[(trends["source"] == "experts") & (trends["role"] == "main")]
    labels = storage.read_table("labels").to_pandas()
    for row in experts.itertuples():
        inside = labels[labels["window"] == row.window]
        assert row.raw_share == pytest.approx((inside["main"] == row.label).mean())
    assert set(trends["label"]) == set(LABELS)
    assert "model" in set(trends["source"])


def test_a_window_that_the_champion_knows_nothing_of_is_tested(case: Case) -> None:
    """Here the champion's data set holds both windows, so that no window is left to test."""
    settings, storage = case
    assert champion_version(storage, "colours") is not None
    result = materialize(settings, storage, "drift")
    assert failure(result) == ""
    (event,) = result.asset_materializations_for_node("drift")
    assert event.metadata["drifted_windows"].value == "none"
    assert storage.read_table("drift").num_rows == 0


def test_the_champions_labels_are_followed_when_the_ranking_turns(case: Case) -> None:
    """Today's labels lack one that the champion knows; its predictions are of use until the next training."""
    settings, storage = case
    narrow = settings.label_sets["colours"].model_copy(update={"labels": [*LABELS[:2]]})
    changed = settings.model_copy(update={"label_sets": {"colours": narrow}})
    (followed,), notes = followed_sets(changed, storage)
    assert followed.labels == tuple(LABELS)
    assert "followed with its champion's labels" in notes[0]
    result = materialize(changed, storage, "style_trends")
    assert failure(result) == ""
    assert set(storage.read_table("style_trends").column("source").to_pylist()) == {"experts", "model"}
    (event, *_) = result.asset_materializations_for_node("trends")
    assert "followed with its champion's labels" in str(event.metadata["notes"].value)


def test_a_label_set_without_enough_labels_is_a_note(tmp_path: Path) -> None:
    settings, storage = make_location(tmp_path)
    wide = settings.label_sets["colours"].model_copy(update={"labels": None, "top": 3})
    storage.write_table(
        "label_frequencies",
        storage.read_table("label_frequencies").slice(0, 2),
    )
    settings = settings.model_copy(update={"label_sets": {"colours": wide}})
    result = materialize(settings, storage, "style_trends")
    assert failure(result) == ""
    (event, *_) = result.asset_materializations_for_node("trends")
    assert "only 2 are the main label" in str(event.metadata["notes"].value)
