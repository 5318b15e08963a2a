"""One server over real sockets: REST, gRPC and `tf.saved_model.load` agree."""

from __future__ import annotations

import gzip
import http.client
import json
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import inference_pb2, prediction_service_pb2_grpc

from keras_attn.serving import GrpcClient, ServerError, connect

INPUTS = {
    "half": {"x": np.array([1.0, -2.5, 1e-3], np.float32)},
    "two": {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([0.1, 7.0], np.float32)},
    "shout": {"text": np.array(["안녕".encode(), b"", b"\xff\x00"], object)},
    "default_input": {"x": np.array([1 / 3], np.float32)},
    "integers": {"ids": np.array([[2**53 + 1, -1]], np.int64)},
    "below10": {"x": np.array([1, 2], np.int32)},
}


@pytest.fixture
def grpc_client(server):
    clients = []

    def client(model):
        clients.append(GrpcClient(f"127.0.0.1:{server.grpc_port}", model))
        return clients[-1]

    yield client
    for client in clients:
        client.close()


@pytest.fixture
def rest_client(server):
    clients = []

    def client(model):
        clients.append(connect(f"http://127.0.0.1:{server.rest_port}", model))
        return clients[-1]

    yield client
    for client in clients:
        client.close()


def as_bytes(value):
    """Clients return text where TensorFlow returns bytes."""
    if isinstance(value, list):
        return [as_bytes(item) for item in value]
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


@pytest.mark.parametrize("model", INPUTS)
def test_rest_and_grpc_agree_with_tensorflow(model, models, rest_client, grpc_client):
    inputs = INPUTS[model]
    latest = max(models[model].iterdir(), key=lambda path: int(path.name))
    loaded = tf.saved_model.load(str(latest))  # kept: the signature needs it alive
    left_out = {"factor": np.array(3.0, np.float32)} if model == "default_input" else {}
    results = loaded.signatures["serving_default"](**inputs, **left_out)
    expected = {name: y.numpy() for name, y in results.items()}
    arrays = grpc_client(model).predict_arrays(inputs)
    assert arrays.keys() == expected.keys()
    for client in (grpc_client(model), rest_client(model)):
        outputs = client.predict(inputs)
        if len(expected) == 1:
            outputs = dict.fromkeys(expected, outputs)
        assert outputs.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(arrays[name], array)
            np.testing.assert_array_equal(np.array(as_bytes(outputs[name]), array.dtype), array)


def test_clients_take_plain_python(rest_client, grpc_client):
    assert rest_client("half").predict([1, 2]) == [3.5, 4.0]
    assert rest_client("half").predict(instances=[{"x": 1}]) == [3.5]
    assert grpc_client("half").predict({"x": [1, 2]}) == [3.5, 4.0]
    assert grpc_client("shout").predict({"text": ["é"]})["loud"] == ["é!"]
    assert grpc_client("integers").predict({"ids": [[1]]}, signature_name="count") == 1
    assert grpc_client("half").status() == rest_client("half").status() == {7: "AVAILABLE"}
    assert rest_client("half").wait_until_available() == 7
    assert "x" in rest_client("half").metadata()["serving_default"]["inputs"]


def test_clients_raise_the_servers_words(rest_client, grpc_client):
    with pytest.raises(ServerError, match="404: Servable not found for request: Latest") as caught:
        rest_client("nobody").predict([1])
    assert caught.value.status == 404
    with pytest.raises(ServerError, match=r"INVALID_ARGUMENT: .*x is too big"):
        grpc_client("below10").predict({"x": [11]})
    with pytest.raises(ServerError, match="FAILED_PRECONDITION"):
        grpc_client("half").predict({"x": np.zeros(1, np.float32)}, signature_name="s")
    with pytest.raises(TimeoutError, match="Could not find any versions of model nobody"):
        rest_client("nobody").wait_until_available(timeout_s=0.0)
    with pytest.raises(TypeError, match="either `inputs` or `instances`"):
        rest_client("half").predict()
    with pytest.raises(ValueError, match="Expected http://host:port, grpc://host:port or unix:/path"):
        connect("ftp://host")


def test_a_method_that_is_not_there(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/tensorflow.serving.PredictionService/Dream")(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.MultiInference(inference_pb2.MultiInferenceRequest())
    assert caught.value.details() == "ModelSpec has no name specified."


def test_a_connection_is_kept_and_gzip_understood(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
    path, body = "/v1/models/half:predict", b'{"instances": [1]}'
    for sent, headers in [(body, {}), (gzip.compress(body), {"Content-Encoding": "gzip"}), (body, {})]:
        connection.request("POST", path, sent, headers)
        response = connection.getresponse()
        assert json.loads(response.read()) == {"predictions": [3.5]}
        assert response.headers["Content-Type"] == "application/json"
    connection.request("POST", path, b"no gzip", {"Content-Encoding": "gzip"})
    assert b"The document is empty" in connection.getresponse().read()
    connection.request("POST", path, iter([body[:7], body[7:]]))  # chunked
    assert connection.getresponse().read().startswith(b'{\n    "predictions"')
    connection.close()


def test_many_clients_at_once(rest_client, grpc_client):
    answers = []

    def ask(client, inputs):
        answers.extend(list(client.predict(inputs)) for _ in range(11))
        client.close()

    values = np.array([4.0], np.float32)
    threads = [threading.Thread(target=ask, args=(rest_client("half"), [4])) for _ in range(5)]
    threads += [threading.Thread(target=ask, args=(grpc_client("half"), {"x": values})) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[5.0]] * 110


def test_a_large_request_and_reply(rest_client, grpc_client):
    values = np.arange(1_000_003, dtype=np.float32)
    np.testing.assert_array_equal(grpc_client("half").predict({"x": values}), values / 2 + 3)
    few = values[:100_003]
    np.testing.assert_array_equal(rest_client("half").predict({"x": few}), few / 2 + 3)
