"""Near-duplicates in the graph: windows one by one, people's decisions, labels that follow, checks that speak."""

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from rich.console import Console

from crawlers.dedup import hashing
from pipeline.commands.run import run_stages
from pipeline.run import Outcome, collection_steps, label_steps, model_steps
from pipeline.settings import load_settings
from pipeline.storage import Storage
from tests.pipeline.small_case import write_case, write_csv

PICTURES, COPIES = 8, 3


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """Eight pictures of the first window, and smaller copies of three of them in the second one."""
    config = write_case(tmp_path, images=PICTURES)
    rows = [[f"{number:03}.jpg", "2019-07-02T12:00:00Z"] for number in range(PICTURES)]
    for number in range(COPIES):
        with Image.open(tmp_path / "photos" / f"{number:03}.jpg") as picture:
            picture.resize((90, 112)).save(tmp_path / "photos" / f"copy-{number}.jpg", quality=70)
        rows.append([f"copy-{number}.jpg", "2019-07-09T12:00:00Z"])
    write_csv(tmp_path / "posts.csv", ["image", "created_at"], rows)
    return config


def run(config: Path, *titles: str, **changes: object) -> tuple[str, list[Outcome]]:
    """Run the steps with these keys; return what is printed."""
    settings = load_settings(config)
    if changes:
        settings = settings.model_copy(
            update={"deduplication": settings.deduplication.model_copy(update=dict(changes))}
        )
    every = [*collection_steps(settings), *label_steps(), *model_steps(settings)]
    steps = [step for step in every if step.key in titles]
    output = io.StringIO()
    outcomes = run_stages(settings, steps, Console(file=output, width=250))
    return output.getvalue(), outcomes


def unique(config: Path) -> pd.DataFrame:
    storage = Storage(load_settings(config).data.location)
    images = storage.read_windows("images", ["2019-07-01", "2019-07-08"], ["image_id", "url"]).to_pandas()
    names = dict(zip(images["image_id"], images["url"], strict=True))
    table = storage.read_table("unique_images").to_pandas()
    table["name"], table["canonical"] = table["image_id"].map(names), table["canonical_id"].map(names)
    return table.set_index("name").sort_index()


WINDOWS = ("crawl 2019-07-01", "crawl 2019-07-08")


def test_copies_of_a_later_window_are_set_aside_and_their_labels_follow(case: Path) -> None:
    run(case, WINDOWS[0], "collection")
    before = unique(case)
    assert before["kept"].all()
    assert len(before) == PICTURES
    run(case, WINDOWS[1], "collection")
    after = unique(case)
    assert after.loc["copy-1.jpg", "canonical"] == "001.jpg"
    assert after["kept"].sum() == PICTURES
    assert after.loc[before.index, "canonical"].tolist() == before["canonical"].tolist()
    labels = [["copy-0.jpg", "Casual", ""], ["001.jpg", "Sporty", "Casual"], ["copy-1.jpg", "Sporty", ""]]
    write_csv(case.parent / "labels.csv", ["image", "main", "subs"], labels[:2])
    output, outcomes = run(case, "labels")
    assert outcomes[0].failure is None, output
    storage = Storage(load_settings(case).data.location)
    labelled = set(storage.read_table("labels").column("image_id").to_pylist())
    assert labelled == {after.loc["000.jpg", "image_id"], after.loc["001.jpg", "image_id"]}
    assert "lost" not in output


def test_a_persons_decision_wins_and_a_wrong_one_is_named(case: Path) -> None:
    run(case, *WINDOWS, "collection")
    ids = unique(case)["image_id"]
    path = case.parent / "decisions.csv"
    rows = [
        ["different", ids["000.jpg"], ids["copy-0.jpg"]],
        ["same", ids["004.jpg"], ids["005.jpg"]],
        ["keep", ids["copy-2.jpg"], ""],
    ]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["decision", "image_a", "image_b"], *rows])
    run(case, "collection", overrides=path)
    decided = unique(case)
    assert decided.loc["copy-0.jpg", "kept"]
    assert decided.loc["002.jpg", "canonical"] == "copy-2.jpg"
    assert not decided.loc[["004.jpg", "005.jpg"], "kept"].all()
    assert set(decided.loc[~decided["kept"], "stage"]) == {"phash", "person"}
    path.write_text("decision,image_a,image_b\nmerge,x,y\n")
    _, (outcome,) = run(case, "collection", overrides=path)
    assert outcome.failure is not None
    assert "decisions.csv: row 1: decision 'merge' is none of keep, same, different" in outcome.failure


def test_a_window_that_was_hashed_is_not_hashed_again(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(case, *WINDOWS)
    storage = Storage(load_settings(case).data.location)
    before = storage.read_table("image_hashes", ("2019-07-01",))
    hashed: list[int] = []
    real = hashing.hash_files
    monkeypatch.setattr(hashing, "hash_files", lambda paths: hashed.append(len(paths)) or real(paths))
    run(case, WINDOWS[0])
    assert sum(hashed) == 0
    assert storage.read_table("image_hashes", ("2019-07-01",)).equals(before)


def test_checks_say_what_looks_wrong(case: Path) -> None:
    output, _ = run(case, *WINDOWS, "collection", largest_cluster=1, most_set_aside=0.5)
    assert "a cluster has 2 images, around" in output
    assert "window 2019-07-08: 100.0% of its images set aside" in output
    calm, _ = run(case, "collection", most_set_aside=1.0)
    assert "!" not in calm
