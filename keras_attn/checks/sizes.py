"""Checks of sizes that constructors share."""

from typing import Any


def check_count(name: str, value: Any) -> None:
    """Refuses what is not a whole number of at least 1.

    Args:
        name: of the argument, for the message.
        value: what was given.

    Raises:
        ValueError: otherwise.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a whole number of at least 1. Received: {name}={value!r}.")
