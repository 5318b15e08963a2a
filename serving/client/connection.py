"""HTTP connections of a client: those of urllib3, with the rules of when a request is sent again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, NamedTuple, NoReturn

from keras_attn.extras import naming_the_extra
from keras_attn.serving.errors import LONGEST_PAUSE_S

with naming_the_extra():
    from urllib3 import BaseHTTPResponse, HTTPConnectionPool, PoolManager, Retry
    from urllib3 import exceptions as errors

_BUSY = (429, 503)
_BACKOFF_S = 0.1
_MOST_IDLE = 64  # connections that are kept; any number may be open
_JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    """The status of an answer and its body in parts, as they come."""

    status: int
    parts: Iterator[bytes]


class Connection:
    """Sends requests to one server.

    An answer is returned whatever its status. A connection that cannot be made or breaks, and an answer that
    says "too busy" (429, 503), are tried again after a pause, or after the answer's Retry-After. A time-out
    is not: the server may still be at work on the first request.

    Args:
        scheme: `http` or `https`.
        host: host name.
        port: port number; None means the scheme's own.
        timeout_s: seconds to wait for an answer.
        retries: further attempts after the first.
    """

    def __init__(self, scheme: str, host: str, port: int | None, timeout_s: float, retries: int):
        self._address = (host, port, scheme)
        self._retries = retries
        self._pools = PoolManager(timeout=timeout_s, maxsize=_MOST_IDLE)

    def send(
        self, method: str, path: str, body: bytes | None = None, retries: int | None = None
    ) -> tuple[int, bytes]:
        """Sends a request.

        Args:
            method: HTTP method; the request must be safe to repeat.
            path: path, percent-encoded.
            body: JSON text.
            retries: further attempts after the first; None means those of the connection.

        Returns:
            Status and body of the answer.

        Raises:
            OSError: the server cannot be reached, does not answer in time, or does not speak HTTP.
        """
        response = self._request(method, path, body, _JSON if body else {}, retries)
        return response.status, response.data

    @contextlib.contextmanager
    def open(self, path: str, body: bytes, headers: dict[str, str]) -> Iterator[Answer]:
        """Posts a request whose answer comes in parts; tried again as in `send` until the first one comes.

        Args:
            path: path, percent-encoded.
            body: JSON text.
            headers: further headers.

        Yields:
            `Answer`; its connection is closed after the block.

        Raises:
            OSError: the server cannot be reached, does not answer in time, hangs up or does not speak HTTP.
        """
        response = self._request("POST", path, body, _JSON | headers, None, preload_content=False)
        try:
            yield Answer(response.status, _parts(response))
        finally:
            response.close()

    def close(self) -> None:
        """Closes the connections that are idle; the next request opens a new one."""
        self._pools.clear()

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        retries: int | None,
        **more: Any,
    ) -> BaseHTTPResponse:
        policy = _Retries(
            self._retries if retries is None else retries,
            other=0,  # such as a certificate that is refused
            allowed_methods=None,
            status_forcelist=_BUSY,
            backoff_factor=_BACKOFF_S,
            backoff_max=LONGEST_PAUSE_S,
            raise_on_status=False,
        )
        # Not the manager's own `urlopen`, which takes dots out of paths: `..` may be a model's name.
        pool: HTTPConnectionPool = self._pools.connection_from_host(*self._address)
        policy.num_connections = pool.num_connections
        try:
            return pool.urlopen(method, path, body, headers=headers, retries=policy, redirect=False, **more)
        except errors.HTTPError as error:
            _raise_os_error(error)


class _Retries(Retry):
    """Retries of urllib3, with exceptions.

    A time-out ends them. A kept connection that the server has closed meanwhile costs none. Retry-After is
    limited.
    """

    num_connections = 0  # that the pool had made before the attempt

    def increment(self, method=None, url=None, response=None, error=None, _pool=None, _stacktrace=None):
        if isinstance(error, errors.TimeoutError) and not isinstance(error, errors.NewConnectionError):
            raise error
        was_kept = _pool.num_connections == self.num_connections
        is_free = was_kept and isinstance(error, errors.ProtocolError)
        policy = self.new(total=self.total + 1) if is_free else self
        following = super(_Retries, policy).increment(method, url, response, error, _pool, _stacktrace)
        following.num_connections = _pool.num_connections
        return following

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            wait_s = super().get_retry_after(response)
        except errors.InvalidHeader:
            return None
        return wait_s and min(wait_s, LONGEST_PAUSE_S)


def _parts(response: BaseHTTPResponse) -> Iterator[bytes]:
    try:
        while part := response.read1():
            yield part
    except errors.TimeoutError as error:
        raise TimeoutError(str(error)) from error
    except errors.HTTPError as error:
        raise ConnectionError(f"the server hung up in the middle of a stream: {error}") from error


def _raise_os_error(error: errors.HTTPError) -> NoReturn:
    """Raises the `OSError` that an error of urllib3 is about."""
    reason: Exception = error
    if isinstance(error, errors.MaxRetryError) and error.reason:
        reason = error.reason
    causes = (reason.__cause__, *reason.args)
    if found := next((cause for cause in causes if isinstance(cause, OSError)), None):
        raise found
    if isinstance(reason, errors.TimeoutError):
        raise TimeoutError(str(reason)) from reason
    answer = next((cause for cause in causes if isinstance(cause, HTTPException)), reason)
    raise ConnectionError(f"what answers does not speak HTTP ({answer!r})") from reason
