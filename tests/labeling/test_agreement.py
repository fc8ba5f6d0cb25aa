from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labeling_samples import annotation, annotation_frame, image_id
from nltk.metrics.agreement import AnnotationTask
from nltk.metrics.distance import masi_distance
from sklearn.metrics import cohen_kappa_score

from labeling import LabelingError, agreement, main_confusion
from labeling.agreement import confusion_table
from labeling.answer_pairs import masi_distances
from labeling.tables import AGREEMENT, MAIN_CONFUSION

# The example of Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): nominal alpha is 0.743.
KRIPPENDORFF = {
    "A": "1 2 3 3 2 1 4 1 2 . . .",
    "B": "1 2 3 3 2 2 4 1 2 5 . 3",
    "C": ". 3 3 3 2 3 4 2 2 5 1 .",
    "D": "1 2 3 3 2 4 4 1 2 5 1 .",
}
# Its two-person examples: binary data alpha 0.095 (section A), nominal data alpha 0.692 (section B).
TWO_BINARY = {"A": "0 1 0 0 0 0 0 0 1 0", "B": "1 1 1 0 0 1 0 0 0 0"}
TWO_NOMINAL = {"A": "a a b b d c c c e d d a", "B": "b a b b b c c c e d d d"}


def figures(rows: Sequence[dict[str, Any]], **options: Any) -> dict[tuple[str, ...], dict[str, Any]]:
    """Rows by measure and what they are of: nothing, a window, a label, or two annotators."""
    table = agreement(annotation_frame(rows), **{"resamples": 0} | options)
    assert table.schema.equals(AGREEMENT)
    names = ("window", "annotator_a", "annotator_b", "label")
    found = {(row["measure"], *(row[name] for name in names if row[name])): row for row in table.to_pylist()}
    assert len(found) == len(table)
    return found


def measured(*rows: dict[str, Any]) -> dict[tuple[str, ...], tuple[float | None, int]]:
    return {key: (row["value"], row["images"]) for key, row in figures(rows).items()}


def answers_of(people: dict[str, str]) -> list[dict[str, Any]]:
    return [
        annotation(image, person, label)
        for person, labels in people.items()
        for image, label in enumerate(labels.split())
        if label != "."
    ]


@pytest.mark.parametrize(
    ("people", "alpha", "shared"), [(KRIPPENDORFF, 0.743, 11), (TWO_BINARY, 0.095, 10), (TWO_NOMINAL, 0.692, 12)]
)
def test_krippendorff_alpha_is_that_of_the_published_examples(
    people: dict[str, str], alpha: float, shared: int
) -> None:
    value, images = measured(*answers_of(people))["krippendorff_alpha",]
    assert value == pytest.approx(alpha, abs=5e-4)
    assert images == shared  # the twelfth of the first example has one answer only


def test_figures_by_hand() -> None:
    rows = [
        annotation(1, "a", "Casual", ["Sexy"]),
        annotation(1, "b", "Casual", ["Sexy"]),  # MASI 0
        annotation(2, "a", "Casual"),
        annotation(2, "b", "Sexy"),  # MASI 1
        annotation(3, "a", "Sexy", ["Retro"]),
        annotation(3, "b", "Sexy"),  # 1 - 1/2 * 2/3 = 2/3
        annotation(4, "a", "Retro"),  # alone
    ]
    found = measured(*rows)
    # Observed 2/3, by chance (2 * 1 + 1 * 2) / 9 = 4/9: kappa (2/3 - 4/9) / (1 - 4/9) = 0.4.
    assert found["cohen_kappa", "a", "b"] == found["cohen_kappa",] == (pytest.approx(0.4), 3)
    assert found["masi", "a", "b"] == found["masi",] == (pytest.approx(5 / 9), 3)
    assert found["same_main",] == found["same_main", "a", "b"] == (pytest.approx(2 / 3), 3)
    assert found["same_main", "Casual"] == (0.5, 2)
    assert found["same_main", "Sexy"] == (0.5, 2)
    assert ("same_main", "Retro") not in found
    # Totals 3 and 3 of 6, one pair disagrees in both orders: 1 - 5 * 2 / (36 - 18); with two values, so of each.
    alpha = (pytest.approx(4 / 9), 3)
    assert found["krippendorff_alpha",] == found["krippendorff_alpha", "a", "b"] == alpha
    assert found["krippendorff_alpha", "Sexy"][0] == alpha[0]
    assert found["cohen_kappa", "Sexy"] == (pytest.approx(0.4), 2)


def test_no_fashion_is_a_value_and_who_cannot_tell_is_missing() -> None:
    rows = [
        annotation(1, "a", None),
        annotation(1, "b", None),  # the same, also as sets
        annotation(2, "a", None),
        annotation(2, "b", "Casual", ["Sexy"]),  # nothing in common
        annotation(3, "a", "Casual", ["Sexy"]),
        annotation(3, "b", None, answer="cant_tell"),
    ]
    found = measured(*rows)
    assert found["same_main",] == (0.5, 2)
    assert found["masi",] == (0.5, 2)
    assert found["same_main", "not_fashion"] == (0.5, 2)
    assert not any("cant_tell" in key for key in found)


