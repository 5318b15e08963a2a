"""SavedModels of TensorFlow 1: several signatures over one input, with method names of their own."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from keras_attn.serving.grpc.services import Services
from keras_attn.serving.inference.servable import SessionSettings
from keras_attn.serving.models.loading import SavedModelLoader
from keras_attn.serving.models.registry import Registry
from keras_attn.serving.models.served_model import ServedModel
from keras_attn.serving.rest.handler import RestHandler

from ..inference.test_multi_inference import CLASSIFY, REGRESS, examples, multi_request, regress_request

v1 = tf.compat.v1


def info(tensor):
    return meta_graph_pb2.TensorInfo(
        name=tensor.name, dtype=tensor.dtype.as_datatype_enum, tensor_shape=tensor.shape.as_proto()
    )


def signature(call, inputs, outputs):
    build = v1.saved_model.signature_def_utils.build_signature_def
    return build(
        {name: info(tensor) for name, tensor in inputs.items()},
        {name: info(tensor) for name, tensor in outputs.items()},
        f"tensorflow/serving/{call}",
    )


def save(directory):
    """y = x / 2 + 2 and y3 = x / 2 + 3 of examples or of x itself."""
    with tf.Graph().as_default(), v1.Session() as session:
        half, two, three = (v1.Variable(value) for value in (0.5, 2.0, 3.0))
        serialized = v1.placeholder(tf.string, name="tf_example")
        x = tf.identity(v1.parse_example(serialized, {"x": v1.FixedLenFeature([1], tf.float32)})["x"], "x")
        y, y3 = tf.add(half * x, two, "y"), tf.add(half * x, three, "y3")
        session.run(v1.global_variables_initializer())
        signatures = {
            "serving_default": signature("predict", {"x": x}, {"y": y}),
            "regress_y": signature("regress", {"inputs": serialized}, {"outputs": y}),
            "regress_y3": signature("regress", {"inputs": serialized}, {"outputs": y3}),
            "classify_y": signature("classify", {"inputs": serialized}, {"scores": y}),
        }
        builder = v1.saved_model.Builder(str(directory))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map=signatures)
        builder.save()


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    base_path = tmp_path_factory.mktemp("old")
    save(base_path / "00000123")
    loader = SavedModelLoader(SessionSettings(checks_method_names=True))
    model = ServedModel("old", str(base_path), loader)
    assert model.poll() == []
    yield Registry([model])
    model.close(5.0)


def ask(registry, call, body):
    reply = RestHandler(registry).handle("POST", f"/v1/models/old:{call}", json.dumps(body).encode())
    return reply.status, json.loads(reply.body)


def test_over_rest(old):
    assert ask(old, "predict", {"instances": [2, 3]}) == (200, {"predictions": [3.0, 3.5]})
    body = {"signature_name": "regress_y", "examples": [{"x": 2.0}, {"x": 80.0}]}
    assert ask(old, "regress", body) == (200, {"results": [3.0, 42.0]})
    body["signature_name"] = "classify_y"
    assert ask(old, "classify", body) == (200, {"results": [[["", 3.0]], [["", 42.0]]]})


def test_method_names_are_checked(old):
    body = {"examples": [{"x": 2.0}], "signature_name": "classify_y"}
    assert ask(old, "regress", body) == (
        400,
        {
            "error": "Expected regression signature method_name to be tensorflow/serving/regress."
            " Was: tensorflow/serving/classify"
        },
    )


def test_several_signatures_in_one_run(old):
    tasks = [("regress_y", REGRESS), ("regress_y3", REGRESS), ("classify_y", CLASSIFY)]
    request = multi_request(examples(2.0), *tasks, name="old")
    first, second, third = Services(old).multi_inference(request).results
    assert [entry.value for entry in first.regression_result.regressions] == [3.0]
    assert [entry.value for entry in second.regression_result.regressions] == [4.0]
    assert third.classification_result.classifications[0].classes[0].score == 3.0
    assert third.model_spec.version.value == 123


def test_over_messages(old):
    request = regress_request(examples(2.0, 4.0), name="old", signature="regress_y3")
    assert [entry.value for entry in Services(old).regress(request).result.regressions] == [4.0, 5.0]
