"""``stylegraph predict`` and ``stylegraph export`` on a saved model, without a run."""

import hashlib
import io
import json
import os
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

from modeling.label_sets import data_set_version
from modeling.tables import DATA_SET, EVALUATION
from pipeline import launcher
from pipeline.best_model import answers_for, best_architecture
from pipeline.commands.predict import chosen_model, predict_images
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


def test_an_empty_folder_is_said(command: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    code, output, complaint = command("predict", tmp_path, folder / "pictures", "--json", *TOP)
    assert (code, output.count("\n")) == (1, 20)
    assert complaint == f"there is no picture in {tmp_path}: give another folder\n"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
@pytest.mark.parametrize("as_json", [False, True])
def test_any_name_can_be_written_to_any_output(folder: Path, tmp_path: Path, encoding: str, *, as_json: bool) -> None:
    (tmp_path / os.fsdecode(b"\xc3\xa9\xff.png")).write_bytes((folder / "pictures/000.png").read_bytes())
    (tmp_path / os.fsdecode(b"bad\xff.png")).write_text("no picture")
    written = [io.BytesIO(), io.BytesIO()]
    outputs = [io.TextIOWrapper(file, encoding, errors="strict", write_through=True) for file in written]
    consoles = [Console(file=output, width=1000) for output in outputs]
    settings = load_settings(folder / "stylegraph.toml")
    assert predict_images(settings, [tmp_path], "top-3", "ml_gcn", *consoles, as_json=as_json) == 1
    lines, complaints = (file.getvalue() for file in written)
    assert rb"bad\xff.png can't be read" in complaints
    if as_json:
        assert json.loads(lines.decode("utf-8"))["image"] == f"{tmp_path}/é\\xff.png"
    else:
        letter = r"\xe9" if encoding == "ascii" else "é"
        assert lines.decode(encoding).startswith(f"{tmp_path}/{letter}\\xff.png  ")


def test_every_label_is_told_without_unicode(folder: Path) -> None:
    written = io.BytesIO()
    output = io.TextIOWrapper(written, "ascii", errors="strict", write_through=True)
    picture, settings = folder / "pictures/000.png", load_settings(folder / "stylegraph.toml")
    consoles = Console(file=output, width=1000), Console(stderr=True)
    assert predict_images(settings, [picture], "top-3", "ml_gcn", *consoles, as_json=False) == 0
    text = written.getvalue().decode()
    assert "%  #" in text
    assert "\\" not in text


@pytest.mark.timeout(60)
def test_a_pipe_in_a_folder_is_left_alone(command: Any, folder: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(folder / "pictures/000.png")
    code, output, _ = command("predict", tmp_path, "--json", *TOP)
    assert code == 0
    assert [json.loads(line)["image"] for line in output.splitlines()] == [str(tmp_path / "b.png")]


def test_the_backbone_is_the_one_of_the_model(command: Any, folder: Path) -> None:
    """Not the one of today's settings."""
    storage = Storage(str(folder / "data"))
    with storage.model_folder("top-3", "backbone") as model:
        write_model(model, "backbone")
    command_line = ("predict", folder / "pictures/000.png", "--label-set", "top-3", "--architecture", "backbone")
    config = folder / "other.toml"
    config.write_text(
        (folder / "stylegraph.toml").read_text(encoding="utf-8") + '\n[backbone]\nname = "resnet50"\n', encoding="utf-8"
    )
    code, output, _ = command(*command_line, "--config", config)
    assert code == 0
    assert output.splitlines()[0].endswith("(ResNet-18, top-3)")


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


def test_an_unknown_architecture_is_named(folder: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"no architecture is called vgg; there are: basic_cnn, backbone, .*, ml_gcn"
    ):
        chosen_model(load_settings(folder / "stylegraph.toml"), None, "vgg")


def evaluated(storage: Storage, architecture: str, score: float) -> None:
    """Write an evaluation that says no more than the score on the validation split."""
    row = {"split": "validation", "metric": "mean5", "label": None, "value": score, "images": 8, "seeds": 1}
    empty = dict.fromkeys(EVALUATION.names)
    storage.write_table("evaluation", pa.Table.from_pylist([empty | row], EVALUATION), ("top-3", architecture))


def test_the_best_model_is_one_of_the_data_set_as_it_is_now(folder: Path, tmp_path: Path) -> None:
    settings, storage = load_settings(folder / "stylegraph.toml"), Storage(str(tmp_path))
    data_set = Storage(str(folder / "data")).read_table("data_set", ("top-3",))
    storage.write_table("data_set", data_set, ("top-3",))
    for architecture, version in (("basic_cnn", data_set_version(data_set)), ("ml_gcn", "0" * 64)):
        with storage.model_folder("top-3", architecture) as model:
            write_model(model, architecture, data_set_version=version)
    evaluated(storage, "ml_gcn", 0.9)
    assert best_architecture(settings, storage, "top-3") == "ml_gcn", "until the next training, an old one is better"
    evaluated(storage, "basic_cnn", 0.4)
    assert best_architecture(settings, storage, "top-3") == "basic_cnn"
    picture = f"{1:064x}"
    storage.write_bytes(storage.image_key(picture), (folder / "pictures/001.png").read_bytes())
    answers = answers_for(settings, storage, "top-3", [picture], lambda done, total: None)
    weights = storage.model_path("top-3", "basic_cnn") / "model.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert answers.model_version == f"top-3/basic_cnn@{digest[:12]}"
    with storage.model_folder("top-3", "ml_gcn") as model:
        write_model(model, data_set_version=data_set_version(data_set))
    assert best_architecture(settings, storage, "top-3") == "ml_gcn"


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
