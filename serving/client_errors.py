"""What both clients raise when the server refuses a request."""

from __future__ import annotations


class ServerError(Exception):
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
