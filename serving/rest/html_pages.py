"""The pages with which the stock server's HTTP library answers what is no request to the API."""

from __future__ import annotations

import http


def html_page(status: int) -> bytes:
    """Returns the page for a status, such as 404."""
    phrase = http.HTTPStatus(status).phrase
    return (
        f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    ).encode()
