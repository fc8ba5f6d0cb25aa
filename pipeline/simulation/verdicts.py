"""What was planted in a simulated year beside what was found, a line for each thing."""

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """One thing, as planted and as found, in words."""

    what: str
    planted: str
    found: str
    ok: bool


def exact(what: str, planted: int, found: int) -> Verdict:
    """Return the verdict on a number that must be found as planted."""
    return Verdict(what, f"{planted:,}", f"{found:,}", planted == found)


def all_of(what: str, planted: Collection[str], found: Collection[str]) -> Verdict:
    """Return the verdict on things of which every one must be found; others do not count."""
    return exact(what, len(set(planted)), len(set(planted) & set(found)))


def same(what: str, planted: Collection[str], found: Collection[str]) -> Verdict:
    """Return the verdict on things that must be found, and no others."""
    words = [", ".join(sorted(set(names))) or "none" for names in (planted, found)]
    return Verdict(what, *words, set(planted) == set(found))
