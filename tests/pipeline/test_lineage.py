"""Versions of code: they follow what makes an asset, and nothing else; every asset has one, an owner and a kind."""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipeline import source_code
from pipeline.graph import build_definitions
from pipeline.inputs import GROUP
from pipeline.judged import image_facts
from pipeline.lineage import ELSEWHERE, NOT_CONTENT
from pipeline.settings import Settings, load_settings
from tests.pipeline.small_case import SETTINGS, write_case
from tests.pipeline.studio_case import live_settings


def specs(settings: Settings) -> dict[str, dg.AssetSpec]:
    definitions = build_definitions(settings)
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lineage")
    write_case(folder, images=3)
    return folder


def versions(folder: Path, settings: str) -> dict[str, str | None]:
    path = folder / "stylegraph.toml"
    path.write_text(settings, encoding="utf-8")
    return {name: spec.code_version for name, spec in specs(load_settings(path)).items()}


def changed(folder: Path, old: str, new: str) -> set[str]:
    assert old in SETTINGS
    before, after = versions(folder, SETTINGS), versions(folder, SETTINGS.replace(old, new))
    return {name for name in before if before[name] != after[name]}


def test_every_asset_says_who_owns_it_what_it_is_and_which_code_makes_it(folder: Path) -> None:
    (folder / "live").mkdir()
    for settings in (load_settings(folder / "stylegraph.toml"), live_settings(folder / "live", "Lineage")):
        for name, spec in specs(settings).items():
            assert spec.owners, name
            assert spec.kinds, name
            assert spec.description, name
            assert spec.code_version or spec.group_name == GROUP, name


def test_a_setting_changes_the_versions_of_what_reads_it_only(folder: Path) -> None:
    report = {"report"}  # which shows all settings
    assert changed(folder, "epochs = 2\nbatch", "epochs = 3\nbatch") - report == {
        "model", "training_curves", "seed_runs", "tau_sweep", "suspicious_labels", "ablation",
    }  # fmt: skip
    assert "labels" not in changed(folder, "resamples = 100", "resamples = 101")
    assert {"evaluation", "slices", "comparison"} <= changed(folder, "resamples = 100", "resamples = 101")
    assert "model" not in changed(folder, "resamples = 100", "resamples = 101")
    assert "posts" in changed(folder, 'folder = "photos"', 'folder = "pictures"')
    assert changed(folder, "resamples = 100", "resamples = 100\nfloor = 0.5") == report
    assert changed(folder, "end = 2019-07-15", "end = 2019-07-22") == report  # further windows, the old ones as before
    assert "posts" in changed(folder, "end = 2019-07-15", "end = 2019-07-18")  # which cuts a window


def test_keys_that_do_not_count_are_keys_of_the_settings(folder: Path) -> None:
    sections = Settings.model_fields
    assert {key.partition(".")[0] for key in NOT_CONTENT} <= set(sections)
    assert {section for names in ELSEWHERE.values() for section in names} <= set(sections)
    assert set(ELSEWHERE) <= set(specs(load_settings(folder / "stylegraph.toml")))


def test_the_project_s_code_is_followed_through_late_and_named_imports() -> None:
    code = {name: source_code.code_of(function) for name, function in asset_functions().items()}
    assert "crawlers.networks.mastodon" in code["crawl"].modules  # imported by a name that is put together
    assert "modeling.networks.ml_gcn" in code["training"].modules
    assert "modeling.repeats" in code["training"].modules  # imported inside of the function
    assert "pipeline.judged" in code["evaluation"].modules
    assert "pipeline.report.build" not in code["evaluation"].modules  # of another asset in the same file
    assert not any(name.startswith("modeling.figures") for one in code.values() for name in one.modules)


def asset_functions() -> dict[str, Callable[..., object]]:
    definitions = build_definitions(load_settings(source_code.ROOT / "stylegraph.toml"))
    found = [one for one in definitions.assets or () if isinstance(one, dg.AssetsDefinition) and one.is_materializable]
    return {one.op.name: one.op.compute_fn.decorated_fn for one in found}


FUNCTION = '''
def step(rows):
    """{docstring}"""
    return rows + {number}  # {comment}
'''


def test_words_do_not_change_a_version_and_code_does() -> None:
    def version(docstring: str, number: int, comment: str) -> str:
        text = FUNCTION.format(docstring=docstring, number=number, comment=comment)
        return source_code._hash_of(source_code._without_docstrings(ast.parse(text)))

    assert version("Add one.", 1, "why") == version("Add one to each.", 1, "since")
    assert version("Add one.", 1, "why") != version("Add one.", 2, "why")


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user's folder for caches, and nothing remembered of the code."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source_code._remembered.cache_clear()
    yield tmp_path
    source_code._remembered.cache_clear()


def test_what_was_found_of_the_code_is_remembered_outside_of_the_installation(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = source_code.codes_of([image_facts])
    [memory] = caches.rglob("*.json")
    source_code._remembered.cache_clear()
    monkeypatch.delattr(source_code, "code_of")  # the second time nobody looks
    assert source_code.codes_of([image_facts]) == [found]
    memory.write_text(memory.read_text().replace(found.version, "0" * 16))  # no other place is asked
    source_code._remembered.cache_clear()
    assert source_code.codes_of([image_facts])[0].version == "0" * 16


@pytest.mark.parametrize("left", [b"", b'{"state": "of another version"}', b"\xff\x00"])
def test_a_damaged_memory_of_the_code_is_replaced(caches: Path, left: bytes) -> None:
    [found] = source_code.codes_of([image_facts])
    [memory] = caches.rglob("*.json")
    good = memory.read_bytes()
    memory.write_bytes(left)
    source_code._remembered.cache_clear()
    assert source_code.codes_of([image_facts]) == [found]
    assert memory.read_bytes() == good


def test_without_a_folder_to_remember_in_the_code_is_looked_at_each_time(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = source_code.codes_of([image_facts])
    (caches / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / "file"))  # no folder can be made in a file
    source_code._remembered.cache_clear()
    assert source_code.codes_of([image_facts]) == [found]


def test_processes_that_look_at_the_code_at_once_agree(tmp_path: Path) -> None:
    code = (
        "from pipeline.judged import image_facts; from pipeline.source_code import codes_of; "
        "print(codes_of([image_facts])[0].version)"
    )
    command, environment = [sys.executable, "-c", code], {"XDG_CACHE_HOME": str(tmp_path)}
    several = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(3)]
    assert len({process.communicate()[0].strip() for process in several}) == 1
    assert all(process.returncode == 0 for process in several)
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]  # and nothing half-written


def test_the_graph_loads_without_heavy_libraries(folder: Path) -> None:
    code = "import sys, pipeline.definitions; print([name for name in sys.argv[1:] if name in sys.modules])"
    heavy = ["torch", "torchvision", "lightning", "scipy", "matplotlib", "sklearn", "label_studio_sdk", "scrapy"]
    heavy += ["sqlalchemy", "httpx", "jinja2", "mlcroissant"]
    command = [sys.executable, "-c", code, *heavy]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, env={"STYLEGRAPH_CONFIG": "stylegraph.toml"}
    )
    assert result.stdout.strip() == "[]"
