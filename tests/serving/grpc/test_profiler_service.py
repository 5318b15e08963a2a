"""TensorBoard's profiling service, asked with TensorFlow's own client."""

from __future__ import annotations

import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from keras_attn.serving import GrpcClient
from keras_attn.serving.grpc.profiler_service import profiler_messages
from keras_attn.serving.grpc.server import GrpcServer, GrpcSettings

SERVICE = "/tensorflow.ProfilerService/"


@pytest.fixture(scope="module")
def channel():
    server = GrpcServer({}, GrpcSettings(profiler=True, max_threads=3))
    server.start()
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        yield channel
    server.stop(1.0)


def call(channel, name, **fields):
    messages = profiler_messages()
    request = messages.get(f"{name}Request", messages["MonitorRequest"])(**fields)
    answer = messages.get(f"{name}Response", messages["TerminateResponse"])
    method = channel.unary_unary(
        SERVICE + name,
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    return method(request, timeout=30.0)


def refusal(channel, name, **fields):
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, name, **fields)
    return caught.value.code(), caught.value.details()


def test_tensorflows_client_gets_a_trace(server, tmp_path):
    """The trace holds what a model computed meanwhile, and lies where TensorBoard looks for it."""
    is_over = threading.Event()

    def ask():
        with GrpcClient(f"localhost:{server.grpc_port}", "half") as client:
            while not is_over.is_set():
                client.predict({"x": np.array([1.0], np.float32)})

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        tf.profiler.experimental.client.trace(f"grpc://localhost:{server.grpc_port}", str(tmp_path), 200)
    finally:
        is_over.set()
        asking.join(20.0)
    (file,) = tmp_path.glob("plugins/profile/*/*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    names = {entry.name for plane in space.planes for entry in plane.event_metadata.values()}
    assert any("truediv" in name or "RealDiv" in name for name in names), names


def test_a_trace_in_the_answer(channel):
    opts = {"version": 1, "host_tracer_level": 2, "duration_ms": 1}
    answer = call(channel, "Profile", opts=opts, emit_xspace=True)
    assert [p.name for p in xplane_pb2.XSpace.FromString(answer.xspace).planes]


def test_terminate_ends_a_session(channel):
    call(channel, "Terminate", session_id="s")
    answer = call(channel, "Profile", session_id="s", duration_ms=10**9, emit_xspace=True)  # would take days
    assert xplane_pb2.XSpace.FromString(answer.xspace).planes


def test_one_session_at_a_time(channel):
    def trace_for_days():
        while True:
            try:
                return call(channel, "Profile", session_id="long", duration_ms=10**9, emit_xspace=True)
            except grpc.RpcError as error:  # one of the short ones below was there before
                if "Another profiling session active" not in error.details():
                    raise

    begun = threading.Thread(target=trace_for_days)
    begun.start()
    answer = None
    while answer is None:  # until the long one has begun
        try:
            call(channel, "Profile", duration_ms=1, emit_xspace=True)
        except grpc.RpcError as error:
            answer = error
    assert answer.code() is grpc.StatusCode.INTERNAL
    assert "Another profiling session active" in answer.details()
    call(channel, "Terminate", session_id="long")
    begun.join(20.0)
    assert not begun.is_alive()


def test_what_there_is_not(channel, tmp_path):
    unimplemented = grpc.StatusCode.UNIMPLEMENTED
    assert refusal(channel, "Monitor", duration_ms=1) == (unimplemented, "unimplemented.")
    for name in ("StartContinuousProfiling", "StopContinuousProfiling", "GetSnapshot"):
        code, text = refusal(channel, name)
        assert code is unimplemented
        assert text.startswith("Continuous profiling is not supported.")
    code, text = refusal(channel, "Profile", duration_ms=1)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "neither emit_xspace nor repository_root" in text
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file")
    assert refusal(channel, "Profile", repository_root=where, session_id="s")[0] is grpc.StatusCode.INTERNAL


def test_it_can_be_switched_off():
    server = GrpcServer({}, GrpcSettings())
    server.start()
    with grpc.insecure_channel(f"localhost:{server.port}") as channel:
        assert refusal(channel, "Monitor") == (grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
    server.stop(1.0)
