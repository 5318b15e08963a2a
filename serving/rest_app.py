"""The REST API as an ASGI application; models run in a thread pool so that the loop never waits."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Any

from .errors import Code, ServingError
from .rest_handler import Reply, RestHandler, error_reply

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_MAX_INFLATED_BYTES = 100 * 1024 * 1024


class RestApp:
    """ASGI application for one handler.

    Args:
        handler: answers the requests.
        executor: pool in which it does.
    """

    def __init__(self, handler: RestHandler, executor: Executor):
        self._handler = handler
        self._executor = executor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        if body is None:
            return
        loop = asyncio.get_running_loop()
        try:
            reply = await loop.run_in_executor(self._executor, self._reply, scope, body)
        except (asyncio.CancelledError, RuntimeError):  # the grace period, or the pool, has ended
            reply = error_reply(ServingError(Code.UNAVAILABLE, "The server is shutting down."))
        headers = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
        ]
        if reply.close:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": reply.body})

    def _reply(self, scope: Scope, body: bytes) -> Reply:
        path = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        encoding = dict(scope["headers"]).get(b"content-encoding", b"")
        if b"gzip" in encoding:
            body = _inflate(body)
        return self._handler.handle(scope["method"], path.decode("latin-1"), body)


async def _read_body(receive: Receive) -> bytes | None:
    """Collects the body; None if the client went away."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _inflate(body: bytes) -> bytes:
    """Unpacks gzip; a broken or oversized body counts as an empty one, as in the stock server."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        data = inflater.decompress(body, _MAX_INFLATED_BYTES)
    except zlib.error:
        return b""
    return data if inflater.eof else b""
