"""Requests for pages, and what their answers say before a network reads them."""

import json
from typing import Any

import scrapy
from scrapy.http import Response

from crawlers.downloads import LARGEST_PAGE
from crawlers.networks.base import MalformedAnswerError, Page, PageRequest
from crawlers.opt_outs import robots_tag_refusal, tdm_refusal
from crawlers.politeness import Trail


def page_request(parts: PageRequest) -> scrapy.Request:
    """Make the request for a page."""
    body = None if parts.body is None else json.dumps(parts.body).encode()
    headers = {"Content-Type": "application/json"} if body is not None else {}
    return scrapy.Request(
        parts.url,
        method="GET" if body is None else "POST",
        body=body,
        headers={**headers, **parts.headers},
        meta={"trail": Trail(), "download_maxsize": LARGEST_PAGE},
    )


def server_opt_out(response: Response) -> str | None:
    """Return the sign by which an API's answer asks to be left out of machine learning, if there is one."""
    tags = [value.decode("latin-1") for value in response.headers.getlist("X-Robots-Tag")]
    directive = robots_tag_refusal(tags, ai_only=True)
    if directive is not None:
        return f"X-Robots-Tag: {directive}"
    reservations = [value.decode("latin-1") for value in response.headers.getlist("TDM-Reservation")]
    return "TDM-Reservation: 1" if tdm_refusal(reservations) else None


def shown(page: Page) -> str:
    """Return a page's address for people, without its query."""
    return f"{page.timeline}: {page.url.partition('?')[0]}"


def parsed_json(body: bytes) -> Any:
    """Parse the body of an answer.

    Raises:
        MalformedAnswerError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswerError(f"not JSON ({type(error).__name__})") from error


def json_or_none(body: bytes) -> Any:
    """Parse the body of an answer, or return None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
