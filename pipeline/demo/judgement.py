"""What the simulated experts see in a picture, and what they do with it: the same for a file and for a live server.

Nobody labelled anything: the answers are the planted truth with the mistakes that people make, and every name says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from labeling.config import CANT_TELL, NOT_FASHION
from pipeline.demo.planted import PlantedImage
from pipeline.demo.styles import similar_style

EXPERTS = ("simulated-expert-1@example.invalid", "simulated-expert-2@example.invalid")
REVIEWER = "simulated-reviewer@example.invalid"

STYLE = "style"
SKIPPED, DRAFT = "skipped", "draft"
OWN_ANSWERS = {NOT_FASHION: "not_fashion", CANT_TELL: "cant_tell"}  # what is chosen as main: outcome
VALID = frozenset({STYLE, *OWN_ANSWERS.values()})  # outcomes that count as labels

_WRONG_MAIN = (0.05, 0.08)  # chance that expert 1 and 2 see another main style
_MISSED_SUB, _EXTRA_SUB = 0.12, 0.015
_NO_STYLE = 0.012  # chance of an answer of its own: half not a fashion image, half can't tell
_SKIPPED, _INVALID, _DRAFT = 0.012, 0.007, 0.012
_REVIEWED = 0.8  # of the images on whose main style the experts disagree
_ACCEPTING = 0.8  # of the reviews accept the right answer, the others reject the wrong one


@dataclass(frozen=True)
class Answer:
    """What is chosen on the labeling screen."""

    mains: tuple[str, ...]  # one, unless it is a mistake
    subs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Submission:
    """How an expert ends with a picture."""

    answer: Answer  # as submitted; without any choice if skipped
    outcome: str  # style, not_fashion, cant_tell; skipped; or the reason with which it is refused
    seconds: float  # spent on the picture


@dataclass(frozen=True)
class Verdict:
    """A reviewer's decision about one of the answers for a picture."""

    place: int  # of the answer
    accepted: bool
    note: str | None  # for the expert whose answer is rejected


def impression(truth: PlantedImage, expert: int, rng: np.random.Generator) -> Answer:
    """What an expert (0 or 1) sees in an image: the truth, a style like it, or rarely none."""
    if rng.random() < _NO_STYLE:
        return Answer((NOT_FASHION if rng.random() < 0.5 else CANT_TELL,))
    main = truth.main
    subs = [sub for sub in truth.subs if rng.random() >= _MISSED_SUB]
    if rng.random() < _WRONG_MAIN[expert]:
        if truth.subs and rng.random() < 0.7:
            main = truth.subs[int(rng.integers(len(truth.subs)))]
        else:
            main = similar_style(truth.main, (), rng)
        subs = [sub for sub in subs if sub != main]
        if truth.main not in subs and rng.random() < 0.7:
            subs.append(truth.main)
    elif rng.random() < _EXTRA_SUB:
        subs.append(similar_style(main, subs, rng))
    return Answer((main,), tuple(subs))


def submission(answer: Answer, rng: np.random.Generator) -> Submission:
    """What an expert submits: mostly the answer, sometimes a skip or something that no rule allows."""
    seconds = float(np.round(rng.gamma(4.0, 4.0) + 2.0, 3))
    if rng.random() < _SKIPPED:
        return Submission(Answer(()), SKIPPED, seconds)
    outcome = valid_outcome(answer)
    if outcome == STYLE and rng.random() < _INVALID:
        return Submission(*_mistake(answer, rng), seconds)
    return Submission(answer, outcome, seconds)


def valid_outcome(answer: Answer) -> str:
    """What an answer that breaks no rule counts as."""
    return OWN_ANSWERS.get(answer.mains[0], STYLE)


def leaves_draft(rng: np.random.Generator) -> bool:
    """Whether an expert turns to something else and leaves a draft behind."""
    return bool(rng.random() < _DRAFT)


def verdicts(
    answers: Sequence[Answer], truth: PlantedImage, rng: np.random.Generator, *, asked: bool = False
) -> list[Verdict]:
    """What the reviewer decides about the answers of two experts.

    Of the disagreements most are looked at, and the right answer is accepted or the wrong one rejected; where none is
    right, nothing is decided. A reviewer who was ``asked`` to look always decides, and rejects both if none is right.
    """
    if not asked and (answers[0].mains == answers[1].mains or rng.random() >= _REVIEWED):
        return []
    right = [place for place, answer in enumerate(answers) if answer.mains == (truth.main,)]
    wrong = [place for place in range(len(answers)) if place not in right]
    note = f"Looks more like {truth.main}."
    if not right:
        return [Verdict(place, False, note) for place in wrong] if asked else []
    if not wrong or rng.random() < _ACCEPTING:
        return [Verdict(right[0], True, None)]
    return [Verdict(wrong[0], False, note)]


def _mistake(answer: Answer, rng: np.random.Generator) -> tuple[Answer, str]:
    """An answer that breaks a rule, and the reason with which it is refused."""
    main, subs = answer.mains[0], answer.subs
    match int(rng.integers(4)):
        case 0:
            return Answer((main, similar_style(main, (), rng)), subs), "two_mains"
        case 1:
            return Answer(("Streetwear",), subs), "unknown_label"
        case 2:
            return Answer((main,), (*subs, main)), "main_in_subs"
        case _:
            return Answer((), subs), "no_main"
