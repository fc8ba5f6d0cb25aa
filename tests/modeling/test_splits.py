import hashlib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modeling.settings import SplitSettings
from modeling.splits import SPLITS, assign_splits

COLUMNS = ["image_id", "window", "canonical_id", "best_image_id", "author_hmac", "kept"]


def image_name(number):
    return hashlib.sha256(str(number).encode()).hexdigest()


def unique(rows):
    """UNIQUE_IMAGES rows from (image_id, window, author) or (image_id, window, author, canonical_id)."""
    full = [(*row, row[0])[:4] for row in rows]
    return pd.DataFrame(
        [
            (image, window, canonical, canonical, author, canonical == image)
            for image, window, author, canonical in full
        ],
        columns=COLUMNS,
    )


def pairs(*linked):
    return pd.DataFrame([sorted(pair) for pair in linked], columns=["image_a", "image_b"], dtype=object)


def assign(images, linked=(), **changes):
    return assign_splits(images, pairs(*linked), SplitSettings(**changes)).set_index("image_id")


def shares(assigned):
    return [float((assigned["split"] == split).mean()) for split in SPLITS]


def find(assigned, split, images):
    """The first of these images with that split."""
    return next(image for image in images if assigned.loc[image, "split"] == split)


def test_single_images_keep_close_to_the_targets():
    assigned = assign(unique([(image_name(i), "w1", None) for i in range(2000)]))
    assert shares(assigned) == pytest.approx([0.7, 0.1, 0.2], abs=0.02)
    assert assigned["group_id"].tolist() == assigned.index.tolist()


def test_the_split_follows_the_hash_where_there_is_room():
    """For nearly every image, the split is where its hash falls in 0 .. 0.7 .. 0.8 .. 1."""
    assigned = assign(unique([(image_name(i), "w1", None) for i in range(1000)]))
    followed = 0
    for image, split in assigned["split"].items():
        digest = hashlib.sha256(f"stylegraph:{image}".encode()).digest()
        fraction = int.from_bytes(digest[:7], "big") / 2**56
        followed += split == ("train" if fraction < 0.7 else "validation" if fraction < 0.8 else "test")
    assert followed > 950


@pytest.mark.parametrize("size", [10, 20, 40, 100])
def test_few_images_are_off_by_an_image_or_two(size):
    for salt in ("a", "b", "c", "d"):
        assigned = assign(unique([(image_name(i), "w1", None) for i in range(size)]), salt=salt)
        for share, target in zip(shares(assigned), (0.7, 0.1, 0.2), strict=True):
            assert abs(share - target) * size <= 1.5 + 0.03 * size


def test_large_authors_leave_room_for_the_other_splits():
    """Three authors hold half of the images: none of them fits into validation."""
    rows = [(image_name(i), "w1", f"author-{i % 3}" if i < 150 else None) for i in range(300)]
    for salt in ("a", "b", "c", "d"):
        assigned = assign(unique(rows), salt=salt)
        assert shares(assigned) == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


def test_one_author_with_nearly_everything_is_trained_on():
    rows = [(image_name(i), "w1", "busy" if i < 90 else None) for i in range(100)]
    assigned = assign(unique(rows))
    assert set(assigned.loc[[image_name(i) for i in range(90)], "split"]) == {"train"}
    assert set(assigned["split"]) == set(SPLITS)


def test_another_salt_gives_another_split():
    images = unique([(image_name(i), "w1", None) for i in range(200)])
    assert (assign(images)["split"] != assign(images, salt="other")["split"]).any()


def test_images_alike_and_images_of_one_author_share_a_group():
    images = unique([("a", "w1", "ann"), ("b", "w1", "ann"), ("c", "w1", "bob"), ("d", "w1", None), ("e", "w1", None)])
    assigned = assign(images, [("b", "c"), ("c", "d")])
    assert assigned["group_id"].to_dict() == {"a": "a", "b": "a", "c": "a", "d": "a", "e": "e"}
    assert assigned.loc[list("abcd"), "split"].nunique() == 1


def test_missing_authors_tie_nothing_together():
    images = unique([(name, "w1", author) for name, author in zip("abc", [None, float("nan"), pd.NA], strict=True)])
    assert assign(images)["group_id"].nunique() == 3


def test_a_growing_group_keeps_its_key_and_split():
    first = unique([("m", "w1", "ann"), ("n", "w1", None)])
    later = pd.concat([first, unique([("a", "w2", "ann"), ("b", "w2", None)])])
    before, after = assign(first), assign(later, [("a", "b")])
    assert after.loc[["m", "a", "b"], "group_id"].tolist() == ["m"] * 3
    assert after.loc["a", "split"] == before.loc["m", "split"]


