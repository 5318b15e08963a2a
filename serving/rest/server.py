"""The REST API on a socket: uvicorn in a thread of its own."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn

from keras_attn.serving.monitoring.access_log import AccessLog
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.rest.app import RestApp, RestLimits
from keras_attn.serving.rest.handler import RestHandler
from keras_attn.serving.rest.operator_pages import SidePages
from keras_attn.serving.rest.protocol import RestProtocol

_START_TIMEOUT_S = 30.0
_KEEP_ALIVE_S = 75  # longer than the idle time after which common proxies give up a connection


class _ReportingServer(uvicorn.Server):
    """A uvicorn server that says when it is ready, or has given up."""

    def __init__(self, config: uvicorn.Config):
        super().__init__(config)
        self.decided = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.decided.set()


@dataclass(frozen=True)
class RestSettings:
    """Settings of the REST server.

    Args:
        num_threads: requests that may run at once.
        grace_s: seconds that running requests get when the server stops.
        max_bytes: longest body; 0 means any.
        max_waiting: requests that may wait for a thread; None means any number.
    """

    num_threads: int = 8
    grace_s: float = 5.0
    max_bytes: int = 0
    max_waiting: int | None = None


class RestServer:
    """Serves a handler over HTTP/1.1.

    Args:
        handler: answers the requests.
        listener: bound socket, see `listening.bind_rest`.
        pages: what is answered outside the API.
        settings: how.
        metrics: where refusals and running requests are counted.
        access_log: where requests are written.
    """

    def __init__(
        self,
        handler: RestHandler,
        listener: socket.socket,
        pages: SidePages,
        settings: RestSettings,
        metrics: Metrics,
        access_log: AccessLog,
    ):
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._grace_s = settings.grace_s
        self._executor = ThreadPoolExecutor(settings.num_threads, thread_name_prefix="rest")
        most = 0 if settings.max_waiting is None else settings.num_threads + settings.max_waiting
        limits = RestLimits(settings.max_bytes, most)
        app = RestApp(handler, self._executor, pages, limits, metrics, access_log)
        self._server = _ReportingServer(_uvicorn_config(app, settings.grace_s))
        self._thread = threading.Thread(target=self._run, name="rest-server", daemon=True)

    def start(self) -> None:
        """Starts to answer; returns when requests are taken.

        Raises:
            RuntimeError: the server did not come up.
        """
        self._thread.start()
        if not self._server.decided.wait(_START_TIMEOUT_S) or not self._server.started:
            raise RuntimeError(f"the REST server did not start on port {self.port}")

    def stop(self) -> None:
        """Stops taking requests, and waits for running ones as long as the grace period lasts."""
        self._server.should_exit = True
        self._thread.join(self._grace_s + 1.0)
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._listener.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        finally:
            self._server.decided.set()


def _uvicorn_config(app: RestApp, grace_s: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=RestProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(grace_s)),
    )
