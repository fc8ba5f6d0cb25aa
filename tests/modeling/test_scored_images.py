import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modeling.errors import ModelingError
from modeling.scored_images import mean_over_seeds, scored_images, splits_of
from modeling.tables import SCORES
from tests.modeling.scores_case import LABELS, random_scores, scores_table, several_seeds

ENTRY = ("g", ["Casual"], [0.1, 0.9, 0.9, 0.2])


def test_arrays_hold_each_seed_and_image_once():
    table = several_seeds(5, 2, 9)
    images = scored_images(table.sample(frac=1, random_state=0), "test")
    assert images.seeds == (2, 5, 9)
    assert images.image_ids == sorted(images.image_ids)
    assert images.logits.shape == images.probabilities.shape == (3, 60, 4)
    row = table[(table["seed"] == 5) & (table["image_id"] == images.image_ids[7])].iloc[0]
    np.testing.assert_array_equal(images.probabilities[1, 7], row["scores"])
    np.testing.assert_array_equal(images.logits[1, 7], row["logits"])
    assert {LABELS[index] for index in np.flatnonzero(images.targets[7])} == {row["main"], *row["subs"]}
    assert splits_of(table) == ["validation", "test"]


def test_arrow_and_pandas_tables_are_the_same():
    table = several_seeds(1, 2)
    arrow = pa.Table.from_pandas(table, SCORES, preserve_index=False)
    first, second = scored_images(table, "test"), scored_images(arrow, "test")
    np.testing.assert_array_equal(first.logits, second.logits)
    np.testing.assert_array_equal(first.targets, second.targets)
    pd.testing.assert_frame_equal(mean_over_seeds(table), mean_over_seeds(arrow))


def test_sure_answers_are_ranked_by_their_logits():
    """Both probabilities are 1 in float32; by label order the first would win, by logits the second does."""
    table = scores_table([("g", ["Retro"], [1.0, 1.0, 0.0, 0.0])])
    table.at[0, "logits"] = np.array([30, 40, -5, -5], dtype=np.float32)
    assert scored_images(table, "test").hits[0, 0].all()


def test_mean_over_seeds_by_hand():
    first = scores_table([("g", ["Casual", "Retro"], [0.2, 0.4, 0.6, 0.8]), ENTRY], seed=1)
    second = scores_table([("g", ["Casual", "Retro"], [0.6, 0.0, 0.6, 0.2]), ENTRY], seed=2)
    table = mean_over_seeds(pd.concat([second, first]).sample(frac=1, random_state=1))
    assert list(table.columns) == [name for name in SCORES.names if name not in ("seed", "logits")]
    assert len(table) == 2
    assert table["image_id"].is_monotonic_increasing
    row = table[table["subs"].map(len) == 1].iloc[0]
    assert row["scores"] == pytest.approx([0.4, 0.2, 0.6, 0.5])
    assert (row["main"], list(row["subs"]), row["group_id"]) == ("Casual", ["Retro"], "g")


def test_mean_over_seeds_has_every_split_once():
    table = mean_over_seeds(several_seeds(1, 2, 3))
    assert table["split"].tolist() == ["validation"] * 60 + ["test"] * 60
    assert not table["image_id"].duplicated().any()
    assert mean_over_seeds(several_seeds(1).iloc[:0]).empty


def test_a_table_of_old_scores_is_refused():
    table = random_scores(1)
    with pytest.raises(ModelingError, match="stands twice in the scores of seed 1: score"):
        scored_images(pd.concat([table, table.iloc[:1]]), "test")
    with pytest.raises(ModelingError, match="no validation image"):
        scored_images(table, "validation")
    for column in ("scores", "logits"):
        broken = table.copy()
        for values in ([0.1, np.nan, 0.2, 0.3], [0.1, np.inf, 0.2, 0.3], [0.1, 0.2]):
            broken.at[3, column] = np.array(values, dtype=np.float32)
            with pytest.raises(ModelingError, match=f"image {table.loc[3, 'image_id']} needs one score and one logit"):
                scored_images(broken, "test")
    broken = table.copy()
    broken.at[5, "labels"] = LABELS[::-1]
    with pytest.raises(ModelingError, match="score the model anew"):
        scored_images(broken, "test")


def test_seeds_that_saw_other_images_are_refused():
    first, second = random_scores(1), random_scores(2)
    with pytest.raises(ModelingError, match=f"image {second['image_id'][4]} was scored with one of the seeds 1 and 2"):
        scored_images(pd.concat([first, second.drop(index=4)]), "test")
    fewer = pd.concat([first, second]).reset_index(drop=True)
    fewer.at[len(first) + 3, "main"] = next(name for name in LABELS if name != fewer.at[len(first) + 3, "main"])
    with pytest.raises(ModelingError, match=r"other labels or another group with one of the seeds 1 and 2"):
        scored_images(fewer, "test")
    with pytest.raises(ModelingError, match=r"other labels or another group"):
        scored_images(pd.concat([first, second.assign(group_id="one")]), "test")
