import asyncio
import socket
import time
from datetime import UTC, datetime

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from scrapy import Request

from crawlers.addresses import ForbiddenAddressError, PublicResolver, is_public, url_refusal
from crawlers.politeness import HostClock, Trail, pause_wanted, user_agent

NOW = datetime(2019, 7, 3, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"retry-after": "7"}, 7),
        (503, {"retry-after": "7"}, 7),
        (429, {"retry-after": "Wed, 03 Jul 2019 12:00:30 GMT"}, 30),
        (429, {"retry-after": "2", "x-ratelimit-reset": "9"}, 2),
        (429, {"x-ratelimit-reset": "2019-07-03T12:05:00.000000Z"}, 300),
        (429, {"x-ratelimit-reset": "2019-07-03T21:05:00+09:00"}, 300),
        (429, {"x-ratelimit-reset": str(int(NOW.timestamp()) + 60)}, 60),
        (429, {"ratelimit-reset": "45"}, 45),
        (429, {"x-ratelimit-reset": "2019-07-03T11:00:00Z"}, 0),
        (429, {"retry-after": "soon"}, None),
        (429, {"retry-after": "nan"}, None),
        (429, {"retry-after": "-5"}, None),
        (429, {}, None),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2019-07-03T12:01:00Z"}, 60),
        (200, {"x-ratelimit-remaining": "12", "x-ratelimit-reset": "2019-07-03T12:01:00Z"}, None),
        (503, {"x-ratelimit-remaining": "12", "x-ratelimit-reset": "2019-07-03T12:01:00Z"}, None),
        (200, {"retry-after": "60"}, None),
    ],
)
def test_the_wait_that_a_server_asks_for(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert pause_wanted(status, headers, NOW) == seconds


def test_the_user_agent_names_whom_to_write_to() -> None:
    assert user_agent("mailto:crawl@example.org") == "stylegraph/0.1 (+mailto:crawl@example.org)"
    assert user_agent(None) == "stylegraph/0.1"


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://sns.example/a.jpg", None),
        ("http://127.0.0.1:8000/a.jpg", None),  # allowed below
        ("http://127.0.0.2/a.jpg", "forbidden_address"),
        ("http://[::1]/a.jpg", "forbidden_address"),
        ("http://[fe80::1%25eth0]/a.jpg", "forbidden_address"),
        ("http://me@sns.example/a.jpg", "bad_url"),
        ("http://:pw@sns.example/a.jpg", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("javascript:alert(1)", "bad_url"),
        ("//sns.example/a.jpg", "bad_url"),
        ("http:///a.jpg", "bad_url"),
        ("http://[::1/a.jpg", "bad_url"),
        ("http://sns.example:0/a.jpg", "bad_url"),
        ("http://sns.example:x/a.jpg", "bad_url"),
        ("http://sns.example/" + "a" * 9_000, "bad_url"),
        ("", "bad_url"),
    ],
)
def test_addresses_are_looked_at_before_anything_is_asked(url: str, reason: str | None) -> None:
    refusal = url_refusal(url, frozenset({"127.0.0.1"}))
    assert (refusal and refusal[0]) == reason


class _Names(AbstractResolver):
    """Knows the addresses of any name."""

    def __init__(self, *hosts: str) -> None:
        self.hosts, self.closed = hosts, False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.hosts
        ]

    async def close(self) -> None:
        self.closed = True


def resolved(name: str, *hosts: str) -> list[str]:
    async def resolve() -> list[str]:
        names = _Names(*hosts)
        resolver = PublicResolver(frozenset({"inside.example"}), names)
        found = await resolver.resolve(name, 80)
        await resolver.close()
        assert names.closed
        return [entry["host"] for entry in found]

    return asyncio.run(resolve())


def test_only_public_addresses_of_a_name_are_connected_to() -> None:
    assert resolved("Mixed.example.", "10.0.0.1", "8.8.8.8") == ["8.8.8.8"]
    assert resolved("Inside.example.", "10.0.0.1", "8.8.8.8") == ["10.0.0.1", "8.8.8.8"]
    assert resolved("none.example") == []
    with pytest.raises(ForbiddenAddressError, match=r"inward.example has the address 10\.0\.0\.1, which is not public"):
        resolved("inward.example", "10.0.0.1", "::1")


def test_a_server_is_asked_at_its_pace_and_left_alone_while_it_rests() -> None:
    async def turns() -> tuple[list[float], frozenset[str], frozenset[str]]:
        clock, moments = HostClock(), []
        began = time.monotonic()
        for _ in range(3):
            await clock.turn("a.example", 0.1)
            moments.append(time.monotonic() - began)
        clock.slow_down("b.example", 0.15)  # a pace of robots.txt is kept, also if the settings allow a faster one
        for _ in range(2):
            await clock.turn("b.example", 0.0)
        moments.append(time.monotonic() - began)
        clock.leave_alone("c.example", 60)
        clock.leave_alone("c.example", 1)  # a shorter pause does not shorten a longer one
        clock.leave_alone("d.example", 0.2)
        before = clock.resting()
        await clock.turn("d.example", 0.0)
        moments.append(time.monotonic() - began)
        return moments, before, clock.resting(55)

    moments, resting, long = asyncio.run(turns())
    assert moments[0] < 0.1 <= moments[1] < 0.2 <= moments[2]
    assert moments[3] >= moments[2] + 0.15
    assert moments[4] >= moments[3] + 0.2
    assert resting == long == {"c.example"}


def test_a_redirect_is_part_of_a_try() -> None:
    request = Request("https://a.example/")
    trail = Trail.of(request)
    for redirects in (0, 1, 1, 2):
        trail.follow(redirects)
        trail.note("http_302")
    assert trail.attempts == 2
    assert Trail.of(request.replace(url="https://b.example/")) is trail
