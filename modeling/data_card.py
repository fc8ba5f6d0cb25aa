"""A data card for people: Markdown on where a data set comes from, what it holds and what it must not be used for."""

import re
from collections.abc import Iterable, Iterator, Mapping

from modeling import card_text
from modeling.card_facts import CardFacts


def data_card(facts: CardFacts, croissant_file: str) -> str:
    """Return the card as Markdown; ``croissant_file`` is the Croissant file's path, as seen from the card."""
    return "\n".join([*_lines(facts, croissant_file), ""])


def _lines(facts: CardFacts, croissant_file: str) -> Iterator[str]:
    yield f"# Data card: {_text(facts.title)}, {_text(facts.label_set)}"
    yield ""
    for notice in facts.notices:
        yield f"> {_text(notice)}"
        yield ""
    yield _text(card_text.description(facts))
    yield ""
    yield from _table(("", ""), _about(facts, croissant_file))
    yield "## What it holds"
    yield ""
    yield from _table(
        ("label", "main label", "share", "sub label", "train", "validation", "test"),
        [
            (row.label, f"{row.main:,}", f"{facts.share(row.main):.1%}", f"{row.sub:,}", *row.by_split.values())
            for row in facts.label_rows
        ],
        numbers=True,
    )
    total = ", ".join(f"{name} {count:,} ({facts.share(count):.1%})" for name, count in facts.splits.items())
    yield f"Splits: {total}; {facts.groups:,} groups, each in one split only."
    yield ""
    yield from _counts("crawl window", facts, facts.origin.windows)
    yield from _section("Where it comes from", [card_text.collection(facts), card_text.opt_outs(facts)])
    yield from _counts("network", facts, facts.origin.networks)
    yield from _counts("language of the post", facts, facts.origin.languages)
    yield from _counts("licence of the post", facts, facts.origin.licences)
    yield from _section("What was done to it", card_text.preprocessing())
    yield from _section("How it was labelled", [card_text.annotation(facts)])
    yield "Agreement of the annotators:"
    yield ""
    yield from _list(card_text.agreement(facts))
    yield from _section("Known biases", card_text.biases(facts))
    yield from _section("Limits", card_text.limitations(facts))
    yield from _section("People in it", card_text.personal(facts))
    yield from _section("How it goes on", [card_text.maintenance(facts)])
    yield from _loading(croissant_file)


def _about(facts: CardFacts, croissant_file: str) -> Iterator[tuple[str, str]]:
    yield "images", f"{facts.images:,}"
    yield "version", facts.version
    yield "table", f"{facts.table.path}, {facts.table.size:,} bytes, sha256 {facts.table.sha256}"
    yield "Croissant file", croissant_file
    for name, value in (
        ("made by", facts.by.creator),
        ("page", facts.by.url),
        ("licence of labels and tables", facts.by.license),
        ("contact", facts.by.contact),
    ):
        if value:
            yield name, value


def _section(title: str, sentences: Iterable[str]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    lines = list(sentences)
    if len(lines) == 1:
        yield _text(lines[0])
        yield ""
    else:
        yield from _list(lines)


def _list(sentences: Iterable[str]) -> Iterator[str]:
    for sentence in sentences:
        yield f"- {_text(sentence)}"
    yield ""


def _counts(heading: str, facts: CardFacts, counts: Mapping[str, int]) -> Iterator[str]:
    rows = [(name, f"{count:,}", f"{facts.share(count):.1%}") for name, count in counts.items()]
    yield from _table((heading, "images", "share"), rows, numbers=True)


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]], *, numbers: bool = False) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join("---:" if numbers and column else "---" for column in range(len(head))) + " |"
    for row in rows:
        yield "| " + " | ".join(_text(value) for value in row) + " |"
    yield ""


def _loading(croissant_file: str) -> Iterator[str]:
    yield "## Loading it"
    yield ""
    yield "With the Croissant file at the root of the data location, beside `tables` and `images`:"
    yield ""
    yield "```python"
    yield "import mlcroissant"
    yield f'records = mlcroissant.Dataset("{croissant_file.rpartition("/")[2]}").records("images")'
    yield "```"
    yield ""
    yield 'The record set `"pictures"` has the pictures too.'


def _text(value: object) -> str:
    """A value as Markdown text: what strangers wrote (a licence, a language) makes no markup, no link and no cell."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", str(value).replace("\n", " "))
