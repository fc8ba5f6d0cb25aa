"""Accounts of the simulated experts on any Label Studio server that lets the demo invite them.

The Community edition's API makes users that cannot log in and gives nobody else's token. So each expert signs up by the
organization's invitation link, like people do, and fetches a token of their own when logged in.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from labeling.studio.client import is_loopback
from labeling.studio.connection import Connection, StudioError
from pipeline.demo.judgement import EXPERTS, REVIEWER

PASSWORDS_NAME = "label_studio_passwords.json"
_SIGNUP, _LOGIN = "/user/signup/", "/user/login/"


@dataclass(frozen=True)
class Person:
    """A user of the server, who can act there."""

    user_id: int
    email: str
    token: str = field(repr=False)  # legacy or personal access token


@dataclass(frozen=True)
class ExpertAccess:
    """The simulated experts and their reviewer."""

    experts: tuple[Person, Person]
    reviewer: Person


def expert_access(connection: Connection, folder: Path) -> ExpertAccess:
    """Give the simulated experts access to the server of ``connection``; make those who are missing there.

    Their passwords stand in ``folder``, in a file that only its owner can read.

    Raises:
        StudioError: an account exists already and its password is not in ``folder``, or the server lets nobody sign up.
    """
    known = set(connection.users().values())
    passwords = _passwords(folder / PASSWORDS_NAME)
    people = []
    for email in (*EXPERTS, REVIEWER):
        if email in known and email not in passwords:
            raise StudioError(
                f"{email} exists at {connection.url}, but its password is not in {folder / PASSWORDS_NAME}: use the "
                "folder of the demo that made it, or delete this user"
            )
        if email not in passwords:
            passwords[email] = secrets.token_urlsafe(24)
            _keep(passwords, folder / PASSWORDS_NAME)
        if email not in known:
            _sign_up(connection, email, passwords[email])
        people.append(_log_in(connection, email, passwords[email]))
    return ExpertAccess((people[0], people[1]), people[2])


def _passwords(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _keep(passwords: dict[str, str], path: Path) -> None:
    """Write the passwords before an account is made with them: no crash leaves an account that nobody can enter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(passwords, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sign_up(connection: Connection, email: str, password: str) -> None:
    invitation = connection.get("/api/invite")["token"]
    with _browser(connection.url) as browser:
        if not _submitted(browser, _SIGNUP, email, password, token=invitation):
            raise StudioError(
                f"{email} cannot sign up at {connection.url} by an invitation link: does this server take people from "
                "another login? The demo needs one where they can sign up, such as its own"
            )


def _log_in(connection: Connection, email: str, password: str) -> Person:
    with _browser(connection.url) as browser:
        if not _submitted(browser, _LOGIN, email, password):
            raise StudioError(
                f"{email} cannot log in at {connection.url}: its password is not that of this demo any more. Use "
                "another folder for the demo, or delete this user"
            )
        user = browser.get("/api/current-user/whoami").raise_for_status().json()
        return Person(int(user["id"]), email, _token(browser))


def _token(browser: httpx.Client) -> str:
    """Return the user's legacy token where the organization allows those, else a new personal access token."""
    settings = browser.get("/api/jwt/settings").raise_for_status().json()
    if settings["legacy_api_tokens_enabled"]:
        return str(browser.get("/api/current-user/token").raise_for_status().json()["token"])
    headers = {"X-CSRFToken": browser.cookies["csrftoken"]}
    for old in browser.get("/api/token/").raise_for_status().json():  # one at a time, and shown only when it is made
        body = {"refresh": old["token"]}
        browser.post("/api/token/blacklist/", json=body, headers=headers).raise_for_status()
    return str(browser.post("/api/token/", json={}, headers=headers).raise_for_status().json()["token"])


@contextlib.contextmanager
def _browser(url: str) -> Iterator[httpx.Client]:
    """Give a client that keeps a session, as a person's browser does; over https the server looks at the referrer.

    Raises StudioError for any other answer than expected; it names no address, as one holds the invitation.
    """
    local = is_loopback(httpx.URL(url).host)
    with httpx.Client(base_url=url, headers={"Referer": url}, timeout=60.0, trust_env=not local) as browser:
        try:
            yield browser
        except httpx.HTTPStatusError as error:
            path, status = error.request.url.path, error.response.status_code
            raise StudioError(f"{error.request.method} {path}: {url} answers {status}: see the server's log") from None
        except httpx.RequestError as error:
            raise StudioError(f"cannot reach {url} ({type(error).__name__}): start the server") from None


def _submitted(browser: httpx.Client, path: str, email: str, password: str, **query: str) -> bool:
    """Fill in a form with email and password; whether the server took it, and the session is the user's."""
    browser.get(path, params=query).raise_for_status()
    form = {"email": email, "password": password, "csrfmiddlewaretoken": browser.cookies.get("csrftoken", "")}
    return browser.post(path, params=query, data=form).is_redirect
