"""A server that is told to stop lets running requests finish, but does not wait for ever."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2

from keras_attn.serving import Options, Server, ServerError, connect
from keras_attn.serving.inference.signatures import Signature, TensorInfo
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.models.served_model import ServedModel


class SlowServable:
    """Says when a run has begun, and ends it when it is let go."""

    name, version, checks_method_names, writes_tensor_content = "slow", 1, False, False

    def __init__(self):
        info = TensorInfo("t:0", types_pb2.DT_FLOAT)
        self.signatures = {"serving_default": Signature("serving_default", {"x": info}, {"y": info}, {})}
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def run(self, signature, inputs, outputs, timeout_ms):
        self.has_begun.set()
        assert self.may_end.wait(60.0)
        return {"y": np.array([7.0], np.float32)}

    def close(self):
        pass


@pytest.fixture
def slow(tmp_path):
    (tmp_path / "1").mkdir()
    servable = SlowServable()
    registry = Registry([ServedModel("slow", str(tmp_path), lambda *_: servable)])
    registry.models[0].poll()
    yield servable, registry
    servable.may_end.set()


def ask(port, answers):
    client = connect(f"http://127.0.0.1:{port}", "slow", retries=0)
    try:
        answers.append(client.predict([1.0]))
    except (ServerError, OSError) as error:
        answers.append(error)
    finally:
        client.close()


def test_a_running_request_is_answered(slow):
    servable, registry = slow
    server = Server(Options(port=0), registry=registry, grace_s=60.0)
    server.start()
    answers, finished = [], []
    asking = threading.Thread(target=ask, args=(server.rest_port, answers))
    stopping = threading.Thread(target=lambda: finished.append(server.stop()))
    asking.start()
    assert servable.has_begun.wait(20.0)
    stopping.start()
    servable.may_end.set()
    asking.join()
    stopping.join()
    assert (answers, finished) == ([[7.0]], [True])


def test_a_request_that_does_not_end_is_dropped(slow):
    servable, registry = slow
    server = Server(Options(port=0), registry=registry, grace_s=0.1)
    server.start()
    answers = []
    asking = threading.Thread(target=ask, args=(server.rest_port, answers))
    asking.start()
    assert servable.has_begun.wait(20.0)
    assert not server.stop()
    asking.join()
    assert str(answers[0]) == "503: The server is shutting down."
