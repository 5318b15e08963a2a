"""What nobody waits for any more is not begun."""

from __future__ import annotations

import contextlib
import socket
import threading

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from keras_attn.serving import Options, Server, connect
from keras_attn.serving.caller import Caller, current_caller, working_for
from keras_attn.serving.errors import ServingError, invalid
from keras_attn.serving.grpc.server import GrpcServer, GrpcSettings
from keras_attn.serving.monitoring.metric_definitions import SESSION_RUNS

from ..waiting import wait_until
from .server.test_draining import slow  # noqa: F401 - a fixture

PREDICT, BODY = "/v1/models/slow:predict", b'{"instances": [1]}'


def test_a_thread_works_for_one_caller_at_a_time():
    someone, outer, inner = current_caller(), Caller(), Caller()
    with working_for(outer):
        with contextlib.suppress(ServingError), working_for(inner):
            assert current_caller() is inner
            raise invalid("it went wrong")
        assert current_caller() is outer
        others = []
        thread = threading.Thread(target=lambda: others.append(current_caller()))
        thread.start()
        thread.join(20.0)
        assert others == [someone]
    assert current_caller() is someone


def test_a_caller_who_is_there_may_go_on():
    caller = Caller()
    caller.check()
    caller.leave()
    with pytest.raises(ServingError, match=r"CANCELLED: The caller went away\."):
        caller.check()


def test_a_graph_is_not_run_for_nobody(registry):
    gone = Caller()
    gone.leave()
    with registry.find("half").use(None) as servable:
        before = servable.metrics.total(SESSION_RUNS.name)
        signature = servable.signatures["serving_default"]
        with working_for(gone), pytest.raises(ServingError, match="CANCELLED"):
            servable.run(signature, {"x": np.float32([1])}, ["y"])
        assert servable.metrics.total(SESSION_RUNS.name) == before
        assert servable.run(signature, {"x": np.float32([1])}, ["y"])["y"].tolist() == [3.5]


def test_a_rest_request_whose_client_has_hung_up_is_not_begun(slow):  # noqa: F811
    servable, registry = slow
    server = Server(Options(port=0, rest_api_num_threads=1), registry=registry, grace_s=20.0)
    server.start()
    uvicorn, answers = server._rest._server, []

    def ask():
        with connect(f"http://127.0.0.1:{server.rest_port}", "slow", retries=0) as client:
            answers.append(client.predict([1.0]))

    asking = threading.Thread(target=ask)
    asking.start()
    assert servable.has_begun.wait(20.0)
    with socket.create_connection(("127.0.0.1", server.rest_port)) as connection:
        head = b"POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (PREDICT.encode(), len(BODY))
        connection.sendall((head + BODY) * 2)  # pipelined: both are forgotten
        wait_until(lambda: uvicorn.config.app._num_requests == 2)  # one runs, and the next waits
    wait_until(lambda: len(uvicorn.server_state.connections) == 1)
    servable.may_end.set()
    asking.join(20.0)
    wait_until(lambda: uvicorn.config.app._num_requests == 0)
    server.stop()
    assert answers == [[7.0]]
    assert 'request_count{model_name="slow",status="CANCELLED"} 1' in server.metrics.page()


@pytest.mark.parametrize("end", ["cancelled", "deadline"])
def test_a_grpc_method_knows_that_nobody_waits(end):
    has_begun, seen = threading.Event(), []

    def predict(request, timeout_ms):
        caller = current_caller()
        caller.check()
        has_begun.set()
        wait_until(lambda: caller.is_gone)
        seen.append(caller)
        return predict_pb2.PredictResponse()

    server = GrpcServer({"Predict": predict}, GrpcSettings(max_threads=1))
    server.start()
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        method = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        call = method.future(b"", timeout=20.0 if end == "cancelled" else 0.5)
        assert has_begun.wait(20.0)
        if end == "cancelled":
            call.cancel()
        wait_until(lambda: seen)
    server.stop(1.0)
