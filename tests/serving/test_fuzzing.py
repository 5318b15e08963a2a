"""Bad input is refused with the caller's fault, never with the server's: no 5xx, no crash."""

from __future__ import annotations

import contextlib
import gc
import json
import re
import socket
import tracemalloc

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.grpc.services import Services
from keras_attn.serving.json.parser import decode_text, encode_text, parse_json
from keras_attn.serving.json.text import string_text
from keras_attn.serving.protos.tensors import from_proto, to_proto

MODELS = ("half", "two", "shout", "default_input", "below10", "integers", "examples")
# Codes that blame the server.
SERVERS_FAULT = {Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS, Code.UNAVAILABLE, Code.CANCELLED}

numbers = st.one_of(st.integers(), st.floats(), st.integers(-(2**70), 2**70))
scalars = st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=7))
base64_objects = st.builds(lambda text: {"b64": text}, st.text("AQIDab=/+ *", max_size=11))
values = st.recursive(
    st.one_of(scalars, base64_objects),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "x", "text", "ids", "b64", "é"]), inner, max_size=3),
    ),
    max_leaves=11,
)
keys = st.sampled_from(["instances", "inputs", "examples", "context", "signature_name", "other"])
documents = st.one_of(values, st.dictionaries(keys, values, max_size=3))
calls = st.sampled_from(
    [f"/v1/models/{model}:{call}" for model in MODELS for call in ("predict", "classify", "regress")]
)


def refusal(run, *arguments):
    """Returns the error that a call ends with, if any."""
    try:
        run(*arguments)
    except ServingError as error:
        return error
    return None


def check(reply):
    assert reply.status < 500 or reply.status == 501, reply.body
    if reply.content_type == "application/json" and reply.body:
        parse_json(reply.body)


@given(path=calls, document=documents)
@settings(max_examples=300)
def test_any_json_document(rest, path, document):
    check(rest.handle("POST", path, json.dumps(document).encode()))


VALID = [
    ("half", b'{"instances": [1, 2.5]}'),
    ("two", b'{"inputs": {"a": [[1, 2, 3]], "b": [2]}}'),
    ("shout", b'{"instances": ["\\ud83d\\ude00", {"b64": "AA=="}]}'),
    ("examples", b'{"signature_name": "classify", "examples": [{"x": 1.0}, {"x": [2]}]}'),
]


@given(
    case=st.sampled_from(VALID),
    call=st.sampled_from(["predict", "classify", "regress"]),
    cuts=st.lists(st.tuples(st.integers(0, 70), st.integers(0, 7), st.binary(max_size=5)), max_size=3),
)
@settings(max_examples=200)
def test_valid_bodies_with_damage(rest, case, call, cuts):
    model, body = case
    for at, length, instead in cuts:
        body = body[:at] + instead + body[at + length :]
    check(rest.handle("POST", f"/v1/models/{model}:{call}", body))


@given(
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "DREAM"]),
    path=st.text("/v1models:predict%20half?#é\x00.-", max_size=23),
    body=st.binary(max_size=11),
)
@settings(max_examples=200)
def test_any_path(rest, method, path, body):
    check(rest.handle(method, "/v1/models/" + path, body))
    check(rest.handle(method, path, body))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=11))
def test_text_survives_json(text):
    assert parse_json(string_text(text).encode()) == text
    assert parse_json(json.dumps(text).encode()) == text


@given(st.binary(max_size=11))
def test_bytes_survive_decoding(data):
    assert encode_text(decode_text(data)) == data


@given(value=documents)
def test_the_parser_agrees_with_pythons(value):
    text = json.dumps(value)
    error = refusal(parse_json, text.encode())
    if error:  # a lone surrogate, for one
        assert error.code is Code.INVALID_ARGUMENT
    else:
        np.testing.assert_equal(as_parsed(parse_json(text.encode())), as_parsed(value))


def as_parsed(value):
    """Whole numbers beyond 64 bits count as decimal ones."""
    if isinstance(value, list):
        return [as_parsed(item) for item in value]
    if isinstance(value, dict):
        return {key: as_parsed(item) for key, item in value.items()}
    is_wide = isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**64
    return float(value) if is_wide else value


@pytest.fixture(scope="module")
def services(registry):
    return Services(registry)


def call(method, request):
    error = refusal(method, request)
    assert error is None or error.code not in SERVERS_FAULT, error


