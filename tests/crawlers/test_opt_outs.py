"""Signs by which people and servers ask to be left out, in every form that they come in."""

import pytest

from crawlers.opt_outs import profile_opt_out, robots_tag_refusal, tag_opt_out, tdm_refusal


@pytest.mark.parametrize(
    ("values", "directive"),
    [
        ([], None),
        ([""], None),
        (["all"], None),
        (["nofollow, noarchive, nosnippet"], None),
        (["noai"], "noai"),
        (["NoAI"], "noai"),
        (["NOIMAGEAI"], "noimageai"),
        (["noindex"], "noindex"),
        (["noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["nofollow,noai"], "noai"),
        (["nofollow ,  NoIndex , max-snippet:5"], "noindex"),
        (["nofollow", "noai"], "noai"),
        (["stylegraph: noai"], "noai"),
        (["StyleGraph : NOAI"], "noai"),
        (["*: noindex"], "noindex"),
        (["googlebot: noindex"], None),
        (["googlebot: nofollow, noindex"], None),  # the name holds until the end of the header
        (["googlebot: noindex", "noai"], "noai"),  # and not in the next one
        (["googlebot: noindex, stylegraph: noindex"], "noindex"),
        (["stylegraph: nofollow, noindex"], "noindex"),
        (["stylegraph: nofollow, otherbot: noindex"], None),
        (["other-bot_2.0: noindex"], None),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], None),
        (["unavailable_after: Friday, 25-Jun-10 15:00:00 PST, noai"], "noai"),
        (["googlebot: unavailable_after: 25 Jun 2010 15:00:00 PST, noai"], None),
        (["max-image-preview: none"], None),
        (["max-snippet: 20, noimageai"], "noimageai"),
        (["noaix, xnoai, no ai"], None),
    ],
)
def test_what_x_robots_tag_says_of_a_picture(values: list[str], directive: str | None) -> None:
    assert robots_tag_refusal(values) == directive


@pytest.mark.parametrize(
    ("values", "directive"),
    [
        (["noindex, none, noimageindex"], None),  # an API is in no index anyway
        (["noindex, noai"], "noai"),
        (["*: NoImageAI"], "noimageai"),
        (["otherbot: noai"], None),
    ],
)
def test_what_x_robots_tag_says_of_an_answer_of_an_api(values: list[str], directive: str | None) -> None:
    assert robots_tag_refusal(values, ai_only=True) == directive


@pytest.mark.parametrize(
    ("values", "refused"),
    [([], False), (["0"], False), (["1"], True), ([" 1 "], True), (["0", "1"], True), (["x"], False)],
)
def test_a_reservation_of_text_and_data_mining(values: list[str], refused: bool) -> None:
    assert tdm_refusal(values) is refused


def test_signs_among_hashtags() -> None:
    assert tag_opt_out(["ootd", "botany", "aiart"]) is None
    assert tag_opt_out(["ootd", "noindex", "nobot"]) == "#nobot"
    for tag in ("noai", "noaitraining", "nobot", "nobots", "noindex", "noarchive"):
        assert tag_opt_out([tag]) == f"#{tag}"


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("", None),
        ("no bots please", None),
        ("#nobot", "profile: #nobot"),
        ("Hats. #NoBot!", "profile: #nobot"),
        ("＃NoAI", "profile: #noai"),
        ("#nobotany #noaix", None),
        (
            '<p>hats<br/><a href="https://x/tags/nobot" class="hashtag" rel="tag">#<span>nobot</span></a></p>',
            "profile: #nobot",
        ),
        ('<a href="https://x/#nobot">hats</a>', None),  # an address says nothing
        ("<p>#noindex</p><p>#noarchive</p>", "profile: #noarchive"),
    ],
)
def test_signs_in_a_profile(text: str, sign: str | None) -> None:
    assert profile_opt_out(text) == sign
