import contextlib
import threading
import time
from collections.abc import Iterator

import pytest

from labeling.studio.connection import Connection, StudioError, StudioNotFound
from labeling.studio.server import LABEL_STUDIO_VERSION, RunningServer

pytestmark = pytest.mark.integration


@pytest.fixture
def admin(label_studio: RunningServer) -> Iterator[Connection]:
    with label_studio.connection() as connection:
        yield connection


@contextlib.contextmanager
def personal_token(admin: Connection) -> Iterator[str]:
    """A personal access token of the admin, who can have one at a time."""
    token = admin.post("/api/token/", {})["token"]
    try:
        yield token
    finally:
        with contextlib.suppress(StudioNotFound):
            admin.post("/api/token/blacklist", {"refresh": token})


def test_version_and_users(label_studio: RunningServer, admin: Connection) -> None:
    assert admin.version() == LABEL_STUDIO_VERSION
    people = (label_studio.admin, *label_studio.experts, label_studio.reviewer)
    assert list(admin.users().values()) == [user.email for user in people]


def test_each_user_has_a_token(label_studio: RunningServer) -> None:
    for user in (label_studio.admin, *label_studio.experts, label_studio.reviewer):
        with label_studio.connection(user) as connection:
            assert connection.get("/api/current-user/whoami")["email"] == user.email


def test_a_personal_access_token_serves_until_it_is_revoked(label_studio: RunningServer, admin: Connection) -> None:
    with personal_token(admin) as token, Connection(label_studio.url, token) as connection:
        project = connection.post("/api/projects", {"title": "of a personal token"})
        assert connection.sdk.projects.get(project["id"]).title == "of a personal token"
        admin.post("/api/token/blacklist", {"refresh": token})
        with (
            Connection(label_studio.url, token) as later,
            pytest.raises(StudioError, match="was revoked or has expired") as error,
        ):
            later.users()
        assert token not in str(error.value)
        connection.delete(f"/api/projects/{project['id']}")


def test_the_list_shows_tokens_that_cannot_be_used_and_we_say_so(
    label_studio: RunningServer, admin: Connection
) -> None:
    with personal_token(admin):
        listed = admin.get("/api/token/")[0]["token"]
        with pytest.raises(StudioError, match="shortened personal access token"):
            Connection(label_studio.url, listed)


def test_a_wrong_token(label_studio: RunningServer) -> None:
    with (
        Connection(label_studio.url, "0" * 40) as connection,
        pytest.raises(StudioError, match=r"does not know the token \(Invalid token.\)"),
    ):
        connection.users()


def test_legacy_tokens_that_are_switched_off(label_studio: RunningServer, admin: Connection) -> None:
    switches = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": False}
    with personal_token(admin) as token, Connection(label_studio.url, token) as owner:
        owner.post("/api/jwt/settings", switches)
        try:
            with pytest.raises(StudioError, match="no longer takes legacy tokens"):
                admin.users()
        finally:
            owner.post("/api/jwt/settings", {**switches, "legacy_api_tokens_enabled": True})
    assert admin.users()


def test_what_is_deleted_is_told_apart(admin: Connection) -> None:
    project = admin.post("/api/projects", {"title": "soon gone"})["id"]
    admin.delete(f"/api/projects/{project}")
    for ask in (admin.get, admin.delete):
        with pytest.raises(StudioNotFound):
            ask(f"/api/projects/{project}")
    with pytest.raises(StudioNotFound):
        admin.sdk.projects.get(project)


def test_a_refusal_has_the_servers_words(admin: Connection) -> None:
    with pytest.raises(StudioError, match=r"status 400: title: Ensure this field has at least 3 characters."):
        admin.post("/api/projects", {"title": "a"})


def test_a_restart_in_the_middle_loses_nothing(label_studio: RunningServer, admin: Connection) -> None:
    project = admin.post("/api/projects", {"title": "before the restart"})["id"]
    answers: list[str] = []
    done = threading.Event()

    def keep_asking() -> None:
        with label_studio.connection() as connection:
            while not done.is_set():
                title = f"number {len(answers)}"
                connection.patch(f"/api/projects/{project}", {"title": title})
                answers.append(connection.get(f"/api/projects/{project}")["title"])

    asking = threading.Thread(target=keep_asking)
    asking.start()
    time.sleep(1)
    before = len(answers)
    label_studio.kill()
    label_studio.start()
    after = len(answers)
    time.sleep(2)
    done.set()
    asking.join(60)
    assert before > 0
    assert len(answers) > after
    assert answers == [f"number {number}" for number in range(len(answers))]
