"""What experts read before they start: how to label, how to review, and a line about each style."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType

from labeling.config import ACCEPTED, CANT_TELL, MAIN, NOT_FASHION, REJECTED, REVIEW, SUBS, hotkeys, own_answers
from labeling.styles import Language, shown_style
from labeling.taxonomy import Taxonomy


@dataclass(frozen=True)
class _Wording:
    """The guide in one language; HTML in which names and keys are filled in."""

    label: str
    label_lines: tuple[str, ...]
    review: str
    review_lines: tuple[str, ...]
    styles: str
    columns: tuple[str, str, str]


_WORDINGS: Mapping[Language, _Wording] = MappingProxyType(
    {
        "en": _Wording(
            label="How to label",
            label_lines=(
                "Choose <b>one main style</b>: what the outfit says first. Add <b>any sub styles</b> that are clearly "
                "there too, never the main one again.",
                "Keys are quicker than the mouse: the key in brackets is for main; <b>shift</b> and the same key is "
                "for sub.",
                "No outfit in the picture: <b>{not_fashion}</b> ({not_fashion_key}). An outfit, but no style fits or "
                "it cannot be seen well: <b>{cant_tell}</b> ({cant_tell_key}). Neither takes sub styles.",
                "<b>Submit</b> with ctrl+enter (Mac: cmd+enter). <b>Skip</b> (ctrl+space, Mac: alt+enter) means later: "
                "the picture comes back to you. If it is the last one and comes at once, choose {cant_tell}, or leave "
                "it and open another from the list.",
                "To change a label of your own, open its picture again, change it and click <b>Update</b>.",
                "A yellow line above a picture says why it came back. Quickest is to open such a picture from the tab "
                "<b>Came back</b>: <b>Label All Tasks</b> gives all pictures, whatever the tab shows.",
            ),
            review="How to review (reviewers only)",
            review_lines=(
                "Open a picture from a tab that begins with <b>Review</b> and look at each expert's answer.",
                "Mark each answer <b>{accepted}</b> ({accepted_key}) or <b>{rejected}</b> ({rejected_key}); a note "
                "says why. Leave the expert's styles as they are.",
                "Click <b>Update</b>. One accepted answer decides the label of the picture.",
            ),
            styles="Styles",
            columns=("Style", "What it looks like", "Keys"),
        ),
        "ko": _Wording(
            label="라벨링 방법",
            label_lines=(
                "가장 먼저 느껴지는 <b>메인 스타일을 하나만</b> 고르세요. 함께 뚜렷하게 보이는 <b>서브 스타일</b>은 몇 "
                "개든 고를 수 있지만, 메인과 같은 스타일은 고르지 마세요.",
                "마우스보다 단축키가 빠릅니다. 대괄호 안의 키는 메인, <b>shift</b>와 함께 누르면 서브입니다.",
                "옷차림이 없는 사진이면 <b>{not_fashion}</b>({not_fashion_key}), 옷차림은 있지만 맞는 스타일이 없거나 "
                "잘 보이지 않으면 <b>{cant_tell}</b>({cant_tell_key})를 고르세요. 이때 서브는 비워 두세요.",
                "<b>Submit</b>은 ctrl+enter(Mac: cmd+enter)입니다. <b>Skip</b>(ctrl+space, Mac: alt+enter)은 나중에 "
                "하겠다는 뜻이며, 그 사진은 다시 나옵니다. 남은 사진이 그것뿐이어서 바로 다시 나오면 {cant_tell}를 "
                "고르거나, 그대로 두고 목록에서 다른 사진을 여세요.",
                "내 라벨을 고치려면 사진을 다시 열어 고친 뒤 <b>Update</b>를 누르세요.",
                "사진 위의 노란 줄은 다시 돌아온 이유입니다. <b>돌아온 사진</b> 탭에서 사진을 직접 여는 것이 가장 "
                "빠릅니다. <b>Label All Tasks</b>는 탭과 상관없이 모든 사진을 차례로 보여 줍니다.",
            ),
            review="검수 방법 (검수자 전용)",
            review_lines=(
                "이름이 <b>검수</b>로 시작하는 탭에서 사진을 열고 작업자마다의 답을 확인하세요.",
                "답마다 <b>{accepted}</b>({accepted_key}) 또는 <b>{rejected}</b>({rejected_key})를 표시하고, 이유는 "
                "메모에 적으세요. 작업자가 고른 스타일은 그대로 두세요.",
                "<b>Update</b>를 누르세요. 승인된 답이 하나 있으면 그 답이 사진의 라벨이 됩니다.",
            ),
            styles="스타일",
            columns=("스타일", "특징", "키"),
        ),
    }
)


def style_guide(taxonomy: Taxonomy, language: Language = "en") -> str:
    """Write the project's instruction for experts as HTML, in tags that Label Studio lets through unchanged."""
    words, keys, own = _WORDINGS[language], hotkeys(taxonomy), own_answers(language)
    filled = {
        "not_fashion": own[NOT_FASHION],
        "not_fashion_key": keys[MAIN, NOT_FASHION],
        "cant_tell": own[CANT_TELL],
        "cant_tell_key": keys[MAIN, CANT_TELL],
        "accepted": own[ACCEPTED],
        "accepted_key": keys[REVIEW, ACCEPTED],
        "rejected": own[REJECTED],
        "rejected_key": keys[REVIEW, REJECTED],
    }
    rows = [_row("th", words.columns)]
    for label in taxonomy:
        name, line = shown_style(label, taxonomy, language)
        pressed = (key for key in (keys.get((MAIN, label)), keys.get((SUBS, label))) if key)
        rows.append(_row("td", (name, line, " / ".join(pressed))))
    return "\n".join(
        [
            f"<h3>{words.label}</h3>",
            *_numbered(line.format(**filled) for line in words.label_lines),
            f"<br><h3>{words.review}</h3>",
            *_numbered(line.format(**filled) for line in words.review_lines),
            f"<br><h3>{words.styles}</h3>",
            '<table cellpadding="4"><tbody>',
            *rows,
            "</tbody></table>",
        ]
    )


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    """Number lines in the text itself, as Label Studio's pages show lists without numbers."""
    return (f"<p><b>{number}.</b> {line}</p>" for number, line in enumerate(lines, 1))


def _row(tag: str, cells: tuple[str, str, str]) -> str:
    name, line, keys = (escape(cell, quote=False) for cell in cells)
    attributes = 'align="left" valign="top"'
    return (
        f"<tr><{tag} {attributes}>{name}</{tag}><{tag} {attributes}>{line}</{tag}>"
        f'<{tag} {attributes} nowrap="nowrap">{keys}</{tag}></tr>'
    )
