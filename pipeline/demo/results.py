"""Answers and reviews in the form in which Label Studio keeps them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from labeling.config import ACCEPTED, MAIN, NOTE, REJECTED, REVIEW, SUBS
from pipeline.demo.judgement import Answer, Verdict

Json = dict[str, Any]


def answer_results(answer: Answer, new_key: Callable[[], str]) -> list[Json]:
    """Write an answer as the results of an annotation; ``new_key`` gives each one its id."""
    pairs = ((MAIN, answer.mains), (SUBS, answer.subs))
    return [_result(new_key(), name, "choices", choices) for name, choices in pairs if choices]


def review_results(verdict: Verdict, new_key: Callable[[], str]) -> list[Json]:
    """Write a reviewer's decision as results to be added to the expert's."""
    results = [_result(new_key(), REVIEW, "choices", [ACCEPTED if verdict.accepted else REJECTED])]
    if verdict.note:
        results.append(_result(new_key(), NOTE, "textarea", [verdict.note]))
    return results


def read_answer(results: Sequence[Mapping[str, Any]]) -> Answer:
    """Read an answer back from the results of an annotation or a prediction."""
    return Answer(tuple(_choices(results, MAIN)), tuple(_choices(results, SUBS)))


def read_review(results: Sequence[Mapping[str, Any]]) -> bool | None:
    """Return whether a reviewer accepted an annotation; None if nobody decided."""
    decisions = _choices(results, REVIEW)
    return decisions == [ACCEPTED] if decisions else None


def _choices(results: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    return [choice for item in results if item["from_name"] == name for choice in item["value"]["choices"]]


def _result(key: str, name: str, kind: str, content: Sequence[str]) -> Json:
    value = {"text" if kind == "textarea" else kind: list(content)}
    return {"id": key, "type": kind, "value": value, "origin": "manual", "from_name": name, "to_name": "image"}
