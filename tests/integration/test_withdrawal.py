"""An author withdraws from a collection that went through the whole graph: nothing is left, and nothing returns."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from crawlers.identity import KEY_VARIABLE
from pipeline.commands.run import run_all
from pipeline.commands.where import where
from pipeline.commands.withdraw import Asked, withdraw
from pipeline.instance import open_instance
from pipeline.partitions import window_keys
from pipeline.settings import Settings, load_settings
from pipeline.storage import Storage
from pipeline.withdrawal import tombstones
from pipeline.withdrawal.models import CARD_KEY
from pipeline.withdrawal.plan import KEY as PLAN_KEY
from pipeline.withdrawal.proof import what_is_left
from tests.integration.withdrawal_case import REPOSTS, Traces, author_of, one_model, with_authors
from tests.pipeline.small_case import write_case

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

KEY = "5a" * 32


@pytest.fixture(scope="module", autouse=True)
def key() -> None:
    """The key of the keyed hashes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, key: None) -> Path:
    """A small collection with authors and reposts, taken through the whole graph once."""
    folder = tmp_path_factory.mktemp("withdrawal")
    config = write_case(folder, 48, one_model())
    with_authors(folder)
    output = io.StringIO()
    assert run_all(load_settings(config), Console(file=output, width=200)) == 0, output.getvalue()
    return folder


def copy_of(finished: Path, folder: Path) -> Settings:
    shutil.copytree(finished, folder, symlinks=True)
    return load_settings(folder / "stylegraph.toml")


def traces(settings: Settings) -> Traces:
    """What person1 leaves behind; the repost that is not bit by bit the same is theirs, too."""
    storage, windows = Storage(settings.data.location), window_keys(settings.windows)
    return Traces.of(storage, author_of(storage, "archive:drawn:001.jpg", windows), windows)


def say(settings: Settings, asked: Asked, *, now: bool) -> tuple[int, str]:
    output = io.StringIO()
    code = withdraw(settings, asked, Console(file=output, width=200), now=now)
    return code, output.getvalue()


def test_nothing_of_an_author_is_left_and_nothing_returns(finished: Path, tmp_path: Path) -> None:
    settings = copy_of(finished, tmp_path / "case")
    storage, data = Storage(settings.data.location), tmp_path / "case" / "data"
    theirs = traces(settings)
    assert len(theirs.posts) == 4
    assert {path.split("/")[0] for path in theirs.left(data)} >= {"tables", "images", "models", "champions", "dagster"}

    code, output = say(settings, Asked(authors=["person1"], server="archive:drawn", reason="asked by mail"), now=True)

    assert code == 0, output
    assert "4 posts and 5 pictures leave, 1 of the pictures because they are near-duplicates" in output
    assert "the champion champions/top-3/basic_cnn-" in output
    assert "labels.csv is yours and stays as it is" in output
    assert theirs.left(data) == {}
    assert not storage.exists(PLAN_KEY)
    assert tombstones.pending(storage) == ()
    for folder in (*(data / "models").glob("top-3/basic_cnn/*/"), *(data / "champions").glob("top-3/*/")):
        card = json.loads((folder / "card.json").read_text())
        assert card[CARD_KEY] >= 1
        assert "withdrawn since" in (folder / "MODEL_CARD.md").read_text()

    output_of_run = io.StringIO()
    code = run_all(settings, Console(file=output_of_run, width=200), everything=True)
    assert code == 0, output_of_run.getvalue()
    assert theirs.left(data) == {}
    images = storage.read_windows("images", window_keys(settings.windows)).to_pylist()
    assert {row["post_id"]: row["reason"] for row in images if row["reason"]} == {
        f"archive:drawn:{name}": "withdrawn" for name in REPOSTS
    }
    quarantined = storage.read_table("quarantined_annotations").to_pylist()
    withdrawn = [row for row in quarantined if row["reason"] == "withdrawn"]
    assert len(withdrawn) == 4
    assert all(row["raw"] == "" and row["image"] is None for row in withdrawn)


