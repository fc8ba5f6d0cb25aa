from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from labeling.annotations import Problem, check_labels
from labeling.taxonomy import Taxonomy
from pipeline.demo.judgement import (
    OWN_ANSWERS,
    SKIPPED,
    STYLE,
    VALID,
    Answer,
    Submission,
    Verdict,
    impression,
    submission,
    verdicts,
)
from pipeline.demo.planted import PlantedImage
from pipeline.demo.styles import STYLES

TRUTH = PlantedImage("0" * 64, "Retro", ("Casual", "Preppy"))
RIGHT, WRONG, ALSO_WRONG = Answer(("Retro",), ("Casual",)), Answer(("Casual",)), Answer(("Hippie",))


def _all(draw: Callable[[np.random.Generator], object], times: int = 4000) -> Counter[object]:
    rng = np.random.default_rng(5)
    return Counter(draw(rng) for _ in range(times))


def test_experts_are_mostly_right_and_the_second_errs_more() -> None:
    right = [_all(lambda rng, who=who: impression(TRUTH, who, rng).mains)[("Retro",)] for who in (0, 1)]  # type: ignore[misc]
    assert 4000 * 0.9 < right[1] < right[0] < 4000


def test_answers_of_their_own_are_rare_and_name_no_style() -> None:
    seen = _all(lambda rng: impression(TRUTH, 0, rng))
    own = {
        answer: count for answer, count in seen.items() if isinstance(answer, Answer) and answer.mains[0] in OWN_ANSWERS
    }
    assert {answer.mains[0] for answer in own} == set(OWN_ANSWERS)
    assert all(answer.subs == () for answer in own)
    assert 20 < sum(own.values()) < 80


def test_every_mistake_is_refused_for_the_reason_that_the_expert_says() -> None:
    taxonomy = Taxonomy(STYLES)
    outcomes = _all(lambda rng: submission(RIGHT, rng), 6000)
    reasons: Counter[str] = Counter()
    for submitted in outcomes:
        assert isinstance(submitted, Submission)
        reasons[submitted.outcome] += 1
        assert submitted.seconds > 2
        checked = check_labels(submitted.answer.mains, submitted.answer.subs, taxonomy)
        if submitted.outcome == STYLE:
            assert submitted.answer == RIGHT
        elif submitted.outcome == SKIPPED:
            assert submitted.answer == Answer(())
        else:
            assert isinstance(checked, Problem)
            assert checked.reason == submitted.outcome
    assert {"two_mains", "unknown_label", "main_in_subs", "no_main", SKIPPED, STYLE} == set(reasons)


def test_an_answer_of_its_own_is_submitted_or_skipped_never_mistaken() -> None:
    outcomes = _all(lambda rng: submission(Answer(("Can't tell",)), rng).outcome)
    assert set(outcomes) == {"cant_tell", SKIPPED}
    assert outcomes["cant_tell"] > 3800
    assert "cant_tell" in VALID


@pytest.mark.parametrize("answers", [(RIGHT, WRONG), (WRONG, RIGHT)])
def test_reviewer_accepts_the_right_answer_or_rejects_the_wrong_one(answers: tuple[Answer, Answer]) -> None:
    right = answers.index(RIGHT)
    found = _all(lambda rng: tuple(verdicts(answers, TRUTH, rng)))
    accept, reject = Verdict(right, True, None), Verdict(1 - right, False, "Looks more like Retro.")
    assert set(found) == {(), (accept,), (reject,)}
    assert found[()] == pytest.approx(4000 * 0.2, rel=0.15)
    assert found[(accept,)] > 3 * found[(reject,)]


def test_reviewer_leaves_alone_what_agrees_and_what_nobody_got_right() -> None:
    assert set(_all(lambda rng: tuple(verdicts((RIGHT, RIGHT), TRUTH, rng)), 50)) == {()}
    assert set(_all(lambda rng: tuple(verdicts((WRONG, ALSO_WRONG), TRUTH, rng)), 50)) == {()}


def test_reviewer_who_is_asked_always_decides() -> None:
    def decided(*answers: Answer) -> set[object]:
        return set(_all(lambda rng: tuple(verdicts(answers, TRUTH, rng, asked=True)), 50))

    note = "Looks more like Retro."
    assert decided(RIGHT, RIGHT) == {(Verdict(0, True, None),)}
    assert decided(WRONG, ALSO_WRONG) == {(Verdict(0, False, note), Verdict(1, False, note))}
    assert () not in decided(RIGHT, WRONG)