def test_groups_of_one_split_merge_under_the_oldest_key():
    first = unique([(image_name(i), "w1", None) for i in range(50)])
    second = pd.concat([first, unique([(image_name(i), "w2", None) for i in range(50, 100)])])
    before = assign(second)
    old = find(before, "test", first["image_id"])
    young = next(
        i for i in before.index if before.loc[i, "split"] == "test" and i < old and i not in set(first["image_id"])
    )
    after = assign(pd.concat([second, unique([("0", "w3", None)])]), [("0", old), ("0", young)])
    assert after.loc[["0", old, young], "group_id"].tolist() == [old] * 3
    assert after.loc[before.index, "split"].equals(before["split"])


def test_a_new_image_between_two_splits_is_left_out():
    first = unique([(image_name(i), "w1", None) for i in range(100)])
    before = assign(first)
    train, test = find(before, "train", before.index), find(before, "test", before.index)
    images = pd.concat([first, unique([("new", "w2", "ann"), ("other", "w2", "ann")])])
    after = assign(images, [("new", train), ("new", test)])
    assert after.loc["new", "reason"] == "bridging"
    assert after.loc["new", ["split", "group_id"]].isna().all()
    assert after.loc["other", "group_id"] == "other"
    assert after.loc[before.index, "split"].equals(before["split"])


def test_a_chain_of_new_images_between_two_splits_loses_its_weaker_end():
    first = unique([(image_name(i), "w1", None) for i in range(100)])
    before = assign(first)
    train, test = find(before, "train", before.index), find(before, "test", before.index)
    images = pd.concat([first, unique([(name, "w2", "ann") for name in ("p", "q", "r", "s")])])
    after = assign(images, [("p", test), ("q", test), ("r", train)])
    assert after.loc[["p", "q", "s"], "split"].tolist() == ["test"] * 3
    assert after.loc["r", "reason"] == "bridging"


def test_a_reposter_is_not_the_author():
    """An image set aside stays with its canonical image, but its author's other images are free."""
    images = unique([("a", "w1", "ann"), ("b", "w1", "bob", "a"), ("c", "w1", "bob")])
    assigned = assign(images)
    assert assigned.index.tolist() == ["a", "c"]
    assert assigned["group_id"].tolist() == ["a", "c"]


def test_an_image_like_one_set_aside_joins_the_cluster():
    images = unique([("a", "w1", None), ("b", "w2", None, "a"), ("c", "w3", None)])
    assert assign(images, [("b", "c")])["group_id"].tolist() == ["a", "a"]


def test_the_best_file_is_not_used_when_it_bridges():
    """The file of a later window looks like an image of another split, so the canonical file itself is used."""
    first = unique([(image_name(i), "w1", None) for i in range(100)])
    before = assign(first)
    train, test = find(before, "train", before.index), find(before, "test", before.index)
    images = pd.concat([first, unique([("best", "w2", None, train)])])
    images.loc[images["image_id"] == train, "best_image_id"] = "best"
    assert assign(images).loc[train, "file_id"] == "best"
    linked = assign(images, [("best", test)])
    assert linked.loc[train, "file_id"] == train
    assert linked["split"].equals(before["split"])


def test_pairs_with_unknown_images_and_no_images_at_all():
    assert assign(unique([("a", "w1", None)]), [("a", "gone")])["split"].tolist() == ["train"]
    assert assign(unique([])).empty


@pytest.mark.parametrize(
    "wrong", [{"train": 0.8}, {"test": 0}, {"train": 0.9, "validation": 0.1, "test": 0.0}, {"seed": 1}]
)
def test_shares_that_are_no_whole_are_refused(wrong):
    with pytest.raises(ValidationError):
        SplitSettings(**wrong)


@st.composite
def collections(draw):
    """Images over a few windows with few authors, random pairs and some set aside for an earlier image."""
    rows, kept = [], []
    for number in range(draw(st.integers(1, 25))):
        image, author = image_name(number), draw(st.sampled_from([None, "ann", "bob", "cid", "dee"]))
        window = draw(st.sampled_from(["w1", "w2", "w3"]))
        earlier = [name for name, seen in kept if seen <= window]
        if earlier and draw(st.integers(0, 4)) == 0:
            rows.append((image, window, author, draw(st.sampled_from(earlier))))
        else:
            rows.append((image, window, author))
            kept.append((image, window))
    names = st.sampled_from([row[0] for row in rows])
    linked = draw(st.lists(st.tuples(names, names).filter(lambda pair: pair[0] != pair[1]), max_size=12))
    return rows, linked


