"""The calls of the REST API: method, path and answer of each. A new one is a function and a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.multi_inference import run_classify, run_regress
from keras_attn.serving.inference.predict import find_signature, run_predict
from keras_attn.serving.inference.servable import Servable
from keras_attn.serving.inference.signatures import DEFAULT_SIGNATURE, Signature
from keras_attn.serving.json.examples import read_examples
from keras_attn.serving.json.inputs import signature_name
from keras_attn.serving.json.parser import encode_text, parse_object
from keras_attn.serving.json.results import write_classifications, write_regressions
from keras_attn.serving.models.model_info import metadata_json, status_json
from keras_attn.serving.models.registry import ModelSpec, Registry
from keras_attn.serving.rest.predict import predict_json
from keras_attn.serving.rest.stream import run_stream


@dataclass(frozen=True)
class Request:
    """A request to a model.

    Args:
        registry: the models.
        spec: the model and version that the path names.
        body: body of the request.
        timeout_ms: limit of one model run in milliseconds; 0 means none.
        listener: see `run_stream`; only streams have one.
    """

    registry: Registry
    spec: ModelSpec
    body: bytes
    timeout_ms: int
    listener: Any = None


@dataclass(frozen=True)
class Call:
    """A call.

    Args:
        method: HTTP method.
        suffix: end of the path, after the model and its version or label.
        answer: returns the body of the answer, or raises `ServingError`.
        api: label of its latency in the metrics.
        prefix: begin of the path, before `/v1/`.
    """

    method: str
    suffix: str
    answer: Callable[[Request], bytes]
    api: str = ""
    prefix: str = ""


def _status(request: Request) -> bytes:
    # A label in the path of a status request is ignored: all versions are returned.
    return encode_text(status_json(request.registry.statuses(replace(request.spec, label=""))))


def _metadata(request: Request) -> bytes:
    with request.registry.use(request.spec) as servable:
        return encode_text(metadata_json(servable))


def _predict(request: Request) -> bytes:
    document = parse_object(request.body)
    asked = signature_name(document)
    with request.registry.use(request.spec) as servable:
        signature = _signature(servable, asked)
        run = partial(run_predict, servable, signature, timeout_ms=request.timeout_ms)
        return predict_json(document, signature, asked, run)[0]


def _signature(servable: Servable, asked: str) -> Signature:
    """An unknown signature is an invalid argument over REST, and a failed precondition over gRPC."""
    try:
        return find_signature(servable, asked)
    except ServingError as error:
        if error.code is not Code.FAILED_PRECONDITION:
            raise
        name = asked or DEFAULT_SIGNATURE
        raise invalid(f'Serving signature name: "{name}" not found in signature def') from error


def _stream(request: Request) -> bytes:
    document = parse_object(request.body)
    with request.registry.use(request.spec) as servable:
        return run_stream(servable, document, request.listener, request.timeout_ms)


def _classify(request: Request) -> bytes:
    return write_classifications(_on_examples(run_classify, request))


def _regress(request: Request) -> bytes:
    return write_regressions(_on_examples(run_regress, request))


def _on_examples(run: Callable, request: Request) -> Any:
    document = parse_object(request.body)
    asked = signature_name(document)
    examples = read_examples(document)
    with request.registry.use(request.spec) as servable:
        return run(servable, asked, examples, request.timeout_ms)


STREAM_PREFIX = "/stream"
CALLS = (
    Call("GET", "", _status),
    Call("GET", "/metadata", _metadata),
    Call("POST", ":predict", _predict, api="predict"),
    Call("POST", ":classify", _classify, api="classify"),
    Call("POST", ":regress", _regress, api="regress"),
    Call("POST", "", _stream, api="stream", prefix=STREAM_PREFIX),
)
