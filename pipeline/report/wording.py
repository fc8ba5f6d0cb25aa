"""Numbers and short codes as people read them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

NOTHING = "–"

REASONS: dict[str, str] = {
    "kept": "kept",
    "ok": "fetched and valid",
    "outside_window": "posted outside the window",
    "other_tag": "under another hashtag",
    "no_image": "without a picture",
    "boost": "a boost of another post",
    "sensitive": "marked sensitive at the source",
    "duplicate_row": "a second row for the same picture",
    "missing_file": "file is missing",
    "http_404": "deleted at the source (404)",
    "http_410": "deleted at the source (410)",
    "http_429": "server asked for a pause (429)",
    "timeout": "no full answer in time",
    "no_answer": "no answer at all",
    "rate_limited": "rate limit longer than the wait allowed",
    "unknown_host": "host name has no address",
    "incomplete": "connection ended early",
    "connection_failed": "connection failed",
    "too_many_redirects": "too many redirects",
    "bad_url": "address cannot be fetched",
    "malformed": "not in the expected form",
    "not_an_image": "not a picture",
    "truncated": "cut off in the middle",
    "too_many_pixels": "more pixels than allowed",
    "too_large": "more bytes than allowed",
    "animated": "animated picture",
    "forbidden_address": "address is not public",
    "forbidden_path": "path leaves the folder",
    "unreadable_file": "file cannot be read",
    "robots_txt": "forbidden by robots.txt",
    "agreed": "most or all annotators agree",
    "resolved_by_review": "settled by a reviewer",
    "conflict": "no agreement: no label yet",
    "unreviewed": "one answer, not reviewed",
    "style": "a style",
    "not_fashion": "not a fashion image",
    "cant_tell": "cannot be told",
    "suspicious": "label looks wrong to the models",
    "to_annotator": "to the same annotator",
    "to_another_annotator": "to another annotator",
    "to_reviewer": "to a reviewer",
    "two_mains": "more than one main label",
    "no_main": "no main label",
    "unknown_label": "label outside the taxonomy",
    "subs_without_style": "sub labels without a style",
    "unknown_control": "for a question that is not on the screen",
    "unknown_choice": "review is neither accepted nor rejected",
    "no_annotator": "nobody named as annotator",
    "near_duplicate": "labels were given for a near-duplicate",
    "main_in_subs": "main label repeated among the sub labels",
    "sub_is_main": "main label repeated among the sub labels",
    "unknown_image": "image is not in the collection",
    "ambiguous_image": "name fits more than one image",
    "duplicate_image": "image was named before",
    "skipped": "skipped by the annotator",
    "sent_back": "sent back, not answered again yet",
    "deleted": "deleted in Label Studio",
    "task_deleted": "task deleted in Label Studio",
    "draft": "draft, never submitted",
    "superseded": "replaced by a newer one of the same annotator",
    "plain": "as it is",
    "trim": "without its border",
    "mirror": "mirrored",
    "trim_mirror": "mirrored, without its border",
    "sha256": "same bytes",
    "phash": "looks the same",
}

METRIC_NAMES: dict[str, str] = {  # with a hyphen that does not break
    "any@1": "Top\u20111 any",
    "all@2": "Top\u20112 all",
    "any@2": "Top\u20112 any",
    "all@3": "Top\u20113 all",
    "any@3": "Top\u20113 any",
    "mean5": "Mean of the five",
    "map": "Mean average precision",
    "cf1": "CF1",
    "of1": "OF1",
}


def reason_text(code: str | None) -> str:
    """A short code in words; a code that is not known is shown with spaces."""
    if not code:
        return NOTHING
    if code.startswith("http_") and code not in REASONS:
        return f"answered with status {code.removeprefix('http_')}"
    return REASONS.get(code, code.replace("_", " "))


def metric_name(metric: str) -> str:
    """``any@1`` as ``Top-1 any``."""
    return METRIC_NAMES.get(metric, metric)


def count(value: Any) -> str:
    """A whole number with thousands separators; a dash where there is none."""
    return NOTHING if missing(value) else f"{int(value):,}"


def percent(value: Any, digits: int = 1) -> str:
    """A share (0 to 1) as a percentage without the sign, ``74.7``; a dash where it is undefined."""
    return NOTHING if missing(value) else f"{100 * float(value):.{digits}f}"


def interval(low: Any, high: Any) -> str:
    """A 95% interval of shares as ``70.1–79.0``."""
    return NOTHING if missing(low) or missing(high) else f"{percent(low)}–{percent(high)}"


def spread(value: Any) -> str:
    """A standard deviation of shares in percentage points as ``± 0.8``; empty where there is none."""
    return "" if missing(value) else f"±\u00a0{percent(value)}"


def seed_error(spread_a: Any, seeds_a: int, spread_b: Any, seeds_b: int) -> float | None:
    """Standard error of the difference of two means over seeds; None where one of them has no spread."""
    if missing(spread_a) or missing(spread_b):
        return None
    return math.sqrt(float(spread_a) ** 2 / seeds_a + float(spread_b) ** 2 / seeds_b)


def listed(names: Sequence[str], word: str = "and") -> str:
    """Names as a sentence has them: ``a, b and c``."""
    *most, last = names or [""]
    return f"{', '.join(most)} {word} {last}" if most else last


def points(value: Any) -> str:
    """A difference of shares in percentage points with its sign, ``+1.2``."""
    if missing(value):
        return NOTHING
    text = f"{abs(100 * float(value)):.1f}"
    return "0.0" if text == "0.0" else ("+" if float(value) > 0 else "−") + text


def p_value(value: Any) -> str:
    """A probability as ``0.032`` or ``< 0.001``."""
    if missing(value):
        return NOTHING
    return "<\u00a00.001" if float(value) < 0.001 else f"{float(value):.3f}"


def figure(value: Any, digits: int = 2) -> str:
    """A coefficient such as kappa as ``0.81`` or ``−0.05``; a dash where it is undefined."""
    if missing(value):
        return NOTHING
    text = f"{abs(float(value)):.{digits}f}"
    return text if float(value) >= 0 or not text.strip("0.") else "−" + text


def duration(seconds: Any) -> str:
    """A time as ``8 s``, ``75 s`` or ``3.5 min``; a dash where it is unknown."""
    if missing(seconds):
        return NOTHING
    return f"{float(seconds):.0f}\u00a0s" if float(seconds) < 99.5 else f"{float(seconds) / 60:.1f}\u00a0min"


def web_link(address: Any) -> str | None:
    """The address if a page may link to it: http or https only, never a script."""
    text = "" if missing(address) else str(address).strip()
    return text if text.lower().startswith(("http://", "https://")) else None


def missing(value: Any) -> bool:
    """True for None, NaN and NaT."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or str(value) in ("NaT", "<NA>", "nan")


def flat(mapping: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted key, value) rows, in the order given."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flat(value, f"{name}.")
        elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                rows += flat(item if isinstance(item, Mapping) else {"value": item}, f"{name}[{number}].")
        elif isinstance(value, list | tuple):
            rows.append((name, ", ".join(str(item) for item in value)))
        else:
            rows.append((name, NOTHING if value is None else str(value)))
    return rows
