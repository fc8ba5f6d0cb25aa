import json
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dedup_pictures import hash_frame, hash_row, image_id
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.dedup import index_images, pair_index
from crawlers.dedup.candidates import Candidates
from crawlers.dedup.flat_files import FlatFile
from crawlers.dedup.index_images import VARIANTS
from crawlers.dedup.pair_index import PairIndex
from crawlers.errors import CrawlError
from crawlers.tables import IMAGE_HASHES

VERSION = "imagehash.phash " + hash_row(0, bytes(32))["version"]
Found = dict[tuple[str, str, int, int], tuple[int, int]]


def images(seed: int, count: int, first: int = 0) -> pa.Table:
    """Images around a few pictures: some have a border, some are mirrored, flat, or failed to be hashed."""
    rng = np.random.default_rng(1_000)
    pictures, mirrored = rng.bytes(32 * 12), rng.bytes(32 * 12)
    rng = np.random.default_rng(seed)

    def near(bits: bytes, flips: float) -> bytes:
        return np.packbits(np.unpackbits(np.frombuffer(bits, np.uint8)) ^ (rng.random(256) < flips)).tobytes()

    rows = []
    for number in range(first, first + count):
        start = 32 * int(rng.integers(12))
        straight, mirror = (side[start : start + 32] for side in (pictures, mirrored))
        if rng.random() < 0.2:
            straight, mirror = mirror, straight
        bits = {"": near(straight, rng.choice([0, 0.03, 0.1])), "mirror_": near(mirror, rng.choice([0, 0.03, 0.1]))}
        border = rng.random() < 0.3
        for side in ("", "mirror_"):
            bits[f"trim_{side}"] = near(bits[side], 0.3) if border else bits[side]
        hashes = {f"{v}phash256": bits[v] for v in VARIANTS} | {f"{v}phash64": bits[v][:8] for v in VARIANTS}
        chroma = {name: rng.bytes(128) for name in ("chroma", "trim_chroma")}
        rows.append(hash_row(number, bits[""], flat=bool(rng.random() < 0.1), **hashes, **chroma))
        if rng.random() < 0.05:
            failed = dict.fromkeys([*hashes, *chroma, "flat"])
            rows[-1] |= failed | {"status": "failed", "reason": "truncated"}
    return pa.Table.from_pandas(hash_frame(rows), IMAGE_HASHES, preserve_index=False)


def brute_force(table: pa.Table, radius: int, keep_bits: int = 256) -> Found:
    """Every two variants of two images, one of them straight; the smaller id first."""
    rows = [row for row in table.to_pylist() if row["status"] == "ok" and not row["flat"]]
    rows.sort(key=lambda row: row["image_id"])

    def bits(a: dict, b: dict, va: int, vb: int, size: int) -> int:
        x, y = a[f"{VARIANTS[va]}phash{size}"], b[f"{VARIANTS[vb]}phash{size}"]
        return (int.from_bytes(x, "big") ^ int.from_bytes(y, "big")).bit_count()

    def variants(row: dict) -> list[int]:
        trimmed = [v for v in (1, 3) if row[f"{VARIANTS[v]}phash256"] != row[f"{VARIANTS[v - 1]}phash256"]]
        return [0, 2, *trimmed]

    found = {}
    for i, a in enumerate(rows):
        for b in rows[i + 1 :]:
            for va in variants(a):
                for vb in variants(b):
                    near, far = (bits(a, b, va, vb, size) for size in (64, 256))
                    if (va < 2 or vb < 2) and near <= radius and far <= keep_bits:
                        found[a["image_id"], b["image_id"], va, vb] = (near, far)
    return found


def listed(index: PairIndex, candidates: Candidates) -> Found:
    """The pairs with their ids, the smaller id first; none may be there twice."""
    columns = (
        index.ids(candidates.a),
        index.ids(candidates.b),
        candidates.variant_a.tolist(),
        candidates.variant_b.tolist(),
    )
    found = {}
    for a, b, va, vb, near, far in zip(*columns, candidates.distance64, candidates.distance256, strict=True):
        key = (a, b, va, vb) if a < b else (b, a, vb, va)
        assert key not in found
        found[key] = (int(near), int(far))
    return found


def opened(folder: Path, radius: int = 8, **changes: int) -> PairIndex:
    return PairIndex(folder, VERSION, radius, **changes)


