"""A wrong key, type or value is refused at start with the key's name and what is allowed."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from crawlers.registry import NETWORKS
from crawlers.sources import ArchiveSource
from pipeline.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parent.parent.parent
MINIMAL = """
[sources.photos]
kind = "archive"
folder = "photos"
posts = "posts.csv"

[labels]
kind = "csv"
path = "labels.csv"
"""


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("STYLEGRAPH_CONFIG", "STYLEGRAPH_HMAC_KEY"):
        monkeypatch.delenv(name, raising=False)

    def load(text: str) -> Settings:
        path = tmp_path / "stylegraph.toml"
        path.write_text(MINIMAL + text, encoding="utf-8")
        return load_settings(path)

    return load


def test_a_short_file_gets_the_defaults(load) -> None:
    settings = load("")
    assert len(settings.taxonomy.labels) == 23
    assert list(settings.label_sets) == ["top-5", "top-7"]
    assert settings.architectures == ("basic_cnn", "backbone", "backbone_max", "ml_gcn", "csra")
    assert settings.graph.tau == "validation"
    assert settings.graph.p == 0.2


def test_paths_are_relative_to_the_file(load, tmp_path: Path) -> None:
    settings = load("[word_vectors]\npath = 'glove.txt'")
    assert settings.sources["photos"].folder == tmp_path / "photos"
    assert settings.labels.path == tmp_path / "labels.csv"
    assert settings.word_vectors.path == tmp_path / "glove.txt"
    assert settings.backbone.weights == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainin]\nepochs = 3", r"trainin: no such key; allowed: .*training"),
        ("[training]\nepoch = 3", r"training\.epoch: no such key; allowed: .*epochs"),
        ("[training]\nepochs = 0", r"training\.epochs: .*greater than or equal to 1 \(got 0\)"),
        ("[training]\nepochs = 'many'", r"training\.epochs: .*integer.*\(got 'many'\)"),
        ("[training]\npreset = 'huge'", r"training\.preset: .*'small'.*\(got 'huge'\)"),
        ("[windows]\nevery = 'year'", r"windows\.every: .*'day', 'week' or 'month' \(got 'year'\)"),
        ("[windows]\nend = 2019-06-01", r"windows: .*windows\.end must be after windows\.start"),
        ("[label_sets.top-40]\ntop = 40", r"label_sets\.top-40\.top is 40, but taxonomy\.labels has 23"),
        ("[label_sets.mine]\nlabels = ['Casual', 'Spacey']", r"label_sets\.mine\.labels: 'Spacey' is not in taxonomy"),
        ("[label_sets.'a/b']\ntop = 5", r"label_sets\.a/b\.name: .*pattern"),
        ("[graph]\ntau = 1.5", r"graph\.tau: .*less than or equal to 1 or .*'validation' \(got 1\.5\)$"),
        ("[taxonomy]\nlabels = ['a', 'A']", r"taxonomy\.labels: labels must be different.*twice: a"),
        ("[sources.x]\nkind = 'instagram'", r"sources\.x: .*'mastodon', 'bluesky', 'flickr', 'misskey', 'archive'"),
        ("[sources.x]\nkind = 'mastodon'\nserver = 'https://s.example'", r"sources\.x\.hashtags: this key is needed"),
        (
            "[sources.x]\nkind = 'archive'\nfolder='f'\nposts='p'\nhashtags=['a']",
            r"sources\.x\.hashtags: no such key; allowed: folder, kind, posts",
        ),
        ("[splits]\ntrain = 0.9", r"splits: train \+ validation \+ test must be 1"),
        ("[training]\nstages = ['head']", r"training\.stages\.0: .*valid dictionary or instance of Stage"),
        ("[training]\nstep_epochs = [2]", r"training: step_epochs is of no use with schedule cosine"),
        ("[training]\nbatch_norm = 'frozen'", r"architectures: backbone: training\.batch_norm \"frozen\" keeps"),
        (
            "[training]\nzoom = 0.1\n[backbone]\nweights = 'w.pth'\ntrainable = 'head'",
            r"architectures: backbone: training\.views is 1: zoom, shift, color and erase do nothing over frozen",
        ),
        ("[suspicion]\nretrain = 'linear_probe'", r"suspicion\.retrain: linear_probe: .* backbone\.weights \"none\""),
    ],
)
def test_what_is_wrong_is_named(load, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert all(line.startswith("/") and ".toml: " in line for line in str(caught.value).splitlines())


def test_an_unknown_architecture_names_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('architectures = ["resnet"]\n' + MINIMAL)
    with pytest.raises(
        SettingsError, match=r"architectures: 'resnet' is not an architecture; allowed: basic_cnn, backbone"
    ):
        load_settings(path)


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.toml does not exist: pass --config FILE"):
        load_settings(tmp_path / "nothing.toml")
    (tmp_path / "broken.toml").write_text("[training\n")
    with pytest.raises(SettingsError, match=r"broken\.toml is not a TOML file: .*line 1"):
        load_settings(tmp_path / "broken.toml")


def test_the_environment_overrides_the_file(load, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STYLEGRAPH_TRAINING__EPOCHS", "3")
    monkeypatch.setenv("STYLEGRAPH_SOURCES__PHOTOS__FOLDER", str(tmp_path / "other"))
    settings = load("[training]\nepochs = 9")
    assert settings.training.epochs == 3
    assert settings.sources["photos"].folder == tmp_path / "other"
    assert settings.sources["photos"].posts == tmp_path / "posts.csv"
    monkeypatch.setenv("STYLEGRAPH_TRAINING__EPOCHS", "few")
    with pytest.raises(SettingsError, match=r"training\.epochs: .*\(got 'few'\)"):
        load("")


def test_a_misspelt_variable_is_refused(load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STYLEGRAPH_TRAINNG__EPOCHS", "3")
    with pytest.raises(SettingsError, match="STYLEGRAPH_TRAINNG__EPOCHS: no setting trainng; allowed: data, windows"):
        load("")


def test_a_preset_gives_what_is_not_set(load) -> None:
    settings = load("[training]\npreset = 'paper'\nepochs = 2\n[backbone]\nweights = 'w.pth'")
    assert settings.training.epochs == 2
    assert settings.training.image_size == (448, 448)
    assert settings.backbone.name == "resnet50"
    assert settings.backbone.weights.endswith("/w.pth")


def keys_of(section: BaseModel) -> set[str]:
    """Return the keys of a section and of the sections in it; a name that is the section's own key is none of them."""
    keys = set()
    for key in type(section).model_fields:
        value = getattr(section, key)
        keys |= keys_of(value) if isinstance(value, BaseModel) else {key}
    return keys - {"name"}


