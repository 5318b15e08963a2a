"""The error that clients raise when the server refuses a request."""

from __future__ import annotations

import http.client
import json

from keras_attn.errors import UserError


class ServerError(UserError):
    """An answer of the server that is an error.

    Args:
        status: HTTP status, or the name of a gRPC status code.
        message: the server's own text.
    """

    def __init__(self, status: int | str, message: str):
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


def error_text(status: int, body: bytes) -> str:
    """Returns the message of an HTTP answer that is not a success.

    Args:
        status: HTTP status.
        body: of the answer: an object with `error`, or the text of a proxy before the server.
    """
    text = body.decode("utf-8", "surrogateescape")
    try:
        return json.loads(text, strict=False)["error"]
    except (ValueError, KeyError, TypeError):
        return text.strip() or http.client.responses.get(status, "no reason given")
