"""A model is made again from what its folder holds: the same bytes, or a line on what is in the way."""

import io
import json
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from modeling.card_files import update_card
from pipeline.assets.training import training_assets
from pipeline.commands.reproduce import reproduce_model
from pipeline.partitions import model_key
from pipeline.progress import LogProgress
from pipeline.settings import Settings
from pipeline.storage import Storage
from pipeline.tables import TableError
from tests.pipeline.operation_case import QUIET, make_location, materialize, measure


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Storage]:
    """A champion of two seeds that was really trained."""
    settings, storage = make_location(tmp_path_factory.mktemp("case"))
    settings = settings.model_copy(update={"training": settings.training.model_copy(update={"repeats": 2})})
    trained = dg.materialize(
        training_assets(settings),
        partition_key=model_key("colours", "basic_cnn"),
        resources={"settings": settings, "storage": storage, "progress": LogProgress(lambda line: None)},
        run_config=QUIET,
    )
    assert trained.success
    measure(storage, "basic_cnn")
    assert materialize(settings, storage, "champion", "colours").success
    return settings, storage


def reproduce(settings: Settings, name: str) -> tuple[int, str]:
    output = io.StringIO()
    code = reproduce_model(settings, name, Console(file=output, width=300))
    return code, output.getvalue()


def the_champion(storage: Storage) -> Path:
    (card,) = Path(storage.location).glob("champions/colours/*/card.json")
    return card.parent


def test_the_champion_comes_out_the_same(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    before = {path: path.read_bytes() for path in the_champion(storage).rglob("*") if path.is_file()}
    code, output = reproduce(settings, "colours")
    assert code == 0, output
    assert "identical: weights and" in output
    assert "sha256 of model.safetensors, seed 1" in output
    assert "differs" not in output
    assert {path: path.read_bytes() for path in the_champion(storage).rglob("*") if path.is_file()} == before
    assert list((storage.scratch / "tmp").iterdir()) == []


def test_a_model_of_other_settings_differs(case: tuple[Settings, Storage], tmp_path: Path) -> None:
    settings, storage = case
    folder = copied(the_champion(storage), tmp_path)
    kept = json.loads((folder / "inputs/settings.json").read_text())
    kept["training"]["seed"] = 7
    (folder / "inputs/settings.json").write_text(json.dumps(kept))
    code, output = reproduce(settings, str(folder))
    assert code == 1
    assert "sha256 of model.safetensors, seed 0" in output
    assert "differ\n" in output


def test_what_is_gone_is_named_before_any_training(case: tuple[Settings, Storage], tmp_path: Path) -> None:
    settings, storage = case
    folder = copied(the_champion(storage), tmp_path)
    kept = json.loads((folder / "inputs/settings.json").read_text())
    kept["training"]["epochs"] = 0
    kept["packages"]["torch"] = "1.0"
    (folder / "inputs/settings.json").write_text(json.dumps(kept))
    (folder / "inputs/word_vectors.parquet").unlink()
    rows = pq.read_table(folder / "inputs/data_set.parquet")
    pq.write_table(rows.slice(1), folder / "inputs/data_set.parquet")
    lost = rows.column("file_id")[5].as_py()
    picture = Path(storage.path(storage.image_key(lost)))
    content = picture.read_bytes()
    picture.unlink()
    try:
        code, output = reproduce(settings, str(folder))
    finally:
        picture.write_bytes(content)
    assert code == 1
    lines = output.splitlines()
    assert any(line.startswith("not as it was: torch was 1.0 and is ") for line in lines)
    assert (
        "gone: inputs/word_vectors.parquet is missing: the model was trained before models kept their inputs" in lines
    )
    assert "gone: inputs/data_set.parquet: 1 of 36 train images were withdrawn since" in lines
    assert f"gone: image {lost} is not stored any more" in lines
    assert any("setting training.epochs is not valid now: " in line for line in lines)
    assert len(lines) == 6


def test_metrics_that_were_measured_otherwise_are_shown(case: tuple[Settings, Storage], tmp_path: Path) -> None:
    settings, storage = case
    folder = copied(the_champion(storage), tmp_path)
    card = json.loads((folder / "card.json").read_text())
    card["metrics"]["test"]["labels"]["red"]["ap"]["value"] = 0.123
    update_card(folder, {"metrics": card["metrics"]})
    code, output = reproduce(settings, str(folder))
    assert code == 1
    assert "test ap of red" in output
    assert "0.123" in output
    assert "1 of " in output


def test_another_name_is_refused(case: tuple[Settings, Storage]) -> None:
    settings, storage = case
    with pytest.raises(TableError, match=f"champions are: colours/{the_champion(storage).name}"):
        reproduce(settings, "top-5")


def copied(folder: Path, to: Path) -> Path:
    for path in folder.rglob("*"):
        target = to / path.relative_to(folder)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return to
