"""The REST API as an ASGI application; models run in a thread pool so that the loop never waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

from keras_attn.serving.caller import working_for
from keras_attn.serving.errors import Code, ServingError, shutting_down
from keras_attn.serving.inference.stream_reader import Listener
from keras_attn.serving.limits import too_large, too_many
from keras_attn.serving.monitoring.access_log import AccessLog, host_of
from keras_attn.serving.monitoring.metric_definitions import REFUSALS, RUNNING
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.rest.event_stream import EventStream, Mailbox, relay
from keras_attn.serving.rest.handler import RestHandler
from keras_attn.serving.rest.operator_pages import SidePages
from keras_attn.serving.rest.reply import HTTP_STATUS, Reply, error_reply, page_reply
from keras_attn.serving.rest.routes import is_stream_path

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_MAX_INFLATED_BYTES = 100 * 1024 * 1024
_TOO_LARGE = 413
_SILENCE_S = 75.0  # after which a client that stopped in the middle of a body is given up
# How much of a body that is too long is read all the same: a client that is still writing when the connection
# is closed would see a reset instead of the answer.
_MAX_DISCARDED_BYTES = 1024 * 1024 * 1024
_DISCARDING_S = 10.0


@dataclass(frozen=True)
class RestLimits:
    """Limits of the REST API.

    Args:
        max_bytes: longest body; 0 means any.
        max_requests: requests that may run or wait at once; 0 means any number.
    """

    max_bytes: int = 0
    max_requests: int = 0


class RestApp:
    """ASGI application for one handler.

    Args:
        handler: answers the requests.
        executor: pool in which it does.
        pages: what is answered outside the API.
        limits: what is taken on.
        metrics: where refusals and running requests are counted.
        access_log: where requests are written.
    """

    def __init__(
        self,
        handler: RestHandler,
        executor: Executor,
        pages: SidePages,
        limits: RestLimits,
        metrics: Metrics,
        access_log: AccessLog,
    ):
        self._handler = handler
        self._executor = executor
        self._pages = pages
        self._limits = limits
        self._metrics = metrics
        self._access_log = access_log
        self._num_requests = 0  # changed by the event loop alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        begin, path = time.perf_counter(), _full_path(scope)
        try:
            body = await self._read_body(receive)
        except ServingError as error:
            reply, body = replace(self._refused(error, "body", _TOO_LARGE), close=True), b""
        else:
            if body is None:
                await _answer(page_reply(408), send)  # or to nobody: the client went away
                return
            reply = self._pages.find(path)
            if reply is None and is_stream_path(path):
                status, size = await self._streamed(scope, path, body, receive, send)
                self._log(scope, path, begin, status, len(body), size)
                return
            reply = reply or await self._limited(scope, path, body)
        await _answer(reply, send, scope.get("keeps_alive", False))
        self._log(scope, path, begin, reply.status, len(body), len(reply.body))

    def _log(self, scope: Scope, path: str, begin: float, status: int, bytes_in: int, bytes_out: int) -> None:
        peer = host_of((scope.get("client") or ("",))[0])
        call = f"{scope['method']} {path}"
        sizes = {"bytes_in": bytes_in, "bytes_out": bytes_out}
        self._access_log.write("REST", call, status, begin, peer=peer, **sizes)

    async def _limited(self, scope: Scope, path: str, body: bytes) -> Reply:
        try:
            return self._refusal() or await self._begin(scope, path, body)
        except (asyncio.CancelledError, RuntimeError):  # the grace period, or the pool, has ended
            return self._shutting_down()

    async def _streamed(
        self, scope: Scope, path: str, body: bytes, receive: Receive, send: Send
    ) -> tuple[int, int]:
        """Answers in parts; returns the status and the number of bytes sent."""
        mailbox, stream = Mailbox(), EventStream(send, self._handler.cors_headers)
        gone = asyncio.ensure_future(receive())  # the body is complete: nothing but a hang-up can follow
        try:
            reply = self._refusal()
            if reply is None:
                reply = await relay(self._begin(scope, path, body, mailbox.put), mailbox, gone, stream)
        except (asyncio.CancelledError, RuntimeError):
            reply = self._shutting_down()
        except TimeoutError:
            reply = None
        finally:
            gone.cancel()
        if reply is not None and not stream.has_begun:
            await _answer(reply, send, scope.get("keeps_alive", False))
            return reply.status, len(reply.body)
        if reply is not None:
            await stream.end(reply.body, b"error")
        return 200 if stream.has_ended else HTTP_STATUS[Code.CANCELLED], stream.num_bytes

    def _refusal(self) -> Reply | None:
        if not self._limits.max_requests or self._num_requests < self._limits.max_requests:
            return None
        return self._refused(too_many(self._limits.max_requests), "waiting")

    def _refused(self, error: ServingError, limit: str, status: int | None = None) -> Reply:
        """Counts a request that is not taken on; returns its answer."""
        self._metrics.increase(REFUSALS, limit)
        return self._error(error, status)

    def _shutting_down(self) -> Reply:
        return self._error(shutting_down())

    def _error(self, error: ServingError, status: int | None = None) -> Reply:
        """An answer of the API, of which pages of other origins may read the text, too."""
        reply = error_reply(error, status)
        return replace(reply, headers=reply.headers + self._handler.cors_headers)

    def _begin(
        self, scope: Scope, path: str, body: bytes, listener: Listener | None = None
    ) -> asyncio.Future[Reply]:
        """Has a thread answer. The request counts as running until that thread is done with it."""
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._executor, self._reply, scope, path, body, listener)
        self._count(1)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, by: int) -> None:
        self._num_requests += by
        self._metrics.increase(RUNNING, "REST", by=by)

    def _reply(self, scope: Scope, path: str, body: bytes, listener: Listener | None) -> Reply:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if "gzip" in headers.get("content-encoding", ""):
            body = _inflate(body)
            if self._limits.max_bytes and len(body) > self._limits.max_bytes:
                return self._refused(too_large(len(body), self._limits.max_bytes), "body", _TOO_LARGE)
        with working_for(scope["caller"]):
            if listener is not None:
                return self._handler.stream(scope["method"], path, body, headers, listener)
            return self._handler.handle(scope["method"], path, body, headers)

    async def _read_body(self, receive: Receive) -> bytes | None:
        """Collects the body; None if the client went away."""
        chunks, size, most = [], 0, self._limits.max_bytes
        while True:
            try:
                message = await asyncio.wait_for(receive(), _SILENCE_S)
            except TimeoutError:
                return None
            if message["type"] == "http.disconnect":
                return None
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if most and size > most:
                if message.get("more_body"):
                    await _discard(receive)
                raise too_large(size, most)
            if not message.get("more_body"):
                return b"".join(chunks)


async def _discard(receive: Receive) -> None:
    """Reads the rest of a body, as much of it as comes in a while."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DISCARDING_S):
            while size < _MAX_DISCARDED_BYTES:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                size += len(message["body"])


def _full_path(scope: Scope) -> str:
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    fragment = b"#" + scope["fragment"] if scope.get("fragment") else b""
    return (scope["raw_path"] + query + fragment).decode("latin-1")


async def _answer(reply: Reply, send: Send, keeps_alive: bool = False) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.encode(), value.encode()) for name, value in reply.headers),
    ]
    if reply.close:
        headers.append((b"connection", b"close"))
    elif keeps_alive:  # HTTP/1.0 has to be told
        headers.append((b"connection", b"keep-alive"))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def _inflate(body: bytes) -> bytes:
    """Unpacks gzip; a broken or oversized body counts as an empty one, as in the stock server."""
    inflater = zlib.decompressobj(wbits=31)
    try:
        data = inflater.decompress(body, _MAX_INFLATED_BYTES)
    except zlib.error:
        return b""
    return data if inflater.eof else b""
