"""Tables are whole, checked, and survive whatever happens while they are written."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.registry import _registry

from pipeline.storage import Storage, write_file
from pipeline.tables import TableError


def frequencies(count: int) -> pa.Table:
    return pa.table(
        {
            "label": ["Casual"],
            "main_images": [count],
            "main_share": [1.0],
            "sub_images": [0],
            "sub_share": [0.0],
            "rank": pa.array([1], pa.int32()),
        }
    )


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def test_a_table_comes_back_as_it_was_written(storage: Storage) -> None:
    storage.write_table("label_frequencies", frequencies(7))
    assert storage.read_table("label_frequencies").to_pylist()[0]["main_images"] == 7


def test_a_table_that_was_never_made_says_what_to_do(storage: Storage) -> None:
    with pytest.raises(TableError, match="data_set does not exist yet for top-5: materialize"):
        storage.read_table("data_set", ("top-5",))


def test_a_wrong_table_is_refused_and_the_old_one_stays(storage: Storage) -> None:
    storage.write_table("label_frequencies", frequencies(7))
    with pytest.raises(TableError, match=r"missing columns \['rank'\]"):
        storage.write_table("label_frequencies", frequencies(8).drop_columns(["rank"]))
    empty = frequencies(8).set_column(0, "label", pa.array([None], pa.string()))
    with pytest.raises(TableError, match="with null values to non-nullable"):
        storage.write_table("label_frequencies", empty)
    assert storage.read_table("label_frequencies").to_pylist()[0]["main_images"] == 7


def test_a_table_of_another_version_says_what_to_do(storage: Storage) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(frequencies(7).drop_columns(["rank"]), sink)
    storage.write_bytes("tables/label_frequencies.parquet", sink.getvalue().to_pybytes())
    message = r"missing columns \['rank'\].*label_frequencies\.parquet was written by another version.*`stylegraph run`"
    with pytest.raises(TableError, match=message):
        storage.read_table("label_frequencies")


def test_a_damaged_file_is_named(storage: Storage) -> None:
    storage.write_bytes("tables/label_frequencies.parquet", b"not parquet")
    with pytest.raises(TableError, match=r"label_frequencies\.parquet is damaged.*materialize it again"):
        storage.read_table("label_frequencies")


def test_windows_that_are_missing_are_left_out_in_order(storage: Storage) -> None:
    assert storage.read_windows("crawl_counts", ["a", "b"]).num_rows == 0
    for window in ("b", "a"):
        row = {"window": window, "source": "s", "what": "post", "outcome": "kept", "count": 1}
        storage.write_table("crawl_counts", pa.Table.from_pylist([row]), (window,))
    assert storage.read_windows("crawl_counts", ["a", "missing", "b"]).column("window").to_pylist() == ["a", "b"]


def test_a_partition_cannot_leave_the_data_location(storage: Storage) -> None:
    with pytest.raises(TableError, match="cannot be the name of a partition"):
        storage.table_key("data_set", ("../../etc",))


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        storage = Storage(str(tmp_path / name))
        storage.write_table("label_frequencies", frequencies(7))
        contents.append(storage.read_bytes("tables/label_frequencies.parquet"))
    assert contents[0] == contents[1]


def test_a_model_is_replaced_as_a_whole(storage: Storage) -> None:
    with storage.model_folder("top-5", "ml_gcn") as folder:
        (folder / "card.json").write_text("one")
    with pytest.raises(FileExistsError), storage.model_folder("top-5", "ml_gcn") as folder:
        folder.mkdir()  # training that fails in the middle
    assert (storage.model_path("top-5", "ml_gcn") / "card.json").read_text() == "one"
    with storage.model_folder("top-5", "ml_gcn") as folder:
        (folder / "card.json").write_text("two")
    assert (storage.model_path("top-5", "ml_gcn") / "card.json").read_text() == "two"
    assert len(list((Path(storage.location) / "models/top-5/ml_gcn").iterdir())) == 2  # the version and its pointer


def test_tables_and_images_can_live_elsewhere(tmp_path: Path) -> None:
    storage = Storage("memory://stylegraph-test", scratch=tmp_path)
    storage.write_table("label_frequencies", frequencies(7))
    assert storage.read_table("label_frequencies").num_rows == 1
    image_id = "ab" * 32
    with storage.images_folder() as folder:
        write_file(folder / image_id[:2] / image_id, b"bytes")
    assert storage.read_bytes(storage.image_key(image_id)) == b"bytes"
    with storage.model_folder("top-5", "ml_gcn") as folder:
        (folder / "card.json").write_text("card")
    assert (storage.model_path("top-5", "ml_gcn") / "card.json").read_text() == "card"


def test_where_a_model_is_can_be_said_without_fetching_it(tmp_path: Path) -> None:
    remote, local = Storage("memory://location", scratch=tmp_path / "scratch"), Storage(str(tmp_path / "local"))
    for storage in (remote, local):
        with pytest.raises(TableError, match="no model ml_gcn for top-5 yet"):
            storage.model_location("top-5", "ml_gcn")
        with storage.model_folder("top-5", "ml_gcn") as folder:
            (folder / "card.json").write_text("card")
    where = remote.model_location("top-5", "ml_gcn")
    assert where.startswith("memory://location/models/top-5/ml_gcn/")
    assert not (tmp_path / "scratch/models").exists()
    assert where.endswith(remote.model_path("top-5", "ml_gcn").name)
    assert local.model_location("top-5", "ml_gcn") == str(local.model_path("top-5", "ml_gcn"))


def test_a_model_that_was_fetched_in_part_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage("memory://in-part", scratch=tmp_path)
    with storage.model_folder("top-5", "ml_gcn") as folder:
        for name in ("card.json", "model.safetensors"):
            (folder / name).write_text(name)
    fetch = storage.filesystem.get_file
    with monkeypatch.context() as patch:

        def broken(source: str, target: str, **more: object) -> None:
            if source.endswith("model.safetensors"):
                raise OSError("connection lost")
            fetch(source, target, **more)

        patch.setattr(storage.filesystem, "get_file", broken)
        with pytest.raises(OSError, match="connection lost"):
            storage.model_path("top-5", "ml_gcn")
    names = sorted(path.name for path in storage.model_path("top-5", "ml_gcn").iterdir())
    assert names == ["card.json", "model.safetensors"]
    assert not list((tmp_path / "tmp").iterdir())


def test_a_killed_writer_leaves_a_whole_table(tmp_path: Path) -> None:
    code = """
