from __future__ import annotations

import json

import pytest

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.rest.handler import RestHandler
from keras_attn.serving.rest.reply import error_reply


def ask(rest, method, path, body=b""):
    reply = rest.handle(method, path, body if isinstance(body, bytes) else json.dumps(body).encode())
    return reply.status, reply.body.decode("utf-8", "surrogateescape")


def predict(rest, model, body, rest_of_path=""):
    status, text = ask(rest, "POST", f"/v1/models/{model}{rest_of_path}:predict", body)
    document = json.loads(text, strict=False)
    return status, document.get("error", document)


def test_rows_and_columns(rest):
    assert predict(rest, "half", {"instances": [1, 2]}) == (200, {"predictions": [3.5, 4.0]})
    assert predict(rest, "half", {"inputs": {"x": [1, 2]}}) == (200, {"outputs": [3.5, 4.0]})
    rows = {"instances": [{"a": [1, 2, 3], "b": 2}, {"a": [0, 0, 1], "b": -1}]}
    expected = [{"scaled": [2, 4, 6], "total": 8}, {"scaled": [0, 0, -1], "total": 0}]
    assert predict(rest, "two", rows) == (200, {"predictions": expected})
    columns = {"inputs": {"a": [[1, 2, 3]], "b": [2]}}
    assert predict(rest, "two", columns) == (200, {"outputs": {"scaled": [[2, 4, 6]], "total": [8]}})


def test_a_version_can_be_named(registry, rest):
    assert predict(rest, "half", {"instances": [1]}, "/versions/7") == (200, {"predictions": [3.5]})
    assert predict(rest, "half", {"instances": [1]}, "/versions/9") == (
        404,
        "Servable not found for request: Specific(half, 9)",
    )


def test_strings_bytes_and_invalid_utf8(rest):
    body = {"instances": ["안녕", {"b64": "/w=="}]}
    status, reply = ask(rest, "POST", "/v1/models/shout:predict", body)
    first, second = json.loads(reply, strict=False)["predictions"]
    assert status == 200
    assert first == {"loud": "안녕!", "raw_bytes": {"b64": "7JWI64WV"}}
    assert second["loud"].encode("utf-8", "surrogateescape") == b"\xff!"
    status, reply = ask(rest, "POST", "/v1/models/shout:predict", b'{"inputs": ["\xfe"]}')
    assert status == 200
    assert b'"\xfe!"' in reply.encode("utf-8", "surrogateescape")


def test_an_input_with_a_default_may_be_left_out(rest):
    assert predict(rest, "default_input", {"inputs": {"x": [1, 2]}}) == (200, {"outputs": [3, 6]})
    assert predict(rest, "default_input", {"inputs": [1, 2]}) == (200, {"outputs": [3, 6]})
    assert predict(rest, "default_input", {"instances": [1, 2]}) == (200, {"predictions": [3, 6]})
    assert predict(rest, "default_input", {"inputs": {"x": [1], "factor": 5}}) == (200, {"outputs": [5]})


def test_another_signature(rest):
    body = {"signature_name": "count", "inputs": [[1, 2, 3]]}
    assert predict(rest, "integers", body) == (200, {"outputs": 3})
    body = {"signature_name": "count", "instances": [[1, 2, 3]]}
    assert predict(rest, "integers", body) == (400, "Tensor name: count has no shape information ")


@pytest.mark.parametrize(
    ("model", "body", "status", "message"),
    [
        ("nobody", {"instances": [1]}, 404, "Servable not found for request: Latest(nobody)"),
        ("nobody", b"{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("half", b"", 400, "JSON Parse error: The document is empty"),
        ("half", {}, 400, "Missing 'inputs' or 'instances' key"),
        (
            "half",
            {"instances": []},
            400,
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array",
        ),
        (
            "half",
            {"signature_name": "s", "instances": [1]},
            400,
            'Serving signature name: "s" not found in signature def',
        ),
        (
            "half",
            {"instances": ["a"]},
            400,
            "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "
            'JSON Value: "a" Type: String is not of expected type: float',
        ),
        (
            "two",
            {"instances": [1]},
            400,
            "instances is a plain list, but expecting list of objects as multiple input tensors required"
            " as per tensorinfo_map",
        ),
        (
            "two",
            {"instances": [{"a": [1, 2, 3]}]},
            400,
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": [1, 2, 3]\n}"
            " keys must be equal to: a,b",
        ),
        ("two", {"inputs": {"a": [[1]]}}, 400, "Missing named input: b in 'inputs' object."),
        (
            "integers",
            {"instances": [[1, 2], [3]]},
            400,
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT:"
            " Expecting tensor size: 2 but got: 1",
        ),
    ],
)
def test_errors(rest, model, body, status, message):
    assert predict(rest, model, body) == (status, message)


def test_an_error_inside_the_graph(rest):
    status, message = predict(rest, "below10", {"instances": [11]})
    assert status == 400
    assert "x is too big" in message


def test_status_and_metadata(rest):
    status, text = ask(rest, "GET", "/v1/models/half")
    expected = {"version": "7", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    assert (status, json.loads(text)) == (200, {"model_version_status": [expected]})
    assert text.startswith('{\n "model_version_status": [\n  {\n   "version": "7",')
    status, text = ask(rest, "GET", "/v1/models/default_input/metadata")
    metadata = json.loads(text)
    assert metadata["model_spec"] == {"name": "default_input", "version": "1", "signature_name": ""}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"].keys() == {"x", "factor"}
    assert signature["defaults"] == {}


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("POST", "/v1/models/half:PREDICT", "Malformed request: POST /v1/models/half:PREDICT"),
        ("POST", "/v1/models/half:predict?a=1", "Malformed request: POST /v1/models/half:predict?a=1"),
        ("POST", "/v1/models/half", "Malformed request: POST /v1/models/half"),
        ("GET", "/v1/models/half/", "Malformed request: GET /v1/models/half/"),
        ("DELETE", "/v1/models/half", "Malformed request: DELETE /v1/models/half"),
        ("GET", "/v1/models", "Missing model name in request."),
    ],
)
def test_malformed_requests(rest, method, path, message):
    status, text = ask(rest, method, path)
    assert (status, json.loads(text)) == (400, {"error": message})
    assert text == '{\n    "error": "' + message + '"\n}'


