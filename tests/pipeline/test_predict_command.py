"""``stylegraph predict`` and ``stylegraph export`` on a saved model, without a run."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from modeling.tables import DATA_SET
from pipeline import launcher
from pipeline.commands.predict import predict_images
from pipeline.settings import SettingsError, load_settings
from pipeline.storage import Storage
from tests.modeling.model_case import THRESHOLDS, write_model
from tests.modeling.training_case import make_case
from tests.pipeline.small_case import SETTINGS

TOP = ["--label-set", "top-3", "--architecture", "ml_gcn"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings, a model of their first label set, its data set, and pictures."""
    folder = tmp_path_factory.mktemp("case")
    config = folder / "stylegraph.toml"
    config.write_text(SETTINGS.replace('location = "data"', f'location = "{folder / "data"}"'), encoding="utf-8")
    storage = Storage(str(folder / "data"))
    with storage.model_folder("top-3", "ml_gcn") as model:
        write_model(model)
    case = make_case(folder / "pictures", images=20)
    rows = case.data_set.to_dict("records")
    for row in rows:
        row["file_id"] = f"{int(row['image_id']):064x}"
        content = case.image_path(row["image_id"]).read_bytes()
        storage.write_bytes(storage.image_key(row["file_id"]), content)
    storage.write_table("data_set", pa.Table.from_pandas(pd.DataFrame(rows), DATA_SET), ("top-3",))
    return folder


@pytest.fixture
def command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a command line as the launcher does; returns exit code, standard output and standard error."""
    monkeypatch.setenv("STYLEGRAPH_CONFIG", str(folder / "stylegraph.toml"))

    def run(*arguments: object) -> tuple[int, str, str]:
        result = CliRunner().invoke(launcher.app, [str(argument) for argument in arguments])
        return result.exit_code, result.stdout, result.stderr

    return run


def test_a_picture_is_told_with_all_its_labels(command: Any, folder: Path) -> None:
    code, output, _ = command("predict", folder / "pictures/000.png", *TOP)
    assert code == 0
    assert output.splitlines()[0] == f"{folder}/pictures/000.png  (ML-GCN, top-3)"
    assert output.count("%") == 3


def test_a_folder_gives_one_json_line_for_each_picture(command: Any, folder: Path, tmp_path: Path) -> None:
    bad = tmp_path / "page.jpg"
    bad.write_text("<html>")
    code, output, complaint = command("predict", folder / "pictures", bad, folder / "pictures/000.png", "--json", *TOP)
    assert code == 1
    assert complaint.count("\n") == 1
    assert "page.jpg can't be read" in complaint
    lines = [json.loads(line) for line in output.splitlines()]
    expected = [*sorted(str(path) for path in (folder / "pictures").iterdir()), str(folder / "pictures/000.png")]
    assert [line["image"] for line in lines] == expected
    for line in lines:
        assert (line["label_set"], line["architecture"]) == ("top-3", "ml_gcn")
        assert list(line["labels"].values()) == sorted(line["labels"].values(), reverse=True)
        assert line["chosen"] == [label for label, value in line["labels"].items() if value >= THRESHOLDS[label]]


def test_a_folder_gives_people_one_line_for_each_picture(command: Any, folder: Path) -> None:
    code, output, _ = command("predict", folder / "pictures", *TOP)
    assert code == 0
    assert len(output.splitlines()) == 20
    assert all("%" in line for line in output.splitlines())


def test_an_empty_folder_is_no_failure(command: Any, tmp_path: Path) -> None:
    assert command("predict", tmp_path, "--json", *TOP) == (0, "", "")


def test_the_bar_goes_to_the_terminal_and_the_lines_to_the_file(folder: Path) -> None:
    """Standard output in a file, standard error a terminal, as in ``stylegraph predict FOLDER --json > answers``."""
    screen, answers = io.StringIO(), io.StringIO()
    code = predict_images(
        load_settings(folder / "stylegraph.toml"),
        [folder / "pictures"],
        "top-3",
        "ml_gcn",
        Console(file=answers, width=10_000),
        Console(file=screen, force_terminal=True, width=100),
        as_json=True,
    )
    assert code == 0
    assert len([json.loads(line) for line in answers.getvalue().splitlines()]) == 20
    assert "20/20" in screen.getvalue()


def test_a_model_that_is_broken_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = Storage(str(tmp_path / "data"))
    with storage.model_folder("top-3", "ml_gcn") as model:
        write_model(model)
        (model / "card.json").write_text('{"format": 1}')
    config = tmp_path / "stylegraph.toml"
    config.write_text(SETTINGS.replace('location = "data"', f'location = "{tmp_path / "data"}"'), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["stylegraph", "predict", str(folder), "-c", str(config), *TOP])
    monkeypatch.setattr(launcher, "errors", Console(stderr=True, width=500))
    with pytest.raises(SystemExit) as ended:
        launcher.main()
    assert ended.value.code == 2
    complaint = capfd.readouterr().err
    assert complaint.count("\n") == 1
    assert "train the model again with this version" in complaint


def test_an_unknown_label_set_is_named(folder: Path) -> None:
    with pytest.raises(SettingsError, match="no label set is called top-9; there are: top-3, pair"):
        predict_images(
            load_settings(folder / "stylegraph.toml"), [folder], "top-9", None, Console(), Console(), as_json=False
        )


def test_a_model_is_exported_and_checked(command: Any, folder: Path, tmp_path: Path) -> None:
    runtime: Any = pytest.importorskip("onnxruntime")
    code, output, _ = command("export", tmp_path / "model.onnx", *TOP)
    assert code == 0
    assert "opset 18" in output
    assert "checked on 4 images" in output
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    code, line, _ = command("predict", folder / "pictures/000.png", "--json", *TOP)
    with Image.open(folder / "pictures/000.png") as image:
        pixels = image.convert("RGB").resize((32, 48), Image.Resampling.BICUBIC)
    [found] = session.run(None, {"pixels": np.asarray(pixels)[None]})[0]
    labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    assert dict(zip(labels, found, strict=True)) == pytest.approx(json.loads(line)["labels"], abs=1e-4)