import sys, pyarrow as pa
from pipeline.storage import Storage
from tests.pipeline.test_storage import frequencies
storage = Storage(sys.argv[1])
storage.write_table("label_frequencies", frequencies(0))
print("ready", flush=True)
for count in range(10**9):
    storage.write_table("label_frequencies", frequencies(count))
"""
    for delay in (0.05, 0.11, 0.17):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert Storage(str(tmp_path)).read_table("label_frequencies").num_rows == 1


@pytest.mark.parametrize("location", ["folder", "memory://written-at"])
def test_a_table_says_when_it_was_written(tmp_path: Path, location: str) -> None:
    storage = Storage(str(tmp_path / "folder") if location == "folder" else location, tmp_path / "scratch")
    before = datetime.now(UTC) - timedelta(seconds=1)  # file systems may know less than we do
    storage.write_table("label_frequencies", frequencies(7))
    assert before <= storage.written_at("label_frequencies") <= datetime.now(UTC) + timedelta(seconds=1)


def test_a_table_is_read_in_pieces(storage: Storage) -> None:
    storage.write_table("label_frequencies", frequencies(7))
    [piece] = storage.read_batches("label_frequencies", columns=["main_images"])
    assert piece.to_pylist() == [{"main_images": 7}]
    with pytest.raises(TableError, match="does not exist yet for top-5: materialize"):
        list(storage.read_batches("data_set", ("top-5",)))


@pytest.mark.parametrize("location", ["folder", "memory://piece-by-piece"])
def test_a_file_that_is_written_in_pieces_is_there_when_it_is_whole(tmp_path: Path, location: str) -> None:
    storage = Storage(str(tmp_path / "folder") if location == "folder" else location, tmp_path / "scratch")

    def write(*pieces: bytes) -> None:
        with storage.writing("a/file.json") as file:
            for piece in pieces:
                if not piece:
                    raise OSError("the source went away")
                file.write(piece)

    write(b"one, ", b"two")
    with pytest.raises(OSError, match="went away"):
        write(b"three", b"")
    assert storage.read_bytes("a/file.json") == b"one, two"
    assert not list((storage.scratch / "tmp").iterdir())


def test_each_remote_location_has_its_own_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, same, other = (Storage(f"memory://{name}").scratch for name in ("one", "one/", "other"))
    assert one == same
    assert one != other
    assert one.parent == other.parent == tmp_path / "stylegraph"


def test_a_location_that_needs_a_package_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as where it is not installed
    for protocol in ("s3", "s3a"):
        monkeypatch.delitem(_registry, protocol, raising=False)
    with pytest.raises(TableError, match=r"data.location s3://a/b needs a package: pip install 'stylegraph\[s3\]'"):
        Storage("s3://a/b")
    with pytest.raises(TableError, match=r"data.location odd://a: .*odd"):
        Storage("odd://a")


def test_a_location_that_cannot_be_written_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    storage = Storage("memory://no-access", tmp_path)
    storage.require_access()
    assert not storage.files("scratch")
    storage.filesystem = fsspec.filesystem("data")  # which is read only
    with pytest.raises(TableError, match=r"data.location memory://no-access cannot be written \(.+\): set "):
        storage.require_access()