def test_the_projects_file_explains_every_key_and_is_valid() -> None:
    path = ROOT / "stylegraph.toml"
    text = path.read_text(encoding="utf-8")
    settings = load_settings(path)
    written = set(re.findall(r"^(?:# )?([a-z_0-9]+) = ", text, flags=re.MULTILINE))
    for name in Settings.model_fields:
        section = getattr(settings, name)
        entries = list(section.values()) if isinstance(section, dict) else [section]
        for entry in entries:
            if isinstance(entry, BaseModel):
                assert keys_of(entry) - written == set(), f"[{name}] in stylegraph.toml"
    for kind in (*NETWORKS, ArchiveSource):
        assert set(kind.model_fields) - {"name"} - written == set(), f"{kind.__name__} in stylegraph.toml"
    assert tomllib.loads(text)


@pytest.mark.parametrize("kind", ["bluesky", "flickr", "misskey"])
def test_the_sources_that_the_projects_file_shows_as_comments_are_valid(load, kind: str) -> None:
    text = (ROOT / "stylegraph.toml").read_text(encoding="utf-8")
    block = re.search(rf"^# (\[sources\.\w+\]\n# kind = \"{kind}\".*?)\n\n", text, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    lines = [line.removeprefix("# ") for line in block[1].splitlines()]
    settings = load("\n".join(line for line in lines if re.match(r"\[|[a-z_]+ = ", line) and "accounts" not in line))
    assert kind in {source.kind for source in settings.sources.values()}
