"""Replies of the REST interface: status, body, headers."""

from __future__ import annotations

import http
from dataclasses import dataclass

from keras_attn.serving.errors import BUSY, RETRY_AFTER_S, Code, ServingError
from keras_attn.serving.json.text import string_text


def html_page(status: int) -> bytes:
    """Returns the page for a status, such as 404."""
    phrase = http.HTTPStatus(status).phrase
    return (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    ).encode()


HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
_BUSY = {HTTP_STATUS[code] for code in BUSY}


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    close: bool = False
    headers: tuple[tuple[str, str], ...] = ()


def error_reply(error: ServingError, status: int | None = None) -> Reply:
    """Returns the answer to a request that failed.

    Args:
        error: what went wrong.
        status: HTTP status, where it is not that of the error's code.
    """
    text = f'{{\n    "error": {string_text(error.message)}\n}}'
    status = status or HTTP_STATUS.get(error.code, 500)
    headers = (("retry-after", str(RETRY_AFTER_S)),) if status in _BUSY else ()
    return Reply(status, text.encode("utf-8", "surrogateescape"), headers=headers)


def page_reply(status: int) -> Reply:
    """Returns an HTML page, after which the connection is closed."""
    return Reply(status, html_page(status), "text/html", close=True)
