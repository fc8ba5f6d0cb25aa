import functools
from collections.abc import Callable

import numpy as np
import pytest
from dedup_pictures import photo
from PIL import Image, ImageEnhance

from crawlers.dedup.structure import structure_similarity

Thumbnails = np.ndarray


@functools.cache
def pictures() -> list[Image.Image]:
    return [photo(seed, 480, 640) for seed in range(12)]


def thumbnails(change: Callable[[Image.Image], Image.Image] = lambda image: image, count: int = 12) -> Thumbnails:
    greys = [change(picture).convert("L") for picture in pictures()[:count]]
    return np.stack([np.asarray(picture.resize((16, 16), Image.Resampling.BOX)) for picture in greys])


def crop(share: float, at: float) -> Callable[[Image.Image], Image.Image]:
    def cut(image: Image.Image) -> Image.Image:
        width, height = image.size
        left, top = width * share * at, height * share * at
        return image.crop(
            (round(left), round(top), round(left + width * (1 - share)), round(top + height * (1 - share)))
        )

    return cut


def test_a_thumbnail_agrees_with_itself() -> None:
    assert structure_similarity(thumbnails(), thumbnails()) == pytest.approx(1, abs=1e-5)


def test_light_and_contrast_do_not_matter() -> None:
    darker = thumbnails(lambda image: ImageEnhance.Brightness(image).enhance(0.7))
    flatter = thumbnails(lambda image: ImageEnhance.Contrast(image).enhance(0.6))
    assert structure_similarity(thumbnails(), darker).min() > 0.97
    assert structure_similarity(thumbnails(), flatter).min() > 0.97


@pytest.mark.parametrize("share", [0.02, 0.05, 0.09])
@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_crops_agree_more_than_other_pictures_do(share: float, at: float) -> None:
    whole, cut = thumbnails(), thumbnails(crop(share, at))
    same = structure_similarity(whole, cut)
    assert np.array_equal(same, structure_similarity(cut, whole))
    assert np.median(same) > 0.75
    assert structure_similarity(whole, np.roll(cut, 1, axis=0)).max() < same.min()


def test_a_turned_picture_does_not_agree() -> None:
    assert structure_similarity(thumbnails(), thumbnails()[..., ::-1]).max() < 0.7


def test_thumbnails_that_show_nothing_agree_with_nothing() -> None:
    flat = np.full((2, 16, 16), 90, np.uint8)
    assert structure_similarity(flat, thumbnails(count=2)) == pytest.approx(0, abs=0.01)
    assert structure_similarity(flat, flat) == pytest.approx(0, abs=0.01)


def test_many_pairs_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, cut = thumbnails(), thumbnails(crop(0.05, 0.5))
    wanted = structure_similarity(whole, cut)
    monkeypatch.setattr("crawlers.dedup.structure._BLOCK", 7)
    assert structure_similarity(whole, cut) == pytest.approx(wanted, abs=1e-6)
    assert structure_similarity(whole[:0], cut[:0]).shape == (0,)
