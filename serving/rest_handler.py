"""The REST API as a function of method, path and body; knows nothing of sockets."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from .errors import Code, ServingError, invalid
from .json_inputs import read_inputs, signature_name
from .json_outputs import write_outputs, write_predictions
from .json_parser import encode_text, parse_object
from .json_text import string_text
from .model_info import metadata_json, status_json
from .predict import find_signature, run_predict
from .registry import ModelSpec, Registry
from .rest_routes import VersionTooLarge, find_route, is_api_path
from .servable import Servable
from .signatures import DEFAULT_SIGNATURE, Signature

_log = logging.getLogger("keras_attn.serving")

_HTTP_STATUS = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}

_NOT_FOUND_PAGE = (
    b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"
)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    close: bool = False


class RestHandler:
    """Answers REST calls from a registry.

    Args:
        registry: the models.
        timeout_ms: limit of one model run in milliseconds; 0 means none.
    """

    def __init__(self, registry: Registry, timeout_ms: int = 0):
        self._registry = registry
        self._timeout_ms = timeout_ms

    def handle(self, method: str, path: str, body: bytes) -> Reply:
        """Answers one request; whatever goes wrong becomes a reply.

        Args:
            method: HTTP method.
            path: raw path with its query string.
            body: request body.
        """
        if not is_api_path(path):
            return Reply(404, _NOT_FOUND_PAGE, "text/html", close=True)
        try:
            return Reply(200, self._answer(method, path, body))
        except VersionTooLarge:
            return Reply(400, b"")
        except ServingError as error:
            return error_reply(error)
        except Exception as error:
            _log.exception("A request to %s failed unexpectedly.", path)
            return error_reply(ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}"))

    def _answer(self, method: str, path: str, body: bytes) -> bytes:
        route = find_route(method, path)
        if route.call == "status":
            # A label in the path of a status request is ignored: all versions are returned.
            return encode_text(status_json(self._registry.statuses(replace(route.spec, label=""))))
        if route.call == "metadata":
            with self._registry.use(route.spec) as servable:
                return encode_text(metadata_json(servable))
        if route.call == "predict":
            return self._predict(route.spec, body)
        raise ServingError(Code.UNIMPLEMENTED, f"Method {route.call} is not implemented. Use :predict.")

    def _predict(self, spec: ModelSpec, body: bytes) -> bytes:
        document = parse_object(body)
        asked = signature_name(document)
        with self._registry.use(spec) as servable:
            signature = _signature(servable, asked)
            inputs, by_row = read_inputs(document, signature, asked)
            outputs = run_predict(servable, signature, inputs, timeout_ms=self._timeout_ms)
        return write_predictions(outputs) if by_row else write_outputs(outputs)


def _signature(servable: Servable, asked: str) -> Signature:
    """Over REST an unknown signature is an invalid argument, over gRPC a failed precondition."""
    try:
        return find_signature(servable, asked)
    except ServingError as error:
        name = asked or DEFAULT_SIGNATURE
        raise invalid(f'Serving signature name: "{name}" not found in signature def') from error


def error_reply(error: ServingError) -> Reply:
    """Returns the answer to a request that failed."""
    text = f'{{\n    "error": {string_text(error.message)}\n}}'
    return Reply(_HTTP_STATUS.get(error.code, 500), text.encode("utf-8", "surrogateescape"))
