"""The labeling screen: one main label, sub labels, and a reviewer's decision."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree as ET

from labeling.errors import LabelingError
from labeling.styles import Language, shown_style
from labeling.taxonomy import Taxonomy

MAIN, SUBS, REVIEW, NOTE = "main", "subs", "review", "note"  # control names, found again in the export
ACCEPTED, REJECTED = "Accepted", "Rejected"
NOT_FASHION, CANT_TELL = "Not a fashion image", "Can't tell"  # answers of their own, in ``main``
ATTENTION = "attention"  # key of the task data that says why a task came back; "" where it did not
CONFLICT_MARK, SUSPICIOUS_MARK, CORRECT_MARK = "Conflict:", "Suspicious:", "Please correct:"  # how that text begins

# Row by row over the keyboard. Left out, because Label Studio 1.23 has them: h (pan) and u (unselect); of the digits,
# shift+1 and shift+2 (zoom), so that 1 and 2 are for the answers that have no sub label.
_LABEL_KEYS = "qwertyiopasdfgjklzxcvbnm34567890"
_OTHER_KEYS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        (MAIN, NOT_FASHION): "1",
        (MAIN, CANT_TELL): "2",
        (REVIEW, ACCEPTED): "alt+y",  # two keys at once: no annotator shall review by a slip
        (REVIEW, REJECTED): "alt+n",
    }
)


@dataclass(frozen=True)
class _Wording:
    """What the screen says in one language."""

    main: str
    main_required: str
    subs: str
    review: str
    note: str
    own: Mapping[str, str]  # how answers that are no style read, by their stored value
    marks: Mapping[str, str]  # what stands between a mark of ``attention`` and the detail


_WORDINGS: Mapping[Language, _Wording] = MappingProxyType(
    {
        "en": _Wording(
            main="Main style: exactly one",
            main_required="Choose one main style, or say that this is not a fashion image or that you can't tell.",
            subs="Sub styles: any number, not the main one (shift and its key)",
            review="Reviewers only",
            note="Note of the reviewer",
            own={value: value for value in (NOT_FASHION, CANT_TELL, ACCEPTED, REJECTED)},
            marks={},
        ),
        "ko": _Wording(
            main="메인 스타일: 하나만",
            main_required="메인 스타일을 하나 고르거나 '패션 이미지 아님' 또는 '판단 불가'를 선택하세요.",
            subs="서브 스타일: 몇 개든, 메인은 제외 (shift + 메인의 키)",
            review="검수자 전용",
            note="검수자 메모",
            own={NOT_FASHION: "패션 이미지 아님", CANT_TELL: "판단 불가", ACCEPTED: "승인", REJECTED: "반려"},
            marks={
                CONFLICT_MARK: "작업자들의 답이 서로 다릅니다.",
                SUSPICIOUS_MARK: "라벨이 이미지와 맞는지 다시 확인해 주세요.",
                CORRECT_MARK: "답을 고쳐서 다시 제출해 주세요.",
            },
        ),
    }
)

# The picture leaves room for what stands around it, ``--sg-around``: bars, two lines of context, and the yellow line.
# Where a later Label Studio names its own classes (lsf-…) otherwise, the screen works as before and only looks longer.
# Its side panel is hidden: it is about regions of an image, and there are none here.
_STYLE = """
.lsf-sidepanels { padding-right: 0 !important; }
.lsf-sidepanels__wrapper { display: none; }
.sg-screen { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, clamp(480px, 52%, 700px)); gap: 0 16px;
  --sg-around: 232px; }
