import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from modeling.errors import ModelingError
from modeling.label_sets import (
    choose_labels,
    data_set,
    data_set_candidates,
    data_set_version,
    label_frequencies,
    label_matrix,
    split_balance,
)
from modeling.settings import LabelSetSettings, SplitSettings
from modeling.tables import DATA_SET, LABEL_FREQUENCIES, SPLIT_BALANCE

TAXONOMY = ["Casual", "Retro", "Sporty", "Classic", "Military"]
NO_PAIRS = pd.DataFrame({"image_a": [], "image_b": []}, dtype=object)


def image_name(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def labels_table(*labelled):
    """LABELS rows from (main, subs): image 0, 1, ... in that order; main None: a conflict or no style."""
    return pd.DataFrame(
        {
            "image_id": [image_name(i) for i in range(len(labelled))],
            "window": "w1",
            "main": pd.Series([main for main, _ in labelled], dtype=object),
            "subs": [np.array(subs, dtype=object) for _, subs in labelled],
        }
    )


def unique_table(count):
    ids = [image_name(i) for i in range(count)]
    return pd.DataFrame(
        {"image_id": ids, "window": "w1", "canonical_id": ids, "best_image_id": ids, "author_hmac": None, "kept": True}
    )


def many(*labelled, times=20):
    """Enough images for all splits."""
    return labels_table(*[entry for _ in range(times) for entry in labelled])


def reasons(labels, label_set, **options):
    rows = data_set_candidates(labels, unique_table(len(labels)), NO_PAIRS, label_set, **options)
    return rows.set_index("image_id")["reason"].reindex([image_name(i) for i in range(len(labels))]).tolist()


def test_frequencies_by_hand():
    """Four decided images; Retro and Sporty are equal as mains and stand in taxonomy order; three sub labels."""
    labels = labels_table(
        ("Casual", ["Retro", "Sporty"]), ("Casual", []), ("Sporty", ["Casual"]), ("Retro", []), (None, ["Retro"])
    )
    table = label_frequencies(labels, TAXONOMY)
    assert table.schema == LABEL_FREQUENCIES
    frame = table.to_pandas()
    assert frame["label"].tolist() == ["Casual", "Retro", "Sporty", "Classic", "Military"]
    assert frame["rank"].tolist() == [1, 2, 3, 4, 5]
    assert frame["main_images"].tolist() == [2, 1, 1, 0, 0]
    assert frame["main_share"].tolist() == [0.5, 0.25, 0.25, 0, 0]
    assert frame["sub_images"].tolist() == [1, 1, 1, 0, 0]
    assert frame["sub_share"].tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0])


def test_frequencies_without_any_label():
    frame = label_frequencies(labels_table(), TAXONOMY).to_pandas()
    assert frame["main_images"].sum() == 0
    assert frame["main_share"].tolist() == [0] * 5


def test_a_label_outside_the_taxonomy_is_named():
    with pytest.raises(ModelingError, match="'Punk' is not in the taxonomy"):
        label_frequencies(labels_table(("Casual", ["Punk"])), TAXONOMY)


def test_the_most_frequent_labels_are_chosen():
    labels = labels_table(("Sporty", []), ("Sporty", []), ("Military", []), ("Retro", []))
    frequencies = label_frequencies(labels, TAXONOMY)
    assert choose_labels(frequencies, LabelSetSettings(name="top-2", top=2)) == ["Sporty", "Retro"]
    assert choose_labels(frequencies, LabelSetSettings(name="mine", labels=["Retro", "Sporty"])) == ["Retro", "Sporty"]
    with pytest.raises(ModelingError, match=r"label set 'top-4' asks for the 4 .* only 3 are the main label"):
        choose_labels(frequencies, LabelSetSettings(name="top-4", top=4))
    with pytest.raises(ModelingError, match="no image has 'Casual' as its main label"):
        choose_labels(frequencies, LabelSetSettings(name="mine", labels=["Retro", "Casual"]))
    with pytest.raises(ModelingError, match="'Punk' is not in the taxonomy; known are Sporty"):
        choose_labels(frequencies, LabelSetSettings(name="mine", labels=["Retro", "Punk"]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": "x"}, "either top or labels"),
        ({"name": "x", "top": 2, "labels": ["a", "b"]}, "either top or labels"),
        ({"name": "x", "labels": ["a", "b", "a"]}, "'a' stands twice"),
        ({"name": "top 5", "top": 5}, "name"),
        ({"name": "x", "top": 1}, "top"),
        ({"name": "x", "top": 5, "membership": "some"}, "membership"),
        ({"name": "x", "top": 5, "tops": 5}, "tops"),
    ],
)
def test_label_sets_that_make_no_sense_are_refused(wrong, said):
    with pytest.raises(ValidationError, match=said):
        LabelSetSettings(**wrong)


def test_membership_of_all_labels():
    labels = labels_table(
        ("Casual", ["Retro"]), ("Casual", ["Sporty"]), ("Sporty", ["Casual"]), (None, []), ("Retro", [])
    )
    assert reasons(labels, ["Casual", "Retro"]) == [None, "other_sub", "other_main", "no_main", None]


def test_membership_of_the_main_label_drops_other_subs():
    labels = many(("Casual", ["Sporty", "Retro"]), ("Sporty", ["Casual"]), ("Retro", ["Military"]))
    assert reasons(labels, ["Casual", "Retro"], membership="main")[:3] == [None, "other_main", None]
    table = data_set(labels, unique_table(len(labels)), NO_PAIRS, ["Casual", "Retro"], "main").to_pandas()
    assert {(row.main, *row.subs) for row in table.itertuples()} == {("Casual", "Retro"), ("Retro",)}


