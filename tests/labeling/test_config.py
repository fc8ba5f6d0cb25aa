import warnings
from collections import Counter
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from labeling import FASHION_STYLES, LabelingError, Taxonomy, labeling_config
from labeling.config import (
    ACCEPTED,
    CANT_TELL,
    CONFLICT_MARK,
    CORRECT_MARK,
    NOT_FASHION,
    REJECTED,
    SUSPICIOUS_MARK,
    attention_text,
    hotkeys,
    own_answers,
)
from labeling.guide import style_guide
from labeling.styles import Language, shown_style

LANGUAGES: tuple[Language, ...] = ("en", "ko")
ODD = Taxonomy(
    ('"Rock" & <roll>', "it's </Choice>", "x" * 200, "한국풍", "]]>", *(f"label {number}" for number in range(55))),
    {'"Rock" & <roll>': 'a < b & "c"'},
)
# Label Studio 1.23's own keys on a screen without regions (from its keymap): the picture's, the annotation's, the
# region list's and the task list's; and those with which browsers and systems do something else.
TAKEN = {
    *("h", "u", "enter", "escape", "backspace", "delete", "shift+1", "shift+2", "ctrl+plus", "ctrl+minus"),
    *("ctrl+enter", "ctrl+space", "ctrl+z", "ctrl+shift+z", "alt+r", "alt+h", "alt+l", "alt+m", "alt+.", "ctrl+d"),
    *("shift+up", "shift+down", "shift+left", "shift+right", "shift+.", "alt+left", "alt+right", "alt+enter"),
    *("alt+d", "alt+e", "alt+f", "alt+v", "alt+s", "alt+b", "alt+t"),
}


def screen(taxonomy: Taxonomy, language: Language = "en") -> ET.Element:
    return ET.fromstring(labeling_config(taxonomy, language))  # noqa: S314 (our own text)


def controls(taxonomy: Taxonomy, language: Language = "en") -> dict[str, ET.Element]:
    return {node.attrib["name"]: node for node in screen(taxonomy, language).iter("Choices")}


def stored(control: ET.Element) -> list[str]:
    return [choice.get("alias", choice.attrib["value"]) for choice in control]


def shown(control: ET.Element) -> list[str]:
    return [choice.attrib["value"] for choice in control]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_screen_has_one_required_main_and_any_subs(language: Language) -> None:
    found = controls(FASHION_STYLES, language)
    assert list(found) == ["main", "subs", "review"]
    assert (found["main"].get("choice"), found["main"].get("required")) == ("single-radio", "true")
    assert (found["subs"].get("choice"), found["review"].get("choice")) == ("multiple", "single")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_stored_is_the_same_in_every_language(language: Language) -> None:
    found = controls(FASHION_STYLES, language)
    assert stored(found["main"]) == [*FASHION_STYLES, NOT_FASHION, CANT_TELL]
    assert stored(found["subs"]) == list(FASHION_STYLES)
    assert stored(found["review"]) == [ACCEPTED, REJECTED]


def test_a_korean_screen_is_korean() -> None:
    found = controls(FASHION_STYLES, "ko")
    texts = [*shown(found["main"]), *shown(found["subs"]), *shown(found["review"])]
    texts += [choice.attrib["hint"] for choice in found["subs"]]
    texts += [found["main"].attrib["requiredMessage"]]
    texts += [node.attrib["value"] for node in screen(FASHION_STYLES, "ko").iter("Header")][1:]
    assert [text for text in texts if not any("가" <= letter <= "힣" for letter in text)] == []
    assert shown(found["main"])[0] == "캐주얼"


def test_no_two_answers_of_a_control_look_the_same() -> None:
    for language in LANGUAGES:
        for control in controls(FASHION_STYLES, language).values():
            assert len(set(shown(control))) == len(control)


