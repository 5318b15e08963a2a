"""Whether somebody still waits for what a thread computes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from keras_attn.serving.errors import Code, ServingError


class Caller:
    """Someone who asked for something, and may leave before it is there.

    Work that has not begun by then is dropped. A run of a graph that has begun goes on to its end or to its
    time limit, as in the stock server: TensorFlow can cancel all runs of a session, but not one.
    """

    def __init__(self):
        self.is_gone = False

    def leave(self) -> None:
        """Says that nobody waits any more: connection lost, call cancelled, or deadline over."""
        self.is_gone = True

    def check(self) -> None:
        """Asks before work begins.

        Raises:
            ServingError: CANCELLED, where nobody would get the answer.
        """
        if self.is_gone:
            raise ServingError(Code.CANCELLED, "The caller went away.")


_SOMEONE = Caller()  # for whom a thread works that no request began: it never leaves
_current: ContextVar[Caller] = ContextVar("caller", default=_SOMEONE)


def current_caller() -> Caller:
    """Returns for whom this thread works."""
    return _current.get()


@contextlib.contextmanager
def working_for(caller: Caller) -> Iterator[None]:
    """Makes a caller the one for whom this thread works, for the length of the block."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
