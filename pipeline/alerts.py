"""Telling people what went wrong: by e-mail and webhook, where the settings ask for it. Addresses are secrets.

The mail server's address is in STYLEGRAPH_SMTP_URL (smtps://user:password@host:port, or smtp://, which turns to TLS
where the server offers it), that of the webhook in STYLEGRAPH_WEBHOOK_URL. Neither, nor anything that a server answers,
gets into a message or a log.
"""

import http.client
import ipaddress
import json
import os
import smtplib
import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pipeline.settings import AlertSettings

SMTP_VARIABLE = "STYLEGRAPH_SMTP_URL"
WEBHOOK_VARIABLE = "STYLEGRAPH_WEBHOOK_URL"
TIMEOUT = 15.0  # seconds for each step with a server
PORTS = {"smtps": 465, "smtp": 587, "https": 443, "http": 80}


Way = Literal["mail", "webhook"]


class AlertError(Exception):
    """Nobody could be told; the message says what to do and holds no secret."""


@dataclass(frozen=True)
class Alert:
    """What went wrong, why, and what to do next."""

    what: str  # one line
    why: tuple[str, ...]  # a line for each reason
    do: str
    run_id: str
    job: str
    reason: str | None = None  # for which the run was launched

    def text(self) -> str:
        """Return the alert for people."""
        launched = [f"Launched because: {self.reason}"] if self.reason else []
        return "\n".join([self.what, *(f"- {line}" for line in self.why), f"What to do: {self.do}", *launched])

    def content(self) -> dict[str, object]:
        """Return the alert for programs; chat services show ``text``."""
        return {**vars(self), "why": list(self.why), "text": self.text()}


def ways(settings: AlertSettings) -> tuple[Way, ...]:
    """Return on which ways the settings ask for alerts."""
    asked: dict[Way, bool] = {"mail": bool(settings.email_to), "webhook": settings.webhook}
    return tuple(way for way, wanted in asked.items() if wanted)


def send(way: Way, alert: Alert, settings: AlertSettings) -> None:
    """Send the alert on one way. Raises AlertError where that fails."""
    if way == "mail":
        send_mail(alert, settings)
    else:
        post(alert)


def send_mail(alert: Alert, settings: AlertSettings) -> None:
    """Send the alert as an e-mail, over TLS where the server knows it.

    Raises:
        AlertError: no address is set, or the server did not take it.
    """
    url = _address(SMTP_VARIABLE, ("smtps", "smtp"))
    message = EmailMessage()
    message["Subject"] = f"stylegraph: {alert.what}"
    message["From"], message["To"] = settings.email_from, ", ".join(settings.email_to)
    message.set_content(alert.text())
    try:
        with _mail_server(url) as server:
            if url.username:
                if not isinstance(server.sock, ssl.SSLSocket) and not _is_loopback(url.hostname or ""):
                    raise AlertError(
                        f"no e-mail was sent: {url.hostname} offers no TLS, and the password would go over the network "
                        f"in the clear; set {SMTP_VARIABLE} to an smtps:// address"
                    )
                server.login(unquote(url.username), unquote(url.password or ""))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise AlertError(
            f"no e-mail was sent by {url.hostname}:{_port(url)} ({_kind(error)}): look at {SMTP_VARIABLE} and [alerts]"
        ) from None  # what the server said may repeat the user's name


def post(alert: Alert) -> None:
    """POST the alert as a JSON object; an answer that leads elsewhere is not followed.

    Raises:
        AlertError: no address is set, it is not a safe one, or the server did not take it.
    """
    url = _address(WEBHOOK_VARIABLE, ("https", "http"))
    host = url.hostname or ""
    if url.scheme == "http" and not _is_loopback(host):
        raise AlertError(f"nothing was posted: {WEBHOOK_VARIABLE} must be an https:// address, or one of this machine")
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        connection = http.client.HTTPSConnection(
            host, _port(url), timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(host, _port(url), timeout=TIMEOUT)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    try:
        connection.request("POST", target, json.dumps(alert.content()), {"Content-Type": "application/json"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise AlertError(f"nothing was posted to {host} ({_kind(error)}): look at {WEBHOOK_VARIABLE}") from None
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise AlertError(f"the webhook at {host} answered {status}: look at {WEBHOOK_VARIABLE}")


def _mail_server(url: SplitResult) -> smtplib.SMTP:
    host, port, context = url.hostname or "", _port(url), ssl.create_default_context()
    if url.scheme == "smtps":
        return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    server = smtplib.SMTP(host, port, timeout=TIMEOUT)
    try:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
    except BaseException:
        server.close()
        raise
    return server


def _address(variable: str, schemes: tuple[str, ...]) -> SplitResult:
    allowed = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        url = urlsplit(os.environ.get(variable, "").strip())
        fits = url.scheme in schemes and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:  # no port, or no IPv6 address
        fits = False
    if not fits:
        raise AlertError(f"nobody was told: the environment variable {variable} must hold an {allowed} address")
    return url


def _port(url: SplitResult) -> int:
    return url.port or PORTS[url.scheme]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _kind(error: Exception) -> str:
    return type(error).__name__
