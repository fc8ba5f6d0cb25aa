import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labeling.consensus import consensus
from labeling.export import read_label_studio_export
from labeling.references import ImageIndex
from labeling.taxonomy import Taxonomy
from pipeline.demo.experts import write_export
from pipeline.demo.judgement import EXPERTS, REVIEWER
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.styles import STYLES, main_styles, sub_styles

TAXONOMY = Taxonomy(STYLES)


def _planted(images: int) -> Planted:
    rng = np.random.default_rng(1)
    ids = [f"{at:064x}" for at in range(images)]
    mains = main_styles(images, rng)
    truths = {key: PlantedImage(key, main, tuple(sub_styles(main, rng))) for key, main in zip(ids, mains, strict=True)}
    return Planted(1, ("ootd",), (), truths)


def _tasks(planted: Planted) -> pd.DataFrame:
    row = {
        "window": "2019-07-01", "created_at": pd.Timestamp("2019-07-02", tz="UTC"), "hashtags": ["ootd"],
        "alt_text": None, "names": [], "name_image_ids": [],
    }  # fmt: skip
    rows = [
        {**row, "image_id": key, "image_path": f"images/{key[:2]}/{key}", "image_ids": [key]} for key in planted.images
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def planted_images() -> Planted:
    return _planted(800)


@pytest.fixture(scope="module")
def tasks(planted_images: Planted) -> pd.DataFrame:
    return _tasks(planted_images)


def test_export_is_read_as_intended(tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame) -> None:
    refused = write_export(tasks, planted_images, tmp_path / "export.json", 2019, TAXONOMY)
    index = ImageIndex.from_tasks(tasks)
    annotations = read_label_studio_export(tmp_path / "export.json", index, TAXONOMY)
    quarantined = annotations.quarantined.to_pandas()
    assert quarantined["reason"].value_counts().to_dict() == refused
    assert {"skipped", "draft"} <= set(refused)
    valid = annotations.valid.to_pandas()
    assert set(valid["annotator"]) == set(EXPERTS)
    drafts = refused["draft"]
    assert len(valid) + len(quarantined) == 2 * len(tasks) + drafts
    decided = consensus(valid, dict.fromkeys(tasks["image_id"], "2019-07-01")).to_pandas()
    statuses = decided["status"].value_counts()
    assert 0.05 < statuses["resolved_by_review"] / len(tasks) < 0.15
    assert 0 < statuses["conflict"] / len(tasks) < 0.06
    known = decided[decided["main"].notna()]
    right = [
        planted_images.images[key].main == main for key, main in zip(known["image_id"], known["main"], strict=True)
    ]
    assert sum(right) / len(right) > 0.95


def test_experts_disagree_on_some_main_styles(tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame) -> None:
    write_export(tasks, planted_images, tmp_path / "export.json", 2019, TAXONOMY)
    content = json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))
    mains = [
        [
            item["value"]["choices"]
            for one in task["annotations"]
            for item in one["result"]
            if item["from_name"] == "main"
        ]
        for task in content
    ]
    pairs = [pair for pair in mains if len(pair) == 2]
    assert 0.06 < sum(a != b for a, b in pairs) / len(pairs) < 0.2


def test_same_arguments_give_the_same_bytes_and_other_seeds_others(
    tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame
) -> None:
    for name, seed, rows in (("a", 1, tasks), ("b", 1, tasks.iloc[::-1]), ("c", 2, tasks)):
        write_export(rows, planted_images, tmp_path / name, seed, TAXONOMY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_every_name_says_that_it_is_simulated(tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame) -> None:
    write_export(tasks.head(200), planted_images, tmp_path / "export.json", 3, TAXONOMY)
    content = json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))
    people = {
        one[role]["email"] for task in content for one in task["annotations"] for role in ("completed_by", "updated_by")
    }
    assert people == {*EXPERTS, REVIEWER}
    assert all(name.startswith("simulated-") and name.endswith("@example.invalid") for name in people)


def test_a_set_aside_image_of_the_cluster_is_enough(
    tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame
) -> None:
    other = tasks.head(1).copy()
    known = other.iloc[0]["image_id"]
    other["image_id"] = "f" * 64
    other["image_ids"] = [["f" * 64, known]]
    write_export(other, planted_images, tmp_path / "export.json", 1, TAXONOMY)
    assert json.loads((tmp_path / "export.json").read_text())[0]["data"]["image_id"] == "f" * 64


def test_unknown_images_and_short_taxonomies_are_refused(
    tmp_path: Path, planted_images: Planted, tasks: pd.DataFrame
) -> None:
    strange = tasks.head(1).copy()
    strange["image_id"], strange["image_ids"] = "f" * 64, [["f" * 64]]
    with pytest.raises(ValueError, match="was not planted"):
        write_export(strange, planted_images, tmp_path / "export.json", 1, TAXONOMY)
    with pytest.raises(ValueError, match="'Preppy'"):
        write_export(tasks, planted_images, tmp_path / "export.json", 1, Taxonomy(STYLES[:-1]))
    assert not (tmp_path / "export.json").exists()
