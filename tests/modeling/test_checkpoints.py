import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from modeling.checkpoints import CheckpointFile, TrainingState
from modeling.errors import ModelingError
from modeling.schedule import Epoch

BEST, LAST = {"weight": torch.full((2, 3), 1.0)}, {"weight": torch.full((2, 3), 2.0)}
FIRST_IS_BEST = [Epoch(1, 1 / 3, 0.5, 0.9, 1e-3, 1.5), Epoch(2, 0.3, 0.4, 0.8, 1e-4, 1.5)]
LAST_IS_BEST = [FIRST_IS_BEST[1], replace(FIRST_IS_BEST[0], epoch=3)]


def state(epochs: list[Epoch], best: dict[str, torch.Tensor], averaged: dict[str, torch.Tensor]) -> TrainingState:
    moments = {"0/step": torch.tensor(6.0), "0/exp_avg": torch.arange(6.0).reshape(2, 3)}
    return TrainingState(epochs, LAST, averaged, moments, best, torch.tensor([[0.5, -1.0]]))


def assert_same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("epochs", "best", "averaged"),
    [
        (FIRST_IS_BEST, BEST, {}),
        (LAST_IS_BEST, LAST, {}),
        (LAST_IS_BEST, BEST, BEST),  # with averaging, the best weights are averaged ones
    ],
)
def test_what_was_written_is_read(tmp_path: Path, epochs, best, averaged):
    written = state(epochs, best, averaged)
    file = CheckpointFile(tmp_path / "checkpoints" / "a.safetensors")
    assert file.read() is None
    file.write(written)
    read = file.read()
    assert read is not None
    assert read.epochs == epochs
    assert_same(read.network, LAST)
    assert_same(read.averaged, averaged)
    assert_same(read.optimizer, written.optimizer)
    assert_same(read.best, best)
    assert torch.equal(read.best_logits, written.best_logits)


def test_weights_of_the_best_epoch_are_not_written_twice():
    assert "best/weight" in state(FIRST_IS_BEST, BEST, {}).tensors()
    assert "best/weight" not in state(LAST_IS_BEST, LAST, {}).tensors()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    file = CheckpointFile(tmp_path / "a.safetensors")
    file.write(state(FIRST_IS_BEST, BEST, {}))
    with pytest.raises(NotImplementedError):
        file.write(state(FIRST_IS_BEST, {"weight": torch.empty(2, device="meta")}, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert file.read() is not None


def test_a_disk_that_does_not_take_it_is_named(tmp_path: Path):
    """Files may not grow beyond a kilobyte, as on a full disk; the old checkpoint stays."""
    file = CheckpointFile(tmp_path / "a.safetensors")
    file.write(state(FIRST_IS_BEST, BEST, {}))
    written = file.path.read_bytes()
    large = {"weight": torch.zeros(4096)}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(ModelingError, match=rf"no checkpoint can be written to {tmp_path}: .*; make room there"):
            file.write(state(FIRST_IS_BEST, large, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert file.path.read_bytes() == written


def test_a_folder_that_can_not_be_made_is_named(tmp_path: Path):
    (tmp_path / "checkpoints").write_text("a file")
    file = CheckpointFile(tmp_path / "checkpoints" / "a.safetensors")
    with pytest.raises(ModelingError, match=r"no checkpoint can be written to .*checkpoints: .*; make room there"):
        file.write(state(FIRST_IS_BEST, BEST, {}))


def test_removing_takes_what_a_kill_left(tmp_path: Path):
    file, other = CheckpointFile(tmp_path / "a.safetensors"), CheckpointFile(tmp_path / "b.safetensors")
    for each in (file, other):
        each.write(state(FIRST_IS_BEST, BEST, {}))
    (tmp_path / ".a.safetensors-half").write_bytes(b"half")
    (tmp_path / ".b.safetensors-half").write_bytes(b"half")
    file.remove()
    file.remove()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.safetensors-half", "b.safetensors"]


def test_a_spoilt_file_is_named(tmp_path: Path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"nothing")
    with pytest.raises(ModelingError, match=r"checkpoint .*a\.safetensors can't be read: .*; delete it"):
        CheckpointFile(path).read()


def test_writing_takes_a_twentieth_of_the_time_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A write that takes a second is due again 20 seconds later."""
    now = [100.0]
    monkeypatch.setattr("modeling.checkpoints.time.monotonic", lambda: now[0])
    monkeypatch.setattr("modeling.checkpoints.os.fsync", lambda _: now.__setitem__(0, now[0] + 1))
    file = CheckpointFile(tmp_path / "a.safetensors")
    assert file.is_due
    file.write(state(FIRST_IS_BEST, BEST, {}))
    assert not file.is_due
    now[0] += 19.9
    assert not file.is_due
    now[0] += 0.1
    assert file.is_due
