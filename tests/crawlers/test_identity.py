"""Handles never reach a table, not even inside an address."""

import pytest

from crawlers.identity import names_handle


@pytest.mark.parametrize(
    ("address", "handle", "named"),
    [
        ("https://sns.example/@Mina/1", "mina", True),
        ("https://sns.example/users/%6Dina/statuses/1", "@mina@sns.example", True),
        ("https://sns.example/statuses/1", "mina", False),
        ("https://sns.example/@jo/1", None, False),
    ],
)
def test_an_address_that_names_its_author_is_known(address: str, handle: str | None, named: bool) -> None:
    assert names_handle(address, handle) is named
