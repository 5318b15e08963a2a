"""The one error type of the serving core, with TensorFlow's status codes.

HTTP and gRPC numbers stay in their adapters: the core knows neither.
"""

from __future__ import annotations

import enum

from keras_attn.errors import UserError


class Code(enum.IntEnum):
    """TensorFlow's status codes (`absl::StatusCode`)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


# Codes of a server that is busy, and the seconds after which its clients should come back.
BUSY = (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE)
RETRY_AFTER_S = 1
LONGEST_PAUSE_S = 5.0  # of our clients between two attempts, whatever a server asks for


class ServingError(UserError):
    """A request or a load that failed, as TensorFlow would report it.

    Args:
        code: status code.
        message: text for the caller, without the code's name.
    """

    def __init__(self, code: Code, message: str):
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def unexpected(error: Exception) -> ServingError:
    """Returns the INTERNAL error for an exception that nobody foresaw."""
    return ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")


def shutting_down() -> ServingError:
    """Returns the UNAVAILABLE error of a server that is being stopped."""
    return ServingError(Code.UNAVAILABLE, "The server is shutting down.")


def invalid(message: str) -> ServingError:
    """Returns an INVALID_ARGUMENT error, the commonest one."""
    return ServingError(Code.INVALID_ARGUMENT, message)
