"""Ids that carry a time let a crawl pass over what lies outside its window, and no post of the window is lost by it."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawlers.networks.base import Page, Surroundings
from crawlers.networks.id_times import ENOUGH, SCHEMES, Seeker, id_at, id_time
from crawlers.networks.mastodon import MastodonNetwork, MastodonSource
from crawlers.posts import Post
from crawlers.windows import CrawlWindow
from tests.crawlers.network_memory import DictMemory

START = datetime(2024, 3, 1, tzinfo=UTC)
WINDOW = CrawlWindow("w", START, START + timedelta(days=7))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("scheme", "native_id", "moment"),
    [
        ("mastodon", "100000000000000000", datetime(2018, 5, 9, 15, 15, 6, 250000, tzinfo=UTC)),
        ("pixelfed", "668000000000000000", datetime(2024, 2, 27, 7, 53, 30, 839000, tzinfo=UTC)),
        ("ulid", "01ARZ3NDEKTSV4RRFFQ69G5FAV", datetime(2016, 7, 30, 23, 54, 10, 259000, tzinfo=UTC)),
        ("ulid", "01arz3ndektsv4rrffq69g5fav", datetime(2016, 7, 30, 23, 54, 10, 259000, tzinfo=UTC)),
    ],
)
def test_the_moment_of_an_id(scheme: str, native_id: str, moment: datetime) -> None:
    assert id_time(scheme, native_id) == moment
    assert id_time("ulid" if scheme != "ulid" else "mastodon", native_id) is None


@settings(deadline=None)
@given(
    st.sampled_from(sorted(SCHEMES)), st.datetimes(datetime(2019, 3, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
)
def test_the_smallest_id_of_a_moment_carries_it_and_ids_rise_with_time(scheme: str, moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    smallest = id_at(scheme, moment)
    assert id_time(scheme, smallest) == moment
    before = id_at(scheme, moment - timedelta(milliseconds=1))
    assert (len(before), before) < (len(smallest), smallest)


@pytest.mark.parametrize("text", ["", "x", "-5", "1.5", "٣", "0" * 26 + "U", "U" * 26, "99999999999999999999999", "²"])
def test_other_ids_carry_no_moment(text: str) -> None:
    assert all(id_time(scheme, text) is None for scheme in SCHEMES)


@dataclass
class Timeline:
    """A server that orders by id, newest first; ``refuses`` says what it does with an id that it never gave."""

    posts: list[tuple[str, datetime]]
    size: int = 40
    refuses: str | None = None
    order: Callable[[list[tuple[str, datetime]]], list[tuple[str, datetime]]] = list
    asked: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.posts = sorted(self.posts, key=lambda post: self.key(post[0]), reverse=True)
        self.given = {native_id for native_id, _ in self.posts}

    @staticmethod
    def key(native_id: str) -> tuple[int, str]:
        return len(native_id), native_id

    def answer(self, page: Page) -> tuple[int, list[dict[str, Any]]]:
        limit = dict(parse_qsl(urlsplit(page.url).query)).get("max_id")
        self.asked.append(limit)
        if limit is not None and limit not in self.given and self.refuses:
            return (200, []) if self.refuses == "empty" else (int(self.refuses), [])
        older = [post for post in self.posts if limit is None or self.key(post[0]) < self.key(limit)]
        return 200, [status(*post) for post in self.order(older[: self.size])]


def status(native_id: str, created_at: datetime) -> dict[str, Any]:
    return {
        "id": native_id,
        "created_at": created_at.isoformat(),
        "account": {"acct": "mina"},
        "tags": [{"name": "ootd"}],
        "media_attachments": [],
    }


def crawl(timeline: Timeline, *, seek: bool = True) -> tuple[set[str], int]:
    """Read a timeline as a crawl does; return the ids of the window's posts, and the number of requests."""
    source = MastodonSource(name="sns", server="https://sns.example", hashtags=("ootd",), seek=seek)
    crawler, memory = MastodonNetwork(source, _surroundings()), DictMemory()
    waiting, met = list(crawler.first_pages()), list[Post]()
    while waiting:
        page = Page(**json.loads(json.dumps(vars(waiting.pop()))))
        code, answer = timeline.answer(page)
        if code == 200:
            content = crawler.read_page(page, answer, {}, memory)
        else:
            refusal = crawler.read_refusal(page, code, None, memory)
            assert refusal is not None, "the page could not be read"
            content = refusal
        met += content.posts
        waiting += content.next_pages
        assert len(timeline.asked) < 5_000
    ids = {post.post_id.partition(":")[2] for post in met if post.created_at and WINDOW.contains(post.created_at)}
    return ids, len(timeline.asked)


