"""The labeling screen: one main label, sub labels, and a reviewer's decision."""

from xml.etree import ElementTree as ET

from labeling.taxonomy import Taxonomy

MAIN, SUBS, REVIEW, NOTE = "main", "subs", "review", "note"  # control names, found again in the export
ACCEPTED, REJECTED = "Accepted", "Rejected"

_KEYS = "1234567890qwertyuiopasdfghjklzxcvbnm"  # main labels; with shift, sub labels


def labeling_config(taxonomy: Taxonomy) -> str:
    """Write the Label Studio labeling config (XML) for a taxonomy.

    Controls: ``main`` (single, required), ``subs`` (multiple), ``review`` (Accepted or Rejected) with a ``note``. The
    first 36 labels get hotkeys: a key for main, shift and the same key for sub.
    """
    view = ET.Element("View", style="display: flex; gap: 1em")
    picture = ET.SubElement(view, "View", style="flex: 60%")
    ET.SubElement(picture, "Image", name="image", value="$image", zoomControl="true")
    ET.SubElement(picture, "Text", name="created_at", value="$created_at")
    ET.SubElement(picture, "Text", name="hashtags", value="$hashtags")
    ET.SubElement(picture, "Text", name="alt_text", value="$alt_text")
    answers = ET.SubElement(view, "View", style="flex: 40%")
    ET.SubElement(answers, "Header", value="Main style: exactly one")
    main = _choices(answers, MAIN, choice="single-radio", required="true", requiredMessage="Choose one main style.")
    ET.SubElement(answers, "Header", value="Sub styles: any number, not the main one")
    subs = _choices(answers, SUBS, choice="multiple")
    for place, label in enumerate(taxonomy):
        _choice(main, label, taxonomy, _KEYS[place] if place < len(_KEYS) else None)
        _choice(subs, label, taxonomy, f"shift+{_KEYS[place]}" if place < len(_KEYS) else None)
    ET.SubElement(answers, "Header", value="Review: for reviewers only")
    review = _choices(answers, REVIEW, choice="single")
    for decision in (ACCEPTED, REJECTED):
        ET.SubElement(review, "Choice", value=decision)
    ET.SubElement(answers, "TextArea", name=NOTE, toName="image", placeholder="Note of the reviewer", rows="2")
    ET.indent(view)
    return ET.tostring(view, encoding="unicode") + "\n"


def _choices(parent: ET.Element, name: str, **attributes: str) -> ET.Element:
    return ET.SubElement(parent, "Choices", {"name": name, "toName": "image", "layout": "inline", **attributes})


def _choice(parent: ET.Element, label: str, taxonomy: Taxonomy, hotkey: str | None) -> None:
    choice = ET.SubElement(parent, "Choice", value=label)
    if hotkey is not None:
        choice.set("hotkey", hotkey)
    if label in taxonomy.descriptions:
        choice.set("hint", taxonomy.descriptions[label])
