"""What the access log says of a gRPC call."""

from __future__ import annotations

import json

import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    predict_pb2,
)

from keras_attn.serving.grpc.methods import unary_handler
from keras_attn.serving.monitoring.access_log import AccessLog


class Context:
    """As much of a call's context as a handler asks for."""

    def __init__(self, peer):
        self._peer = peer

    def peer(self):
        return self._peer

    def add_callback(self, callback):
        return True


def logged(path, request, peer="ipv4:127.0.0.1:58106"):
    log = AccessLog(str(path / "access.jsonl"))
    handler = unary_handler(lambda request, context: request, "Call", type(request), log)
    handler.unary_unary(request, Context(peer))
    log.close()
    return json.loads((path / "access.jsonl").read_text())


def spec(name="m", signature="", version=None, label=""):
    message = model_pb2.ModelSpec(name=name, signature_name=signature, version_label=label)
    if not label:
        message.ClearField("version_label")
    if version is not None:
        message.version.value = version
    return message


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (predict_pb2.PredictRequest(model_spec=spec()), {"model": "m", "signature": "serving_default"}),
        (
            predict_pb2.PredictRequest(model_spec=spec(signature="n_best", version=0)),
            {"model": "m", "version": 0, "signature": "n_best"},
        ),
        (
            predict_pb2.PredictRequest(model_spec=spec("m" * 1009, label="stable")),
            {"model": "m" * 256, "label": "stable", "signature": "serving_default"},
        ),
        (
            inference_pb2.MultiInferenceRequest(
                tasks=[inference_pb2.InferenceTask(model_spec=spec(signature=name)) for name in ("a", "")]
            ),
            {"model": "m", "signature": "a,serving_default"},
        ),
        (inference_pb2.MultiInferenceRequest(), {}),
        (get_model_status_pb2.GetModelStatusRequest(model_spec=spec()), {"model": "m"}),
        (model_management_pb2.ReloadConfigRequest(), {}),
    ],
)
def test_what_was_asked_for(tmp_path, request_, expected):
    line = logged(tmp_path, request_)
    assert {key: line[key] for key in line.keys() & {"model", "version", "label", "signature"}} == expected
    assert (line["entrypoint"], line["call"], line["status"]) == ("GRPC", "Call", "OK")


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:58106", "127.0.0.1"),
        ("ipv6:%5B::1%5D:58106", "::1"),
        ("ipv6:[fe80::1%25eth0]:7", "fe80::1%eth0"),
        ("ipv6:%5B::ffff:10.0.0.7%5D:58106", "10.0.0.7"),
        ("unix:", "unix:"),
        ("unix:/run/a%20b", "unix:/run/a b"),
    ],
)
def test_peers_look_as_over_rest(tmp_path, peer, expected):
    assert logged(tmp_path, predict_pb2.PredictRequest(), peer)["peer"] == expected