def test_the_data_set_table():
    labels = many(("Casual", ["Sporty", "Retro"]), ("Retro", []))
    unique = unique_table(len(labels))
    label_set = ["Casual", "Retro", "Sporty"]
    table = data_set(labels.sample(frac=1, random_state=3), unique, NO_PAIRS, label_set)
    assert table.schema == DATA_SET
    assert table.column("image_id").to_pylist() == sorted(unique["image_id"])
    assert table.column("file_id").to_pylist() == table.column("image_id").to_pylist()
    subs = {tuple(row) for row in table.column("subs").to_pylist()}
    assert subs == {("Retro", "Sporty"), ()}  # in label set order
    assert set(table.column("split").to_pylist()) == {"train", "validation", "test"}
    again = data_set(
        pa.Table.from_pandas(labels), pa.Table.from_pandas(unique), pa.Table.from_pandas(NO_PAIRS), label_set
    )
    assert again.equals(table)


def test_an_image_has_the_same_split_in_every_label_set():
    labels = many(("Casual", ["Retro"]), ("Retro", []), ("Sporty", []), ("Classic", ["Casual"]))
    unique = unique_table(len(labels))
    small = data_set(labels, unique, NO_PAIRS, ["Casual", "Retro"]).to_pandas().set_index("image_id")["split"]
    large = data_set(labels, unique, NO_PAIRS, TAXONOMY).to_pandas().set_index("image_id")["split"]
    assert len(small) < len(large)
    assert small.equals(large.loc[small.index])
    # ... also when other images have not been labelled yet
    early = data_set(labels.iloc[:60], unique, NO_PAIRS, TAXONOMY).to_pandas().set_index("image_id")["split"]
    assert early.equals(large.loc[early.index])


def test_set_aside_and_unknown_images_are_left_out():
    labels = labels_table(("Casual", []), ("Casual", []), ("Casual", []))
    unique = unique_table(2)
    unique.loc[1, ["canonical_id", "kept"]] = [image_name(0), False]
    rows = data_set_candidates(labels, unique, NO_PAIRS, ["Casual", "Retro"]).set_index("image_id")["reason"]
    assert rows[image_name(1)] == rows[image_name(2)] == "not_unique"
    assert pd.isna(rows[image_name(0)])


def test_an_empty_label_set_says_why():
    labels = labels_table(("Casual", ["Sporty"]), ("Military", []), (None, []))
    with pytest.raises(
        ModelingError, match=r"'top-2' has no image \(1 no_main, 1 other_main, 1 other_sub\): label more"
    ):
        data_set(labels, unique_table(3), NO_PAIRS, ["Casual", "Retro"], name="top-2")
    with pytest.raises(ModelingError, match=r"the label set has no image \(no labelled image at all\)"):
        data_set(labels_table(), unique_table(3), NO_PAIRS, ["Casual", "Retro"])


def test_a_split_without_images_says_what_to_do():
    labels = labels_table(*[("Casual", [])] * 4)
    with pytest.raises(
        ModelingError, match=r"label set 'tiny' has 4 images but none in the validation.* split: label more"
    ):
        data_set(labels, unique_table(4), NO_PAIRS, ["Casual", "Retro"], name="tiny")


def test_the_version_is_one_of_rows():
    labels = many(("Casual", ["Retro"]), ("Retro", []))
    table = data_set(labels, unique_table(len(labels)), NO_PAIRS, ["Casual", "Retro"])
    version = data_set_version(table)
    assert version == data_set_version(table.to_pandas().sample(frac=1, random_state=1))
    for column, value in (("split", "train"), ("main", "Sporty"), ("file_id", "x")):
        changed = table.to_pandas()
        row = changed.index[(changed["split"] == "test")][0]
        changed.loc[row, column] = value
        assert data_set_version(changed) != version
    other = data_set(labels, unique_table(len(labels)), NO_PAIRS, ["Casual", "Retro"], splits=SplitSettings(salt="x"))
    assert data_set_version(other) != version


def test_split_balance_by_hand():
    """Three images: label a in two train and one test, b in one train."""
    rows = pd.DataFrame({"main": ["a", "a", "b"], "subs": [[], ["b"], ["a"]], "split": ["train", "test", "train"]})
    table = split_balance(rows)
    assert table.schema == SPLIT_BALANCE
    cells = {(row["label"], row["split"]): row for row in table.to_pylist()}
    assert list(cells) == [(label, split) for label in (None, "a", "b") for split in ("train", "validation", "test")]
    assert [cells[None, s]["images"] for s in ("train", "validation", "test")] == [2, 0, 1]
    assert cells["a", "train"]["share"] == pytest.approx(2 / 3)
    assert cells["b", "test"]["share"] == pytest.approx(1 / 2)
    assert cells["b", "test"]["target"] == 0.2
    assert {row["label"] for row in split_balance(rows, ["b"]).to_pylist()} == {None, "b"}


def test_the_label_matrix_marks_main_and_subs():
    matrix = label_matrix(["a", "b"], [["c"], []], ["a", "b", "c"])
    assert matrix.tolist() == [[True, False, True], [False, True, False]]
    with pytest.raises(ModelingError, match="'d' is not in the label set"):
        label_matrix(["a"], [["d"]], ["a", "b"])
