"""Refused gRPC calls say when to come back, and the client goes by it."""

from __future__ import annotations

import queue
import threading
import time

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2

from keras_attn.serving import GrpcClient, ServerError
from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.grpc.server import GrpcServer, GrpcSettings
from keras_attn.serving.monitoring.metrics import Metrics

from ...waiting import wait_until

PREDICT = "/tensorflow.serving.PredictionService/Predict"
# Status{code: 8, message: "full", details: Any{RetryInfo{retry_delay{seconds: 1}}}}, written by hand.
URL = b"type.googleapis.com/google.rpc.RetryInfo"
STATUS = (
    b"\x08\x08\x12\x04full\x1a"
    + bytes([len(URL) + 8])
    + b"\n"
    + bytes([len(URL)])
    + URL
    + b"\x12\x04\n\x02\x08\x01"
)


@pytest.fixture
def serve():
    servers = []

    def start(predict, metrics=None, **settings):
        servers.append(GrpcServer({"Predict": predict}, GrpcSettings(**settings), metrics=metrics))
        servers[-1].start()
        return f"localhost:{servers[-1].port}"

    yield start
    for server in servers:
        server.stop(1.0)


@pytest.fixture
def pauses(monkeypatch):
    """Seconds that clients would have slept."""
    slept = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def failing(*codes):
    """A method that fails with some codes, one after the other, and then answers; and its calls so far."""
    left, calls = list(codes), []

    def predict(request, timeout_ms):
        calls.append(request)
        if left:
            raise ServingError(left.pop(0), "full")
        return predict_pb2.PredictResponse()

    return predict, calls


def metadata_of(address):
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary(PREDICT)(b"", timeout=20.0)
    return dict(caught.value.trailing_metadata())


def test_what_a_busy_server_says(serve):
    hints = metadata_of(serve(failing(Code.RESOURCE_EXHAUSTED)[0]))
    assert hints["retry-after"] == "1"
    assert hints["grpc-retry-pushback-ms"] == "1000"
    assert hints["grpc-status-details-bin"] == STATUS
    assert metadata_of(serve(failing(Code.UNAVAILABLE)[0]))["retry-after"] == "1"
    assert metadata_of(serve(failing(Code.INVALID_ARGUMENT)[0])) == {}


def test_the_client_comes_back(serve, pauses):
    predict, calls = failing(Code.RESOURCE_EXHAUSTED, Code.RESOURCE_EXHAUSTED)
    with GrpcClient(serve(predict), "m", retries=2) as client:
        assert client.predict({}) == {}
    assert (len(calls), pauses) == (3, [1.0, 1.0])


def test_retries_end(serve, pauses):
    predict, calls = failing(*[Code.RESOURCE_EXHAUSTED] * 5)
    with GrpcClient(serve(predict), "m", retries=1) as client:
        with pytest.raises(ServerError, match="RESOURCE_EXHAUSTED: full"):
            client.predict({})
        assert (len(calls), pauses) == (2, [1.0])
    with (
        GrpcClient(serve(predict), "m", retries=0) as client,
        pytest.raises(ServerError, match="RESOURCE_EXHAUSTED: full"),
    ):
        client.predict({})
    assert len(calls) == 3


def test_a_message_that_is_too_long_is_not_sent_again(serve, pauses):
    address = serve(failing()[0], max_message_bytes=97)
    with (
        GrpcClient(address, "m" * 101) as client,
        pytest.raises(ServerError, match=r"RESOURCE_EXHAUSTED: .*larger than max"),
    ):
        client.predict({})
    assert pauses == []


def first_to_end(futures):
    """Calls of a channel need not arrive in the order in which they were made."""
    ended = queue.SimpleQueue()
    for future in futures:
        future.add_done_callback(ended.put)
    return ended.get(timeout=20.0)


def test_calls_that_wait_are_limited(serve):
    may_end, calls = threading.Event(), []

    def predict(request, timeout_ms):
        calls.append(request)
        may_end.wait(20.0)
        return predict_pb2.PredictResponse()

    metrics = Metrics()
    address = serve(predict, metrics, max_threads=1, max_waiting=1)
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_unary(PREDICT)
        made = [method.future(b"", timeout=20.0) for _ in range(3)]  # one runs, one waits
        refused = first_to_end(made)
        assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused.details() == (
            "Too many requests wait already. Expected at most 2 at once. Try again later."
        )
        assert dict(refused.trailing_metadata())["retry-after"] == "1"
        assert ':keras_attn:serving:running_requests{entrypoint="GRPC"} 2' in metrics.page()
        may_end.set()
        assert [call.result() for call in made if call is not refused] == [b"", b""]
        assert method(b"", timeout=20.0) == b""
    assert len(calls) == 3
    wait_until(lambda: ':keras_attn:serving:running_requests{entrypoint="GRPC"} 0' in metrics.page())
    assert ':keras_attn:serving:refused_request_count{limit="waiting"} 1' in metrics.page()


@pytest.mark.exhaustive
def test_a_client_reaches_a_server_that_was_away_for_long():
    """gRPC by itself would pause 1, 1.6, 2.6, ... seconds between attempts to connect, and fail all calls."""
    first = GrpcServer({"Predict": failing()[0]}, GrpcSettings())
    first.start()
    with GrpcClient(f"localhost:{first.port}", "m", retries=2) as client:
        assert client.predict_arrays({}) == {}
        first.stop(0.0)
        away_until = time.monotonic() + 12
        while time.monotonic() < away_until:
            with pytest.raises(ServerError, match="UNAVAILABLE"):
                client.predict_arrays({})
        again = GrpcServer({"Predict": failing()[0]}, GrpcSettings(port=first.port))
        again.start()
        try:
            assert client.predict_arrays({}) == {}
        finally:
            again.stop(0.0)
