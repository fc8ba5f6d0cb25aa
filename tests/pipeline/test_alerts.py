"""Alerts: over real servers of mail and of webhooks on this machine, and from real failed runs."""

import datetime
import email
import http.server
import ipaddress
import json
import logging
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.policy import default
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.alert_sensors import alert_sensors
from pipeline.alerts import SMTP_VARIABLE, WEBHOOK_VARIABLE, Alert, AlertError, post, send_mail
from pipeline.reasons import FAILS_FOR, REASON_TAG
from pipeline.settings import AlertSettings, Settings, load_settings
from pipeline.unsent_alerts import FILE, MOST_KEPT, deliver, deliver_waiting
from tests.pipeline.small_case import write_case

ALERT = Alert("crawl_window (2019-07-01) failed", ("no server answers",), "ask again", "1234", "crawl_window", "a week")
MAIL = AlertSettings(email_to=("a@example.org", "b@example.org"), email_from="graph@example.org")
SECRET = "p@ss/word"


class MailServer(socketserver.ThreadingTCPServer):
    """As much of SMTP as a client of today speaks; keeps what it was told."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None, *, starttls: bool = False, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), MailTalk)
        self.context, self.starttls, self.refuses = context, starttls, refuses
        self.messages: list[email.message.EmailMessage] = []
        self.secure: list[bool] = []
        self.logins: list[str] = []
        self.port = self.server_address[1]


class MailTalk(socketserver.StreamRequestHandler):
    """One client."""

    server: MailServer

    def handle(self) -> None:
        stream: Any = self.request
        if self.server.context and not self.server.starttls:
            stream = self.server.context.wrap_socket(stream, server_side=True)
        self.secure = stream is not self.request
        with stream:
            self.talk(stream)

    def talk(self, stream: Any, *, greeting: bool = True) -> None:
        file = stream.makefile("rwb")

        def say(line: str) -> None:
            file.write(line.encode() + b"\r\n")
            file.flush()

        if greeting:
            say("220 ready")
        while line := file.readline():
            word = line.split()[0].upper().decode() if line.split() else ""
            if word == "EHLO":
                say("250-here")
                if self.server.starttls and not self.secure:
                    say("250-STARTTLS")
                say("250 AUTH PLAIN")
            elif word == "STARTTLS":
                say("220 go")
                assert self.server.context is not None
                self.secure = True
                with self.server.context.wrap_socket(stream, server_side=True) as secure:
                    self.talk(secure, greeting=False)
                return
            elif word == "AUTH":
                self.server.logins.append(line.split()[2].decode())
                say(f"535 {SECRET} is wrong" if self.server.refuses else "235 welcome")
            elif word == "DATA":
                say("354 send")
                lines = list(iter(file.readline, b".\r\n"))
                self.server.messages.append(email.message_from_bytes(b"".join(lines), policy=default))  # type: ignore[arg-type]  # of the policy
                self.server.secure.append(self.secure)
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 fine")


class Hook(http.server.BaseHTTPRequestHandler):
    """A webhook that keeps what is posted."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posted.append((self.path, json.loads(body)))  # type: ignore[attr-defined]  # set by `hook`
        self.send_response(self.server.status)  # type: ignore[attr-defined]  # set by `hook`
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hook() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posted, server.status = [], 204
    with serving(server):
        yield server


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return a server's context whose certificate this process trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = tmp_path / "certificate.pem", tmp_path / "key.pem"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context


