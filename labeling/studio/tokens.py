"""The two kinds of token that Label Studio gives out, and the header that each is sent as."""

import base64
import binascii
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from labeling.studio.errors import NEW_TOKEN, TOKEN_VARIABLE, StudioError

HIDDEN = "[token]"
EARLY = 30.0  # seconds before its end that an access token is renewed
DEFAULT_LIFE = 60.0  # seconds that an access token serves if it does not say


class Token(Protocol):
    """Signs requests."""

    def header(self, exchange: Callable[[str], str]) -> str:
        """Return the Authorization header; ``exchange`` turns a refresh token into an access token on the server."""

    def forget(self, header: str) -> bool:
        """Take note that the server refused a header; return whether the next one can be another."""

    def hide(self, text: str) -> str:
        """Return a text without any part of the token."""


def parse_token(text: str) -> Token:
    """Return the token that a person pasted. Raises StudioError if it cannot be one; no message repeats it."""
    text = text.strip()
    if not re.fullmatch(r"[!-~]+", text):
        raise StudioError(f"{TOKEN_VARIABLE} is empty or has spaces or other characters that no token has: {NEW_TOKEN}")
    claims = _claims(text)
    if claims is None:
        return LegacyToken(text)
    if text.count(".") != 2:
        raise StudioError(
            f"{TOKEN_VARIABLE} is the shortened personal access token of the list: the whole one is shown once, when "
            "it is created; revoke this one and create another"
        )
    if claims.get("token_type") != "refresh":
        raise StudioError(f"{TOKEN_VARIABLE} is an access token, which ends within minutes: {NEW_TOKEN}")
    return PersonalToken(text)


class LegacyToken:
    """A token without an end that is sent as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def header(self, exchange: Callable[[str], str]) -> str:
        """Return ``Token …``."""
        return f"Token {self._text}"

    def forget(self, header: str) -> bool:
        """Return False: there is no other."""
        return False

    def hide(self, text: str) -> str:
        """Return a text without the token."""
        return text.replace(self._text, HIDDEN)


class PersonalToken:
    """A personal access token: it is never sent with a request, but exchanged for access tokens that live minutes."""

    def __init__(self, text: str) -> None:
        self._refresh = text
        self._lock = threading.Lock()
        self._access = ""
        self._renew_at = 0.0

    def header(self, exchange: Callable[[str], str]) -> str:
        """Return ``Bearer …`` with an access token that still lives; one thread exchanges while others wait."""
        with self._lock:
            if not self._access or time.monotonic() >= self._renew_at:
                self._access = exchange(self._refresh)
                self._renew_at = time.monotonic() + _life(self._access)
            return f"Bearer {self._access}"

    def forget(self, header: str) -> bool:
        """Drop the access token of a refused header, unless another thread has renewed it since; return True."""
        with self._lock:
            if header == f"Bearer {self._access}":
                self._access = ""
        return True

    def hide(self, text: str) -> str:
        """Return a text without the token and without anything else that looks like a JSON web token."""
        return re.sub(r"eyJ[\w-]+\.[\w-]+(\.[\w-]*)?", HIDDEN, text.replace(self._refresh, HIDDEN))


def _life(access: str) -> float:
    """Return for how many seconds to use a new access token: by its own dates, as our clock may differ."""
    claims = _claims(access) or {}
    try:
        life = float(claims["exp"]) - float(claims["iat"])
    except (KeyError, TypeError, ValueError):
        life = DEFAULT_LIFE
    return life - min(EARLY, life / 2)


def _claims(text: str) -> dict[str, Any] | None:
    """Return what a JSON web token says, unverified; None if it is none."""
    parts = text.split(".")
    if len(parts) not in (2, 3):
        return None
    try:
        content = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    return content if isinstance(content, dict) else None
