"""What a data card says: figures counted by hand, sentences with their numbers, and strangers' text that stays text."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pandas as pd
import pytest

from modeling import card_facts, card_text
from modeling.card_facts import CardFacts, FileFacts, Withdrawals
from modeling.croissant import croissant, find_problems
from modeling.data_card import data_card

CC = "https://creativecommons.org/licenses/by/2.0/"
DATA_SET = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d"],
        "window": ["2019-07-01", "2019-07-01", "2019-07-01", "2019-07-08"],
        "main": ["Casual", "Casual", "Casual", "Sporty"],
        "subs": [["Sporty"], [], [], ["Casual"]],
        "split": ["train", "train", "test", "validation"],
    }
)
POSTS = pd.DataFrame(
    {
        "image_id": ["a", "b", "c"],
        "network": ["flickr", "flickr", "mastodon"],
        "language": [None, "ko", "ko"],
        "license": [CC, None, None],
        "sensitive": [False, True, False],
        "created_at": [datetime(2019, 7, day, tzinfo=UTC) for day in (1, 3, 2)],
        "author_hmac": ["x", "x", "y"],
    }
)
COUNTS = pd.DataFrame(
    [
        ("post", "kept", 3),
        ("post", "sensitive", 2),
        ("post", "opted_out", 4),
        ("post", "outside_window", 50),
        ("image", "ok", 3),
        ("image", "robots_txt", 5),
        ("account", "opted_out", 1),
        ("post", "kept", 1),
    ],
    columns=["what", "outcome", "count"],
)


def agreement_row(measure: str, value: float | None, window: str | None = None) -> dict[str, object]:
    blank = {"annotator_a": None, "annotator_b": None, "label": None}
    return {"measure": measure, "window": window, **blank, "value": value, "low": 0.5, "high": 0.75, "images": 40}


def labelling() -> card_facts.Labelling:
    annotations = pd.DataFrame(
        {"image_id": ["a", "a", "b", "c", "d", "z"], "annotator": ["p", "q", "p", "q", "p", "r"]}
    )
    labels = pd.DataFrame({"image_id": list("abcdz"), "status": ["agreed", "unreviewed", *["unreviewed"] * 3]})
    rows = [
        agreement_row("masi", None),
        agreement_row("same_main", 0.625),
        agreement_row("same_main", 0.1, "2019-07-01"),
    ]
    unique = pd.DataFrame(
        {
            "image_id": list("abcdefz"),
            "window": ["2019-07-01"] * 3 + ["2019-07-08"] * 4,
            "kept": [True] * 6 + [False],
        }
    )
    return card_facts.labelling(DATA_SET, annotations, labels, pd.DataFrame(rows), unique, "Label Studio")


@pytest.fixture
def facts() -> CardFacts:
    return CardFacts(
        title="Styles",
        label_set="top-2",
        labels=["Casual", "Sporty"],
        membership="all",
        version="0123456789abcdef" * 4,
        made=date(2019, 8, 1),
        table=FileFacts("tables/data_set/top-2.parquet", "ab" * 32, 1234),
        images=4,
        groups=3,
        splits=card_facts.split_counts(DATA_SET),
        label_rows=card_facts.label_rows(DATA_SET, ["Casual", "Sporty"]),
        origin=card_facts.origin(DATA_SET, POSTS),
        crawled=card_facts.crawled(COUNTS),
        labelling=labelling(),
        withdrawals=Withdrawals(),
        hashtags=["ootd"],
    )


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


def test_labels_are_counted_by_role_and_split() -> None:
    casual, sporty = card_facts.label_rows(DATA_SET, ["Casual", "Sporty"])
    assert (casual.main, casual.sub, casual.by_split) == (3, 1, {"train": 2, "validation": 0, "test": 1})
    assert (sporty.main, sporty.sub, sporty.by_split) == (1, 1, {"train": 0, "validation": 1, "test": 0})


def test_an_image_without_a_post_counts_as_unknown(facts: CardFacts) -> None:
    origin = facts.origin
    assert origin.networks == {"flickr": 2, "mastodon": 1, "not given": 1}
    assert origin.languages == {"ko": 2, "not given": 2}
    assert origin.licences == {"not given": 3, CC: 1}
    assert (origin.first, origin.last) == (date(2019, 7, 1), date(2019, 7, 3))
    assert (origin.sensitive, origin.authors, origin.largest_author, origin.without_author) == (1, 2, 0.5, 1)


def test_opt_outs_are_counted_by_what_asked(facts: CardFacts) -> None:
    assert facts.crawled.posts_found == 10
    assert facts.crawled.posts_kept == 4
    assert facts.crawled.left_out == {"opted_out": 4, "sensitive": 2}
    assert facts.crawled.opt_outs == {("account", "opted_out"): 1, ("image", "robots_txt"): 5, ("post", "opted_out"): 4}
    assert "5 images, robots txt, 4 posts, opted out, 1 accounts, opted out" in card_text.opt_outs(facts)


def test_answers_outside_the_data_set_do_not_count(facts: CardFacts) -> None:
    work = facts.labelling
    assert (work.annotators, work.answers, work.answers_per_image) == (2, 5, 1.25)
    assert work.statuses == {"unreviewed": 3, "agreed": 1}
    assert work.labelled == {"2019-07-01": 3, "2019-07-08": 1}
    assert work.unique == {"2019-07-01": 3, "2019-07-08": 3}


def test_agreement_is_that_over_all_annotators(facts: CardFacts) -> None:
    assert card_text.agreement(facts) == ["same main label: 0.62 (95% interval 0.50 to 0.75), 40 images"]


def test_biases_come_with_their_numbers(facts: CardFacts) -> None:
    text = "\n".join(card_text.biases(facts))
    assert "Casual is the main label of 75.0% of the images, Sporty of 25.0%." in text
    assert "Networks: flickr 50.0%, mastodon 25.0%, not given 25.0%." in text
    assert "the largest window, 2019-07-01, has 75.0% of the images. Other seasons are missing." in text
    assert "Authors: 2; the most frequent one made 50.0% of the images; unknown for 25.0%." in text
    assert "4 of 6 unique pictures, 66.7% (from 33.3% of window 2019-07-08 to 100.0% of 2019-07-01)" in text
    assert "2 posts that their networks mark as sensitive were left out, 1 images" in text
    assert "hashtags" in text


def test_a_long_list_is_cut() -> None:
    assert card_text.named({f"reason_{number}": number for number in range(1, 8)}) == (
        "7 reason 7, 6 reason 6, 5 reason 5, 4 reason 4, 3 reason 3, 3 for 2 other reasons"
    )


def test_licences_stand_in_both_cards(facts: CardFacts) -> None:
    (licence,) = croissant(facts)["license"]
    assert f"{CC}: 1 images" in licence["description"]
    assert "no licence given with the post: 3 images, all rights with their authors" in licence["description"]
    assert f"| {CC} | 1 | 25.0% |" in data_card(facts, "croissant.json")


def test_nothing_tells_one_author_from_another(facts: CardFacts) -> None:
    document = replace(facts, origin=card_facts.origin(DATA_SET, POSTS.assign(author_hmac=["HMAC1", "HMAC1", "HMAC2"])))
    assert not [text for text in strings(croissant(document)) if "HMAC" in text]
    assert "HMAC" not in data_card(document, "croissant.json")


def test_what_strangers_wrote_stays_text(facts: CardFacts) -> None:
    strange = {"<script>|[x](http://x.example)": 4}
    card = data_card(replace(facts, origin=replace(facts.origin, licences=strange)), "croissant.json")
    assert r"\<script\>\|\[x\](http://x.example)" in card
    assert "<script>" not in card


def test_the_format_s_library_finds_nothing_wrong(facts: CardFacts) -> None:
    pytest.importorskip("mlcroissant", reason="the extra dev brings it")
    assert find_problems(croissant(facts)) == []


@pytest.mark.parametrize(
    ("break_it", "problem"),
    [
        (lambda document: document["distribution"][0].pop("sha256"), "sha256"),
        (lambda document: document["distribution"][1].pop("includes"), "includes"),
        (lambda document: document["recordSet"][0]["field"][0]["source"].update(fileObject={"@id": "gone"}), "gone"),
    ],
)
def test_the_format_s_library_names_what_is_wrong(facts: CardFacts, break_it, problem: str) -> None:
    pytest.importorskip("mlcroissant", reason="the extra dev brings it")
    document = croissant(facts)
    break_it(document)
    problems = find_problems(document)
    assert problems
    assert problem in " ".join(problems)


def test_without_the_library_nothing_is_said(facts: CardFacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlcroissant", None)
    assert find_problems(croissant(facts)) is None