def test_a_label_without_a_korean_name_is_shown_as_it_is() -> None:
    taxonomy = Taxonomy(("Retro", "Cottagecore"), {"Cottagecore": "Country life."})
    found = controls(taxonomy, "ko")
    assert shown(found["subs"]) == ["레트로", "Cottagecore"]
    assert stored(found["subs"]) == ["Retro", "Cottagecore"]
    assert found["subs"][1].get("hint") == "Country life."


def test_every_style_has_a_name_and_a_line_in_both_languages() -> None:
    for label in FASHION_STYLES:
        english, korean = (shown_style(label, FASHION_STYLES, language) for language in LANGUAGES)
        assert english.name == label
        assert korean.name != label
        assert english.line.endswith(".")
        assert korean.line.endswith(".")


@pytest.mark.parametrize("language", LANGUAGES)
def test_odd_labels_survive(language: Language) -> None:
    found = controls(ODD, language)
    assert stored(found["main"]) == [*ODD, NOT_FASHION, CANT_TELL]
    assert found["main"][0].get("hint") == 'a < b & "c"'


@pytest.mark.parametrize("label", ["can't tell", "NOT A FASHION IMAGE", "Price in $"])
def test_labels_that_the_screen_cannot_tell_apart_are_refused(label: str) -> None:
    with pytest.raises(LabelingError, match="taxonomy label"):
        labeling_config(Taxonomy(("Casual", label)))


def test_every_answer_of_the_default_screen_has_a_key_of_its_own() -> None:
    keys = hotkeys(FASHION_STYLES)
    assert len(keys) == 23 * 2 + 2 + 2
    assert max(Counter(keys.values()).values()) == 1
    assert not TAKEN & set(keys.values())
    assert all(keys["subs", label] == f"shift+{keys['main', label]}" for label in FASHION_STYLES)
    for control in controls(FASHION_STYLES).values():
        assert all(choice.get("hotkey") for choice in control)


def test_keys_end_where_the_keyboard_ends() -> None:
    keys = hotkeys(ODD)
    assert max(Counter(keys.values()).values()) == 1
    assert not TAKEN & set(keys.values())
    without = [choice for choice in controls(ODD)["main"] if choice.get("hotkey") is None]
    assert [choice.get("value") for choice in without] == list(ODD)[32:]
    # Label Studio gives keys of this list, as far as they are free, to choices that have none.
    assert set("1234567890qwetasdfgzxcvbyiopjklnm") <= set(keys.values())


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("taxonomy", [FASHION_STYLES, ODD], ids=["styles", "odd"])
def test_label_studio_accepts_the_screen(taxonomy: Taxonomy, language: Language) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the SDK's own dependencies deprecate
        interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(
            labeling_config(taxonomy, language)
        )
    interface.validate()
    assert {"main", "subs", "review", "note"} <= set(interface._controls)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("mark", [CONFLICT_MARK, SUSPICIOUS_MARK, CORRECT_MARK])
def test_why_a_task_came_back_begins_with_its_mark(mark: str, language: Language) -> None:
    text = attention_text(mark, "Casual or Retro", language)
    assert text.startswith(mark)
    assert text.endswith(" Casual or Retro")
    assert attention_text(mark, "", language) == text.removesuffix(" Casual or Retro")


class _Guide(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "br":
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_has_a_row_for_each_style_with_its_keys(language: Language) -> None:
    guide = _Guide(style_guide(FASHION_STYLES, language))
    assert guide.open == []
    _, *rows = guide.rows
    assert [row[:2] for row in rows] == [list(shown_style(label, FASHION_STYLES, language)) for label in FASHION_STYLES]
    assert rows[0][2] == "q / shift+q"
    for name in own_answers(language).values():
        assert name in guide.text
    assert all(word in guide.text for word in ("ctrl+enter", "Skip", "Update", "alt+y"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_shows_odd_labels_as_they_are(language: Language) -> None:
    guide = _Guide(style_guide(ODD, language))
    assert guide.open == []
    assert guide.rows[1] == ['"Rock" & <roll>', 'a < b & "c"', "q / shift+q"]
    assert [row[0] for row in guide.rows[1:]] == list(ODD)
    assert guide.rows[-1][1:] == ["", ""]
