from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dedup_pictures import flipped, hash_frame, hash_row, image_id, photo, random_hash
from PIL import Image, ImageDraw, ImageOps

from crawlers.dedup import pairs as pairs_module
from crawlers.dedup.hashing import ALGORITHM, HASH_VERSION, ImageHashes, hash_image
from crawlers.dedup.overrides import Overrides
from crawlers.dedup.pairs import similar_pairs, temporary_index
from crawlers.dedup.rule import DedupRule
from crawlers.tables import SIMILAR_PAIRS


def letterbox(image: Image.Image) -> Image.Image:
    return ImageOps.pad(image, (max(image.size), max(image.size)), color="white")


def watermark(image: Image.Image) -> Image.Image:
    image = image.copy()
    width, height = image.size
    ImageDraw.Draw(image).rectangle((width * 0.7, height * 0.94, width * 0.95, height * 0.97), fill="grey")
    return image


def other_colour(image: Image.Image) -> Image.Image:
    """The same picture with opposite colours of the same brightness in its middle, as a garment in another colour."""
    ycbcr = np.asarray(image.convert("YCbCr")).copy()
    height, width = ycbcr.shape[:2]
    middle = ycbcr[height // 3 : -height // 3, width // 3 : -width // 3]
    middle[..., 1:] = 255 - middle[..., 1:]
    return Image.fromarray(ycbcr, "YCbCr").convert("RGB")


COPIES: dict[str, tuple[Callable[[Image.Image], Image.Image], str, str]] = {
    "recompressed": (lambda image: image, "jpg", "plain"),
    "other format": (lambda image: image, "webp", "plain"),
    "half the size": (lambda image: image.reduce(2), "jpg", "plain"),
    "stretched": (lambda image: image.resize((image.width, image.height * 5 // 6)), "jpg", "plain"),
    "letterboxed": (letterbox, "jpg", "trim"),
    "bordered": (lambda image: ImageOps.expand(image, 20, "white"), "jpg", "trim"),
    "mirrored": (ImageOps.mirror, "jpg", "mirror"),
    "mirrored and letterboxed": (lambda image: letterbox(ImageOps.mirror(image)), "jpg", "trim_mirror"),
    "watermarked": (watermark, "jpg", "plain"),
}


NAMES = {name: image_id(number) for number, name in enumerate(("blue", "copy", "original", "other", "red"), start=100)}


def hashes_of(images: dict[str, Image.Image], folder: Path, suffix: str = "jpg") -> pd.DataFrame:
    rows = []
    for name, image in images.items():
        path = folder / f"a.{suffix if name == 'copy' else 'jpg'}"
        image.save(path, quality=40 if name == "copy" else 92)
        hashes = hash_image(path)
        assert isinstance(hashes, ImageHashes)
        stamp = {"status": "ok", "algorithm": ALGORITHM, "version": HASH_VERSION}
        rows.append(vars(hashes) | stamp | {"image_id": NAMES[name]})
    return pd.DataFrame(rows)


def pairs_of(hashes: pd.DataFrame, rule: DedupRule | None = None, overrides: Overrides | None = None) -> pa.Table:
    """The pairs among these images, with the names of ``NAMES`` instead of their ids."""
    rule = rule or DedupRule()
    with temporary_index(hashes, rule) as index:
        table = similar_pairs(index, hashes["image_id"].tolist(), rule, overrides)
    called = {image_id: name for name, image_id in NAMES.items()}
    for place, side in enumerate(("image_a", "image_b")):
        named = [called.get(image_id, image_id) for image_id in table[side].to_pylist()]
        table = table.set_column(place, SIMILAR_PAIRS.field(side), pa.array(named, pa.string()))
    return table


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_duplicates_and_other_pictures_are_not(tmp_path: Path, name: str) -> None:
    change, suffix, via = COPIES[name]
    for seed in range(5):
        images = {"copy": change(photo(seed, 480, 640)), "original": photo(seed, 480, 640), "other": photo(seed + 100)}
        pairs = pairs_of(hashes_of(images, tmp_path, suffix), DedupRule()).to_pylist()
        assert [(pair["image_a"], pair["image_b"], pair["via"]) for pair in pairs] == [("copy", "original", via)]
        assert pairs[0]["band"] == "duplicate"


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    left, top = round(width * share), round(height * share / 2)
    return image.crop((left, top, width, height - top))


def test_a_small_crop_is_a_duplicate_by_its_structure(tmp_path: Path) -> None:
    rule = DedupRule(structure_limit=0.7, chroma_limit=60)  # these pictures have finer detail and colours than photos
    found = 0
    for seed in range(5):
        for change in (lambda image: image, ImageOps.mirror):
            copy = change(cropped(photo(seed, 480, 640), 0.03))
            images = {"copy": copy, "original": photo(seed, 480, 640), "other": photo(seed + 100)}
            for pair in pairs_of(hashes_of(images, tmp_path), rule).to_pylist():
                assert (pair["image_a"], pair["image_b"]) == ("copy", "original")
                assert pair["band"] == "duplicate"
                assert (pair["structure"] is None) == (pair["distance256"] <= 32)
                found += pair["structure"] is not None
    assert found > 0


def test_another_colourway_is_for_people_to_look_at(tmp_path: Path) -> None:
    for seed in range(5):
        images = {"blue": photo(seed), "red": other_colour(photo(seed))}
        (pair,) = pairs_of(hashes_of(images, tmp_path), DedupRule()).to_pylist()
        assert pair["distance256"] <= 32
        assert pair["chroma_distance"] > 12
        assert pair["band"] == "review"


def test_flat_pictures_are_never_pairs() -> None:
    bits = random_hash(1)
    rows = [hash_row(number, bits, flat=True) for number in range(3)]
    assert pairs_of(hash_frame(rows), DedupRule()).num_rows == 0


def test_bands_end_where_the_rule_says() -> None:
    bits = random_hash(1)
    rows = [hash_row(0, bits), *(hash_row(number, flipped(bits, number)) for number in (32, 33, 56, 57))]
    pairs = pairs_of(hash_frame(rows), DedupRule(duplicate_bits=32, review_bits=56)).to_pandas()
    with_first = pairs[pairs["image_a"] == image_id(0)]
    assert with_first["band"].tolist() == ["duplicate", "review", "review", "distinct"]
    assert with_first["distance256"].tolist() == [32, 33, 56, 57]
    assert with_first["distance64"].tolist() == [0, 0, 0, 0]  # the changed bits are others
    assert with_first["structure"].isna().tolist() == [True, False, False, True]
    strict = pairs_of(hash_frame(rows), DedupRule(duplicate_bits=0, review_bits=0))
    assert set(strict["band"].to_pylist()) == {"distinct"}


def test_a_pair_beyond_the_candidates_is_not_looked_at() -> None:
    bits = random_hash(1)
    rows = [hash_row(0, bits), hash_row(1, flipped(bits, 10, 0)), hash_row(2, flipped(bits, 12, 20))]
    pairs = pairs_of(hash_frame(rows), DedupRule(candidate_bits=10))
    assert [(pair["image_a"], pair["image_b"]) for pair in pairs.to_pylist()] == [(image_id(0), image_id(1))]
    assert pairs_of(hash_frame(rows), DedupRule(candidate_bits=12)).num_rows == 2


def test_only_the_closest_distinct_pairs_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs_module, "SHOWN_DISTINCT", 2)
    bits = random_hash(1)
    rows = [hash_row(0, bits), *(hash_row(number, flipped(bits, 64 + number, 64 + 5 * number)) for number in (1, 2, 3))]
    pairs = pairs_of(hash_frame(rows), DedupRule()).to_pandas()
    listed = pairs[pairs["band"] == "distinct"]
    assert sorted(listed["distance256"]) == [65, 66]


def test_what_people_said_stands() -> None:
    bits = random_hash(1)
    rows = [hash_row(0, bits), hash_row(1, flipped(bits, 4)), hash_row(2, random_hash(9)), hash_row(3, random_hash(8))]
    overrides = Overrides(
        same=frozenset({(image_id(0), image_id(2))}),
        different=frozenset({(image_id(0), image_id(1)), (image_id(1), "f" * 64)}),
        images=frozenset({image_id(0), image_id(1), image_id(2)}),
    )
    pairs = {
        (pair["image_a"], pair["image_b"]): (pair["band"], pair["decided_by"])
        for pair in pairs_of(hash_frame(rows), overrides=overrides).to_pylist()
    }
    assert pairs == {
        (image_id(0), image_id(1)): ("distinct", "person"),
        (image_id(0), image_id(2)): ("duplicate", "person"),
    }


def test_the_nearest_variant_is_named_and_pairs_are_ordered() -> None:
    bits, bordered = random_hash(1), random_hash(2)
    rows = [
        hash_row(2, bits),
        hash_row(1, bordered, trim_phash256=flipped(bits, 6), trim_phash64=flipped(bits, 6)[:8]),
        hash_row(0, random_hash(3), mirror_phash256=flipped(bits, 10), mirror_phash64=flipped(bits, 10)[:8]),
    ]
    table = pairs_of(hash_frame(rows), DedupRule())
    assert table.schema.equals(SIMILAR_PAIRS)
    pairs = [(pair["image_a"], pair["image_b"], pair["distance256"], pair["via"]) for pair in table.to_pylist()]
    assert pairs == [
        (image_id(0), image_id(1), 4, "trim_mirror"),
        (image_id(0), image_id(2), 10, "mirror"),
        (image_id(1), image_id(2), 6, "trim"),
    ]


def test_a_picture_like_its_own_mirror_image_is_no_pair_with_itself() -> None:
    bits = random_hash(1)
    rows = [hash_row(0, bits, mirror_phash256=bits, mirror_phash64=bits[:8])]
    assert pairs_of(hash_frame(rows), DedupRule()).num_rows == 0
