"""The data cards in the report: where a data set comes from, its licences, its biases, and who asked to be left out."""

from typing import Any

from modeling import card_text
from pipeline.report.data import LabelSetResult

MOST = 8  # values of a list of counts


def data_card_view(result: LabelSetResult) -> dict[str, Any] | None:
    """What the data card of a label set says; None where none was written."""
    facts = result.card
    if facts is None:
        return None
    origin = facts.origin
    counts = (("Network", origin.networks), ("Language of the post", origin.languages), ("Licence", origin.licences))
    return {
        "facts": [
            ("Images", facts.images),
            ("Groups", facts.groups),
            ("Authors", origin.authors or None),
            ("Posts left out", sum(facts.crawled.left_out.values())),
            ("Opt-outs", sum(facts.crawled.opt_outs.values())),
            ("Requests for removal", facts.withdrawals.requests),
        ],
        "counts": [
            {
                "name": name,
                "rows": [{"value": key, "images": value, "share": facts.share(value)} for key, value in part[:MOST]],
                "more": len(part) - MOST if len(part) > MOST else 0,
            }
            for name, part in ((name, list(values.items())) for name, values in counts)
        ],
        "paragraphs": [card_text.collection(facts), card_text.annotation(facts), card_text.opt_outs(facts)],
        "agreement": card_text.agreement(facts),
        "biases": card_text.biases(facts),
        "limitations": card_text.limitations(facts),
        "personal": card_text.personal(facts),
        "files": result.card_files,
    }
