"""What an expert or a reviewer reads on a task that came back, in the language of the labeling screen."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from labeling.annotations import Problem
from labeling.config import (
    CANT_TELL,
    CONFLICT_MARK,
    CORRECT_MARK,
    NOT_FASHION,
    SUSPICIOUS_MARK,
    attention_text,
    own_answers,
)
from labeling.results import read_result
from labeling.styles import Language, shown_style
from labeling.taxonomy import Taxonomy

MOST_LABELS = 5  # that a text names
MOST_LABEL = 60  # characters of a label that is not of the taxonomy: an annotation can hold any text

_OTHER = "other"
_PROBLEMS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "two_mains": "there was more than one main style ({labels}); answer again with exactly one.",
            "no_main": "there was no main style; answer again with exactly one.",
            "unknown_label": "{labels} is not one of the styles; answer again from the list.",
            "main_in_subs": "{labels} was main and sub style at once; answer again, with it as one of the two.",
            "subs_without_style": "{labels} stood beside sub styles; answer again with one or the other.",
            _OTHER: "the answer could not be read; label the image again.",
        },
        "ko": {
            "two_mains": "메인 스타일이 둘 이상입니다({labels}). 하나만 고르세요.",
            "no_main": "메인 스타일이 없습니다. 하나를 고르세요.",
            "unknown_label": "목록에 없는 스타일입니다({labels}). 목록에서 고르세요.",
            "main_in_subs": "메인과 서브에 같은 스타일이 있습니다({labels}). 서브에서 빼세요.",
            "subs_without_style": "'{labels}'와(과) 서브 스타일이 함께 있습니다. 둘 중 하나를 빼세요.",
            _OTHER: "답을 읽을 수 없습니다. 이미지를 다시 라벨링하세요.",
        },
    }
)
_DOUBTS: Mapping[Language, Mapping[str, str]] = MappingProxyType(
    {
        "en": {
            "wrong_main": "is {given} the main style? The model sees {suggested}.",
            "missing_label": "the model also sees {label}.",
            "extra_label": "the model does not see {label}.",
        },
        "ko": {
            "wrong_main": "메인이 {given}인가요? 모델은 {suggested}(으)로 봅니다.",
            "missing_label": "모델은 {label}도 있다고 봅니다.",
            "extra_label": "모델은 {label}이(가) 없다고 봅니다.",
        },
    }
)
_OR: Mapping[Language, str] = MappingProxyType({"en": " or ", "ko": " 또는 "})
_REJECTED: Mapping[Language, str] = MappingProxyType(
    {"en": "a reviewer rejected {labels}.", "ko": "검수자가 {labels}을(를) 반려했습니다."}
)


@dataclass(frozen=True)
class Wording:
    """Writes the texts in one language."""

    taxonomy: Taxonomy
    language: Language

    def correct(self, problems: Sequence[tuple[str, str]]) -> str:
        """Say what is wrong with the answers of a task: pairs of a quarantine reason and the annotation as JSON."""
        details = (self._problem(reason, json.loads(raw)) for reason, raw in problems)
        return attention_text(CORRECT_MARK, " ".join(dict.fromkeys(details)), self.language)

    def conflict(self, values: Sequence[str]) -> str:
        """Say between what the experts disagree; ``values`` is ``mains`` of ``LABELS``."""
        votes = [value for value in values if value != "cant_tell"] or values
        names = [self._name(value) for value in sorted(set(votes), key=votes.index)]
        if len(names) == 1:
            return attention_text(CONFLICT_MARK, _REJECTED[self.language].format(labels=names[0]), self.language)
        *first, last = names
        return attention_text(CONFLICT_MARK, f"{', '.join(first)}{_OR[self.language]}{last}", self.language)

    def suspicious(self, kind: str, label: str, given_main: str, suggested_main: str) -> str:
        """Say what the model doubts; the arguments are columns of ``SUSPICIOUS_LABELS``."""
        names = {"label": label, "given": given_main, "suggested": suggested_main}
        shown = {key: self._name(value) for key, value in names.items()}
        return attention_text(SUSPICIOUS_MARK, _DOUBTS[self.language][kind].format(**shown), self.language)

    def _problem(self, reason: str, raw: Mapping[str, Any]) -> str:
        texts = _PROBLEMS[self.language]
        result = read_result(raw.get("result"))
        if isinstance(result, Problem) or reason not in texts:
            return texts[_OTHER]
        mains, subs = self._distinct(result.mains), self._distinct(result.subs)
        concerned: Mapping[str, Callable[[], list[str]]] = {
            "unknown_label": lambda: [label for label in (*mains, *subs) if not self._known(label)],
            "main_in_subs": lambda: [label for label in mains if label in subs],
        }
        labels = concerned.get(reason, lambda: mains)()
        return texts[reason].format(labels=", ".join(self._name(label) for label in labels[:MOST_LABELS]))

    def _distinct(self, labels: Sequence[str]) -> list[str]:
        return list(dict.fromkeys(self.taxonomy.canonical(label) or label for label in labels))

    def _known(self, label: str) -> bool:
        return self.taxonomy.canonical(label) is not None or label in (NOT_FASHION, CANT_TELL)

    def _name(self, label: str) -> str:
        own = own_answers(self.language)
        own |= {"not_fashion": own[NOT_FASHION], "cant_tell": own[CANT_TELL]}
        known = self.taxonomy.canonical(label)
        if known is None:
            return own.get(label, label[:MOST_LABEL])
        return shown_style(known, self.taxonomy, self.language).name
