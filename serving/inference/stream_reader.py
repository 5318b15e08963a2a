"""Texts that come while a model still decodes: one thread a version reads them for all who follow."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.signatures import Signature

STREAM = "stream"  # a signature, and the input by which it is told what to call its events
EVENTS = "stream_events"
_WAIT, _TEXT, _NO_STREAM = "wait", "text", -1
_MOST = 64  # events of one read
_log = logging.getLogger("keras_attn.serving")

Listener = Callable[[int, bytes], None]


class _Graph(Protocol):
    def run(
        self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str], *, waits: bool
    ) -> list[np.ndarray]: ...


def can_stream(signature: Signature) -> bool:
    """Tells whether a signature says what it has written so far to those who read `stream_events`."""
    return STREAM in signature.inputs and STREAM in signature.defaults and _TEXT in signature.outputs


class StreamReader:
    """Reads the events of one version, and hands them to whoever follows the stream that they are of.

    The graph keeps events in a queue of its own and answers `stream_events` as soon as there is one. The
    thread that asks begins with the first stream and ends with the session: `close` that one first.

    Args:
        graph: the version's session itself, not one that collects requests.
        events: the signature `stream_events`.
    """

    def __init__(self, graph: _Graph, events: Signature):
        self._graph = graph
        self._wait = events.inputs[_WAIT].tensor_name
        self._fetches = [events.outputs[name].tensor_name for name in (STREAM, _TEXT)]
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._followed: dict[int, tuple[int, Listener]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @contextlib.contextmanager
    def follow(self, count: int, listener: Listener) -> Iterator[np.ndarray]:
        """Has a listener told of some streams while the block runs.

        Args:
            count: number of streams.
            listener: called with the place of a stream among them and the text so far, from the reader's
                thread: it must not wait. Texts may be left out, as the next one says all; a late call may
                come after the block.

        Yields:
            What to feed as `stream`: int64 `[count]`.
        """
        with self._lock:
            numbers = list(itertools.islice(self._numbers, count))
            self._followed.update((number, (row, listener)) for row, number in enumerate(numbers))
            if not self._is_closed and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._read, name="stream-reader", daemon=True)
                self._thread.start()
        try:
            yield np.array(numbers, np.int64)
        finally:
            with self._lock:
                for number in numbers:
                    del self._followed[number]

    @property
    def num_followed(self) -> int:
        """Streams that are followed now."""
        with self._lock:
            return len(self._followed)

    def expect_end(self) -> None:
        """Says that the session is about to be closed."""
        self._is_closed = True

    def join(self, timeout_s: float = 10.0) -> None:
        """Waits for the thread, once the session is closed."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _read(self) -> None:
        try:
            while not self._is_closed:
                asked = {self._wait: np.ones(_MOST, bool)}
                numbers, texts = self._graph.run(asked, self._fetches, waits=True)
                for number, text in zip(numbers.tolist(), texts.tolist(), strict=True):
                    self._tell(number, text)
        except ServingError as error:
            if not self._is_closed:  # the answers themselves still come, all at once
                _log.error("The events of streams cannot be read: %s", error)

    def _tell(self, number: int, text: bytes) -> None:
        with self._lock:
            row, listener = self._followed.get(number, (0, None))
        if listener is not None:
            listener(row, text)


def stream_reader(graph: _Graph, signatures: Mapping[str, Signature]) -> StreamReader | None:
    """Returns the reader of a version's events; None where it has none."""
    events = signatures.get(EVENTS)
    if events is None or _WAIT not in events.inputs or not {STREAM, _TEXT} <= events.outputs.keys():
        return None
    return StreamReader(graph, events)


def refuse_to_wait(signature: Signature, inputs: Mapping[str, np.ndarray]) -> None:
    """Checks that a caller does not take the events that this server reads itself.

    Raises:
        ServingError: FAILED_PRECONDITION for a request that would wait for events, maybe for ever.
    """
    if signature.name == EVENTS and np.any(inputs.get(_WAIT, False)):
        raise ServingError(
            Code.FAILED_PRECONDITION,
            f"This server reads {EVENTS} itself. Expected `{_WAIT}` to be false. Received: true."
            " POST to /stream/v1/models/NAME to have the events of a request.",
        )
