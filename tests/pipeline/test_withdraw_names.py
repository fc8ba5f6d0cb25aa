"""Authors are found under whatever spelling of their server a person gives."""

import pytest

from crawlers.identity import author_hmac
from pipeline.commands.withdraw import Asked, _named

KEY = b"a key of sixteen bytes or more"


@pytest.mark.parametrize(
    "server",
    [
        "social.example",
        "social.example:8443",
        "https://social.example",
        "http://social.example:8080/",
        "Social.Example",
    ],
)
def test_a_server_is_its_host(server: str) -> None:
    _, authors, _ = _named(Asked(authors=["@Mina"], server=server), KEY)
    assert authors == [author_hmac("mina", "social.example", KEY)]


def test_the_author_of_an_archive_keeps_its_name() -> None:
    _, authors, _ = _named(Asked(authors=["mina"], server="archive:photos"), KEY)
    assert authors == [author_hmac("mina", "archive:photos", KEY)]
