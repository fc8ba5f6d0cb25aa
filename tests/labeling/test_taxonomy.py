import pytest

from labeling import FASHION_STYLES, LabelingError, Taxonomy


def test_the_default_has_the_23_styles_in_the_order_of_their_frequency() -> None:
    assert len(FASHION_STYLES) == 23
    assert list(FASHION_STYLES)[:5] == ["Casual", "Romantic", "Sexy", "Ethnic", "Elegant"]
    assert {"Manish", "Businesscasual", "Gothpunkrocker", "Kitschkidult", "Hiphop"} <= set(FASHION_STYLES)
    assert all(FASHION_STYLES.descriptions[label] for label in FASHION_STYLES)


@pytest.mark.parametrize("text", ["Casual", " casual ", "CASUAL", "casual\n"])
def test_a_label_is_found_whatever_its_case_and_space(text: str) -> None:
    assert FASHION_STYLES.canonical(text) == "Casual"


def test_unicode_forms_of_one_label_are_the_same() -> None:
    assert Taxonomy(("Décontracté",)).canonical("de\u0301contracte\u0301") == "Décontracté"


def test_an_unknown_label_is_none() -> None:
    assert FASHION_STYLES.canonical("Casuall") is None
    assert FASHION_STYLES.canonical("") is None
    assert "casual" not in FASHION_STYLES  # membership means the exact spelling


def test_labels_are_sorted_into_the_order_of_the_taxonomy() -> None:
    assert FASHION_STYLES.ordered(["Sexy", "Casual", "Sexy"]) == ["Casual", "Sexy"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "no label"),
        (("a", " "), "' ' must not be blank"),
        (("a ",), "padded"),
        (("a|b",), "contain '|'"),
        (("Casual", "casual"), "'Casual' and 'casual' are the same label twice"),
    ],
)
def test_a_taxonomy_that_could_be_misread_is_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelingError) as caught:
        Taxonomy(labels)
    assert message in str(caught.value)


def test_a_description_of_no_label_is_refused() -> None:
    with pytest.raises(LabelingError, match="describes 'b'"):
        Taxonomy(("a",), {"b": "?"})