@settings(max_examples=80, deadline=None)
@given(collections())
def test_nothing_alike_and_no_author_stands_on_two_sides(case):
    rows, linked = case
    images = unique(rows)
    assigned = assign(images, linked)
    split = assigned["split"].dropna()
    canonical = images.set_index("image_id")["canonical_id"]
    for a, b in linked:
        if {a, b} <= set(split.index):
            assert split[a] == split[b]
    files = {assigned.loc[image, "file_id"]: image for image in split.index}
    for a, b in linked:
        if {a, b} <= set(files):
            assert split[files[a]] == split[files[b]]
    authors = images[images["kept"]].set_index("image_id")["author_hmac"].dropna()
    for _, group in split[split.index.isin(authors.index)].groupby(authors):
        assert group.nunique() == 1
    assert assigned.groupby("group_id")["split"].nunique().le(1).all()
    assert assigned.index.tolist() == sorted(set(canonical))
    assert (assigned["reason"].isna() == assigned["split"].notna()).all()


@settings(max_examples=80, deadline=None)
@given(collections())
def test_later_windows_change_no_split(case):
    rows, linked = case
    images = unique(rows)
    whole = assign(images, linked)
    for last in ("w1", "w2"):
        part = images[images["window"] <= last]
        early = assign(part, linked)
        assert early["split"].equals(whole.loc[early.index, "split"])
        assert early["reason"].equals(whole.loc[early.index, "reason"])


@settings(max_examples=30, deadline=None)
@given(collections(), st.integers(0, 100))
def test_the_order_of_rows_makes_no_difference(case, seed):
    rows, linked = case
    images = unique(rows)
    assert assign(images.sample(frac=1, random_state=seed), linked[::-1]).equals(assign(images, linked))


def keep(assigned):
    """What a data set with all of these images hands on to the next: splits by image and by file."""
    inside = assigned[assigned["split"].notna()]
    return {**dict(zip(inside["file_id"], inside["split"], strict=True)), **inside["split"].to_dict()}


def assign_again(images, earlier, linked=(), **changes):
    return assign_splits(images, pairs(*linked), SplitSettings(**changes), earlier).set_index("image_id")


def test_a_group_keeps_its_split_when_the_image_that_founded_it_leaves():
    rows = [(image_name(i), "w1", f"author-{i % 40}") for i in range(200)]
    before = assign(unique(rows))
    founders = set(before["group_id"])
    rest = unique([row for row in rows if row[0] not in founders])
    assert not assign(rest)["split"].equals(before.loc[sorted(rest["image_id"]), "split"]), "on its own, it would move"
    after = assign_again(rest, keep(before))
    assert after["split"].equals(before.loc[after.index, "split"])
    assert after["reason"].isna().all()


def test_a_window_that_arrives_late_moves_nobody():
    rows = [(image_name(i), "w2", f"author-{i % 40}") for i in range(200)]
    before = assign(unique(rows))
    late = [(image_name(i), "w1", f"author-{i % 60}") for i in range(200, 500)]
    images = unique([*rows, *late])
    assert (assign(images).loc[before.index, "split"] != before["split"]).any(), "on its own, it would move"
    after = assign_again(images, keep(before))
    assert after.loc[before.index, "split"].equals(before["split"])
    of_author = images.set_index("image_id")["author_hmac"]
    assert after.groupby(of_author)["split"].nunique().eq(1).all()
    assert shares(after) == pytest.approx([0.7, 0.1, 0.2], abs=0.05)


def test_a_late_image_between_two_earlier_splits_is_left_out_and_not_they():
    rows = [(image_name(i), "w2", None) for i in range(100)]
    before = assign(unique(rows))
    train, test = find(before, "train", before.index), find(before, "test", before.index)
    after = assign_again(unique([*rows, ("late", "w1", None)]), keep(before), [("late", train), ("late", test)])
    assert after.loc["late", "reason"] == "bridging"
    assert after.loc[before.index, "split"].equals(before["split"])


