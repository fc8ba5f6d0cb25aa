"""The whole graph on a small archive: it ends well, says the same twice, and bad input stops only what it must."""

import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from pipeline.commands.report import figures
from pipeline.commands.run import run_all
from pipeline.launcher import app
from pipeline.settings import load_settings
from pipeline.storage import Storage
from pipeline.tables import TABLES
from tests.pipeline.small_case import SETTINGS, write_case, write_csv

LIVE_ONLY = {  # tables of the round trip with a live Label Studio
    "queued_tasks",
    "annotation_versions",
    "pre_annotations",
    "prediction_acceptance",
    "returned_tasks",
}
TIMES = {"crawled_at", "decided_at", "fetched_at", "seconds"}  # columns that say when, not what


def run(config: Path) -> tuple[int, str]:
    output = io.StringIO()
    code = run_all(load_settings(config), Console(file=output, width=200))
    return code, output.getvalue()


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings file of a small case that was run once."""
    config = write_case(tmp_path_factory.mktemp("case"))
    code, output = run(config)
    assert code == 0, output
    return config


def table_bytes(location: Path) -> dict[str, bytes]:
    """Every table as bytes, without the columns that hold times."""
    contents = {}
    for path in sorted((location / "tables").rglob("*.parquet")):
        table = pq.read_table(path)
        table = table.drop_columns([name for name in table.column_names if name in TIMES])
        sink = io.BytesIO()
        pq.write_table(table, sink)
        contents[str(path.relative_to(location))] = sink.getvalue()
    return contents


def test_every_table_exists_for_every_partition(case: Path) -> None:
    storage = Storage(str(case.parent / "data"))
    for name in set(TABLES) - LIVE_ONLY - {"withdrawals"}:  # which is made when somebody withdraws something
        found = list((case.parent / "data/tables").glob(f"{name}.parquet")) or list(
            (case.parent / "data/tables" / name).rglob("*.parquet")
        )
        assert found, name
    assert not any(storage.has_table(name) for name in LIVE_ONLY)
    assert storage.read_table("data_set", ("top-3",)).num_rows > 40
    assert storage.exists("reports/report.html")


def test_the_same_run_gives_the_same_bytes(case: Path, tmp_path: Path) -> None:
    for name in ("photos", "posts.csv", "labels.csv", "stylegraph.toml"):
        source = case.parent / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    code, output = run(tmp_path / "stylegraph.toml")
    assert code == 0, output
    first, second = table_bytes(case.parent / "data"), table_bytes(tmp_path / "data")
    assert list(first) == list(second)
    assert [name for name in first if first[name] != second[name]] == []
    weights = sorted((case.parent / "data/models").rglob("model.safetensors"))
    again = sorted((tmp_path / "data/models").rglob("model.safetensors"))
    assert sorted(path.read_bytes() for path in weights) == sorted(path.read_bytes() for path in again)


def test_metrics_follow_from_the_scores(case: Path) -> None:
    storage = Storage(str(case.parent / "data"))
    rows = {
        (row["label_set"], row["architecture"], row["metric"]): row
        for row in figures(load_settings(case))
        if not row["label"]
    }
    scores = storage.read_table("scores", ("top-3", "ml_gcn")).to_pandas()
    test = scores[scores["split"] == "test"]
    any_1 = all_2 = 0
    for image in test.itertuples():
        ranked = sorted(range(len(image.labels)), key=lambda k: (-image.scores[k], k))
        names = [image.labels[k] for k in ranked]
        truth = {image.main, *image.subs}
        any_1 += bool(truth & set(names[:1]))
        all_2 += truth <= set(names[:2])
    assert rows["top-3", "ml_gcn", "any@1"]["value"] == pytest.approx(any_1 / len(test))
    assert rows["top-3", "ml_gcn", "all@2"]["value"] == pytest.approx(all_2 / len(test))
    assert rows["top-3", "ml_gcn", "all@2"]["images"] == len(test)


def test_slices_know_windows_and_sources(case: Path) -> None:
    storage = Storage(str(case.parent / "data"))
    rows = storage.read_table("slices", ("top-3", "ml_gcn")).to_pandas()
    rows = rows[(rows["metric"] == "any@1") & (rows["split"] == "test")]
    data_set = storage.read_table("data_set", ("top-3",)).to_pandas()
    windows = data_set.loc[data_set["split"] == "test", "window"].value_counts().to_dict()
    found = rows[rows["dimension"] == "window"].set_index("slice")["images"].to_dict()
    assert found == windows
    source = rows[rows["dimension"] == "source"].set_index("slice")["images"].to_dict()
    assert source == {"drawn": sum(windows.values())}


def test_a_model_has_a_card_with_what_was_measured(case: Path) -> None:
    storage = Storage(str(case.parent / "data"))
    folder = storage.model_path("top-3", "ml_gcn")
    value = next(
        row["value"]
        for row in storage.read_table("evaluation", ("top-3", "ml_gcn")).to_pylist()
        if row["split"] == "test" and row["metric"] == "mean5"
    )
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["metrics"]["test"]["overall"]["mean5"]["value"] == value
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert f"{100 * value:.1f}" in text
    assert all(f"| {label} |" in text for label in card["labels"])


def test_the_commands_speak_of_the_run(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGRAPH_CONFIG", str(case))
    runner = CliRunner()
    result = runner.invoke(app, ["report", "--json"])
    assert result.exit_code == 0
    assert {row["architecture"] for row in json.loads(result.stdout)} == {"basic_cnn", "ml_gcn"}
    picture = str(case.parent / "photos/000.jpg")
    result = runner.invoke(app, ["predict", picture, "--json", "--label-set", "top-3", "--architecture", "ml_gcn"])
    assert result.exit_code == 0
    labels = json.loads(result.stdout)["labels"]
    assert set(labels) == {"Casual", "Romantic", "Sporty"}
    assert all(0 < probability < 1 for probability in labels.values())


def test_bad_rows_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    config = write_case(
        tmp_path,
        settings=SETTINGS.replace('"basic_cnn", ', "") + "\n[label_sets.empty]\nlabels = ['Elegant', 'Casual']\n",
    )
    (tmp_path / "photos/001.jpg").write_bytes(b"<html>not a picture</html>")
    picture = tmp_path / "photos/002.jpg"
    picture.write_bytes(picture.read_bytes()[:900])
    labels = pd.read_csv(tmp_path / "labels.csv", keep_default_na=False).values.tolist()
    labels += [["003.jpg", "Casual", ""], ["004.jpg", "Spacey", ""], ["nothing.jpg", "Casual", ""]]
    labels[5] = ["005.jpg", "Sporty", "Sporty"]
    write_csv(tmp_path / "labels.csv", ["image", "main", "subs"], labels)
    code, output = run(config)
    assert code == 1
    assert "Elegant" in output
    storage = Storage(str(tmp_path / "data"))
    failed = storage.read_windows("images", ["2019-07-01", "2019-07-08"]).to_pandas()
    assert set(failed[failed["status"] == "failed"]["url"]) == {"001.jpg", "002.jpg"}
    reasons = storage.read_table("quarantined_annotations").column("reason").to_pylist()
    assert len(reasons) >= 4
    assert storage.has_table("comparison", ("top-3",))
    assert not storage.has_table("data_set", ("empty",))
    assert storage.exists("reports/report.html")


def test_a_crawl_without_a_key_says_how_to_make_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STYLEGRAPH_HMAC_KEY", raising=False)
    source = 'kind = "mastodon"\nserver = "http://127.0.0.1:9"\nhashtags = ["ootd"]\nallow_hosts = ["127.0.0.1"]\n'
    text = SETTINGS.replace('kind = "archive"\nfolder = "photos"\nposts = "posts.csv"\n', source)
    assert source in text
    config = tmp_path / "stylegraph.toml"
    config.write_text(text.replace("2019-07-15", "2019-07-08"), encoding="utf-8")
    code, output = run(config)
    assert code == 1
    assert "Crawl 2019-07-01: STYLEGRAPH_HMAC_KEY is not set" in output
    assert "Steps that failed: 1; not run because of them:" in output