tensors = st.builds(
    lambda dtype, sizes, content, floats, ints, strings: tensor_pb2.TensorProto(
        dtype=dtype,
        tensor_shape={"dim": [{"size": size} for size in sizes]},
        tensor_content=content,
        float_val=floats,
        int_val=ints,
        int64_val=ints,
        string_val=strings,
    ),
    dtype=st.sampled_from(sorted(types_pb2.DataType.values())),
    sizes=st.lists(st.one_of(st.integers(-2, 3), st.just(2**40)), max_size=3),
    content=st.one_of(st.just(b""), st.binary(max_size=24)),
    floats=st.lists(st.floats(width=32), max_size=3),
    ints=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=3),
    strings=st.lists(st.binary(max_size=3), max_size=3),
)


@given(
    model=st.sampled_from([*MODELS, "nobody", ""]),
    inputs=st.dictionaries(
        st.sampled_from(["x", "a", "b", "text", "ids", "inputs", "é"]), tensors, max_size=2
    ),
    outputs=st.lists(st.sampled_from(["y", "total", "nothing"]), max_size=2),
)
@settings(max_examples=300)
def test_any_tensors_over_grpc(services, model, inputs, outputs):
    request = predict_pb2.PredictRequest(output_filter=outputs)
    request.model_spec.name = model
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    call(services.predict, request)


REQUESTS = {
    "predict": predict_pb2.PredictRequest,
    "classify": classification_pb2.ClassificationRequest,
    "regress": regression_pb2.RegressionRequest,
    "multi_inference": inference_pb2.MultiInferenceRequest,
    "get_model_metadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "get_model_status": get_model_status_pb2.GetModelStatusRequest,
}


def example_request():
    request = inference_pb2.MultiInferenceRequest()
    for signature, method in (("", "regress"), ("classify", "classify")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{method}")
        task.model_spec.name = "examples"
        task.model_spec.signature_name = signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(1.0)
    return request.SerializeToString()


SEEDS = [
    b"\n\x04half\x12\x0b\n\x01x\x12\x06\x08\x01\x2a\x02\x00\x00",
    example_request(),
    model_management_pb2.ReloadConfigRequest().SerializeToString(),
]


@given(
    name=st.sampled_from(sorted(REQUESTS)),
    seed=st.sampled_from(SEEDS),
    cuts=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 5), st.binary(max_size=5)), max_size=3),
)
@settings(max_examples=300)
def test_damaged_messages_over_grpc(services, name, seed, cuts):
    for at, length, instead in cuts:
        seed = seed[:at] + instead + seed[at + length :]
    try:
        request = REQUESTS[name].FromString(seed)
    except DecodeError:
        return  # gRPC itself refuses it
    call(getattr(services, name), request)


@given(tensors)
@settings(max_examples=300)
def test_a_tensor_is_read_or_refused(tensor):
    error = refusal(from_proto, "x", tensor)
    if error:
        assert str(error) == "INVALID_ARGUMENT: tensor parsing error: x"
        return
    array = from_proto("x", tensor)
    again = from_proto("x", to_proto(array))
    np.testing.assert_array_equal(again, array)
    assert again.dtype == array.dtype


WHOLE = b'POST /v1/models/half:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\n{"instances": [1]}'


@given(cuts=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 9), st.binary(max_size=5)), max_size=3))
@settings(max_examples=60)
def test_any_bytes_on_a_connection(server, cuts):
    sent = WHOLE
    for at, length, instead in cuts:
        sent = sent[:at] + instead + sent[at + length :]
    with socket.create_connection(("127.0.0.1", server.rest_port), timeout=20.0) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it left what we sent unread
            while data := connection.recv(65536):
                answer += data
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
    assert set(statuses) <= {b"100", b"200", b"400", b"404", b"408", b"501"}, answer


def test_bad_requests_leave_no_memory_behind(rest, services):
    def ask(number):
        body = json.dumps({"instances": [f"text {number}", number]}).encode()
        check(rest.handle("POST", "/v1/models/half:predict", body + b"]" * (number % 3)))
        check(rest.handle("POST", "/v1/models/half:predict", body[:-number]))
        request = predict_pb2.PredictRequest(output_filter=[f"output {number}"])
        request.model_spec.name = "half"
        request.inputs["x"].CopyFrom(tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[number]))
        call(services.predict, request)
        request.inputs[f"input {number}"].dtype = types_pb2.DT_STRING
        call(services.predict, request)

    def ask_all(numbers):
        for number in numbers:
            ask(number)
        gc.collect()

    ask_all(range(1, 31))  # what is made once
    tracemalloc.start()
    try:
        ask_all(range(31, 61))
        before, _ = tracemalloc.get_traced_memory()
        ask_all(range(61, 261))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 100 * 200  # far less than a request has