def test_of_two_earlier_images_that_turn_out_alike_the_test_image_stays():
    rows = [(image_name(i), "w1", None) for i in range(100)]
    before = assign(unique(rows))
    train, test = find(before, "train", before.index), find(before, "test", before.index)
    after = assign_again(unique(rows), keep(before), [(train, test)])
    assert after.loc[train, "reason"] == "bridging"
    rest = before.index.drop(train)
    assert after.loc[rest, "split"].equals(before.loc[rest, "split"])


def test_one_image_that_is_like_many_of_another_split_is_in_the_way_and_not_they():
    rows = [(image_name(i), "w1", None) for i in range(100)]
    before = assign(unique(rows))
    test = find(before, "test", before.index)
    many = before.index[before["split"] == "train"][:5]
    after = assign_again(unique(rows), keep(before), [(test, image) for image in many])
    assert after.index[after["reason"].notna()].tolist() == [test]


def test_an_author_whose_earlier_images_have_two_splits_keeps_those_of_the_larger_part():
    rows = [(name, "w1", "ann") for name in "abcde"]
    earlier = dict.fromkeys("ab", "test") | dict.fromkeys("cde", "train")
    after = assign_again(unique([*rows, ("f", "w2", "ann")]), earlier)
    assert after["split"].dropna().to_dict() == dict.fromkeys("cdef", "train")
    assert after.loc[["a", "b"], "reason"].tolist() == ["bridging"] * 2


def test_a_cluster_with_a_new_canonical_image_keeps_the_split():
    """An older copy arrives late and stands for the image from now on; so the earlier split is its own."""
    for split in SPLITS:
        after = assign_again(unique([("a", "w2", None, "z"), ("z", "w1", None)]), {"a": split})
        assert after["split"].to_dict() == {"z": split}
        assert after["group_id"].to_dict() == {"z": "z"}


def test_the_name_of_a_group_does_not_depend_on_what_was_before():
    rows = [(image_name(i), f"w{1 + i % 3}", f"author-{i % 30}") for i in range(150)]
    before = assign(unique(rows))
    half = dict(list(keep(before).items())[::2])
    assert assign_again(unique(rows), half)["group_id"].equals(before["group_id"])


@st.composite
def histories(draw):
    """Some collections after each other: images arrive in any window, leave, stand for others, and turn out alike."""
    windows = st.sampled_from(["w1", "w2", "w3"])
    authors = st.sampled_from([None, None, "ann", "bob", "cid", "dee"])
    numbers = iter(range(1000))
    present, linked, runs = {}, set(), []
    for _ in range(draw(st.integers(2, 5))):
        for gone in draw(st.sets(st.sampled_from(sorted(present)), max_size=3)) if present else ():
            del present[gone]
        for _ in range(draw(st.integers(1, 10))):
            present[image_name(next(numbers))] = (draw(windows), draw(authors))
        names = st.sampled_from(sorted(present))
        linked |= draw(st.sets(st.tuples(names, names).filter(lambda pair: pair[0] < pair[1]), max_size=4))
        aside = draw(st.sets(names, max_size=len(present) - 1))
        kept = st.sampled_from(sorted(present.keys() - aside))
        rows = [(name, *present[name], draw(kept) if name in aside else name) for name in sorted(present)]
        runs.append((rows, [pair for pair in sorted(linked) if present.keys() >= set(pair)], draw(st.sets(names))))
    return runs


@settings(max_examples=200, deadline=None)
@given(histories())
def test_whoever_was_in_a_data_set_never_changes_sides(runs):
    known = {}
    for rows, linked, labelled in runs:
        images = unique(rows)
        last = dict(zip(images["canonical_id"], images["image_id"], strict=True))  # of the cluster: some file of it
        images["best_image_id"] = images["canonical_id"].map(last)
        assigned = assign_splits(images, pairs(*linked), SplitSettings(), known).set_index("image_id")
        split = assigned["split"].dropna()
        files = pd.Series(split.to_numpy(), assigned.loc[split.index, "file_id"])
        used = {**files.to_dict(), **split.to_dict()}
        for name, now in used.items():
            assert known.get(name, now) == now
        assert assigned.groupby("group_id")["split"].nunique().le(1).all()
        for a, b in linked:
            if {a, b} <= used.keys():
                assert used[a] == used[b]
        by = images[images["kept"]].set_index("image_id")["author_hmac"]
        for _, theirs in split.groupby(by.reindex(split.index)):
            assert theirs.nunique() == 1
        assert (assigned["reason"].isna() == assigned["split"].notna()).all()
        inside = assigned[assigned["split"].notna() & assigned.index.isin(labelled)]
        known |= keep(inside)