.sg-screen:has(.sg-attention :not(:empty)) { --sg-around: 276px; }
.sg-attention { grid-column: 1 / -1; }
.sg-attention :empty { display: none; }
.sg-attention :not(:empty) { margin: 0 0 8px !important; padding: 6px 12px; font-size: 15px; line-height: 1.35;
  color: #5c3a00; background: #fff3d1; border-left: 4px solid #e69500; }
.sg-picture { position: sticky; top: 0; align-self: start; }
.sg-context { display: flex; flex-wrap: wrap; gap: 0 12px; margin-top: 4px; }
.sg-context .lsf-richtext__container { padding: 0; font-size: 12px; line-height: 1.4; opacity: 0.75; }
.sg-answers { container-type: inline-size; }
.sg-answers h4 { margin: 0 0 2px !important; font-size: 14px; }
.sg-answers .lsf-choices { display: grid; grid-template-columns: repeat(auto-fill, minmax(152px, 1fr)); gap: 0 2px;
  margin: 0 0 12px; }
.sg-answers .lsf-choice, .sg-answers .lsf-choice__item { margin: 0; }
.sg-answers .lsf-choice__checkbox { width: 100%; margin: 0; padding: 4px 0; font-size: 14px; line-height: 1.3;
  overflow-wrap: anywhere; }
.sg-answers .lsf-choice__checkbox:hover { background: rgba(80, 110, 220, 0.12); }
.sg-main .lsf-choice:nth-last-child(-n + 2) { margin-top: 4px; padding-top: 3px; border-top: 1px dashed #aaa; }
.sg-main .lsf-choice:nth-last-child(2) { grid-column: 1 / 3; }
.sg-main .lsf-choice:last-child { grid-column: 3 / -1; }
.sg-subs .lsf-hint { display: none; }
.sg-reviewer { display: flex; gap: 12px; align-items: center; padding-top: 6px; border-top: 1px solid #ddd;
  opacity: 0.75; }
.sg-reviewer:hover, .sg-reviewer:focus-within { opacity: 1; }
.sg-review { display: flex; gap: 12px; align-items: center; }
.sg-review h4 { white-space: nowrap; }
.sg-review .lsf-choices { display: flex; gap: 12px; margin: 0; }
.sg-review .lsf-choice__checkbox { white-space: nowrap; }
.sg-reviewer .lsf-text-area { flex: 1; margin: 0 !important; }
.sg-reviewer .ant-form-item { margin: 0; }
@container (max-width: 620px) {
  .sg-answers .lsf-choices { grid-template-columns: repeat(auto-fill, minmax(136px, 1fr)); }
  .sg-answers .lsf-choice__checkbox { padding: 3px 0; font-size: 13px; }
}
"""


def labeling_config(taxonomy: Taxonomy, language: Language = "en") -> str:
    """Write the Label Studio labeling config (XML) for a taxonomy.

    Controls: ``main`` (single, required) with the labels and, apart from them, ``Not a fashion image`` and ``Can't
    tell``; ``subs`` (multiple); ``review`` (Accepted or Rejected) with a ``note``. In Korean, what is shown is Korean;
    what is stored is the English value in every language.

    Raises:
        LabelingError: if a label reads like one of the answers that are no style, or contains ``$``.
    """
    _check_labels(taxonomy)
    words, keys = _WORDINGS[language], hotkeys(taxonomy)
    screen = ET.Element("View", className="sg-screen")
    ET.SubElement(screen, "Style").text = _STYLE
    attention = ET.SubElement(screen, "View", className="sg-attention")
    ET.SubElement(attention, "Header", value=f"${ATTENTION}")
    _picture(screen)
    answers = ET.SubElement(screen, "View", className="sg-answers")
    main = _choices(answers, MAIN, words.main, choice="single-radio", required="true")
    main.set("requiredMessage", words.main_required)
    subs = _choices(answers, SUBS, words.subs, choice="multiple")
    for label in taxonomy:
        name, line = shown_style(label, taxonomy, language)
        for control in (main, subs):
            _choice(control, label, name, keys, line)
    for value in (NOT_FASHION, CANT_TELL):
        _choice(main, value, words.own[value], keys)
    reviewer = ET.SubElement(answers, "View", className="sg-reviewer")
    review = _choices(reviewer, REVIEW, words.review, choice="single")
    for value in (ACCEPTED, REJECTED):
        _choice(review, value, words.own[value], keys)
    ET.SubElement(reviewer, "TextArea", name=NOTE, toName="image", placeholder=words.note, rows="1", maxSubmissions="1")
    ET.indent(screen)
    return ET.tostring(screen, encoding="unicode") + "\n"


def hotkeys(taxonomy: Taxonomy) -> dict[tuple[str, str], str]:
    """Return the key of each answer by its control and its stored value: ``("subs", "Retro")`` has ``shift+o``.

    The first 32 labels get a key for main, and the same key with shift for sub; further labels get none.
    """
    keys = dict(_OTHER_KEYS)
    for label, key in zip(taxonomy, _LABEL_KEYS, strict=False):
        keys[MAIN, label] = key
        keys[SUBS, label] = f"shift+{key}"
    return keys


def own_answers(language: Language) -> dict[str, str]:
    """Return how the answers that are no style, and a reviewer's decisions, are shown, by their stored value."""
    return dict(_WORDINGS[language].own)


def attention_text(mark: str, detail: str, language: Language = "en") -> str:
    """Write the ``attention`` of a task that comes back; the marks are the same in every language, for filters."""
    return " ".join(filter(None, (mark, _WORDINGS[language].marks.get(mark), detail)))


def _check_labels(taxonomy: Taxonomy) -> None:
    for label in taxonomy:
        if "$" in label:
            raise LabelingError(f"taxonomy label {label!r} must not contain $: Label Studio reads a field's name there")
    for value in (NOT_FASHION, CANT_TELL):
        if (same := taxonomy.canonical(value)) is not None:
            raise LabelingError(
                f"taxonomy label {same!r} is an answer that every labeling screen has; take it out of the taxonomy"
            )


def _picture(screen: ET.Element) -> None:
    picture = ET.SubElement(screen, "View", className="sg-picture")
    ET.SubElement(
        picture,
        "Image",
        {"name": "image", "value": "$image", "zoomControl": "true", "selectionControl": "false"},
        horizontalAlignment="center",
        maxHeight="calc(100vh - var(--sg-around))",
    )
    context = ET.SubElement(picture, "View", className="sg-context")
    for name in ("created_at", "hashtags", "alt_text"):
        ET.SubElement(context, "Text", name=name, value=f"${name}")


def _choices(parent: ET.Element, name: str, title: str, **attributes: str) -> ET.Element:
    block = ET.SubElement(parent, "View", className=f"sg-{name}")
    ET.SubElement(block, "Header", value=title, size="5")
    return ET.SubElement(block, "Choices", {"name": name, "toName": "image", "layout": "inline", **attributes})


def _choice(control: ET.Element, value: str, shown: str, keys: Mapping[tuple[str, str], str], line: str = "") -> None:
    choice = ET.SubElement(control, "Choice", value=shown)
    if shown != value:
        choice.set("alias", value)
    if key := keys.get((control.attrib["name"], value)):
        choice.set("hotkey", key)
    if line:
        choice.set("hint", line)
