import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeling.card_files import read_card
from modeling.errors import ModelingError
from modeling.images import load_image
from modeling.model_files import load_model
from modeling.onnx_export import INPUT, OPSET, OUTPUT, export_onnx
from tests.modeling.model_case import SIZE, THRESHOLDS, write_model
from tests.modeling.training_case import LABELS, Case, make_case

runtime: Any = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return make_case(tmp_path_factory.mktemp("pictures"), images=20)


def paths_of(case: Case, count: int) -> list[Path]:
    return [case.image_path(f"{number:03}") for number in range(count)]


@pytest.mark.parametrize(
    ("architecture", "flip_average"), [("ml_gcn", True), ("csra", False), ("backbone_max", False), ("basic_cnn", True)]
)
def test_the_file_answers_as_the_predictor_does(
    tmp_path: Path, case: Case, architecture: str, flip_average: bool
) -> None:
    model = write_model(tmp_path / "model", architecture, training={"flip_average": flip_average})
    path = tmp_path / "model.onnx"
    report = export_onnx(model, path, paths_of(case, 4))
    assert report.images == 4
    assert report.largest_difference < 1e-4
    assert report.size == path.stat().st_size
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    expected = load_model(model, "cpu").probabilities(paths_of(case, 20))
    assert expected.std() > 0.01
    pixels = np.stack([load_image(picture, SIZE) for picture in paths_of(case, 20)])
    for count in (1, 3, 20):
        [found] = session.run([OUTPUT], {INPUT: pixels[:count]})
        assert found.dtype == np.float32
        assert np.abs(found - expected[:count]).max() < 1e-4


def test_the_file_says_how_to_use_it(tmp_path: Path, case: Case) -> None:
    model = write_model(tmp_path / "model", "basic_cnn")
    export_onnx(model, tmp_path / "model.onnx", paths_of(case, 1))
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == LABELS
    assert json.loads(metadata["image_size"]) == list(SIZE)
    assert metadata["resize"] == "stretch"
    assert float(metadata["temperature"]) == 1.6
    assert json.loads(metadata["thresholds"]) == THRESHOLDS
    assert metadata["weights_sha256"] == read_card(model)["weights_sha256"]
    [given] = session.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == (INPUT, "tensor(uint8)", [*SIZE, 3])
    assert isinstance(given.shape[0], str)
    onnx = import_module("onnx").load(tmp_path / "model.onnx")
    assert [(entry.domain, entry.version) for entry in onnx.opset_import] == [("", OPSET)]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path, case: Case) -> None:
    model = write_model(tmp_path / "model", "basic_cnn")
    first, second = (export_onnx(model, tmp_path / name, paths_of(case, 2)) for name in ("a.onnx", "b.onnx"))
    assert first.sha256 == second.sha256


def test_nothing_is_written_without_a_picture_to_check(tmp_path: Path, case: Case) -> None:
    model = write_model(tmp_path / "model", "basic_cnn")
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ModelingError, match="give at least one picture"):
        export_onnx(model, path, [])
    with pytest.raises(ModelingError, match=r"nothing\.jpg can't be read"):
        export_onnx(model, path, [tmp_path / "nothing.jpg"])
    assert path.read_bytes() == b"old"
    with pytest.raises(ModelingError, match=r"there is no folder .*nowhere to write model\.onnx into"):
        export_onnx(model, tmp_path / "nowhere/model.onnx", paths_of(case, 1))


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("model", "model is there and is no file: give the name of a file to write"),
        ("/dev/null", "/dev/null is there and is no file"),
        ("/proc/model.onnx", r"/proc can't be written to \(.*\): choose another folder"),
    ],
)
def test_a_place_that_can_not_be_written_is_refused_first(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    """Before the model is even read: there is none."""
    monkeypatch.chdir(tmp_path)
    Path("model").mkdir()
    with pytest.raises(ModelingError, match=message):
        export_onnx(Path("model"), Path(path), paths_of(case, 1))
    assert list(tmp_path.rglob("*")) == [tmp_path / "model"]


def test_a_model_that_answers_differently_is_not_kept(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_model(tmp_path / "model", "basic_cnn")
    monkeypatch.setattr("modeling.onnx_export.TOLERANCE", -1.0)
    with pytest.raises(ModelingError, match=r"differ by .* in a probability, .*: model\.onnx was not written"):
        export_onnx(model, tmp_path / "model.onnx", paths_of(case, 1))
    assert not (tmp_path / "model.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_missing_package_is_one_line(tmp_path: Path) -> None:
    """As in an environment without the extra: Python's own way to say that a module is not there."""
    script = (
        "import sys\nfrom pathlib import Path\nimport modeling.onnx_export as export\n"
        "sys.path[:] = [path for path in sys.path if not path.endswith('site-packages')]\n"
        "for name in ('onnx', 'onnxscript', 'onnxruntime'):\n    sys.modules.pop(name, None)\n"
        "try:\n    export.export_onnx(Path('model'), Path('out.onnx'), [])\n"
        "except export.ModelingError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == (
        "ONNX export needs onnx, onnxscript, onnxruntime: install the extra onnx: "
        "pip install -e '.[onnx]' in the checkout, or pip install 'stylegraph[onnx]'\n"
    )
