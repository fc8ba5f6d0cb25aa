from typing import Any

import pytest

from labeling.config import CANT_TELL
from pipeline.demo.judgement import DRAFT, SKIPPED, STYLE, Answer
from pipeline.demo.planted import Planted, PlantedImage
from pipeline.demo.queue_view import CHANGED, TAKEN, expert_view, reviewer_view
from pipeline.demo.results import answer_results, read_review, review_results

ME, OTHER, ADMIN, SEED = 11, 12, 1, 2019
PLANTED = Planted(
    1, (), (), {f"{at:064x}": PlantedImage(f"{at:064x}", "Retro", ("Casual", "Preppy")) for at in range(900)}
)

Json = dict[str, Any]


def _results(answer: Answer) -> list[Json]:
    return answer_results(answer, lambda: "key")


def _task(image_id: str, **fields: Any) -> Json:
    base = {"annotations": [], "drafts": [], "predictions": [], "shown": [], "is_labeled": False}
    return {"id": 7, "data": {"image_id": image_id, "attention": ""}, **base, **fields}


def _annotation(answer: Answer, by: int = ME, **fields: Any) -> Json:
    base = {"id": 70 + by, "completed_by": by, "updated_by": by, "was_cancelled": False, "parent_prediction": None}
    return {**base, "lead_time": 10.0, "result": _results(answer), **fields}


def _view(image_id: str, **fields: Any) -> Any:
    return expert_view(_task(image_id, **fields), ME, 0, PLANTED, SEED)


def _images(outcome: str) -> list[str]:
    """Images for which the first expert has this outcome in mind."""
    found = [image_id for image_id in PLANTED.images if _view(image_id).outcome == outcome]
    assert found, outcome
    return found


def _planned(image_id: str) -> Answer:
    step = _view(image_id).step
    assert step is not None
    answer = step.submitted.answer
    assert isinstance(answer, Answer)
    return answer


def test_open_task_is_answered_as_the_expert_sees_it() -> None:
    image_id = _images(STYLE)[0]
    view = _view(image_id)
    assert (view.outcome, view.corrected, view.prediction) == (STYLE, None, None)
    assert view.step.task_id == 7
    assert view.step == _view(image_id).step  # whatever else happened meanwhile


def test_two_experts_judge_the_same_image_each_on_their_own() -> None:
    pairs = [
        tuple(expert_view(_task(image_id), ME, who, PLANTED, SEED).step.submitted for who in (0, 1))  # type: ignore[union-attr]
        for image_id in PLANTED.images
    ]
    assert any(one.answer.mains != other.answer.mains for one, other in pairs)
    assert all(one.seconds != other.seconds for one, other in pairs)


def test_what_the_others_answered_and_what_is_answered_needs_nothing() -> None:
    image_id = _images(STYLE)[0]
    assert _view(image_id, is_labeled=True) == type(_view(image_id))()
    answered = _view(image_id, annotations=[_annotation(_planned(image_id))])
    assert (answered.outcome, answered.corrected, answered.step) == (STYLE, None, None)


@pytest.mark.parametrize("outcome", [SKIPPED, DRAFT, "cant_tell", "two_mains", "unknown_label"])
def test_what_stands_counts_the_same_as_what_was_about_to_be_done(outcome: str) -> None:
    for image_id in _images(outcome):
        answer = _planned(image_id)
        if outcome == DRAFT:
            view = _view(image_id, drafts=[{"id": 3, "result": _results(answer)}])
        else:
            view = _view(image_id, annotations=[_annotation(answer, was_cancelled=outcome == SKIPPED)])
        assert (view.outcome, view.corrected, view.step) == (outcome, None, None)


def test_mistake_that_came_back_is_corrected_and_stays_counted() -> None:
    image_id = _images("two_mains")[0]
    returned = _annotation(_planned(image_id), was_cancelled=True, updated_by=ADMIN)
    view = _view(image_id, annotations=[returned])
    assert (view.outcome, view.corrected, view.step.corrects) == (STYLE, "two_mains", returned["id"])
    assert len(view.step.submitted.answer.mains) == 1
    assert view.step.submitted.seconds > returned["lead_time"]
    after = _view(image_id, annotations=[_annotation(view.step.submitted.answer)])
    assert (after.outcome, after.corrected, after.step) == (STYLE, "two_mains", None)


