"""The champion of a label set: who it is, and every decision that led there, with its numbers."""

from typing import Any

import pandas as pd

from pipeline.report.data import LabelSetResult
from pipeline.report.wording import NOTHING, missing

MOST_DECISIONS = 20  # the newest; older ones are in the table `promotions`
CHIPS = {"promoted": "better", "refused": "", "rolled_back": "hint_worse", "removed": "worse"}
DECISIONS = {"promoted": "promoted", "refused": "refused", "rolled_back": "rolled back", "removed": "removed"}


def champion_view(result: LabelSetResult) -> dict[str, Any] | None:
    """The champion, the decisions newest first, and whether a training is due; None before the first of either."""
    promotions, requests = result.promotions, result.training_requests
    if (promotions is None or promotions.empty) and (requests is None or requests.empty):
        return None
    history = promotions.iloc[::-1] if promotions is not None else pd.DataFrame()
    return {
        "champion": None if history.empty or missing(history.iloc[0]["champion"]) else history.iloc[0]["champion"],
        "since": _since(history),
        "decisions": [_decision(row) for row in history.head(MOST_DECISIONS).to_dict("records")],
        "older": max(0, len(history) - MOST_DECISIONS),
        "request": _request(requests),
    }


def _since(history: pd.DataFrame) -> str | None:
    """The day on which the champion became it."""
    if history.empty:
        return None
    now = history.iloc[0]["champion"]
    became = history[(history["champion"] == now) & (history["champion_before"] != now)]
    return None if became.empty else f"{became.iloc[0]['decided_at']:%Y-%m-%d}"


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    return row | {
        "when": f"{row['decided_at']:%Y-%m-%d %H:%M}",
        "chip": CHIPS.get(row["decision"], ""),
        "decision": DECISIONS.get(row["decision"], row["decision"]),
        "challenger": NOTHING if missing(row["challenger"]) else row["challenger"],
        "champion": NOTHING if missing(row["champion"]) else row["champion"],
    }


def _request(requests: pd.DataFrame | None) -> dict[str, Any] | None:
    if requests is None or requests.empty:
        return None
    last = requests.iloc[-1]
    return {"when": f"{last['decided_at']:%Y-%m-%d %H:%M}", "due": bool(last["due"]), "reason": last["reason"]}
