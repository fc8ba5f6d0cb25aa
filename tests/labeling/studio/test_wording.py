"""What people read on a task that came back."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from labeling import FASHION_STYLES
from labeling.studio.wording import Wording
from tests.labeling.labeling_samples import choices

ENGLISH, KOREAN = Wording(FASHION_STYLES, "en"), Wording(FASHION_STYLES, "ko")


def problem(reason: str, *result: dict[str, Any]) -> tuple[str, str]:
    return reason, json.dumps({"result": list(result)})


@pytest.mark.parametrize(
    ("reason", "result", "english", "korean"),
    [
        (
            "two_mains",
            [choices("main", "retro", "Casual"), choices("main", "retro")],
            "there was more than one main style (Retro, Casual); answer again with exactly one.",
            "메인 스타일이 둘 이상입니다(레트로, 캐주얼). 하나만 고르세요.",
        ),
        (
            "main_in_subs",
            [choices("main", "Retro"), choices("subs", "Casual", "RETRO")],
            "Retro was main and sub style at once; answer again, with it as one of the two.",
            "메인과 서브에 같은 스타일이 있습니다(레트로). 서브에서 빼세요.",
        ),
        (
            "unknown_label",
            [choices("main", "Steampunk"), choices("subs", "Casual")],
            "Steampunk is not one of the styles; answer again from the list.",
            "목록에 없는 스타일입니다(Steampunk). 목록에서 고르세요.",
        ),
        (
            "subs_without_style",
            [choices("main", "Not a fashion image"), choices("subs", "Casual")],
            "Not a fashion image stood beside sub styles; answer again with one or the other.",
            "'패션 이미지 아님'와(과) 서브 스타일이 함께 있습니다. 둘 중 하나를 빼세요.",
        ),
        (
            "no_main",
            [],
            "there was no main style; answer again with exactly one.",
            "메인 스타일이 없습니다. 하나를 고르세요.",
        ),
        (
            "unknown_control",
            [{"from_name": "mood"}],
            "the answer could not be read; label the image again.",
            "답을 읽을 수 없습니다. 이미지를 다시 라벨링하세요.",
        ),
    ],
)
def test_each_problem_is_said_to_the_annotator(
    reason: str, result: list[dict[str, Any]], english: str, korean: str
) -> None:
    assert ENGLISH.correct([problem(reason, *result)]) == f"Please correct: {english}"
    assert KOREAN.correct([problem(reason, *result)]) == f"Please correct: 답을 고쳐서 다시 제출해 주세요. {korean}"


def test_problems_of_several_people_stand_beside_each_other_once() -> None:
    twice = [
        problem("no_main"),
        problem("no_main"),
        problem("main_in_subs", choices("main", "Retro"), choices("subs", "Retro")),
    ]
    assert ENGLISH.correct(twice) == (
        "Please correct: there was no main style; answer again with exactly one. "
        "Retro was main and sub style at once; answer again, with it as one of the two."
    )


def test_what_an_annotation_says_cannot_grow_the_text() -> None:
    text = ENGLISH.correct([problem("unknown_label", choices("main", *(f"{number}" * 500 for number in range(1, 10))))])
    assert len(text) < 500


@pytest.mark.parametrize(
    ("values", "english", "korean"),
    [
        (["Retro", "Casual"], "Retro or Casual", "레트로 또는 캐주얼"),
        (["Retro", "Casual", "Retro", "Sexy"], "Retro, Casual or Sexy", "레트로, 캐주얼 또는 섹시"),
        (["Retro", "not_fashion", "cant_tell"], "Retro or Not a fashion image", "레트로 또는 패션 이미지 아님"),
        (["Retro"], "a reviewer rejected Retro.", "검수자가 레트로을(를) 반려했습니다."),
        (["cant_tell"], "a reviewer rejected Can't tell.", "검수자가 판단 불가을(를) 반려했습니다."),
    ],
)
def test_a_conflict_names_styles_and_nobody(values: Sequence[str], english: str, korean: str) -> None:
    assert ENGLISH.conflict(values) == f"Conflict: {english}"
    assert KOREAN.conflict(values).startswith("Conflict: ")
    assert KOREAN.conflict(values).endswith(korean)


@pytest.mark.parametrize(
    ("kind", "english"),
    [
        ("wrong_main", "is Retro the main style? The model sees Sexy."),
        ("missing_label", "the model also sees Casual."),
        ("extra_label", "the model does not see Casual."),
    ],
)
def test_a_doubt_says_what_the_model_sees(kind: str, english: str) -> None:
    assert ENGLISH.suspicious(kind, "Casual", "Retro", "Sexy") == f"Suspicious: {english}"
    assert KOREAN.suspicious(kind, "Casual", "Retro", "Sexy").startswith("Suspicious: 라벨이 이미지와")
