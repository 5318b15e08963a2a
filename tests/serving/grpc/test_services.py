from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

from keras_attn.serving.errors import ServingError
from keras_attn.serving.grpc.methods import cut_message
from keras_attn.serving.grpc.services import Services


@pytest.fixture(scope="module")
def services(registry):
    return Services(registry)


def request_for(model, inputs, signature="", outputs=()):
    request = predict_pb2.PredictRequest(output_filter=list(outputs))
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return request


FLOATS = np.array([1.0, 2.0], np.float32)
ROWS = np.ones((2, 3), np.float32)


def test_predict(services):
    response = services.predict(request_for("half", {"x": FLOATS}))
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("half", 7, "serving_default")
    assert list(response.outputs["y"].float_val) == [3.5, 4.0]


def test_output_filter(services):
    response = services.predict(request_for("two", {"a": ROWS, "b": FLOATS}, outputs=["total"]))
    assert response.outputs.keys() == {"total"}


def test_an_input_with_a_default_may_be_left_out(services):
    response = services.predict(request_for("default_input", {"x": FLOATS}))
    assert list(response.outputs["y"].float_val) == [3.0, 6.0]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (predict_pb2.PredictRequest(), "INVALID_ARGUMENT: Missing ModelSpec"),
        (request_for("", {}), "INVALID_ARGUMENT: ModelSpec has no name specified."),
        (request_for("nobody", {}), "NOT_FOUND: Servable not found for request: Latest(nobody)"),
        (request_for("half", {}, "s"), 'FAILED_PRECONDITION: Serving signature key "s" not found.'),
        (
            request_for("two", {"a": ROWS}),
            "INVALID_ARGUMENT: input size does not match signature: 1!=2 len({a}) != len({a,b})."
            " Sent extra: {}. Missing but required: {b}.",
        ),
        (
            request_for("half", {"z": FLOATS}),
            "INVALID_ARGUMENT: Signature input alias: x(feed name: serving_default_x:0) not found in request"
            " and no default value provided. Inputs expected to be in the request {x}, or default input"
            " alias set: ",
        ),
        (
            request_for("half", {"x": np.array([1], np.int32)}),
            "INVALID_ARGUMENT: Expects arg[0] to be float but int32 is provided",
        ),
        (
            request_for("half", {"x": FLOATS}, outputs=["z"]),
            "INVALID_ARGUMENT: output tensor alias not found in signature: z Outputs expected to be in the"
            " set {y}.",
        ),
        (
            request_for("half", {"x": FLOATS}, outputs=["y", "y"]),
            "INVALID_ARGUMENT: duplicate output tensor alias: y",
        ),
        (
            request_for("default_input", {"z": FLOATS, "x": FLOATS}),
            "INVALID_ARGUMENT: input tensor alias not found in signature: z. Inputs expected to be in the"
            " set {factor,x}.",
        ),
    ],
)
def test_predict_errors(services, request_, message):
    with pytest.raises(ServingError) as caught:
        services.predict(request_)
    assert str(caught.value) == message


def test_metadata(services):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: Missing ModelSpec"):
        services.get_model_metadata(request)
    request.model_spec.SetInParent()  # without a name, which is looked at last
    with pytest.raises(ServingError, match="must specify at least one metadata_field"):
        services.get_model_metadata(request)
    request.metadata_field.append("other")
    with pytest.raises(ServingError, match="Metadata field other is not supported"):
        services.get_model_metadata(request)
    request.metadata_field[:] = ["signature_def"]
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: ModelSpec has no name specified\."):
        services.get_model_metadata(request)
    request.model_spec.name = "integers"
    response = services.get_model_metadata(request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "count"} <= signatures.signature_def.keys()


def test_status(services):
    with pytest.raises(ServingError, match="Missing ModelSpec"):
        services.get_model_status(get_model_status_pb2.GetModelStatusRequest())
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "half"
    (status,) = services.get_model_status(request).model_version_status
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert (status.version, status.state, status.status.error_code) == (7, available, 0)


def test_long_messages_are_cut():
    assert cut_message("a" * 1024) == "a" * 1024
    assert cut_message("é" * 1009) == "é" * 512 + "...TRUNCATED"
