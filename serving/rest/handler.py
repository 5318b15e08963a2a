"""The REST API as a function of method, path, body and headers; knows nothing of sockets."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from keras_attn.serving.caller import current_caller
from keras_attn.serving.errors import Code, ServingError, unexpected
from keras_attn.serving.inference.stream_reader import Listener
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.rest.calls import Request
from keras_attn.serving.rest.reply import Reply, error_reply, page_reply
from keras_attn.serving.rest.routes import VersionTooLarge, find_route, is_api_path

_log = logging.getLogger("keras_attn.serving")
_METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH")
_CORS = (
    ("access-control-allow-origin", "*"),
    ("access-control-allow-methods", "POST, GET"),
    ("access-control-allow-headers", "Content-Type"),
)


class RestHandler:
    """Answers REST calls from a registry.

    Args:
        registry: the models.
        timeout_ms: limit of one model run in milliseconds; 0 means none.
        metrics: where requests are counted.
        has_cors: let pages from other hosts read the answers.
    """

    def __init__(
        self,
        registry: Registry,
        timeout_ms: int = 0,
        metrics: Metrics | None = None,
        has_cors: bool = False,
    ):
        self._registry = registry
        self._timeout_ms = timeout_ms
        self._metrics = metrics or Metrics()
        self._has_cors = has_cors

    def handle(self, method: str, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Answers one request; whatever goes wrong becomes a reply.

        Args:
            method: HTTP method.
            path: raw path with its query string.
            body: request body.
            headers: request headers, names in lower case.
        """
        if method not in _METHODS:
            return page_reply(501)
        if not is_api_path(path):
            return page_reply(404)
        return self._checked(method, path, body, headers)

    def stream(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], listener: Listener
    ) -> Reply:
        """Answers one request for a stream as `handle` does, and reports texts to a listener on the way.

        Args:
            method: HTTP method.
            path: raw path with its query string, one of `is_stream_path`.
            body: request body.
            headers: request headers, names in lower case.
            listener: see `run_stream`.
        """
        return self._checked(method, path, body, headers, listener)

    @property
    def cors_headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer, beside its own."""
        return _CORS if self._has_cors else ()

    def _checked(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: Mapping[str, str] | None,
        listener: Listener | None = None,
    ) -> Reply:
        if method == "OPTIONS":
            origin = (headers or {}).get("origin", "")
            is_allowed = "http://" in origin or "https://" in origin
            reply = Reply(200 if is_allowed else 400, b"", "text/html; charset=ISO-8859-1")
        else:
            reply = self._reply(method, path, body, listener)
        return replace(reply, headers=reply.headers + self.cors_headers)

    def _reply(self, method: str, path: str, body: bytes, listener: Listener | None) -> Reply:
        begin, name, api, code = time.perf_counter(), "", "", Code.INTERNAL
        try:
            route = find_route(method, path)
            name, api = route.spec.name, route.call.api
            current_caller().check()  # it may have waited for this thread
            request = Request(self._registry, route.spec, body, self._timeout_ms, listener)
            reply, code = Reply(200, route.call.answer(request)), Code.OK
        except VersionTooLarge:
            reply, code = Reply(400, b""), Code.INVALID_ARGUMENT
        except ServingError as error:
            reply, code = error_reply(error), error.code
        except Exception as error:
            _log.exception("A request to %s failed unexpectedly.", path)
            reply = error_reply(unexpected(error))
        self._metrics.count_request(name, code.name, api, "REST", begin)
        return reply
