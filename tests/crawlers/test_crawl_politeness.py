from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from crawlers.addresses import PublicAddressResolver, is_public, url_refusal
from crawlers.politeness import pause_wanted, user_agent

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


class _Names:
    """A resolver that knows one name, with a public and a private address."""

    def resolveHostName(self, receiver: Any, *_: Any) -> None:  # noqa: N802
        receiver.resolutionBegan(None)
        for host in ("10.0.0.1", "8.8.8.8"):
            receiver.addressResolved(SimpleNamespace(host=host))
        receiver.resolutionComplete()


class _Receiver:
    def __init__(self) -> None:
        self.hosts: list[str] = []
        self.complete = False

    def resolutionBegan(self, _: Any) -> None:  # noqa: N802
        pass

    def addressResolved(self, address: Any) -> None:  # noqa: N802
        self.hosts.append(address.host)

    def resolutionComplete(self) -> None:  # noqa: N802
        self.complete = True


@pytest.mark.parametrize(
    ("name", "hosts"), [("Mixed.example.", ["8.8.8.8"]), ("inside.example", ["10.0.0.1", "8.8.8.8"])]
)
def test_only_public_addresses_of_a_name_are_connected_to(name: str, hosts: list[str]) -> None:
    reactor = SimpleNamespace(nameResolver=_Names())
    resolver = PublicAddressResolver(reactor, frozenset({"inside.example"}))
    receiver: Any = _Receiver()
    resolver.resolveHostName(receiver, name)
    assert receiver.hosts == hosts
    assert receiver.complete
    assert resolver.refused == ({} if name.startswith("inside") else {"mixed.example": "10.0.0.1"})