def test_figures_of_a_window_are_those_of_its_images_alone() -> None:
    rows = [
        annotation(image, person, "xyz"[(image * 7 + ord(person) * (image % 5 == 0)) % 3], ["u"] if image % 4 else [])
        for image in range(40)
        for person in ("abc" if image % 3 else "ab")
    ]
    windows = {image_id(image): "early" if image < 17 else "late" for image in range(40)}
    together = figures(rows, windows=windows)
    for window in ("early", "late"):
        alone = figures([row for row in rows if windows[row["image_id"]] == window])
        for measure in ("cohen_kappa", "krippendorff_alpha", "krippendorff_alpha_masi", "masi", "same_main"):
            row, expected = together[measure, window], alone[measure,]
            assert row["value"] == pytest.approx(expected["value"])
            assert row["images"] == expected["images"]
    with pytest.raises(LabelingError, match="no crawl window; materialize label_tasks again"):
        agreement(annotation_frame(rows), {})


def test_without_common_images_nothing_is_claimed() -> None:
    for rows in ([], [annotation(1, "a", "Casual"), annotation(2, "b", "Sexy")]):
        found = figures(rows, resamples=20, windows={image_id(1): "w", image_id(2): "w"})
        assert {(row["value"], row["low"], row["high"], row["images"]) for row in found.values()} == {
            (None, None, None, 0)
        }
        assert all(len(key) == 1 for key in found)


def test_one_label_throughout_leaves_chance_corrected_figures_undefined() -> None:
    found = measured(*(annotation(image, person, "Casual") for image in range(3) for person in "abcd"))
    assert found["cohen_kappa", "a", "b"] == found["cohen_kappa",] == (None, 3)
    assert found["krippendorff_alpha",] == found["krippendorff_alpha_masi",] == (None, 3)
    assert found["same_main", "Casual"] == (1.0, 3)


LABELS = st.sampled_from("wxyz")
SETS = st.tuples(LABELS, st.sets(LABELS))
TWO = st.lists(st.tuples(SETS, SETS), min_size=1, max_size=30)
SOME = st.lists(st.dictionaries(st.sampled_from("abcd"), SETS, min_size=1), min_size=1, max_size=25)


@given(TWO)
@settings(max_examples=60, deadline=None)
def test_kappa_of_two_people_is_that_of_scikit_learn(answers: Any) -> None:
    rows = [
        annotation(image, person, main, sorted(subs - {main}))
        for image, pair in enumerate(answers)
        for person, (main, subs) in zip("ab", pair, strict=True)
    ]
    mains = [[main for main, _ in person] for person in zip(*answers, strict=True)]
    ours = figures(rows)["cohen_kappa", "a", "b"]["value"]
    if ours is None:
        assert len({*mains[0], *mains[1]}) == 1
    else:
        assert ours == pytest.approx(cohen_kappa_score(*mains))
    for label in {*mains[0], *mains[1]}:
        binary = [[main == label for main in person] for person in mains]
        if len({*binary[0], *binary[1]}) > 1:
            assert figures(rows)["cohen_kappa", label]["value"] == pytest.approx(cohen_kappa_score(*binary))


@given(st.lists(st.lists(SETS, min_size=3, max_size=3), min_size=2, max_size=20))
@settings(max_examples=60, deadline=None)
def test_kappa_of_three_people_is_that_of_nltk(answers: Any) -> None:
    data = [(person, str(image), main) for image, row in enumerate(answers) for person, (main, _) in enumerate(row)]
    rows = [annotation(int(image), str(person), main) for person, image, main in data]
    ours = figures(rows)["cohen_kappa",]["value"]
    if len({main for *_, main in data}) > 1:
        assert ours == pytest.approx(AnnotationTask(data=data).multi_kappa())


def exact_masi(a: frozenset[str], b: frozenset[str]) -> float:
    """MASI distance of two sets, worded as in Passonneau (2006)."""
    both, either = a & b, a | b
    monotonicity = 1.0 if a == b else 2 / 3 if a <= b or b <= a else 1 / 3 if both else 0.0
    return 1 - len(both) / len(either) * monotonicity


@given(SOME)
@settings(max_examples=60, deadline=None)
def test_alphas_and_masi_with_missing_answers_are_those_of_nltk(answers: Any) -> None:
    rows, mains, sets = [], [], []
    for image, people in enumerate(answers):
        for person, (main, subs) in people.items():
            rows.append(annotation(image, person, main, sorted(subs - {main})))
            mains.append((person, str(image), main))
            sets.append((person, str(image), frozenset({main, *subs})))
    found = figures(rows)
    shared = {str(image) for image, people in enumerate(answers) if len(people) > 1}
    for measure, data, distance in (
        ("krippendorff_alpha", mains, None),
        ("krippendorff_alpha_masi", sets, exact_masi),
    ):
        data = [row for row in data if row[1] in shared]
        if len({value for *_, value in data}) > 1:
            task = AnnotationTask(data=data) if distance is None else AnnotationTask(data=data, distance=distance)
            assert found[measure,]["value"] == pytest.approx(task.alpha())
        else:
            assert found[measure,]["value"] is None
    for a, b in (("a", "b"), ("b", "d")):
        if ("masi", a, b) in found:
            common = [
                (frozenset({left[0], *left[1]}), frozenset({right[0], *right[1]}))
                for people in answers
                if a in people and b in people
                for left, right in [(people[a], people[b])]
            ]
            expected = np.mean([exact_masi(left, right) for left, right in common])
            assert found["masi", a, b] | {"value": 0} == found["masi", a, b] | {"value": 0, "images": len(common)}
            assert found["masi", a, b]["value"] == pytest.approx(expected)