def test_odd_paths(rest):
    assert ask(rest, "GET", "/v1/models/half/versions/18446744073709551615") == (400, "")
    assert ask(rest, "GET", "/V1/Models/half")[0] == 200
    assert ask(rest, "GET", "/v1/models/ha%6Cf")[0] == 200
    assert ask(rest, "GET", "/v1/models/half/labels/any")[0] == 200
    status, text = ask(rest, "GET", "/v1/models/half/labels/any/metadata")
    assert (status, json.loads(text)["error"]) == (400, "Unrecognized servable version label: any")
    status, text = ask(rest, "GET", "/v1/models/half?x=1")
    assert (status, json.loads(text)["error"]) == (404, "Could not find any versions of model half?x=1")
    status, text = ask(rest, "GET", "/v1/models/half/versions/9")
    assert (status, json.loads(text)["error"]) == (404, "Could not find version 9 of model half")
    assert ask(rest, "GET", "/v1")[0] == 404


def test_an_unexpected_failure_is_an_answer_too(rest, monkeypatch, caplog):
    monkeypatch.setattr("keras_attn.serving.rest.calls.run_predict", lambda *args, **more: 1 / 0)
    assert predict(rest, "half", {"instances": [1]}) == (500, "ZeroDivisionError: division by zero")
    assert "failed unexpectedly" in caplog.text


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (200, "OK"),
        (400, "INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (409, "ALREADY_EXISTS ABORTED"),
        (429, "RESOURCE_EXHAUSTED"),
        (499, "CANCELLED"),
        (500, "INTERNAL UNKNOWN DATA_LOSS"),
        (501, "UNIMPLEMENTED"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)
def test_http_status_of_each_code(status, codes):
    for code in codes.split():
        assert error_reply(ServingError(Code[code], "m")).status == status


def test_an_error_is_spelt_in_json():
    reply = error_reply(ServingError(Code.NOT_FOUND, 'no "x"\n\x1f/é'))
    assert reply.body.decode() == '{\n    "error": "no \\"x\\"\\n\\u001F/é"\n}'


def test_a_run_that_takes_too_long(registry):
    handler = RestHandler(registry, timeout_ms=100)
    expected = (504, "Timed out waiting for notification")
    assert predict(handler, "loop", {"instances": [2_000_000_000]}) == expected


def test_the_order_of_checks(rest):
    """JSON, then the signature's name, then model, version and label, then the signature, then inputs."""
    name = "'signature_name' key must be a string value."
    assert predict(rest, "nobody", b'{"signature_name": 5, "instances": 1')[1].startswith("JSON Parse error")
    status, text = predict(rest, "nobody", {"signature_name": 5})
    assert (status, text.endswith(name)) == (400, True)
    assert predict(rest, "nobody", {"signature_name": "s"})[0] == 404
    asked = predict(rest, "half", {"signature_name": "s"}, "/labels/l")
    assert asked == (400, "Unrecognized servable version label: l")
    unknown = 'Serving signature name: "s" not found in signature def'
    assert predict(rest, "half", {"signature_name": "s"}) == (400, unknown)
    for call in ("classify", "regress"):  # the examples are looked at before the model
        status, text = ask(rest, "POST", f"/v1/models/nobody:{call}", {"examples": []})
        assert (status, "'examples' value is an empty array" in text) == (400, True)
        status, text = ask(rest, "POST", f"/v1/models/nobody:{call}", {"examples": [{}]})
        assert (status, "Servable not found for request: Latest(nobody)" in text) == (404, True)


def test_layout_of_metadata(rest):
    status, text = ask(rest, "GET", "/v1/models/half/versions/7/metadata")
    assert status == 200
    assert text.startswith('{\n"model_spec":{\n "name": "half",')
    assert '\n}\n,\n"metadata": {"signature_def": {\n "signature_def": {\n' in text
    assert text.endswith("}\n}\n}\n")
    signatures = json.loads(text)["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"] == {
        "dtype": "DT_FLOAT",
        "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
        "name": "serving_default_x:0",
    }
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/predict"
    assert "__saved_model_init_op" in signatures
