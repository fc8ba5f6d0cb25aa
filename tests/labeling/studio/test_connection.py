import contextlib
import itertools
import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from misbehaving import Answer, Misbehaving, jwt, misbehaving

from labeling.errors import LabelingError
from labeling.studio.connection import Connection, StudioError, StudioNotFound

Connect = Callable[..., Connection]
LEGACY = "5ec3e7" * 6 + "abcd"
REFRESH = jwt(1, token_type="refresh", exp=8_000_000_000, iat=1_700_000_000)


def access(number: int, life: float = 300.0) -> str:
    return jwt(number, token_type="access", iat=1_000.0, exp=1_000.0 + life)  # dates of a clock that is far behind ours


@pytest.fixture
def server() -> Iterator[Misbehaving]:
    with misbehaving() as running:
        yield running


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connects to a server or an address; connections are closed at the end."""
    with contextlib.ExitStack() as stack:

        def connect(place: Misbehaving | str, token: str = LEGACY, **options: Any) -> Connection:
            url = place if isinstance(place, str) else place.url
            return stack.enter_context(Connection(url, token, **{"backoff": 0.01, "timeout": 5.0, **options}))

        yield connect


def message(error: pytest.ExceptionInfo[StudioError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


class TestAnswers:
    def test_json_comes_back_and_the_token_is_sent(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(body=[1, 2]))
        assert connect(server).get("/api/things", page=2) == [1, 2]
        assert server.asked[0].headers["Authorization"] == f"Token {LEGACY}"

    def test_an_answer_without_content_is_none(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(204, ""))
        assert connect(server).post("/api/things", {}) is None

    def test_users_and_version(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(body=[{"id": 3, "email": "expert-1@example.invalid", "username": "x"}]))
        server.answer("/api/version", Answer(body={"release": "1.23.2"}))
        connection = connect(server)
        assert connection.users() == {3: "expert-1@example.invalid"}
        assert connection.version() == "1.23.2"

    def test_no_session_of_the_server_is_kept(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/version", Answer(body={"release": "1"}, headers={"Set-Cookie": "sessionid=abc; Path=/"}))
        connection = connect(server)
        connection.version()
        connection.version()
        assert server.asked[1].headers["Cookie"] is None

    def test_the_sdk_has_the_same_token_retries_and_errors(self, connect: Connect, server: Misbehaving) -> None:
        project = {"id": 7, "title": "Fashion styles"}
        server.answer("/api/projects/7/", Answer(502, "bad gateway"), Answer(body=project))
        connection = connect(server)
        assert connection.sdk.projects.get(7).title == "Fashion styles"
        assert [asked.headers["Authorization"] for asked in server.asked] == [f"Token {LEGACY}"] * 2
        with pytest.raises(StudioNotFound):
            connection.sdk.projects.get(8)


class TestRepetition:
    def test_500_twice_then_good(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(500, {"detail": "busy"}), Answer(503, "<html>"), Answer(body={"ok": 1}))
        assert connect(server).get("/api/things") == {"ok": 1}

    def test_waits_grow(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", *[Answer(500)] * 3, Answer())
        connect(server, backoff=0.1).get("/api/things")
        times = [asked.at for asked in server.asked]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert waits == [pytest.approx(wait, abs=0.08) for wait in (0.1, 0.2, 0.4)]

    def test_retry_after_is_waited_for(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(429, {}, {"Retry-After": "1"}), Answer(body={"ok": 1}))
        started = time.monotonic()
        assert connect(server).get("/api/things") == {"ok": 1}
        assert time.monotonic() - started >= 1.0

    def test_a_post_is_repeated_after_429_as_it_was_not_acted_on(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(429), Answer(201, {"ok": 1}))
        assert connect(server).post("/api/things", {"a": 1}) == {"ok": 1}
        assert [asked.body for asked in server.asked] == [{"a": 1}] * 2

    @pytest.mark.parametrize("answer", [Answer(500), Answer(cut=True), Answer(delay=1.0)])
    def test_a_post_that_may_have_been_acted_on_is_sent_once(
        self, connect: Connect, server: Misbehaving, answer: Answer
    ) -> None:
        server.answer("/api/things", answer)
        with pytest.raises(StudioError):
            connect(server, timeout=0.2).post("/api/things", {})
        assert len(server.asked) == 1

    @pytest.mark.parametrize("answer", [Answer(500), Answer(cut=True), Answer(delay=1.0)])
    def test_a_post_is_repeated_where_the_caller_says_so(
        self, connect: Connect, server: Misbehaving, answer: Answer
    ) -> None:
        server.answer("/api/things", answer, Answer(body={"ok": 1}))
        assert connect(server, timeout=0.2).post("/api/things", {}, retry=True) == {"ok": 1}

    def test_a_cut_patch_is_repeated(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/tasks/1", Answer(cut=True), Answer(body={"id": 1}))
        assert connect(server).patch("/api/tasks/1", {"overlap": 3}) == {"id": 1}

    def test_a_delete_whose_answer_was_lost_is_no_error(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/tasks/1", Answer(cut=True), Answer(404, {"detail": "No Task matches the given query."}))
        connect(server).delete("/api/tasks/1")

    def test_a_delete_of_nothing_is_an_error(self, connect: Connect, server: Misbehaving) -> None:
        with pytest.raises(StudioNotFound):
            connect(server).delete("/api/tasks/1")

    def test_a_server_that_starts_late_is_waited_for(self, connect: Connect) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        connection = connect(f"http://127.0.0.1:{port}", LEGACY, backoff=0.1)
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(connection.post("/api/things", {"a": 1})))
        thread.start()
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port)) as late:
            client, _ = late.accept()
            with client:
                client.recv(65536)
                client.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"ok":1}')
                thread.join(5)
        assert results == [{"ok": 1}]


class TestErrors:
    def test_server_down(self, connect: Connect) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        with pytest.raises(StudioError) as error:
            connect(url, LEGACY, retries=2, backoff=0.01).users()
        text = message(error)
        assert f"cannot reach {url}" in text
        assert "tried 3 times in 0." in text
        assert "STYLEGRAPH_LABEL_STUDIO_URL" in text

    def test_slow_server(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(delay=1.0))
        with pytest.raises(StudioError) as error:
            connect(server, timeout=0.1).users()
        assert "labels.timeout" in message(error)
        assert len(server.asked) == 3

    def test_a_server_that_keeps_failing(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(500, {"detail": "database is locked"}))
        with pytest.raises(StudioError, match=r"GET /api/users: .* status 500 \(database is locked; tried 3 times"):
            connect(server, retries=2).users()

    def test_too_many_requests_for_ever(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(429))
        with pytest.raises(StudioError, match=r"asked too often.*wait some minutes"):
            connect(server, retries=1).users()

    @pytest.mark.parametrize(
        ("detail", "advice"),
        [
            ("Invalid token.", "Account & Settings > Personal Access Token or Legacy Token"),
            ("Authentication token no longer valid: legacy token authentication has been disabled for this "
             "organization", "Personal Access Token into STYLEGRAPH_LABEL_STUDIO_TOKEN, or let an owner allow legacy"),
        ],
    )  # fmt: skip
    def test_refused_token(self, connect: Connect, server: Misbehaving, detail: str, advice: str) -> None:
        server.answer("/api/users", Answer(401, {"detail": detail, "status_code": 401}))
        with pytest.raises(StudioError) as error:
            connect(server).users()
        assert advice in message(error)
        assert len(server.asked) == 1

    def test_forbidden(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(403, {"detail": "You do not have permission to perform this action."}))
        with pytest.raises(
            StudioError, match=r"GET /api/users: .*does not allow this.*use the token of someone who may"
        ):
            connect(server).users()

    def test_not_found_can_be_told_apart(self, connect: Connect, server: Misbehaving) -> None:
        with pytest.raises(StudioNotFound, match="GET /api/projects/9: not found"):
            connect(server).get("/api/projects/9")

    def test_validation_messages_come_in_one_line(self, connect: Connect, server: Misbehaving) -> None:
        errors = {"title": ["Too\nshort.", "Taken."], "label_config": {"line": ["unclosed token"]}}
        server.answer("/api/projects", Answer(400, {"detail": "Validation error", "validation_errors": errors}))
        with pytest.raises(StudioError) as error:
            connect(server).post("/api/projects", {})
        assert message(error).endswith("status 400: title: Too short., Taken.; label_config: line: unclosed token")

    def test_a_page_instead_of_json(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(200, "<html>Sign in</html>", {"Content-Type": "text/html; charset=utf-8"}))
        with pytest.raises(StudioError, match=r"the answer is text/html instead of JSON.*STYLEGRAPH_LABEL_STUDIO_URL"):
            connect(server).users()

    def test_text_that_is_no_http(self, connect: Connect) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:

            def greet() -> None:
                client, _ = other.accept()
                with client:
                    client.recv(65536)
                    client.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")

            thread = threading.Thread(target=greet)
            thread.start()
            url = f"http://127.0.0.1:{other.getsockname()[1]}"
            with pytest.raises(StudioError, match="no usable answer"):
                connect(url, LEGACY, retries=0).users()
            thread.join()

    def test_https_to_a_server_without_it(self, connect: Connect, server: Misbehaving) -> None:
        with pytest.raises(StudioError, match=r"cannot reach https.*SSL.*tried once"):
            connect(server.url.replace("http:", "https:"), LEGACY).users()


class TestRedirects:
    def test_within_the_server_a_get_follows(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(301, {}, {"Location": "/api/users/"}))
        server.answer("/api/users/", Answer(body=[]))
        assert connect(server).users() == {}

    def test_another_server_never_sees_the_token(self, connect: Connect, server: Misbehaving) -> None:
        with misbehaving() as other:
            server.answer("/api/users", Answer(302, {}, {"Location": f"{other.url}/api/users?secret=1"}))
            with pytest.raises(StudioError) as error:
                connect(server).users()
            assert not other.asked
            assert f"redirects to {other.url}, where the token is not sent" in message(error)
            assert "secret" not in message(error)

    def test_a_post_is_not_turned_into_a_get(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/things", Answer(302, {}, {"Location": "/user/login/?next=/api/things"}))
        with pytest.raises(StudioError, match="sends us on to /user/login/: is there a login page"):
            connect(server).post("/api/things", {})
        assert len(server.asked) == 1

    def test_a_circle_ends(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/users", Answer(302, {}, {"Location": "/api/users"}))
        with pytest.raises(StudioError, match="sends us on to /api/users"):
            connect(server).users()


class TestPersonalToken:
    def test_it_is_exchanged_once_and_never_sent_with_a_request(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(body={"access": access(1)}))
        server.answer("/api/users", Answer(body=[]))
        connection = connect(server, REFRESH)
        connection.users()
        connection.users()
        assert [asked.body for asked in server.of("/api/token/refresh")] == [{"refresh": REFRESH}]
        assert [asked.headers["Authorization"] for asked in server.of("/api/users")] == [f"Bearer {access(1)}"] * 2

    def test_an_expired_access_token_is_renewed(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(body={"access": access(1)}), Answer(body={"access": access(2)}))
        server.answer("/api/things", Answer(401, {"detail": "Given token not valid"}), Answer(201, {"ok": 1}))
        assert connect(server, REFRESH).post("/api/things", {}) == {"ok": 1}
        sent = [asked.headers["Authorization"] for asked in server.of("/api/things")]
        assert sent == [f"Bearer {access(1)}", f"Bearer {access(2)}"]

    def test_it_is_renewed_before_its_end(self, connect: Connect, server: Misbehaving) -> None:
        server.answer(
            "/api/token/refresh", Answer(body={"access": access(1, life=0.4)}), Answer(body={"access": access(2)})
        )
        server.answer("/api/users", Answer(body=[]))
        connection = connect(server, REFRESH)
        connection.users()
        time.sleep(0.25)
        connection.users()
        assert server.of("/api/users")[-1].headers["Authorization"] == f"Bearer {access(2)}"

    def test_a_server_that_never_takes_it_is_asked_twice(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(body={"access": access(1)}))
        server.answer("/api/users", Answer(401, {"detail": "Authentication credentials were not provided."}))
        with pytest.raises(StudioError, match="does not know the token"):
            connect(server, REFRESH).users()
        assert len(server.of("/api/users")) == 2

    def test_revoked(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(401, {"detail": "Token is blacklisted"}))
        with pytest.raises(StudioError, match="was revoked or has expired: copy one under Account & Settings"):
            connect(server, REFRESH).users()
        assert len(server.asked) == 1

    def test_a_failing_exchange_is_repeated_even_for_a_post(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(502, "no"), Answer(cut=True), Answer(body={"access": access(1)}))
        server.answer("/api/things", Answer(201, {"ok": 1}))
        assert connect(server, REFRESH).post("/api/things", {}) == {"ok": 1}
        assert len(server.of("/api/things")) == 1

    def test_threads_share_one_exchange(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(body={"access": access(1)}, delay=0.1))
        server.answer("/api/users", Answer(body=[]))
        connection = connect(server, REFRESH)
        threads = [threading.Thread(target=connection.users) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(server.of("/api/token/refresh")) == 1
        assert len(server.of("/api/users")) == 8

    def test_the_shortened_token_of_the_list(self) -> None:
        with pytest.raises(StudioError, match="shortened personal access token"):
            Connection("http://127.0.0.1:1", REFRESH.rsplit(".", 1)[0])

    def test_an_access_token(self) -> None:
        with pytest.raises(StudioError, match="is an access token"):
            Connection("http://127.0.0.1:1", access(1))


class TestSecrecy:
    @pytest.mark.parametrize("token", [LEGACY, REFRESH])
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
    def test_a_server_that_echoes_headers_and_body(
        self, connect: Connect, server: Misbehaving, token: str, status: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        # long enough that the text is cut in the middle of the token, wherever that stands
        server.answer("/api/users", *[Answer(status, {"detail": f"{'x' * pad} ECHO"}) for pad in (0, 120, 180, 240)])
        server.answer("/api/token/refresh", Answer(body={"access": access(1)}))
        connection = connect(server, token, retries=1)
        for _ in range(3):
            with pytest.raises(StudioError) as error:
                connection.users()
            shown = "".join(traceback.format_exception(error.value)) + repr(error.value) + repr(connection)
            shown += repr(vars(connection)) + caplog.text
            for secret in (token, access(1)):
                for part in secret.split("."):
                    assert part[:16] not in shown

    def test_an_exchange_that_echoes(self, connect: Connect, server: Misbehaving) -> None:
        server.answer("/api/token/refresh", Answer(400, {"detail": f"bad: {REFRESH}"}))
        with pytest.raises(StudioError) as error:
            connect(server, REFRESH).users()
        assert "bad: [token]" in message(error)

    def test_swapped_variables_show_neither(self) -> None:
        environment = {"STYLEGRAPH_LABEL_STUDIO_URL": LEGACY, "STYLEGRAPH_LABEL_STUDIO_TOKEN": "http://127.0.0.1:1"}
        with pytest.raises(StudioError) as error:
            Connection.from_env(environment)
        assert LEGACY not in message(error)

    @pytest.mark.parametrize("token", ["abc\ndef", "abc def", "abcé", "…"])
    def test_a_token_that_no_header_takes(self, token: str) -> None:
        with pytest.raises(StudioError, match="STYLEGRAPH_LABEL_STUDIO_TOKEN") as error:
            Connection("http://127.0.0.1:1", token)
        assert "abc" not in message(error)


class TestSettings:
    def test_missing_variables(self) -> None:
        with pytest.raises(StudioError, match="set STYLEGRAPH_LABEL_STUDIO_URL and STYLEGRAPH_LABEL_STUDIO_TOKEN"):
            Connection.from_env({"STYLEGRAPH_LABEL_STUDIO_URL": " "})
        with pytest.raises(LabelingError, match="set STYLEGRAPH_LABEL_STUDIO_TOKEN:"):
            Connection.from_env({"STYLEGRAPH_LABEL_STUDIO_URL": "http://127.0.0.1:1"})

    def test_both_variables(self, server: Misbehaving) -> None:
        server.answer("/label/api/version", Answer(body={"release": "1"}))
        environment = {
            "STYLEGRAPH_LABEL_STUDIO_URL": f" {server.url}/label/\n",
            "STYLEGRAPH_LABEL_STUDIO_TOKEN": f"{LEGACY}\n",
        }
        with Connection.from_env(environment, timeout=5) as connection:
            assert connection.version() == "1"
        assert connection.url == f"{server.url}/label"
        assert repr(connection) == f"Connection('{server.url}/label')"

    @pytest.mark.parametrize(
        "url", ["", "label.example.org", "ftp://a.example", "http://", "http://u:p@a.example", "http://a.example?x=1"]
    )
    def test_malformed_addresses(self, url: str) -> None:
        with pytest.raises(StudioError, match="STYLEGRAPH_LABEL_STUDIO_URL is not an address like"):
            Connection(url, LEGACY)

    @pytest.mark.parametrize(
        ("url", "insecure"),
        [
            ("http://127.0.0.1:8080", False),
            ("http://localhost", False),
            ("http://[::1]:8080", False),
            ("https://label.example.org", False),
            ("http://label.example.org", True),
            ("http://192.0.2.1", True),
        ],
    )
    def test_insecure(self, connect: Connect, url: str, insecure: bool) -> None:
        assert connect(url, LEGACY).insecure is insecure