def _surroundings() -> Surroundings:
    return Surroundings({"STYLEGRAPH_HMAC_KEY": "00" * 16}, WINDOW)


def regular(scheme: str = "mastodon", *, days: int = 120, per_day: int = 12) -> list[tuple[str, datetime]]:
    """Posts at regular moments around the window, most of them newer, with ids that carry the moment."""
    moments = [START - 30 * DAY + DAY * n / per_day for n in range(days * per_day)]
    return [(id_at(scheme, moment), moment) for moment in moments]


def wanted(posts: Sequence[tuple[str, datetime]]) -> set[str]:
    return {native_id for native_id, moment in posts if WINDOW.contains(moment)}


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_a_long_stretch_outside_the_window_is_passed_over(scheme: str) -> None:
    posts = regular(scheme, days=200, per_day=24)
    plain = crawl(Timeline(posts), seek=False)
    assert plain == (wanted(posts), len(posts) // 40 + 1)
    found, requests = crawl(Timeline(posts))
    assert found == wanted(posts)
    assert len(found) == 7 * 24
    # the pages until enough posts have agreed, those of the window and a day on both sides, and a few behind it
    assert requests <= ENOUGH // 40 + 9 * 24 // 40 + 1 + 3 + 1 < plain[1] / 5


@pytest.mark.parametrize("agreeing", [ENOUGH - 40, ENOUGH])
def test_nothing_is_passed_over_before_enough_posts_have_agreed(agreeing: int) -> None:
    newest = [(id_at("mastodon", moment), moment) for moment in (START + 300 * DAY + HOUR * n for n in range(agreeing))]
    # so many posts are newer than all others, and the rest of the timeline shows as many again, far from the window
    timeline = Timeline(newest)
    crawl(timeline)
    jumped = [limit for limit in timeline.asked if limit == id_at("mastodon", WINDOW.end + DAY)]
    assert len(jumped) == (1 if agreeing >= ENOUGH else 0)


@pytest.mark.parametrize("place", [0, 39, 200, 399])
@pytest.mark.parametrize("kind", ["late", "early", "other_form"])
def test_one_post_that_disagrees_among_the_first_means_plain_paging(place: int, kind: str) -> None:
    posts = sorted(regular(), key=lambda post: Timeline.key(post[0]), reverse=True)
    native_id, moment = posts[place]
    posts[place] = {
        "late": (native_id, moment - 2 * HOUR),
        "early": (native_id, moment + 2 * HOUR),
        "other_form": (f"{native_id}x", moment),
    }[kind]
    timeline = Timeline(posts)
    found, requests = crawl(timeline)
    assert found == wanted(posts)
    assert requests >= len(posts) // 40
    assert id_at("mastodon", WINDOW.end + DAY) not in timeline.asked


def test_a_post_within_an_hour_of_its_id_agrees() -> None:
    posts = [(native_id, moment - HOUR + timedelta(seconds=1)) for native_id, moment in regular(days=200)]
    found, requests = crawl(Timeline(posts))
    assert found == wanted(posts)
    assert requests < len(posts) // 40 / 2


def test_a_disagreement_met_after_the_jump_leads_back_to_where_it_began() -> None:
    """Inside the window a post says that ids are times of arrival; a window's post that arrived late is still met."""
    posts = regular()
    odd = next(n for n, (_, moment) in enumerate(posts) if moment == START + 3 * DAY)
    posts[odd] = (posts[odd][0], posts[odd][1] - 2 * HOUR)
    late = (id_at("mastodon", START + 30 * DAY + timedelta(minutes=7)), START + DAY)  # posted then, arrived long after
    timeline = Timeline([*posts, late])
    found, _ = crawl(timeline)
    assert found == wanted([*posts, late])
    assert late[0] in found
    assert id_at("mastodon", WINDOW.end + DAY) in timeline.asked


@pytest.mark.parametrize("refuses", ["empty", "404", "400", "422"])
def test_a_server_that_takes_no_id_which_it_has_not_given_is_read_plainly(refuses: str) -> None:
    posts = [(str(int(native_id) + 1), moment) for native_id, moment in regular()]  # none has the id that is jumped to
    timeline = Timeline(posts, refuses=refuses)
    found, requests = crawl(timeline)
    assert found == wanted(posts)
    assert timeline.asked.count(id_at("mastodon", WINDOW.end + DAY)) == 1
    assert len(posts) // 40 + 1 <= requests <= len(posts) // 40 + 3


@pytest.mark.parametrize("code", [401, 403, 500])
def test_other_refusals_are_not_put_down_to_the_jump(code: int) -> None:
    with pytest.raises(AssertionError, match="could not be read"):
        crawl(Timeline([(str(int(i) + 1), moment) for i, moment in regular()], refuses=str(code)))


def test_a_refusal_before_the_jump_or_after_the_landing_is_not_foreseen() -> None:
    source = MastodonSource(name="sns", server="https://sns.example", hashtags=("ootd",))
    crawler, memory = MastodonNetwork(source, _surroundings()), DictMemory()
    (page,) = crawler.first_pages()
    assert crawler.read_refusal(page, 404, None, memory) is None
    memory.keep(page.timeline, {"jumped_from": {"max_id": "7"}, "landed": True})
    assert crawler.read_refusal(page, 404, None, memory) is None
    memory.keep(page.timeline, {"jumped_from": {"max_id": "7"}})
    content = crawler.read_refusal(page, 404, None, memory)
    assert content is not None
    assert [following.url.partition("max_id=")[2] for following in content.next_pages] == ["7"]
    assert crawler.read_refusal(page, 404, None, memory) is None  # once


def test_a_timeline_that_ends_above_the_window_is_read_to_its_end() -> None:
    moments = [START + 30 * DAY + HOUR * n for n in range(1_000)]
    timeline = Timeline([(id_at("mastodon", moment), moment) for moment in moments])
    assert crawl(timeline) == (set(), 27)  # 25 pages, an empty one, and the empty one behind the jump


def test_a_window_at_the_newest_end_is_left_three_pages_below_it() -> None:
    posts = [post for post in regular(per_day=48) if post[1] < WINDOW.end]
    found, requests = crawl(Timeline(posts))
    assert found == wanted(posts)
    assert requests <= ENOUGH // 40 + 3
    assert requests < len(posts) // 40


def test_pages_in_any_order_are_never_passed_over() -> None:
    shuffle = random.Random(5).shuffle

    def order(posts: list[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
        shuffle(posts)
        return posts

    posts = regular(days=90)
    timeline = Timeline(posts, order=order)
    found, requests = crawl(timeline)
    assert found == wanted(posts)
    assert requests >= len(posts) // 40


@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_every_post_of_the_window_is_met_whatever_the_server_does(data: st.DataObject) -> None:
    """Any scheme and page size, pages in any order, some posts whose ids are no times at all among the newest."""
    seed = data.draw(st.integers(0, 10**6))
    rng = random.Random(seed)
    scheme = data.draw(st.sampled_from(sorted(SCHEMES)))
    size = data.draw(st.integers(15, 80))
    newer = data.draw(st.integers(0, 700))
    shuffled = data.draw(st.booleans())
    odd = data.draw(st.integers(0, 2))
    moments = [START - 20 * DAY * rng.random() for _ in range(rng.randrange(200))]
    moments += [START + 7 * DAY * rng.random() for _ in range(rng.randrange(120))]
    moments += [WINDOW.end + 200 * DAY * rng.random() for _ in range(newer)]
    posts = {id_at(scheme, moment): moment for moment in moments}
    newest = sorted(posts, key=Timeline.key, reverse=True)[: ENOUGH - size]
    for native_id in rng.sample(newest, min(odd, len(newest))):  # met before anything could be passed over
        posts[native_id] = START + 7 * DAY * rng.random()

    def order(page: list[tuple[str, datetime]]) -> list[tuple[str, datetime]]:
        return rng.sample(page, len(page)) if shuffled else page

    refuses = data.draw(st.sampled_from([None, "empty", "404"]))
    timeline = Timeline(list(posts.items()), size=size, refuses=refuses, order=order)
    assert crawl(timeline)[0] == wanted(list(posts.items()))


def test_the_state_of_a_jump_survives_json() -> None:
    seeker, state = Seeker(WINDOW), dict[str, Any]()
    posts = [(id_at("mastodon", START + 90 * DAY + HOUR * n), START + 90 * DAY + HOUR * n) for n in range(ENOUGH)]
    cursor = {"max_id": posts[0][0]}
    assert seeker.steer(state, posts, [cursor]) == [{"max_id": id_at("mastodon", WINDOW.end + DAY)}]
    state = json.loads(json.dumps(state))
    assert Seeker.landing(state)
    assert seeker.steer(state, [], []) == [cursor]
    assert not Seeker.landing(state)
    assert seeker.steer(state, posts, [cursor]) == [cursor]  # nothing is passed over any more