@given(st.sets(LABELS, min_size=1), st.sets(LABELS, min_size=1))
@settings(max_examples=100, deadline=None)
def test_masi_distance_is_that_of_nltk_up_to_its_rounding(a: set[str], b: set[str]) -> None:
    ours = float(masi_distances(*(np.array(float(len(part))) for part in (a & b, a, b))))
    assert ours == pytest.approx(exact_masi(frozenset(a), frozenset(b)))
    assert ours == pytest.approx(masi_distance(a, b), abs=0.004)  # nltk writes 0.67 and 0.33 for the thirds


def drawn_answers(images: int, right: float, seed: int) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 5, images)
    return [
        annotation(image, person, f"style {truth[image] if random.random() < right else random.integers(0, 5)}")
        for image in range(images)
        for person in "ab"
    ]


def test_interval_of_same_main_is_that_of_the_binomial_distribution() -> None:
    row = figures(drawn_answers(400, 0.8, 1), resamples=2000)["same_main",]
    error = np.sqrt(row["value"] * (1 - row["value"]) / 400)
    assert row["low"] == pytest.approx(row["value"] - 1.96 * error, abs=0.01)
    assert row["high"] == pytest.approx(row["value"] + 1.96 * error, abs=0.01)


def test_intervals_cover_the_truth_about_95_times_of_100() -> None:
    measures = ("cohen_kappa", "krippendorff_alpha", "krippendorff_alpha_masi")
    truth = 0.8**2  # both right, else by chance: kappa is the chance that both draw from the truth
    covered = dict.fromkeys(measures, 0)
    for seed in range(100):
        found = figures(drawn_answers(150, 0.8, seed), resamples=200, seed=seed)
        for measure in measures:
            covered[measure] += found[measure,]["low"] <= truth <= found[measure,]["high"]
    assert all(88 <= count <= 100 for count in covered.values()), covered


def test_few_images_have_no_interval_and_seeds_repeat() -> None:
    rows = drawn_answers(9, 0.8, 1)
    assert figures(rows, resamples=50)["same_main",]["low"] is None
    rows = drawn_answers(60, 0.8, 1)
    assert agreement(annotation_frame(rows), resamples=50).equals(agreement(annotation_frame(rows), resamples=50))
    assert figures(rows, resamples=50)["masi",]["low"] != figures(rows, resamples=50, seed=1)["masi",]["low"]


def test_confusion_counts_each_pair_of_answers_once() -> None:
    rows = [
        annotation(1, "a", "Casual"),
        annotation(1, "b", "Casual"),
        annotation(1, "c", "Sexy"),
        annotation(2, "b", "Sexy"),
        annotation(2, "a", None),
        annotation(3, "a", "Retro"),
    ]
    frame = annotation_frame(rows)
    counts = main_confusion(frame, ["Casual", "Sexy", "Retro", "not_fashion"])
    assert counts.dtype == np.int64
    assert counts.tolist() == [[1, 2, 0, 0], [2, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]]
    table = confusion_table(frame, ["Casual", "Sexy", "Retro"])
    assert table.schema.equals(MAIN_CONFUSION)
    assert len(table) == 16
    shares = {(row["label_a"], row["label_b"]): row["share"] for row in table.to_pylist()}
    assert shares["Casual", "Casual"] == pytest.approx(1 / 3) == measured(*rows)["same_main", "Casual"][0]
    assert shares["Sexy", "Casual"] == pytest.approx(2 / 3)
    assert shares["not_fashion", "Sexy"] == 1
    assert shares["Retro", "Casual"] is None


def test_confusion_without_other_answers_has_the_taxonomy_only() -> None:
    rows = [annotation(1, "a", "Casual"), annotation(1, "b", "Sexy")]
    table = confusion_table(annotation_frame(rows), ["Sexy", "Casual"])
    assert table.column("label_a").to_pylist() == ["Sexy", "Sexy", "Casual", "Casual"]
    with pytest.raises(LabelingError, match="'Casual' is not in the taxonomy"):
        confusion_table(annotation_frame(rows), ["Sexy"])


def test_the_order_of_rows_changes_nothing() -> None:
    rows = [annotation(image, person, "xyz"[(image * 7 + ord(person)) % 3]) for image in range(9) for person in "abc"]
    assert agreement(annotation_frame(rows)).equals(agreement(annotation_frame(rows[::-1])))