@given(st.integers(0, 2**32), st.integers(0, 14), st.lists(st.integers(0, 30), min_size=1, max_size=4), st.randoms())
@settings(max_examples=25, deadline=None)
def test_windows_in_any_order_give_the_pairs_of_brute_force(
    tmp_path_factory: pytest.TempPathFactory, seed: int, radius: int, sizes: list[int], order: random.Random
) -> None:
    windows = [images(seed + number, size, 100 * number) for number, size in enumerate(sizes)]
    want = brute_force(pa.concat_tables(windows), radius, 120)
    order.shuffle(windows)
    folder = tmp_path_factory.mktemp("index") / "pairs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_index, "BATCH", 16)
        patch.setattr(pair_index, "PART", 7)
        patch.setattr(pair_index, "PIECE", 5)
        for window in windows:
            opened(folder, radius, keep_bits=120).add(window)
        index = opened(folder, radius, keep_bits=120)
        assert listed(index, index.pairs()) == want


def test_only_pairs_among_the_images_asked_for(tmp_path: Path) -> None:
    table = images(1, 60)
    index = opened(tmp_path / "pairs")
    assert index.add(table) == sum(status == "ok" for status in table["status"].to_pylist())
    some = table.filter(pa.compute.equal(table["status"], "ok")).slice(10, 25)
    assert listed(index, index.pairs(some["image_id"].to_pylist())) == brute_force(some, 8) != {}
    assert len(index.pairs([])) == 0
    with pytest.raises(CrawlError, match="1 images are not in the index"):
        index.pairs([image_id(12345)])
    with pytest.raises(CrawlError, match="64 hex digits"):
        index.rows(["abc"])


def test_known_images_are_not_added_again(tmp_path: Path) -> None:
    table = images(2, 50)
    index = opened(tmp_path / "pairs")
    index.add(pa.concat_tables([table, table.slice(0, 20)]))
    before = listed(index, index.pairs())
    files = {path.name: path.read_bytes() for path in (tmp_path / "pairs").iterdir()}
    assert index.add(table) == 0
    assert opened(tmp_path / "pairs").add(table.to_batches(max_chunksize=7)) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "pairs").iterdir()} == files
    assert listed(index, index.pairs()) == before == brute_force(table, 8)


def test_ids_that_share_a_key_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (index_images, pair_index):
        monkeypatch.setattr(module, "mix", lambda ids: np.zeros(len(ids), np.uint64))
    monkeypatch.setattr(pair_index, "BATCH", 20)
    table = images(3, 50)
    index = opened(tmp_path / "pairs")
    index.add(table)
    assert index.add(table) == 0
    assert index.ids(index.rows(index.ids(np.arange(len(index))))) == index.ids(np.arange(len(index)))
    assert index.rows([image_id(999)]).tolist() == [-1]


def test_hashes_and_thumbnails_are_those_of_the_variant(tmp_path: Path) -> None:
    table = images(4, 30)
    index = opened(tmp_path / "pairs")
    index.add(table)
    for row in (row for row in table.to_pylist() if row["status"] == "ok"):
        place = np.repeat(index.rows([row["image_id"]]), 4)
        bits, chroma = index.bits256(place, np.arange(4)), index.chroma(place, np.arange(4))
        thumbnails = [np.frombuffer(row[name], np.uint8).reshape(2, 8, 8) for name in ("chroma", "trim_chroma")]
        for variant, name in enumerate(VARIANTS):
            assert bits[variant].tobytes() == row[f"{name}phash256"]
            turned = thumbnails[variant % 2][..., ::-1] if variant > 1 else thumbnails[variant % 2]
            assert np.array_equal(chroma[variant], turned)


@pytest.mark.parametrize("change", [{"radius": 9}, {"keep_bits": 60}, {"version": "imagehash.phash 99"}])
def test_another_version_or_radius_starts_afresh(tmp_path: Path, change: dict) -> None:
    table = images(5, 40)
    opened(tmp_path).add(table)
    other = PairIndex(tmp_path, **({"version": VERSION, "radius": 8} | change))
    assert len(other) == len(other.pairs()) == 0
    assert len(opened(tmp_path)) > 0  # nothing is lost before something is added
    if "version" in change:
        with pytest.raises(CrawlError, match="hash them again"):
            other.add(table)
        assert len(opened(tmp_path)) > 0
        return
    other.add(table)
    assert listed(other, other.pairs()) == brute_force(table, change.get("radius", 8), change.get("keep_bits", 256))
    assert len(opened(tmp_path)) == 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 2}', '{"format": 1, "hashes": "x", "radius": 8}'])
def test_a_damaged_manifest_says_what_to_do(tmp_path: Path, text: str) -> None:
    opened(tmp_path).add(images(6, 5))
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(CrawlError, match=r"damaged: its manifest\.json cannot be read; delete the folder"):
        opened(tmp_path)


