"""Run tags that say why a run was launched, and how it counts."""

from collections.abc import Mapping

import dagster as dg

REASON_TAG = "stylegraph/reason"  # one line for people
FAILS_FOR = "fails_for"  # metadata of a check: what it fails for, with ", " between; people are told again of more
TRAINING_TAG = "stylegraph/training"  # "true": one such run at a time
ASKED_ON_TAG = "stylegraph/asked_on"  # day on which a window was asked for, by the clock
FOLLOWED_TAG = "stylegraph/followed_by"  # whoever launched the run also launches what follows from it
BY_CONDITION_TAG = "dagster/from_automation_condition"  # Dagster's own, on what a condition asked for
LONGEST = 250  # characters of a reason
# Tags of runs that nobody started by hand.
BY_ITSELF = ("dagster/from_automation_condition", "dagster/schedule_name", "dagster/sensor_name")


def is_by_a_person(tags: Mapping[str, str]) -> bool:
    """Say whether a person started a run, by its tags."""
    return not any(tag in tags for tag in BY_ITSELF)


def note_reason(context: dg.AssetExecutionContext, reason: str) -> None:
    """Put a better reason on the run under way than the one that was known when it was launched."""
    context.instance.add_run_tags(context.run_id, {REASON_TAG: one_line(reason)})


def one_line(text: str, longest: int = LONGEST) -> str:
    """Return a text on one line, cut where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
