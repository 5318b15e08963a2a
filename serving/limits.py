"""Limits of a request's size and time, and the words in which what exceeds them is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid


@dataclass(frozen=True)
class Limits:
    """Limits of one request; 0 means any amount.

    Args:
        max_bytes: body of a request.
        max_rows: first dimension of an input.
        max_string_bytes: one string of an input.
        max_run_time_ms: one run of a model in milliseconds.
    """

    max_bytes: int = 0
    max_rows: int = 0
    max_string_bytes: int = 0
    max_run_time_ms: int = 0

    def check_inputs(self, feeds: Mapping[str, np.ndarray]) -> None:
        """Checks the feeds of a graph.

        Raises:
            ServingError: INVALID_ARGUMENT for too many rows or too long a string.
        """
        for name, array in feeds.items():
            if self.max_rows and array.ndim and len(array) > self.max_rows:
                raise invalid(
                    f"Input {name} has too many rows. Expected at most {self.max_rows}."
                    f" Received: {len(array)}. Send them in several requests."
                )
            if self.max_string_bytes and array.dtype.kind == "O":
                longest = max(map(len, array.reshape(-1).tolist()), default=0)
                if longest > self.max_string_bytes:
                    raise invalid(
                        f"Input {name} has a string that is too long. Expected at most"
                        f" {self.max_string_bytes} bytes. Received: {longest}. Send it in parts."
                    )

    def run_time_ms(self, asked_ms: int) -> int:
        """Returns the limit of a run: the caller's, or the server's where that is shorter."""
        given = [value for value in (asked_ms, self.max_run_time_ms) if value > 0]
        return min(given, default=0)


def too_many(most: int) -> ServingError:
    """Returns the refusal of a request while enough others run or wait."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"Too many requests wait already. Expected at most {most} at once. Try again later.",
    )


def too_large(size: int, most: int) -> ServingError:
    """Returns the refusal of a request whose body is too long."""
    return ServingError(
        Code.RESOURCE_EXHAUSTED,
        f"The request is too large. Expected at most {most} bytes. Received: {size} or more.",
    )
