"""A new head or backbone is one file and one line: those of docs/modeling.md are added to a copy and trained."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "docs" / "modeling.md").read_text(encoding="utf-8")
MOST_LINES = 40

TRAIN = """
import json
from pathlib import Path

import modeling
from modeling.model_files import load_model
from modeling.train import train
from modeling.training_settings import BackboneSettings
from training_case import ADJACENCY, LABELS, QUICK, WORD_VECTORS, make_case

folder = Path.cwd()
assert Path(modeling.__file__).parent == folder / "modeling"
case = make_case(folder / "pictures")
for architecture, backbone in (("gem", "mobilenet_v3_small"), ("ml_gcn", "patches")):
    trained = train(
        case.data_set, LABELS, WORD_VECTORS, ADJACENCY, architecture, BackboneSettings(name=backbone),
        QUICK.model_copy(update={"epochs": 3}), case.image_path, folder / "cache", folder / architecture,
    )
    answers = load_model(folder / architecture, "cpu").predict([case.image_path("000")])
    losses = trained.curves["train_loss"].to_pylist()
    print(json.dumps({"losses": losses, "answers": answers[0], "card": trained.card}))
"""


def code_of(first_line: str, most_lines: int = MOST_LINES) -> str:
    """The block of Python in the document that starts with this line."""
    found = re.search(rf"```python\n({re.escape(first_line)}.*?)```", TEXT, flags=re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) <= most_lines
    return found[1]


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_head_and_backbone_of_the_documentation_are_trained_and_predict(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "modeling", tmp_path / "modeling", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(__file__).parent / "training_case.py", tmp_path)
    networks = tmp_path / "modeling" / "networks"
    (networks / "gem.py").write_text(code_of('"""Generalised mean pooling'), encoding="utf-8")
    entry = code_of('Architecture("gem"', most_lines=1).strip()
    replace(tmp_path / "modeling" / "architectures.py", "_ALL = (\n", f"_ALL = (\n    {entry},\n")
    (networks / "patches.py").write_text(code_of('"""A small network over patches'), encoding="utf-8")
    replace(networks / "backbones.py", '("basic_cnn",)', '("basic_cnn", "patches")')
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAIN],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    head, backbone = (json.loads(line) for line in done.stdout.splitlines())
    for said in (head, backbone):
        assert said["losses"][-1] < said["losses"][0], "it learns"
        assert set(said["answers"]) == {"red", "green", "blue"}
    assert head["card"]["architecture"] == "gem"
    assert head["card"]["pooling"] == "none"
    assert backbone["card"]["backbone"]["name"] == "patches"
