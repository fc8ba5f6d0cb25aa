"""Finding and removing ids of withdrawn pictures, posts and authors in text: logs, JSON, Markdown, events."""

import html
import json
import re
from functools import cached_property
from typing import Any

from pipeline.withdrawal.plan import Plan

GONE = "[withdrawn]"
LEAST_DIGITS = 12  # of an id that was cut off for showing; fewer could be anything
_HEX = re.compile(rf"[0-9a-f]{{{LEAST_DIGITS},}}", re.IGNORECASE)
_PICTURE = re.compile(
    r"!\[[^\]]*\]\(data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*\)|data:image/[a-z+]+;base64,[A-Za-z0-9+/=]*"
)
_SHOWN = 47  # characters that a preview shows of a longer cell, and an ellipsis
_TOKEN = re.compile(r"""[^\s"'<>|\\(),\[\]{}`]+""")  # what stands between quotes, blanks and brackets
_AROUND = ".:;!?…"  # what may stand at the end of a name that is none of it

# Metadata that shows charts. Every other picture of an event may show photographs, and leaves.
CHARTS = frozenset(
    {
        *("plot", "plots", "chart", "curves", "figure_6", "adjacency", "pairs", "by_window", "heat_map", "lead_times"),
        *("kappa_by_week", "trends", "movements", "changes", "drift", "history"),
    }
)


class Scrubber:
    """Looks for the ids and names of a plan in texts, also where they were cut off or escaped.

    Pictures inside a text (data URIs) say nothing about what they show: those of events are taken out unless they are
    charts.
    """

    def __init__(self, plan: Plan) -> None:
        """Prepare to look for the ids and names of ``plan``."""
        self._digits = {value.lower() for value in plan.images | plan.authors}
        forms = {form for value in plan.posts | plan.names for form in _forms(value)}
        self._tokens = {form for form in forms if _TOKEN.fullmatch(form) and form == form.rstrip(_AROUND)}
        self._phrases = sorted(forms - self._tokens)

    @cached_property
    def _starts(self) -> set[str]:
        """All beginnings of ids that count as one."""
        return {value[:length] for value in self._digits for length in range(LEAST_DIGITS, len(value) + 1)}

    def hits(self, text: str) -> bool:
        """Say whether a text names something that must leave."""
        return any(self._is_id(found[0].lower()) for found in _HEX.finditer(text)) or bool(self._named(text))

    def _named(self, text: str) -> list[str]:
        """Return the names that stand in a text, the longest first."""
        found: set[str] = set()
        if self._tokens:
            for token in _TOKEN.findall(text):
                found |= self._tokens & {token, token.rstrip(_AROUND)}
        found.update(form for form in self._phrases if form in text and _whole(form).search(text))
        return sorted(found, key=lambda form: (-len(form), form))

    def _is_id(self, digits: str) -> bool:
        if len(digits) <= 64:
            return digits in self._starts
        return any(digits[place : place + 64] in self._digits for place in range(len(digits) - 63))

    def replaced(self, text: str) -> str:
        """Return a text with every id and name replaced."""
        text = _HEX.sub(lambda found: GONE if self._is_id(found[0].lower()) else found[0], text)
        for form in self._named(text):
            text = _whole(form).sub(GONE, text)
        return text

    def without_lines(self, text: str) -> str:
        """Return a text whose lines with an id or name in them are replaced as a whole: what stands beside it goes."""
        if "\n" not in text:
            return self.replaced(text) if self.hits(text) else text
        return "".join(self._line(line) if self.hits(line) else line for line in text.splitlines(keepends=True))

    @staticmethod
    def _line(line: str) -> str:
        ending = line[len(line.rstrip("\r\n")) :]
        cells = line.count("|") - 1
        table = line.startswith("|") and cells > 0
        return (f"| {GONE} " + "| " * (cells - 1) + "|" if table else GONE) + ending

    def cleaned(self, text: str, *, pictures: bool) -> str:
        """Return a text without ids and names; JSON stays JSON. ``pictures``: without photographs, too."""
        if not self.hits(text) and not (pictures and "data:image/" in text):
            return text
        try:
            value = json.loads(text)
        except ValueError:
            plain = _PICTURE.sub(GONE, text) if pictures else text
            return self.without_lines(plain)
        if not isinstance(value, dict | list):
            return self.replaced(text)
        cleaned = self._clean_value(value, pictures, None)
        return text if cleaned == value else json.dumps(cleaned)

    def _clean_value(self, value: Any, pictures: bool, label: str | None) -> Any:
        if isinstance(value, str):
            if pictures and "data:image/" in value and label not in CHARTS:
                value = _PICTURE.sub(GONE, value)
            return self.without_lines(value) if self.hits(value) else value
        if isinstance(value, list):
            return [self._clean_value(item, pictures, label) for item in value]
        if isinstance(value, dict):
            named = value.get("label")
            label = named if isinstance(named, str) else label
            return {
                self.replaced(key): self._clean_value(item, pictures, key if key in CHARTS else label)
                for key, item in value.items()
            }
        return value


def _whole(form: str) -> re.Pattern[str]:
    """Return a pattern of a name that is not a part of a longer one."""
    return re.compile(rf"(?<![\w./%-]){re.escape(form)}(?![\w/%-]|\.\w)")


def _forms(value: str) -> set[str]:
    """Return how a name may stand in a text: as it is, escaped for HTML, JSON and Markdown, and cut off."""
    shown = value[:_SHOWN] if len(value) > _SHOWN + 1 else value
    forms = {value, shown}
    forms |= {_escaped(form) for form in tuple(forms)}
    forms |= {json.dumps(form)[1:-1] for form in tuple(forms)}
    return {form for form in forms if form.strip()}


def _escaped(text: str) -> str:
    return html.escape(text).replace("|", "&#124;").replace("[", "&#91;").replace("`", "&#96;")