@pytest.mark.parametrize("name", ["ids", "bits64", "bits256", "chroma", "flags", "pairs"])
def test_a_file_that_is_too_short_says_what_to_do(tmp_path: Path, name: str) -> None:
    opened(tmp_path).add(images(6, 30))
    path = tmp_path / f"{name}.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CrawlError, match=f"damaged: {name}.bin is too short; delete the folder"):
        opened(tmp_path)
    path.unlink()
    with pytest.raises(CrawlError, match="too short"):
        opened(tmp_path)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    first.add(images(7, 5))
    with pytest.raises(CrawlError, match="open it again"):
        second.add(images(7, 5))
    with first._writing(), pytest.raises(CrawlError, match="another process is adding"):
        opened(tmp_path).add(images(7, 5))


def test_bad_tables_are_refused(tmp_path: Path) -> None:
    table = images(8, 5)
    with pytest.raises(CrawlError, match="lack the column"):
        opened(tmp_path).add(table.drop_columns(["flat"]))
    short = table.set_column(table.schema.get_field_index("phash64"), "phash64", pa.array([b"abc"] * 5, pa.binary()))
    with pytest.raises(CrawlError, match="phash64 of the image hashes must have 8 bytes"):
        opened(tmp_path).add(short)


def test_progress_reaches_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_index, "BATCH", 16)
    told: list[tuple[int, int]] = []
    opened(tmp_path).add(images(9, 40), progress=lambda *counts: told.append(counts))
    assert told == sorted(told)
    assert told[-1] == (40, 40)
    assert {total for _, total in told} == {40}


@pytest.mark.parametrize("half", [False, True])
def test_a_crash_in_any_write_costs_one_batch_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half: bool
) -> None:
    monkeypatch.setattr(pair_index, "BATCH", 20)
    table = images(10, 55)
    want = brute_force(table, 8)
    append, write = FlatFile.append, pair_index.write_bytes
    left = 0

    def crashing_append(file: FlatFile, count: int, rows: np.ndarray) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            if half:
                append(file, count, rows[: len(rows) // 2])
            raise KeyboardInterrupt
        append(file, count, rows)

    def crashing_write(path: Path, data: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            if half:
                write(path, data)
            raise KeyboardInterrupt
        write(path, data)

    for writes in range(100):
        folder = tmp_path / str(writes)
        left = writes
        with monkeypatch.context() as patch:
            patch.setattr(FlatFile, "append", crashing_append)
            patch.setattr(pair_index, "write_bytes", crashing_write)
            try:
                opened(folder).add(table)
                break
            except KeyboardInterrupt:
                pass
        index = opened(folder)
        known = set(index.ids(np.arange(len(index))))
        assert listed(index, index.pairs()) == {key: bits for key, bits in want.items() if known.issuperset(key[:2])}
        index.add(table)
        assert listed(index, index.pairs()) == want
    assert writes > 20


CHILD = """
import sys
from pathlib import Path
import pyarrow.parquet as pq
from crawlers.dedup import pair_index
pair_index.BATCH, pair_index.PART = 20, 100
folder, version, *windows = sys.argv[1:]
print("ready", flush=True)
for window in windows:
    pair_index.PairIndex(Path(folder), version, 8).add(pq.read_table(window))
"""


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    windows = [images(20 + number, 150, 1_000 * number) for number in range(3)]
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for window, path in zip(windows, paths, strict=True):
        pq.write_table(window, path)
    undisturbed = opened(tmp_path / "undisturbed")
    for window in windows:
        undisturbed.add(window)
    want = listed(undisturbed, undisturbed.pairs())

    folder = tmp_path / "killed"
    command = [sys.executable, "-c", CHILD, str(folder), VERSION, *map(str, paths)]
    rng = np.random.default_rng()
    for kills in range(5):
        last = len(opened(folder))
        child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3])
        assert child.stdout is not None
        with child.stdout:
            assert child.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 60
            while len_of(folder) <= last and child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.001)  # it has to get on, and is killed soon after
            if kills < 4:
                time.sleep(float(rng.uniform(0, 0.03)))
                child.kill()
            child.wait()
        got = opened(folder)
        known = set(got.ids(np.arange(len(got))))
        assert len(known) > last
        assert listed(got, got.pairs()) == {key: bits for key, bits in want.items() if known.issuperset(key[:2])}
    assert child.returncode == 0
    index = opened(folder)
    assert len(index) == len(undisturbed)
    assert listed(index, index.pairs()) == want


def len_of(folder: Path) -> int:
    try:
        return int(json.loads((folder / "manifest.json").read_bytes())["images"])
    except FileNotFoundError:
        return 0
