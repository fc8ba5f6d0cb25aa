"""What goes wrong with a Label Studio server, in words that say what to do."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from labeling.errors import LabelingError

if TYPE_CHECKING:  # the graph is loaded without it
    import httpx

URL_VARIABLE = "STYLEGRAPH_LABEL_STUDIO_URL"
TOKEN_VARIABLE = "STYLEGRAPH_LABEL_STUDIO_TOKEN"  # noqa: S105 - the name of a variable
NEW_TOKEN = f"copy one under Account & Settings > Personal Access Token or Legacy Token into {TOKEN_VARIABLE}"


class StudioError(LabelingError):
    """The server cannot be used, or refused a request; the message is one line that says what to do."""


class StudioUnavailable(StudioError):  # noqa: N818 - reads as what it says where it is caught
    """The server does not answer, or fails; that may pass by itself."""


class StudioNotFound(StudioError):  # noqa: N818 - as above
    """What a request is about is not on the server: deleted, or not visible to the owner of the token."""


def server_message(response: "httpx.Response") -> str:
    """Return what the server says in an error answer, or the reason of its status if it says nothing."""
    try:
        content = response.json()
    except ValueError:
        content = None
    if isinstance(content, dict):
        content = content.get("validation_errors") or content.get("detail") or content.get("error")
    return _flat(content) if content else response.reason_phrase


def _flat(content: Any) -> str:
    """Return nested messages as text: ``field: message; field: message``."""
    if isinstance(content, dict):
        return "; ".join(f"{key}: {_flat(value)}" for key, value in content.items())
    if isinstance(content, list):
        return ", ".join(_flat(value) for value in content)
    return str(content)


def refusal(response: "httpx.Response", url: str, what: str, message: str) -> StudioError:
    """Return the error for an answer that is final.

    ``what`` is the request as METHOD PATH; ``message`` is the server's own, with every token taken out.
    """
    match response.status_code:
        case 401 if "legacy token" in message:
            return StudioError(
                f"{url} no longer takes legacy tokens: copy one under Account & Settings > Personal Access Token into "
                f"{TOKEN_VARIABLE}, or let an owner allow legacy tokens under Organization > API Tokens Settings"
            )
        case 401 if "blacklisted" in message or "expired" in message:
            return StudioError(f"the personal access token for {url} was revoked or has expired: {NEW_TOKEN}")
        case 401:
            return StudioError(f"{url} does not know the token ({message}): {NEW_TOKEN}")
        case 403:
            return StudioError(
                f"{what}: {url} does not allow this to the owner of the token ({message}): use the token of someone "
                f"who may, in {TOKEN_VARIABLE}"
            )
        case 404:
            return StudioNotFound(f"{what}: not found on {url} ({message})")
        case status:
            return StudioError(f"{what}: {url} refused it with status {status}: {message}")


def redirected(response: "httpx.Response", url: str, what: str) -> StudioError:
    """Return the error for a redirect that is not followed; only the place is named, as a query can hold secrets."""
    target = response.next_request.url if response.next_request else response.request.url
    place = f"{target.scheme}://{target.netloc.decode('ascii')}"
    if url.startswith(place):
        return StudioError(
            f"{what}: {url} sends us on to {target.path}: is there a login page in front of it? Requests with a token "
            "must reach Label Studio itself"
        )
    return StudioError(
        f"{what}: {url} redirects to {place}, where the token is not sent: if that is your Label Studio, put its "
        f"address into {URL_VARIABLE}"
    )


def not_json(response: "httpx.Response", url: str, what: str) -> StudioError:
    """Return the error for an answer that is no JSON, such as the login page of a proxy."""
    kind = response.headers.get("content-type", "no type").split(";")[0]
    return StudioError(
        f"{what}: the answer is {kind} instead of JSON: is {url} the address of a Label Studio, without a login page "
        f"in front of it? If not, correct {URL_VARIABLE}"
    )


def still_failing(response: "httpx.Response", url: str, what: str, message: str, effort: str) -> StudioUnavailable:
    """Return the error for a server that goes on failing or asking to slow down; ``effort`` says how long we tried."""
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return StudioUnavailable(f"{what}: {url} is asked too often ({effort}): wait some minutes and run this again")
    return StudioUnavailable(
        f"{what}: {url} fails with status {response.status_code} ({message}; {effort}): look at the server's log, "
        "then run this again"
    )


def unreachable(error: "httpx.RequestError", url: str, what: str, reason: str, effort: str) -> StudioError:
    """Return the error for a request that brought no answer; ``reason`` is the error's text without tokens."""
    import httpx

    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return StudioUnavailable(
            f"{what}: {url} is too slow ({effort}): raise labels.timeout, or see why the server is slow"
        )
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return StudioError(
            f"the certificate of {url} is not trusted here ({reason}): name the certificates of your organization in "
            "SSL_CERT_FILE"
        )
    if isinstance(error, httpx.NetworkError | httpx.TimeoutException):
        return StudioUnavailable(
            f"cannot reach {url} ({reason}; {effort}): start the server, or correct {URL_VARIABLE}"
        )
    return StudioError(f"{what}: {url} gave no usable answer ({reason}; {effort}): see whether the server runs well")