def test_right_form_but_sent_back_means_to_look_again() -> None:
    wrong = next(image_id for image_id in _images(STYLE) if _planned(image_id).mains != ("Retro",))
    view = _view(wrong, annotations=[_annotation(_planned(wrong), was_cancelled=True, updated_by=ADMIN)])
    assert view.step.submitted.answer == Answer(("Retro",), ("Casual", "Preppy"))
    assert _view(wrong, annotations=[_annotation(view.step.submitted.answer)]).corrected == STYLE


def test_draft_is_finished_when_the_task_asks_for_it() -> None:
    image_id = _images(DRAFT)[0]
    draft = {"id": 3, "result": _results(_planned(image_id))}
    view = _view(image_id, drafts=[draft], data={"image_id": image_id, "attention": "Please correct: draft"})
    assert (view.corrected, view.step.finishes) == (DRAFT, 3)
    assert view.outcome in {STYLE, "not_fashion", "cant_tell"}


@pytest.mark.parametrize(("other_subs", "becomes"), [(False, TAKEN), (True, CHANGED)])
def test_prediction_is_taken_if_it_fits_and_changed_if_not(other_subs: bool, becomes: str) -> None:
    image_id = next(image_id for image_id in _images(STYLE) if _planned(image_id).mains == ("Retro",))
    mine = _planned(image_id)
    suggested = Answer(mine.mains, ("Military",) if other_subs else mine.subs[::-1])
    predictions = [{"id": 3, "result": _results(Answer(("Grunge",)))}, {"id": 4, "result": _results(suggested)}]
    view = _view(image_id, predictions=predictions, shown=predictions)
    assert (view.prediction, view.step.prediction) == (becomes, 4)
    assert view.step.submitted.answer == (mine if other_subs else suggested)
    stands = _annotation(view.step.submitted.answer, parent_prediction=4)
    after = _view(image_id, predictions=predictions, annotations=[stands])
    assert (after.prediction, after.corrected, after.step) == (becomes, None, None)


def test_prediction_is_not_taken_by_someone_who_skips() -> None:
    image_id = _images(SKIPPED)[0]
    view = _view(image_id, shown=[{"id": 4, "result": _results(Answer(("Retro",)))}])
    assert (view.outcome, view.prediction, view.step.prediction) == (SKIPPED, None, 4)


def _decisions(first: Json, second: Json, image_id: str, attention: str = "") -> list[tuple[int, bool]]:
    task = _task(image_id, annotations=[first, second], data={"image_id": image_id, "attention": attention})
    return [
        (annotation["completed_by"], verdict.accepted) for annotation, verdict in reviewer_view(task, PLANTED, SEED)
    ]


def test_reviewer_decides_most_disagreements_and_only_once() -> None:
    right, wrong = _annotation(Answer(("Retro",))), _annotation(Answer(("Casual",)), OTHER)
    found = {image_id: _decisions(right, wrong, image_id) for image_id in PLANTED.images}
    assert sum(map(bool, found.values())) == pytest.approx(0.8 * len(found), rel=0.1)
    assert {decision for decisions in found.values() for decision in decisions} == {(ME, True), (OTHER, False)}
    image_id = next(image_id for image_id, decisions in found.items() if decisions)
    (_, verdict), *_ = reviewer_view(_task(image_id, annotations=[right, wrong]), PLANTED, SEED)
    decided = {**right, "result": right["result"] + review_results(verdict, lambda: "key")}
    assert read_review(decided["result"]) is verdict.accepted
    assert _decisions(decided, wrong, image_id) == []


@pytest.mark.parametrize(
    "other",
    [
        _annotation(Answer(("Casual",)), OTHER, was_cancelled=True),
        _annotation(Answer(("Casual", "Retro")), OTHER),
        _annotation(Answer(("Streetwear",)), OTHER),
        _annotation(Answer(("Casual",), ("Casual",)), OTHER),
        _annotation(Answer(()), OTHER),
    ],
    ids=["skipped", "two_mains", "unknown_label", "main_in_subs", "no_main"],
)
def test_reviewer_leaves_what_the_expert_must_correct_first(other: Json) -> None:
    right = _annotation(Answer(("Retro",)))
    assert all(_decisions(right, other, image_id, "Conflict: look") == [] for image_id in list(PLANTED.images)[:50])


def test_reviewer_who_is_asked_looks_at_answers_that_agree() -> None:
    image_id = next(iter(PLANTED.images))
    same = [_annotation(Answer((CANT_TELL,)), who) for who in (ME, OTHER)]
    assert _decisions(*same, image_id) == []
    assert _decisions(*same, image_id, "Suspicious: look") == [(ME, False), (OTHER, False)]


def test_strange_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"task 7: image 'f{64}' was not planted"):
        _view("f" * 64)
