"""The REST API as a function of method, path, body and headers; knows nothing of sockets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from keras_attn.serving.caller import current_caller
from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.multi_inference import run_classify, run_regress
from keras_attn.serving.inference.predict import find_signature, run_predict
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE, Signature
from keras_attn.serving.inference.stream_reader import Listener
from keras_attn.serving.json.examples import read_examples
from keras_attn.serving.json.inputs import signature_name
from keras_attn.serving.json.parser import encode_text, parse_object
from keras_attn.serving.json.results import write_classifications, write_regressions
from keras_attn.serving.models.model_info import metadata_json, status_json
from keras_attn.serving.models.registry import ModelSpec, Registry
from keras_attn.serving.monitoring.metric_definitions import REQUEST_LATENCY, REQUESTS
from keras_attn.serving.monitoring.metrics import Metrics
from keras_attn.serving.rest.predict import predict_json
from keras_attn.serving.rest.reply import Reply, error_reply, page_reply
from keras_attn.serving.rest.routes import Route, VersionTooLarge, find_route, is_api_path
from keras_attn.serving.rest.stream import run_stream

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
        return self._checked(method, path, headers, lambda route: self._answer(route, body))

    def stream(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], listener: Listener
    ) -> Reply:
        """Answers one request for a stream as `handle` does, and tells a listener of texts on the way.

        Args:
            method: HTTP method.
            path: raw path with its query string, one of `is_stream_path`.
            body: request body.
            headers: request headers, names in lower case.
            listener: see `run_stream`.
        """

        def answer(route: Route) -> bytes:
            document = parse_object(body)
            with self._registry.use(route.spec) as servable:
                return run_stream(servable, document, listener, self._timeout_ms)

        return self._checked(method, path, headers, answer)

    @property
    def cors_headers(self) -> tuple[tuple[str, str], ...]:
        """Headers of every answer, beside its own."""
        return _CORS if self._has_cors else ()

    def _checked(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        answer: Callable[[Route], bytes],
    ) -> Reply:
        if method == "OPTIONS":
            origin = (headers or {}).get("origin", "")
            is_allowed = "http://" in origin or "https://" in origin
            reply = Reply(200 if is_allowed else 400, b"", "text/html; charset=ISO-8859-1")
        else:
            reply = self._reply(method, path, answer)
        return replace(reply, headers=reply.headers + self.cors_headers)

    def _reply(self, method: str, path: str, answer: Callable[[Route], bytes]) -> Reply:
        begin, name, call, code = time.perf_counter(), "", "", Code.INTERNAL
        try:
            route = find_route(method, path)
            name, call = route.spec.name, route.call
            current_caller().check()  # it may have waited for this thread
            reply, code = Reply(200, answer(route)), Code.OK
        except VersionTooLarge:
            reply, code = Reply(400, b""), Code.INVALID_ARGUMENT
        except ServingError as error:
            reply, code = error_reply(error), error.code
        except Exception as error:
            _log.exception("A request to %s failed unexpectedly.", path)
            reply = error_reply(ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}"))
        self._metrics.increase(REQUESTS, name, code.name)
        if code is Code.OK:
            api = "" if call in ("status", "metadata") else call
            microseconds = (time.perf_counter() - begin) * 1e6
            self._metrics.observe(REQUEST_LATENCY, name, api, "REST", value=microseconds)
        return reply

    def _answer(self, route: Route, body: bytes) -> bytes:
        if route.call == "status":
            # A label in the path of a status request is ignored: all versions are returned.
            return encode_text(status_json(self._registry.statuses(replace(route.spec, label=""))))
        if route.call == "metadata":
            with self._registry.use(route.spec) as servable:
                return encode_text(metadata_json(servable))
        if route.call == "predict":
            return self._predict(route.spec, body)
        return self._run_examples(route, body)

    def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        asked = signature_name(document)
        with self._registry.use(spec) as servable:
            signature = _signature(servable, asked)
            run = partial(run_predict, servable, signature, timeout_ms=self._timeout_ms)
            return predict_json(document, signature, asked, run)[0]

    def _run_examples(self, route: Route, body: bytes) -> bytes:
        document = parse_object(body)
        asked = signature_name(document)
        examples = read_examples(document)
        with self._registry.use(route.spec) as servable:
            if route.call == "classify":
                return write_classifications(run_classify(servable, asked, examples, self._timeout_ms))
            return write_regressions(run_regress(servable, asked, examples, self._timeout_ms))


def _signature(servable: Servable, asked: str) -> Signature:
    """Over REST an unknown signature is an invalid argument, over gRPC a failed precondition."""
    try:
        return find_signature(servable, asked)
    except ServingError as error:
        if error.code is not Code.FAILED_PRECONDITION:
            raise
        name = asked or DEFAULT_SIGNATURE
        raise invalid(f'Serving signature name: "{name}" not found in signature def') from error
