"""What the simulated experts did in a live project, to be compared with what the pipeline finds."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.demo.judgement import VALID


@dataclass(frozen=True)
class Work:
    """What stands in a project by the experts' hands, whenever they did it: the same however often they are called."""

    outcomes: Counter[str] = field(default_factory=Counter)  # of answers: style, cant_tell, skipped, draft, two_mains…
    corrected: Counter[str] = field(default_factory=Counter)  # outcomes that came back and are right now
    predictions: Counter[str] = field(default_factory=Counter)  # taken or changed
    reviews: Counter[str] = field(default_factory=Counter)  # accepted or rejected answers
    steps: int = 0  # things done in this call

    @property
    def refused(self) -> dict[str, int]:
        """How many annotations and drafts the pipeline must refuse, by reason."""
        return {reason: self.outcomes[reason] for reason in sorted(self.outcomes) if reason not in VALID}