@pytest.mark.parametrize("kind", ["smtps", "starttls", "plain"])
def test_a_mail_says_what_why_and_what_to_do(kind: str, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    server = MailServer(None if kind == "plain" else tls, starttls=kind == "starttls")
    with serving(server):
        scheme = "smtps" if kind == "smtps" else "smtp"
        monkeypatch.setenv(SMTP_VARIABLE, f"{scheme}://graph:p%40ss%2Fword@127.0.0.1:{server.port}")
        send_mail(ALERT, MAIL)
    (message,) = server.messages
    assert server.secure == [kind != "plain"]
    assert message["Subject"] == "stylegraph: crawl_window (2019-07-01) failed"
    assert message["To"] == "a@example.org, b@example.org"
    text = message.get_content()
    assert "- no server answers" in text
    assert "What to do: ask again" in text
    assert "Launched because: a week" in text
    assert len(server.logins) == 1


def test_a_certificate_that_nobody_signed_is_refused(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    server = MailServer(tls)
    with serving(server):
        monkeypatch.setenv(SMTP_VARIABLE, f"smtps://127.0.0.1:{server.port}")
        with pytest.raises(AlertError, match="SSLCertVerificationError"):
            send_mail(ALERT, MAIL)
    assert server.messages == []


def test_what_a_mail_server_answers_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    server = MailServer(refuses=True)
    with serving(server):
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://graph:p%40ss%2Fword@127.0.0.1:{server.port}")
        with pytest.raises(AlertError) as raised:
            send_mail(ALERT, MAIL)
    assert "SMTPAuthenticationError" in str(raised.value)
    assert SECRET not in str(raised.value)
    assert "p%40ss" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_a_webhook_gets_an_object(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/hooks/42?key=secret")
    post(ALERT)
    ((path, content),) = hook.posted
    assert path == "/hooks/42?key=secret"
    assert content["what"] == ALERT.what
    assert content["why"] == ["no server answers"]
    assert content["run_id"] == "1234"
    assert content["text"] == ALERT.text()


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_answers_otherwise_is_an_error(hook: Any, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    hook.status = status
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/hooks?key=secret")
    with pytest.raises(AlertError, match=str(status)) as raised:
        post(ALERT)
    assert "secret" not in str(raised.value)
    assert len(hook.posted) == 1  # and it goes nowhere else


@pytest.mark.parametrize(
    "address", ["", "http://example.org/hook", "ftp://127.0.0.1", "https://", "http://[::1", "x:y"]
)
def test_unsafe_addresses_are_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, address)
    with pytest.raises(AlertError, match=WEBHOOK_VARIABLE):
        post(ALERT)


def test_one_way_that_fails_does_not_hold_the_other_and_is_tried_again(
    hook: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(SMTP_VARIABLE, "smtp://127.0.0.1:1")  # nothing listens there
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/")
    both = AlertSettings(email_to=("a@example.org",), webhook=True)
    for _ in range(2):
        with pytest.raises(AlertError, match=r"ConnectionRefusedError.* alerts are kept"):
            deliver(ALERT, both, tmp_path)
    assert len(hook.posted) == 2
    assert "127.0.0.1" not in (tmp_path / FILE).read_text()
    server = MailServer()
    with serving(server):
        monkeypatch.setenv(SMTP_VARIABLE, f"smtp://127.0.0.1:{server.port}")
        assert deliver_waiting(both, tmp_path) == 2
        assert deliver_waiting(both, tmp_path) == 0
    assert [message.get_content().splitlines() for message in server.messages] == [ALERT.text().splitlines()] * 2
    assert len(hook.posted) == 2


def test_no_more_than_so_many_alerts_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    for number in range(MOST_KEPT + 2):
        with pytest.raises(AlertError, match=WEBHOOK_VARIABLE):
            deliver(replace(ALERT, what=str(number)), AlertSettings(webhook=True), tmp_path)
    kept = [row["alert"]["what"] for row in json.loads((tmp_path / FILE).read_bytes())]
    assert kept == [str(number) for number in range(2, MOST_KEPT + 2)]


def test_nobody_is_told_where_nobody_is_named(tmp_path: Path) -> None:
    deliver(ALERT, AlertSettings(), tmp_path)
    assert not (tmp_path / FILE).exists()


# from runs

FAILS = "the server is gone: start it, and materialize again"


@dg.asset(check_specs=[dg.AssetCheckSpec("few_failures", asset="posts")])
def posts(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    if context.run.tags.get("fails"):
        raise dg.Failure(description=FAILS, allow_retries=False)
    passed = not context.run.tags.get("warns")
    check = dg.AssetCheckResult(
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description="9 of 10 failed\nlook at them",
        metadata={FAILS_FOR: context.run.tags.get("warns", "")},
    )
    return dg.MaterializeResult(check_results=[check])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = write_case(tmp_path / "case", images=1).parent
    path = folder / "stylegraph.toml"
    path.write_text(path.read_text(encoding="utf-8") + "\n[alerts]\nwebhook = true\n", encoding="utf-8")
    return load_settings(path)


def happened(settings: Settings, sensor: str, assets: list[Any], *before: str, **tags: str) -> list[str]:
    """Let a run end, and the sensor see it; return what was written to the log. ``before``: what checks warned of."""
    (one,) = [found for found in alert_sensors() if found.name == sensor]
    with dg.DagsterInstance.ephemeral() as instance:
        for warned in before:
            dg.materialize(assets, instance=instance, tags={"warns": warned} if warned else {})
        result = dg.materialize(assets, instance=instance, tags=tags, raise_on_error=False)
        ended = result.get_run_success_event() if result.success else result.get_run_failure_event()
        context: Any = dg.build_run_status_sensor_context(
            sensor_name=sensor,
            dagster_event=ended,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            resources={"settings": settings},
        )
        if sensor == "failed_runs":
            context = context.for_run_failure()
        lines: list[str] = []
        keep = logging.Handler()
        keep.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
        context.log.addHandler(keep)
        one(context)
        return lines


def test_a_failed_run_is_told_with_the_line_for_people(
    hook: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/")
    lines = happened(settings, "failed_runs", [posts], fails="yes", **{REASON_TAG: "a window ended"})
    ((_, content),) = hook.posted
    assert content["what"] == "posts failed"
    assert content["why"] == [FAILS]
    assert content["run_id"] in content["do"]
    assert content["reason"] == "a window ended"
    assert any(FAILS in line for line in lines)


def test_an_error_that_nobody_foresaw_is_told_in_one_line(
    hook: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/")

    @dg.asset
    def breaks_down() -> None:
        raise ZeroDivisionError("nothing to\ndivide by")

    happened(settings, "failed_runs", [breaks_down])
    ((_, content),) = hook.posted
    assert content["why"] == ["breaks_down: ZeroDivisionError: nothing to divide by"]


def test_a_run_that_is_started_again_is_not_told(hook: Any, settings: Settings) -> None:
    happened(settings, "failed_runs", [posts], fails="yes", **{"dagster/will_retry": "true"})
    assert hook.posted == []


def test_failed_checks_of_a_run_that_went_well_are_told_together(
    hook: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/")
    happened(settings, "failed_checks", [posts], warns="yes")
    ((_, content),) = hook.posted
    assert content["what"] == "a check of posts failed"
    assert content["why"] == ["warning: posts, few_failures: 9 of 10 failed look at them"]
    assert "Re-execute" not in content["do"]


@pytest.mark.parametrize(
    ("before", "told"), [(("yes",), 0), (("yes", ""), 1), (("", "yes"), 0), (("another",), 1), (("another, yes",), 0)]
)
def test_a_check_that_had_failed_before_is_not_told_again(
    hook: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...], told: int
) -> None:
    monkeypatch.setenv(WEBHOOK_VARIABLE, f"http://127.0.0.1:{hook.server_port}/")
    happened(settings, "failed_checks", [posts], *before, warns="yes")
    assert len(hook.posted) == told


def test_a_run_whose_checks_pass_is_not_told(hook: Any, settings: Settings) -> None:
    assert happened(settings, "failed_checks", [posts]) == []
    assert hook.posted == []
