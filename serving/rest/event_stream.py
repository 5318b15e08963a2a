"""An answer in parts: Server-Sent Events from texts that a thread tells."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from keras_attn.serving.json.text import one_line
from keras_attn.serving.rest.reply import Reply

_SILENCE_S = 75.0  # after which a client that takes nothing is given up
_HEADERS = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
_log = logging.getLogger("keras_attn.serving")

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Mailbox:
    """The newest text of each row, until it is taken: a client that is slow gets fewer and longer parts.

    Made in the event loop's thread; `put` may be called from any.
    """

    def __init__(self):
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._lock = threading.Lock()
        self._texts: dict[int, bytes] = {}
        self._sizes: dict[int, int] = {}

    def put(self, row: int, text: bytes) -> None:
        """Leaves a text, unless a longer one of its row was left before."""
        with self._lock:
            if len(text) <= self._sizes.get(row, 0):
                return
            self._texts[row], self._sizes[row] = text, len(text)
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:  # the loop has ended, and everyone who could read with it
            return

    def wake(self, _: object = None) -> None:
        """Ends a wait without a text."""
        self._changed.set()

    async def wait(self) -> None:
        """Waits for a text, or for `wake`."""
        await self._changed.wait()
        self._changed.clear()

    def take(self) -> dict[int, bytes]:
        """Returns what was left since the last time."""
        with self._lock:
            texts, self._texts = self._texts, {}
        return texts


class EventStream:
    """Writes events to a client. The head goes out with the first one.

    Args:
        send: ASGI's.
        headers: further headers of the answer.
    """

    def __init__(self, send: Send, headers: tuple[tuple[str, str], ...] = ()):
        self._send = send
        self._headers = (("content-type", "text/event-stream; charset=utf-8"), *_HEADERS, *headers)
        self._sent: dict[int, bytes] = {}
        self.has_begun = self.has_ended = False
        self.num_bytes = 0

    async def texts(self, texts: dict[int, bytes]) -> None:
        """Sends what is new of each row's text: `{"row": 0, "text": "..."}`."""
        for row, text in sorted(texts.items()):
            sent = self._sent.get(row, b"")
            if not text.startswith(sent):
                _log.warning("A streamed text was taken back: %r is no beginning of %r.", sent, text)
                continue
            if len(text) > len(sent):
                self._sent[row] = text
                part = {"row": row, "text": text[len(sent) :].decode("utf-8", "replace")}
                await self._event(json.dumps(part, ensure_ascii=False).encode())

    async def end(self, body: bytes, name: bytes = b"") -> None:
        """Sends the last event.

        Args:
            body: its JSON.
            name: `error`, or empty for the answer.
        """
        await self._event(one_line(body), name)
        self.has_ended = True
        await self._put({"type": "http.response.body", "body": b""})

    async def _event(self, data: bytes, name: bytes = b"") -> None:
        if not self.has_begun:
            self.has_begun = True
            headers = [(key.encode(), value.encode()) for key, value in self._headers]
            await self._put({"type": "http.response.start", "status": 200, "headers": headers})
        event = (b"event: " + name + b"\n" if name else b"") + b"data: " + data + b"\n\n"
        self.num_bytes += len(event)
        await self._put({"type": "http.response.body", "body": event, "more_body": True})

    async def _put(self, message: dict[str, Any]) -> None:
        # Unlike `wait_for`, this makes no task: when the server stops, what can be sent at once still is.
        async with asyncio.timeout(_SILENCE_S):
            await self._send(message)


async def relay(
    future: asyncio.Future, mailbox: Mailbox, gone: asyncio.Future, stream: EventStream
) -> Reply | None:
    """Sends texts as they come, until the answer is there.

    Args:
        future: what `RestHandler.stream` returns; its thread puts texts into the mailbox.
        mailbox: of the texts.
        gone: done once the client has hung up; from then on nothing is sent.
        stream: where the events go.

    Returns:
        The answer where no event was sent, to be sent as it is: an error. None where all is sent.

    Raises:
        TimeoutError: the client takes nothing.
    """
    future.add_done_callback(mailbox.wake)
    gone.add_done_callback(mailbox.wake)
    while not future.done() and not gone.done():
        await mailbox.wait()
        if not gone.done():
            await stream.texts(mailbox.take())
    reply = await future
    if gone.done():
        return None
    if reply.status != 200:
        if not stream.has_begun:
            return reply
        await stream.end(reply.body, b"error")
        return None
    await stream.texts(mailbox.take())
    await stream.end(reply.body)
    return None
