from collections import Counter

import numpy as np
import pytest

from labeling.taxonomy import Taxonomy
from pipeline.demo.styles import (
    MAIN_IMAGES,
    STYLES,
    SUB_SHARES,
    main_styles,
    similar_style,
    sub_probabilities,
    sub_styles,
)


def test_styles_are_those_of_the_paper() -> None:
    assert sum(MAIN_IMAGES.values()) == 16_685
    assert sum(SUB_SHARES.values()) == pytest.approx(100, abs=2)
    assert Taxonomy(STYLES).labels == STYLES


def test_main_styles_follow_table_2_to_the_image() -> None:
    counts = Counter(main_styles(16_685, np.random.default_rng(1)))
    assert counts == MAIN_IMAGES


@pytest.mark.parametrize("images", [0, 1, 23, 1184])
def test_main_styles_are_as_many_as_asked_for(images: int) -> None:
    counts = Counter(main_styles(images, np.random.default_rng(1)))
    assert counts.total() == images
    assert all(abs(counts[style] - MAIN_IMAGES[style] * images / 16_685) < 1 for style in STYLES)


def test_sub_styles_come_out_as_in_table_2() -> None:
    table = sub_probabilities()
    assert table.sum(axis=1) == pytest.approx(np.ones(23))
    assert np.diag(table) == pytest.approx(np.zeros(23))
    mains = np.array([MAIN_IMAGES[style] for style in STYLES]) / 16_685
    target = np.array([SUB_SHARES[style] for style in STYLES])
    assert mains @ table == pytest.approx(target / target.sum(), abs=0.01)


def test_sub_styles_are_distinct_and_never_the_main_one() -> None:
    rng = np.random.default_rng(3)
    for style in STYLES:
        for _ in range(30):
            subs = sub_styles(style, rng)
            assert style not in subs
            assert len(set(subs)) == len(subs)
            assert subs == sorted(subs, key=STYLES.index)


def test_most_images_of_the_frequent_styles_stay_in_the_label_sets() -> None:
    rng = np.random.default_rng(4)
    images = [(main, sub_styles(main, rng)) for main in main_styles(3000, rng)]
    for top, share in ((5, 0.7), (7, 0.8)):
        inside = set(STYLES[:top])
        members = [set(subs) <= inside for main, subs in images if main in inside]
        assert np.mean(members) > share


def test_a_similar_style_is_another_one() -> None:
    rng = np.random.default_rng(5)
    drawn = {similar_style("Sexy", ("Casual",), rng) for _ in range(60)}
    assert "Sexy" not in drawn
    assert "Casual" not in drawn
    assert "Elegant" in drawn
