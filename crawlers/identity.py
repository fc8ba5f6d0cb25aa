"""Handles of people as keyed hashes: the same person keeps the same value, and nobody can read the handle back."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import unquote

from crawlers.errors import CrawlError

KEY_VARIABLE = "STYLEGRAPH_HMAC_KEY"
_MINIMUM_KEY_BYTES = 16
_TOKEN = re.compile(r"[\x21-\x7e]+")
_MAKE_ONE = 'make one with: python -c "import secrets; print(secrets.token_hex(32))"'


def author_hmac(handle: str, server: str, key: bytes) -> str:
    """Hash a handle with a secret key.

    A handle without a server of its own (``name``) belongs to ``server``, one with (``name@elsewhere``) to that one, so
    a person seen from two servers stays one person. Letter case does not count.

    Args:
        handle: the account's name, with or without a leading ``@``.
        server: host that names without one belong to, or any name of the place that they are unique in.
        key: secret key, see :func:`key_from_env`.

    Returns:
        HMAC-SHA256 in lower-case hex, 64 characters.
    """
    name = handle.strip().removeprefix("@").casefold()
    full_name = name if "@" in name else f"{name}@{server.casefold()}"
    return hmac.new(key, full_name.encode(), hashlib.sha256).hexdigest()


def key_from_env(environment: Mapping[str, str]) -> bytes:
    """Read the secret key of :func:`author_hmac` from the environment.

    The value of ``STYLEGRAPH_HMAC_KEY`` is either hex of at least 32 characters or any text of at least 16 bytes.

    Raises:
        CrawlError: if there is no key, or it is too short.
    """
    text = environment.get(KEY_VARIABLE, "").strip()
    if not text:
        raise CrawlError(f"{KEY_VARIABLE} is not set, and authors are kept only as keyed hashes; {_MAKE_ONE}")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = text.encode()
    if len(key) < _MINIMUM_KEY_BYTES:
        raise CrawlError(f"{KEY_VARIABLE} is too short: {len(key)} bytes of at least {_MINIMUM_KEY_BYTES}; {_MAKE_ONE}")
    return key


def token_from_env(environment: Mapping[str, str], variable: str, source: str, server: str) -> str:
    """Read an access token from the environment.

    Raises:
        CrawlError: if there is none, or it holds what a header cannot; the message names the source and the variable.
    """
    token = environment.get(variable, "").strip()
    if not _TOKEN.fullmatch(token):
        raise CrawlError(f"source {source}: set {variable} to an access token of {server}")
    return token


def names_handle(address: str, handle: str | None) -> bool:
    """Say whether an address of a post names its author's handle, in any letter case, percent-encoded or not."""
    name = (handle or "").strip().lstrip("@").partition("@")[0].casefold()
    return bool(name) and name in unquote(address).casefold()
