"""Classify, regress and multi-inference on a real graph, over messages and over JSON."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from tensorflow.core.example import example_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import classification_pb2, inference_pb2, input_pb2, regression_pb2

from keras_attn.serving.errors import ServingError
from keras_attn.serving.grpc.services import Services
from keras_attn.serving.inference.classify import Classification, classification_of, classification_tensors
from keras_attn.serving.inference.example_inputs import serialized_examples
from keras_attn.serving.inference.multi_inference import run_classify
from keras_attn.serving.inference.predict import find_signature
from keras_attn.serving.inference.regress import regression_of, regression_tensors
from keras_attn.serving.inference.signatures import CLASSIFY_METHOD as CLASSIFY
from keras_attn.serving.inference.signatures import REGRESS_METHOD as REGRESS


@pytest.fixture(scope="module")
def services(registry):
    return Services(registry)


def example(x):
    message = example_pb2.Example()
    message.features.feature["x"].float_list.value.append(x)
    return message


def examples(*values):
    message = input_pb2.Input()
    message.example_list.examples.extend([example(x) for x in values])
    return message


def fill(request, message, name="examples", signature=""):
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    request.input.CopyFrom(message)
    return request


def classify_request(message, **spec):
    return fill(classification_pb2.ClassificationRequest(), message, **spec)


def regress_request(message, **spec):
    return fill(regression_pb2.RegressionRequest(), message, **spec)


def multi_request(message, *tasks, name="examples"):
    request = inference_pb2.MultiInferenceRequest()
    request.input.CopyFrom(message)
    for signature, method in tasks:
        task = request.tasks.add(method_name=method)
        task.model_spec.name = name
        task.model_spec.signature_name = signature
    return request


def test_regress(services):
    response = services.regress(regress_request(examples(2.0, -4.0)))
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("examples", 1, "serving_default")
    assert [entry.value for entry in response.result.regressions] == [3.0, 0.0]


def test_classify(services):
    response = services.classify(classify_request(examples(2.0, 4.0), signature="classify"))
    first, second = response.result.classifications
    assert [(c.label, c.score) for c in first.classes] == [("cold", -2.0), ("안녕", 0.0), ("hot", 1.0)]
    assert [c.score for c in second.classes] == [-4.0, 0.0, 2.0]
    assert response.model_spec.signature_name == "classify"


def test_scores_or_labels_alone(services):
    response = services.classify(classify_request(examples(2.0), signature="scores_alone"))
    assert [(c.label, c.score) for c in response.result.classifications[0].classes] == [("", 2.0)]
    response = services.classify(classify_request(examples(2.0), signature="labels_alone"))
    (only,) = response.result.classifications[0].classes
    # The label is a serialised example: no UTF-8, which a string field cannot hold.
    assert only.label == example(2.0).SerializeToString().decode("utf-8", "replace")
    assert only.score == 0.0


def test_a_context_is_merged_into_each_example(services):
    message = input_pb2.Input()
    message.example_list_with_context.context.CopyFrom(example(6.0))
    message.example_list_with_context.examples.extend([example_pb2.Example(), example(2.0)])
    response = services.regress(regress_request(message))
    assert [entry.value for entry in response.result.regressions] == [5.0, 3.0]
    first, second = (example_pb2.Example.FromString(data) for data in serialized_examples(message))
    assert (first, second) == (example(6.0), example(2.0))


def test_multi_inference(services):
    tasks = [("", REGRESS), ("classify", CLASSIFY), ("wide", REGRESS)]
    response = services.multi_inference(multi_request(examples(2.0, 4.0), *tasks[:2]))
    regressed, classified = response.results
    assert [entry.value for entry in regressed.regression_result.regressions] == [3.0, 4.0]
    assert regressed.model_spec.signature_name == "serving_default"
    assert classified.classification_result.classifications[1].classes[0].label == "cold"
    assert (classified.model_spec.signature_name, classified.model_spec.version.value) == ("classify", 1)
    with pytest.raises(ServingError, match=r"either \[batch_size\] or \[batch_size, 1\] but got \[1,3\]"):
        services.multi_inference(multi_request(examples(2.0), *tasks))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([("none", REGRESS)], "INVALID_ARGUMENT: Requested signature not found in model graph: none"),
        (
            [("", REGRESS), ("serving_default", REGRESS)],
            "INVALID_ARGUMENT: Duplicate evaluation of signature: serving_default",
        ),
        ([("", "dream")], "UNIMPLEMENTED: Unsupported signature method_name: dream"),
        # One task after the other: the first one's fault is named.
        ([("", "dream"), ("none", REGRESS)], "UNIMPLEMENTED: Unsupported signature method_name: dream"),
        (
            [("", CLASSIFY), ("", REGRESS)],
            "FAILED_PRECONDITION: Expected classification signature outputs to",
        ),
        (
            [("", REGRESS), ("classify", CLASSIFY)],
            "INVALID_ARGUMENT: Input is empty.",
        ),
    ],
)
def test_multi_inference_errors(services, tasks, message):
    with pytest.raises(ServingError) as caught:
        services.multi_inference(multi_request(input_pb2.Input(), *tasks))
    assert str(caught.value).startswith(message)


def test_tasks_name_one_model_and_share_an_input(services, registry):
    request = multi_request(examples(1.0), ("", REGRESS), ("classify", CLASSIFY))
    request.tasks[1].model_spec.name = ""
    with pytest.raises(ServingError, match=r"Found ModelSpec with an empty model name\."):
        services.multi_inference(request)
    request.tasks[1].model_spec.name = "half"
    with pytest.raises(ServingError, match="must access the same model name"):
        services.multi_inference(request)
    with pytest.raises(ServingError, match=r"ModelSpec has no name specified\."):
        services.multi_inference(inference_pb2.MultiInferenceRequest())


@pytest.mark.parametrize(
    ("call", "request_", "message"),
    [
        ("classify", classification_pb2.ClassificationRequest(), "Missing ModelSpec"),
        ("regress", regress_request(examples(1.0), name=""), "ModelSpec has no name specified."),
        (
            "regress",
            regress_request(examples(1.0), name="m"),
            "Servable not found for request: Latest(m)",
        ),
        (
            "classify",
            classify_request(examples(1.0), signature="s"),
            "No signature was found with the name: s",
        ),
        ("regress", regress_request(input_pb2.Input()), "Input is empty."),
        ("regress", regress_request(examples(1.0), name="two"), "Expected one input Tensor."),
        (
            "regress",
            regress_request(examples(1.0), signature="classify"),
            "Expected one output Tensor.",
        ),
        (
            "classify",
            classify_request(examples(1.0), signature="flat"),
            "Expected Tensor shape: [batch_size num_classes] but got [1]",
        ),
        (
            "regress",
            regress_request(examples(1.0), signature="whole_numbers"),
            "Expected output Tensor of DT_FLOAT.  Got: DT_INT32",
        ),
        (
            "regress",
            regress_request(examples(1.0, 2.0), signature="one_row"),
            "Input batch size did not match output batch size: 2 vs. 1",
        ),
    ],
)
def test_errors(services, call, request_, message):
    with pytest.raises(ServingError) as caught:
        getattr(services, call)(request_)
    assert caught.value.message == message


def definition(inputs=("inputs",), outputs=("outputs",)):
    message = meta_graph_pb2.SignatureDef()
    for name in inputs:
        message.inputs[name].name = f"{name}:0"
    for name in outputs:
        message.outputs[name].name = f"{name}:0"
    return message


@pytest.mark.parametrize(
    ("tensors_of", "signature", "message"),
    [
        (classification_tensors, definition(("a", "b")), "Expected one input Tensor."),
        (
            classification_tensors,
            definition(outputs="abc"),
            "Expected one or two output Tensors, found 3",
        ),
        (
            classification_tensors,
            definition("a"),
            "No classification inputs found in SignatureDef: inputs {",
        ),
        (
            classification_tensors,
            definition(),
            'Expected classification signature outputs to contain at least one of "classes" or "scores".'
            " Signature was: inputs {",
        ),
        (regression_tensors, definition("a"), "No regression inputs found in SignatureDef: inputs {"),
        (
            regression_tensors,
            definition(outputs="a"),
            "No regression outputs found in SignatureDef: inputs {",
        ),
    ],
)
def test_signatures_of_another_kind(tensors_of, signature, message):
    with pytest.raises(ServingError) as caught:
        tensors_of(signature)
    assert caught.value.message.startswith(message)


LABELS = np.array([[b"a", b"b"]], object)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"classes": LABELS[0]}, r"\[batch_size num_classes\] but got \[2\]"),
        ({"classes": np.ones((1, 2), np.float32)}, r"Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
        ({"scores": np.ones((1, 2), np.int64)}, r"Expected scores Tensor of DT_FLOAT. Got: DT_INT64"),
        ({"scores": np.ones((3, 2), np.float32)}, r"Expected scores output batch size of 1. Got: 3"),
        (
            {"classes": LABELS, "scores": np.ones((1, 3), np.float32)},
            r"should match in dim_size\(1\). Got 2 vs. 3",
        ),
    ],
)
def test_classes_that_do_not_fit(arrays, message):
    with pytest.raises(ServingError, match=message):
        classification_of(1, arrays)


def test_rows_of_a_classification():
    (row,) = Classification(1, LABELS).rows()
    assert (row[0], row[1].tolist()) == ([b"a", b"b"], [0.0, 0.0])
    assert regression_of(2, np.ones((2, 1), np.float32)).tolist() == [1.0, 1.0]


def test_method_names_are_checked_on_request(registry):
    strict = SimpleNamespace(
        checks_method_names=True, signature_defs={"s": definition()}, signatures={"s": 1}
    )
    with pytest.raises(ServingError, match=r"method_name to be tensorflow/serving/classify\. Was: $"):
        run_classify(strict, "s", examples(1.0))
    with pytest.raises(ServingError, match=r"to be one of \{tensorflow/serving/predict, .*\}\. Was: $"):
        find_signature(strict, "s")


def ask(rest, call, body):
    reply = rest.handle("POST", f"/v1/models/examples:{call}", json.dumps(body).encode())
    return reply.status, reply.body.decode()


def test_over_rest(rest):
    status, text = ask(rest, "regress", {"examples": [{"x": 2.0}, {"x": [-4.0]}, {}]})
    assert (status, text) == (200, '{\n    "results": [3.0, 0.0, 2.0]\n}')
    body = {"signature_name": "classify", "context": {"x": 4.0}, "examples": [{}]}
    status, text = ask(rest, "classify", body)
    assert (status, text) == (
        200,
        '{\n    "results": [[["cold", -4.0], ["안녕", 0.0], ["hot", 2.0]]\n    ]\n}',
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"examples": [{"x": [1.5, 2]}]}, "Unexpected element type in feature: x expecting type: float"),
        ({"examples": [{"x": [1, 2.5]}]}, "Unexpected element type in feature: x expecting type: int64"),
        ({"examples": [{"x": ["a", True]}]}, "Unexpected element type in feature: x expecting type: bytes"),
        ({"examples": [{"x": {"b64": "*"}}]}, "Unable to base64 decode"),
        ({"examples": [{"x": {"y": 1}}]}, "Feature: x has element with unexpected JSON type: Object"),
        ({"examples": [{"x": 1.0}], "signature_name": "s"}, "No signature was found with the name: s"),
        ({"examples": [{"\udcff": 1}]}, "Feature: ? has a name that is no UTF-8. Expected UTF-8."),
    ],
)
def test_errors_over_rest(rest, body, message):
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogateescape")
    reply = rest.handle("POST", "/v1/models/examples:classify", text)
    assert (reply.status, json.loads(reply.body)["error"]) == (400, message)


def test_whole_numbers_of_more_than_64_bits_are_decimal_ones(rest):
    status, text = ask(rest, "regress", {"examples": [{"x": [2**64, -(2**63) - 1]}]})
    assert (status, "Unexpected element type" in text) == (400, False)  # two values for one number
    status, text = ask(rest, "regress", {"examples": [{"x": 2**64}, {"x": -(10**200)}]})
    assert (status, json.loads(text)["results"]) == (200, [9.22337204e18, -np.inf])
    status, text = ask(rest, "regress", {"examples": [{"x": 2**64 - 1}]})
    assert (status, "has uint64_t element. Only int64_t is supported." in text) == (400, True)


@pytest.mark.parametrize(
    ("body", "results"),
    [
        (b'{"examples": [{"x": [4.0, 4.0], "x": 1.0}, {"x": "a", "x": []}]}', [2.5, 2.0]),
        (b'{"context": {"x": "a", "x": 3.0}, "examples": [{}]}', [3.5]),
    ],
)
def test_of_equal_features_the_last_counts(rest, body, results):
    reply = rest.handle("POST", "/v1/models/examples:regress", body)
    assert (reply.status, json.loads(reply.body)) == (200, {"results": results})


def test_floats_beyond_the_range_are_infinite(rest):
    status, text = ask(rest, "regress", {"examples": [{"x": 1e300}]})
    assert (status, text) == (200, '{\n    "results": [Infinity]\n}')
