"""Signs by which people and servers ask that a post or a picture be left out of a data set."""

import re
from collections.abc import Iterable, Sequence

USER_AGENT_TOKEN = "stylegraph"  # noqa: S105  # the product token that robots.txt and X-Robots-Tag may name
_ROBOTS_DIRECTIVES = frozenset({"noai", "noimageai", "noindex", "noimageindex", "none"})
_AI_DIRECTIVES = frozenset({"noai", "noimageai"})
_WITH_VALUE = frozenset({"max-snippet", "max-image-preview", "max-video-preview", "unavailable_after"})
_OPT_OUT_TAGS = frozenset({"noai", "noaitraining", "nobot", "nobots", "noindex", "noarchive"})
_SCOPE = re.compile(r"^([a-z0-9_*][a-z0-9_.*-]*)\s*:\s*(.*)$", re.IGNORECASE | re.DOTALL)
_HASHTAG = re.compile(r"[#＃](\w+)")


def robots_tag_refusal(values: Iterable[str], *, ai_only: bool = False) -> str | None:
    """Read X-Robots-Tag headers as a picture crawler for machine learning must.

    Directives count in any letter case, from any number of headers. One behind the name of a user agent counts if that
    is ``stylegraph`` or ``*``; such a name holds until the end of its header or the next name.

    Args:
        values: the headers' values.
        ai_only: look for ``noai`` and ``noimageai`` alone, as for the answers of an API, which no index lists.

    Returns:
        The directive that asks to leave the resource out, or None.
    """
    wanted = _AI_DIRECTIVES if ai_only else _ROBOTS_DIRECTIVES
    for value in values:
        for_us = True
        for part in value.split(","):
            directive = part.strip().lower()
            scope = _SCOPE.match(directive)
            if scope is not None and scope[1] not in _WITH_VALUE:
                for_us = scope[1] in (USER_AGENT_TOKEN, "*")
                directive = scope[2].strip()
            if for_us and directive in wanted:
                return directive
    return None


def tdm_refusal(values: Sequence[str]) -> bool:
    """Say whether TDM-Reservation headers reserve the rights of text and data mining (TDMRep: the value 1)."""
    return any(value.strip() == "1" for value in values)


def tag_opt_out(hashtags: Iterable[str]) -> str | None:
    """Return the sign among folded hashtags of a post, for instance ``#noai``, or None."""
    signs = sorted(_OPT_OUT_TAGS.intersection(hashtags))
    return f"#{signs[0]}" if signs else None


def profile_opt_out(text: str) -> str | None:
    """Return the sign in the text of a profile (it may be HTML), for instance ``#nobot``, or None."""
    plain = re.sub(r"<[^>]*>", "", text)
    sign = tag_opt_out(word.casefold() for word in _HASHTAG.findall(plain))
    return f"profile: {sign}" if sign else None
