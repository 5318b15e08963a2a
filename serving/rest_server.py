"""The REST API on a socket: uvicorn in a thread of its own."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import uvicorn

from .rest_app import RestApp
from .rest_handler import RestHandler

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


class RestServer:
    """Serves a handler over HTTP/1.1.

    Args:
        handler: answers the requests.
        listener: bound socket, see `listening.bind_rest`.
        num_threads: requests that may run at once.
        grace_s: seconds that running requests get when the server stops.
    """

    def __init__(self, handler: RestHandler, listener: socket.socket, num_threads: int, grace_s: float):
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._grace_s = grace_s
        self._executor = ThreadPoolExecutor(num_threads, thread_name_prefix="rest")
        config = uvicorn.Config(
            RestApp(handler, self._executor),
            http="httptools",
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
        self._server = _ReportingServer(config)
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
