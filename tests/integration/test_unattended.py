"""Nobody at the keyboard: a week of posts is added, and all else follows by itself, also when processes are killed."""

import html
import json
import random
import shutil
import time
from collections.abc import Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from string import Template

import dagster as dg
import pandas as pd
import pytest

from modeling.label_sets import data_set_version
from pipeline.demo.check import check_planted
from pipeline.demo.posts import HASHTAGS
from pipeline.partitions import window_keys
from pipeline.services import CODE_SERVER, DAEMON
from pipeline.settings import load_settings
from pipeline.tables import TABLES, conform
from tests.integration.unattended_demo import (
    ARCHITECTURES,
    LABEL_SET,
    POSTS,
    WORKER,
    Killer,
    UnattendedDemo,
    Watched,
    write_small_settings,
)

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(1800)]
WEEK = "2019-09-02"
LABELS = 'kind = "label_studio_export"\npath = "label_studio_export.json"'
KEYS: dict[str, Sequence[str]] = {  # columns of which each row has others than every other row of the whole table
    "posts": ("server", "post_id"),
    "images": ("post_id", "media_index"),
    "deleted_posts": ("server", "post_id", "window"),
    "crawl_counts": ("window", "source", "what", "outcome"),
    "image_hashes": ("image_id", "window"),
    "unique_images": ("image_id",),
    "similar_pairs": ("image_a", "image_b"),
    "label_tasks": ("image_id",),
    "annotations": ("annotation_id",),
    "quarantined_annotations": ("annotation_id",),
    "labels": ("image_id",),
    "agreement": ("measure", "window", "annotator_a", "annotator_b", "label"),
    "main_confusion": ("label_a", "label_b"),
    "annotators": ("annotator", "week"),
    "label_frequencies": ("label",),
    "data_set": ("partition", "image_id"),
    "known_splits": ("partition", "image_id", "made_with"),
    "split_balance": ("partition", "label", "split"),
    "word_vectors": ("partition", "label"),
    "tau_sweep": ("partition", "tau", "form", "p"),
    "correlation_matrix": ("partition", "row", "column"),
    "training_curves": ("partition", "seed", "epoch"),
    "seed_runs": ("partition", "seed"),
    "scores": ("partition", "seed", "image_id"),
    "evaluation": ("partition", "split", "metric", "label"),
    "slices": ("partition", "split", "dimension", "slice", "metric"),
    "reliability": ("partition", "split", "calibrated", "low"),
    "suspicious_labels": ("partition", "image_id", "kind", "label"),
    "comparison": ("partition", "metric", "architecture_a", "architecture_b"),
    "training_requests": ("partition", "decided_at"),
    "promotions": ("partition", "challenger", "champion_before", "data_set_version"),
    "style_predictions": ("label_set", "image_id", "model_version"),
    "style_trends": ("label_set", "window", "label", "source", "role"),
    "style_movements": ("label_set", "label", "source", "role"),
    "cooccurrence_changes": ("label_set", "label_a", "label_b", "source"),
    "drift": ("label_set", "window", "model_version", "what", "label", "test"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small demo that was run to its end; each test goes on with a copy."""
    demo = UnattendedDemo(tmp_path_factory.mktemp("finished"))
    template = Template(resources.files("pipeline.demo").joinpath("stylegraph.toml").read_text("utf-8"))
    write_small_settings(demo.config, template.substitute(labels=LABELS, hashtags=json.dumps(HASHTAGS)))
    demo.command("demo", "--posts", str(POSTS), "--folder", str(demo.folder))
    return demo.working


@pytest.fixture
def demo(finished: Path, tmp_path: Path) -> UnattendedDemo:
    shutil.copytree(finished, tmp_path / "w")
    return UnattendedDemo(tmp_path / "w")


def test_a_week_goes_through_the_whole_graph_by_itself(demo: UnattendedDemo) -> None:
    with demo.services() as watched:
        before = time.time()
        through_the_graph(watched, before)
        nothing_is_left_over(watched)
        everything_is_there_once(watched, before)


@pytest.mark.parametrize("seed", [7])
def test_killed_again_and_again_it_ends_the_same(demo: UnattendedDemo, seed: int) -> None:
    with demo.services() as watched:
        before = time.time()
        killer = Killer(watched, rounds=2, rng=random.Random(seed))
        watched.meanwhile = killer.look
        through_the_graph(watched, before)
        assert killer.left == [], watched.story()
        assert set(killer.killed) == {DAEMON, CODE_SERVER, WORKER}
        nothing_is_left_over(watched)
        everything_is_there_once(watched, before)
    said = demo.said.read_text(encoding="utf-8")
    assert said.count("killed by SIGKILL") == 4, said


def through_the_graph(watched: Watched, before: float) -> None:
    """Add a week, let experts answer when tasks wait, and see each step follow by itself."""
    watched.demo.add_week()
    watched.note("a week of posts was added")
    watched.awaited("the week is crawled", lambda: len(watched.table("posts", WEEK)))
    watched.awaited("its pictures are hashed", lambda: len(watched.table("image_hashes", WEEK)))
    watched.awaited("near-duplicates are found in it", lambda: len(of_the_week(watched, "unique_images")))
    watched.awaited("its pictures wait to be labelled", lambda: len(of_the_week(watched, "label_tasks")))
    watched.demo.label_week()
    watched.note("experts have answered")
    waiting = len(of_the_week(watched, "label_tasks"))
    watched.awaited("their answers are labels", lambda: len(of_the_week(watched, "labels")) == waiting)
    watched.awaited("a training is due", lambda: len(due_since(watched, before)))
    assert due_since(watched, before)["reason"].iloc[0].endswith("(10 are enough)")
    for name in ARCHITECTURES:
        watched.awaited(f"{name} is trained", partial(watched.made_since, "model_card", f"{name}|{LABEL_SET}", before))
    watched.awaited("the models are compared", lambda: watched.made_since("comparison", LABEL_SET, before))
    watched.awaited("the challenger is promoted or refused", lambda: len(decided_since(watched, before)))
    watched.awaited("the champion has looked at the week", lambda: is_predicted(watched))
    watched.awaited("the week has its share in the trends", lambda: shares(watched) == {"model", "experts"})
    decision = decided_since(watched, before).iloc[-1]
    watched.awaited("the report tells of it", lambda: html.escape(decision["reason"]) in report(watched))


def nothing_is_left_over(watched: Watched) -> None:
    """No run waits, works or ends for ever: what is under way now comes to an end. The daily looks, each minute here,
    begin others meanwhile."""
    left = {run.run_id for run in watched.under_way()}
    watched.awaited("every run has ended", lambda: left.isdisjoint(run.run_id for run in watched.under_way()))


def everything_is_there_once(watched: Watched, before: float) -> None:
    """What was planted is found, each decision was made once, and no table has a row twice."""
    settings, storage = load_settings(watched.demo.config), watched.demo.storage
    windows = window_keys(settings.windows)
    posts, images, counts = (
        storage.read_windows(name, windows).to_pandas() for name in ("posts", "images", "crawl_counts")
    )
    checks = check_planted(
        watched.planted(), posts=posts, images=images, counts=counts, unique=watched.table("unique_images"),
        annotations=watched.table("annotations"), quarantined=watched.table("quarantined_annotations"), refused={},
    )  # fmt: skip
    # the experts of an added week keep no count of what they hand in that is bound to be refused
    assert not [check for check in checks if not check.ok and not check.name.startswith("annotations refused")]
    (decision,) = decided_since(watched, before).to_dict("records")
    assert decision["decision"] in {"promoted", "refused"}
    assert decision["reason"]
    assert decision["data_set_version"] == data_set_version(storage.read_table("data_set", (LABEL_SET,)))
    assert len(due_since(watched, before)) == 1, watched.table("training_requests", LABEL_SET)
    for name in TABLES:
        every_row_once(watched, name)


def every_row_once(watched: Watched, name: str) -> None:
    parts = []
    for partition in sorted(watched.demo.storage.partitions_of(name)):
        table = watched.demo.storage.read_table(name, partition)
        assert conform(name, table).schema == TABLES[name].schema
        parts.append(table.to_pandas().assign(partition="|".join(partition)))
    if not parts:
        return
    rows = pd.concat([part for part in parts if len(part)] or parts)
    doubled = rows[rows.duplicated(list(KEYS[name]), keep=False)]
    assert doubled.empty, f"{name}:\n{doubled}\n{watched.story()}"


def of_the_week(watched: Watched, name: str) -> pd.DataFrame:
    rows = watched.table(name)
    return rows[rows["window"] == WEEK]


def due_since(watched: Watched, moment: float) -> pd.DataFrame:
    rows = watched.table("training_requests", LABEL_SET)
    return rows[rows["due"] & (rows["decided_at"] > pd.Timestamp(moment, unit="s", tz="UTC"))]


def decided_since(watched: Watched, moment: float) -> pd.DataFrame:
    rows = watched.table("promotions", LABEL_SET)
    return rows[rows["decided_at"] > pd.Timestamp(moment, unit="s", tz="UTC")]


def is_predicted(watched: Watched) -> bool:
    """Say whether every window, the new one included, has the present champion's answers for all its images."""
    champion = watched.table("promotions", LABEL_SET)["champion"].iloc[-1]
    unique = watched.table("unique_images")
    wanted = unique[unique["kept"]].groupby("window")["image_id"].agg(set).to_dict()
    for window, images in wanted.items():
        rows = watched.table("style_predictions", window)
        if rows.empty or set(rows["model_version"]) != {champion} or set(rows["image_id"]) != images:
            return False
    return WEEK in wanted


def shares(watched: Watched) -> set[str]:
    """Return from whom the week's shares in the trends come, or are said to be left out.

    A model of two epochs may answer the same for all images; then it can't say anything of a week, and the trends tell.
    """
    rows = watched.table("style_trends")
    (made,) = watched.instance.fetch_materializations(dg.AssetKey("style_trends"), limit=1).records
    notes = str(made.asset_materialization.metadata["notes"].value)
    left_out = {"model"} if f"any image of {WEEK} belongs" in notes else set()
    return set(rows.loc[rows["window"] == WEEK, "source"]) | left_out


def report(watched: Watched) -> str:
    return (watched.demo.folder / "data" / "reports" / "report.html").read_text(encoding="utf-8")
