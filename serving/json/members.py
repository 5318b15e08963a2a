"""JSON objects in which a key stands more than once, which the stock server does not take for one member."""

from __future__ import annotations

from collections.abc import Iterator


class Members(dict):
    """An object with equal keys: who looks one up gets the first of them, who goes through it gets them all.

    `[]`, `get`, `in` and `keys()` know each key once; `items()`, `len` and `repr` count every member.

    Args:
        pairs: name and value of each member, in their order.
    """

    def __init__(self, pairs: list[tuple[str, object]]):
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> Iterator[tuple[str, object]]:
        """Goes through all members, equal keys included."""
        return iter(self._pairs)

    def __repr__(self) -> str:
        return f"Members({self._pairs!r})"


def members_of(pairs: list[tuple[str, object]]) -> dict:
    """Returns an object: a plain dict where no two keys are equal.

    Args:
        pairs: name and value of each member, in their order.
    """
    members = dict(pairs)
    return members if len(members) == len(pairs) else Members(pairs)