def test_without_now_it_is_noted_and_the_next_run_carries_it_out(finished: Path, tmp_path: Path) -> None:
    settings = copy_of(finished, tmp_path / "case")
    storage, data = Storage(settings.data.location), tmp_path / "case" / "data"
    theirs = traces(settings)
    code, output = say(settings, Asked(posts=sorted(theirs.posts), reason="asked"), now=False)
    assert code == 0
    assert "The next `stylegraph run`" in output
    assert len(tombstones.pending(storage)) == 1
    assert set(theirs.images) <= set(storage.read_table("unique_images").column("image_id").to_pylist())
    notes = storage.read_table("withdrawals").to_pylist()
    assert not any(needle.decode() in str(notes) for needle in theirs.needles if needle.isascii())
    assert what_is_left(settings, storage)

    run_all(settings, Console(file=io.StringIO()))

    assert tombstones.pending(storage) == ()
    assert what_is_left(settings, storage) == []
    needles = tuple(needle for needle in theirs.needles if needle != theirs.author.encode())
    left = Traces(theirs.author, theirs.posts, theirs.images, needles).left(data)
    assert {path: here for path, here in left.items() if here != [bytes.fromhex(theirs.author)]} == {}


def test_where_says_what_is_kept_and_afterwards_that_it_was_withdrawn(finished: Path, tmp_path: Path) -> None:
    settings = copy_of(finished, tmp_path / "case")
    image = sorted(traces(settings).images)[0]

    def said(name: str) -> str:
        output = io.StringIO()
        where(settings, name, Console(file=output, width=200))
        return output.getvalue()

    before = said(image)
    assert "unique_images: " in before
    assert "champion champions/top-3/basic_cnn-" in before
    assert said("001.jpg").startswith("picture")
    assert "nothing is kept of nowhere" in said("nowhere")
    code, _ = say(settings, Asked(images=[image], reason="asked"), now=True)
    assert code == 0
    assert said(image).startswith("withdrawn on ")
    assert "unique_images: " not in said(image)


def test_what_was_edited_has_a_new_version_and_the_rest_stays_fresh(finished: Path, tmp_path: Path) -> None:
    settings = copy_of(finished, tmp_path / "case")
    storage = Storage(settings.data.location)
    image = sorted(traces(settings).images)[0]
    with open_instance(settings) as instance:
        versions = {name: _version(instance, name) for name in ("unique_images", "labels", "annotators")}
    say(settings, Asked(images=[image], reason="asked"), now=True)
    with open_instance(settings) as instance:
        after = {name: _version(instance, name) for name in versions}
    assert {name for name in versions if versions[name] != after[name]} == {"unique_images", "labels"}
    assert image not in storage.read_table("labels").column("image_id").to_pylist()


def _version(instance: object, name: str) -> str:
    import dagster as dg

    record = instance.get_latest_data_version_record(dg.AssetKey(name))  # type: ignore[attr-defined]
    return str(record.asset_materialization.tags["dagster/data_version"])


def test_killed_at_any_moment_the_next_run_finishes_it(finished: Path, tmp_path: Path) -> None:
    settings = copy_of(finished, tmp_path / "case")
    storage, data = Storage(settings.data.location), tmp_path / "case" / "data"
    theirs = traces(settings)
    say(settings, Asked(authors=[theirs.author], reason="asked"), now=False)
    draw = random.Random(7)
    code = (
        "import sys; from rich.console import Console; from pipeline.commands.withdraw import _carry_out; "
        "from pipeline.settings import load_settings; from pathlib import Path; "
        "sys.exit(_carry_out(load_settings(Path(sys.argv[1])), Console()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "case" / "stylegraph.toml")]
    killed, started = 0, time.monotonic()
    while tombstones.pending(storage) and killed < 12:
        child = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])})
        # from when on there is something to lose
        while child.poll() is None and not storage.exists(PLAN_KEY) and time.monotonic() - started < 300:
            time.sleep(0.02)
        try:
            child.wait(timeout=draw.uniform(0.0, 2.5))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            killed += 1
    assert killed >= 2
    assert subprocess.run(command, env=os.environ, cwd=Path(__file__).parents[2], check=False).returncode == 0
    assert tombstones.pending(storage) == ()
    assert not storage.exists(PLAN_KEY)
    assert theirs.left(data) == {}
    for folder in (data / "models").glob("top-3/basic_cnn/*/"):
        assert json.loads((folder / "card.json").read_text())[CARD_KEY] <= len(theirs.images) + 1, "counted twice"
