import os
import time
from pathlib import Path

from modeling.leftovers import MOST_DAYS, remove_leftovers

DAY = 24 * 3600
TEMPORARY = (
    "checkpoints/a.safetensors",
    "checkpoints/.a.safetensors-half",
    "backbones/.backbone-x1/model.safetensors",
    "fold-x2/cache/images/images-b.raw",
    "images/images-c.raw.part",
    "activations/d.raw.part",
)
KEPT = ("images/images-c.raw", "activations/d.raw", "features/features-e.raw", "backbones/backbone-f.safetensors")


def make(cache: Path, names: tuple[str, ...], days: float) -> None:
    for name in names:
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something")
    written = time.time() - days * DAY
    for path in [*cache.rglob("*")]:
        os.utime(path, (written, written))


def test_only_what_is_temporary_and_old_is_removed(tmp_path: Path):
    make(tmp_path, (*TEMPORARY, *KEPT), MOST_DAYS + 1)
    remove_leftovers(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(KEPT)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith((".backbone-", "fold-"))]


def test_what_may_be_gone_on_with_stays(tmp_path: Path):
    make(tmp_path, TEMPORARY, MOST_DAYS - 1)
    remove_leftovers(tmp_path)
    assert all((tmp_path / name).exists() for name in TEMPORARY)


def test_a_folder_is_as_young_as_the_youngest_file_in_it(tmp_path: Path):
    make(tmp_path, ("fold-x/cache/checkpoints/old.safetensors",), MOST_DAYS + 1)
    (tmp_path / "fold-x/cache/checkpoints/old.safetensors").touch()
    remove_leftovers(tmp_path)
    assert (tmp_path / "fold-x").exists()


def test_a_cache_that_is_not_there_has_none(tmp_path: Path):
    remove_leftovers(tmp_path / "cache")
    assert not list(tmp_path.iterdir())
