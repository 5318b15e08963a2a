"""HTTP connections of a client: kept alive, shared by all threads, with retries; standard library only."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from email.message import Message
from typing import Any, NamedTuple

_BUSY = (429, 503)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class _Answer(NamedTuple):
    """What the server answered, and how it is put aside where it is not what is returned."""

    status: int
    content: Any
    wait_s: float | None
    discard: Callable[[], None] = lambda: None


class Connection:
    """Sends requests to one server.

    What the server answers is returned, whatever its status. A connection that cannot be made or breaks,
    and an answer that says "too busy" (429, 503), are tried again after a pause, or after what the answer's
    Retry-After says. A time-out is not: the server may still be at work on the first request.

    Args:
        host: host name.
        port: port number; None means the scheme's own.
        is_https: speak TLS.
        timeout_s: seconds to wait for an answer.
        retries: further attempts after the first.
    """

    def __init__(self, host: str, port: int | None, is_https: bool, timeout_s: float, retries: int):
        self.host = host
        self.port = port
        self._kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
        self._timeout_s = timeout_s
        self._retries = retries
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def send(
        self, method: str, path: str, body: bytes | None = None, retries: int | None = None
    ) -> tuple[int, bytes]:
        """Sends a request.

        Args:
            method: HTTP method; the request must be safe to repeat.
            path: path with its escapes.
            body: JSON text.
            retries: further attempts after the first; None means those of the connection.

        Returns:
            Status and body of the answer.

        Raises:
            OSError: the server cannot be reached, does not answer in time, or does not speak HTTP.
        """
        answer = _retried(
            lambda: self._attempt(method, path, body), self._retries if retries is None else retries
        )
        return answer.status, answer.content

    def open(
        self, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Posts a request whose answer comes in parts; tried again as in `send` until the first one comes.

        Args:
            path: path with its escapes.
            body: JSON text.
            headers: further headers.

        Returns:
            A connection of its own, which the caller closes, and the answer, to be read line by line.

        Raises:
            OSError: the server cannot be reached, does not answer in time, or does not speak HTTP.
        """
        headers = {"Content-Type": "application/json", **headers}
        answer = _retried(lambda: self._opened(path, body, headers), self._retries)
        return answer.content

    def close(self) -> None:
        """Closes the connections that are idle; the next request opens a new one."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _opened(self, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        connection = self._kind(self.host, self.port, timeout=self._timeout_s)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        return _Answer(response.status, (connection, response), _seconds(response.headers), connection.close)

    def _attempt(self, method: str, path: str, body: bytes | None) -> _Answer:
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept:
            try:
                return self._exchange(kept, method, path, body)
            except (ConnectionError, http.client.HTTPException):
                pass  # the server may have closed it while it was idle: a new one is tried at once
        fresh = self._kind(self.host, self.port, timeout=self._timeout_s)
        return self._exchange(fresh, method, path, body)

    def _exchange(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None
    ) -> _Answer:
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            data = response.read()
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._idle.append(connection)
        return _Answer(response.status, data, _seconds(response.headers))


def _retried(attempt: Callable[[], _Answer], retries: int) -> _Answer:
    """The answer of the first attempt that is not too busy, or of the last one."""
    pause_s = _FIRST_PAUSE_S
    for left in range(retries, -1, -1):
        wait_s = None
        try:
            answer = attempt()
            if answer.status not in _BUSY or not left:
                return answer
            answer.discard()
            wait_s = answer.wait_s
        except (ConnectionError, http.client.HTTPException) as error:
            if not left:
                raise _connection_error(error) from error
        time.sleep(min(pause_s if wait_s is None else wait_s, _LONGEST_PAUSE_S))
        pause_s *= 2
    raise AssertionError("the last attempt returns or raises")


def _connection_error(error: Exception) -> ConnectionError:
    if isinstance(error, ConnectionError):
        return error
    return ConnectionError(f"what answers does not speak HTTP ({error!r})")


def _seconds(headers: Message) -> float | None:
    """What an answer's Retry-After says, or None."""
    after = headers.get("Retry-After", "")
    return float(after) if after.isdigit() else None
