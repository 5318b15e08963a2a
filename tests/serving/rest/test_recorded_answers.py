"""Recorded answers of TensorFlow Serving to JSON bodies, where the recording is at hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import tensor_pb2, types_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

from keras_attn.serving.errors import ServingError
from keras_attn.serving.inference.classify import Classification
from keras_attn.serving.inference.signatures import Signature, TensorInfo
from keras_attn.serving.json.examples import read_examples
from keras_attn.serving.json.inputs import read_inputs, signature_name
from keras_attn.serving.json.outputs import write_outputs, write_predictions
from keras_attn.serving.json.parser import parse_object
from keras_attn.serving.json.results import write_classifications, write_regressions

RECORDING = Path(__file__).parents[3] / ".." / "shared" / "data" / "rest_vectors" / "json_tensor_cases.json"
CASES = json.loads(RECORDING.read_text()) if RECORDING.exists() else []


def cases(*kinds):
    chosen = [
        pytest.param(case, id=f"{case['kind']}-{case['id']}") for case in CASES if case["kind"] in kinds
    ]
    return chosen or [pytest.param(None, marks=pytest.mark.skip(reason=f"no recording at {RECORDING}"))]


def array_of(proto):
    """Reads a recorded tensor; narrow integers wrap, which `tf.make_ndarray` refuses to do."""
    if proto.dtype == types_pb2.DT_INT8:
        return np.array(proto.int_val).astype(np.int8).reshape([dim.size for dim in proto.tensor_shape.dim])
    return tf.make_ndarray(proto)


def read(case):
    infos = {name: TensorInfo(name, types_pb2.DataType.Value(kind)) for name, kind in case["info"].items()}
    document = parse_object(case["body"].encode())
    name = signature_name(document)
    return name, *read_inputs(document, Signature("s", infos, {}, {}), name)


def write(case):
    outputs = {}
    for alias, text in case["tensors"].items():
        outputs[alias] = tf.make_ndarray(text_format.Parse(text, tensor_pb2.TensorProto()))
    return (write_predictions if case["kind"] == "row" else write_outputs)(outputs).decode()


@pytest.mark.parametrize("case", cases("predict"))
def test_request(case):
    if case["result_code"] != 0:
        with pytest.raises(ServingError) as caught:
            read(case)
        assert (int(caught.value.code), caught.value.message) == (case["result_code"], case["result_message"])
        return
    name, inputs, by_row = read(case)
    expected = text_format.Parse(case["result"], predict_pb2.PredictRequest())
    assert by_row == (case["format"] == "row")
    assert name == expected.model_spec.signature_name
    assert inputs.keys() == expected.inputs.keys()
    for alias, proto in expected.inputs.items():
        wanted = array_of(proto)
        assert inputs[alias].dtype == wanted.dtype
        np.testing.assert_array_equal(inputs[alias], wanted)


@pytest.mark.parametrize("case", cases("row", "columnar"))
def test_reply(case):
    if case["result_code"] == 0:
        assert write(case) == case["result"]
        return
    with pytest.raises(ServingError) as caught:
        write(case)
    assert (int(caught.value.code), caught.value.message) == (case["result_code"], case["result_message"])


@pytest.mark.parametrize("case", cases("classify", "regress"))
def test_examples(case):
    def read_body():
        document = parse_object(case["body"].encode())
        return signature_name(document), read_examples(document)

    if case["result_code"] != 0:
        with pytest.raises(ServingError) as caught:
            read_body()
        assert (int(caught.value.code), caught.value.message) == (case["result_code"], case["result_message"])
        return
    name, examples = read_body()
    expected = text_format.Parse(case["result"], classification_pb2.ClassificationRequest())
    assert name == expected.model_spec.signature_name
    assert examples == expected.input


# What was recorded of results was written from these.
RESULTS = {
    "cls": [[(b"car", 0.2), (b"", 3.0)], [(b"b", 1e-7)]],
    "cls0": [],
    "reg": [3.0, 0.1],
    "reg0": [],
}


class Ragged(Classification):
    """A message can hold another number of classes for each example; no graph computes that."""

    def rows(self):
        for row in self.labels:
            yield [label for label, _ in row], np.array([score for _, score in row], np.float32)


@pytest.mark.parametrize("case", cases("classify_out", "regress_out"))
def test_results(case):
    given = RESULTS[case["id"]]

    def write_result():
        if case["kind"] == "classify_out":
            return write_classifications(Ragged(len(given), given)).decode()
        return write_regressions(np.array(given, np.float32)).decode()

    if case["result_code"] == 0:
        assert write_result() == case["result"]
        return
    with pytest.raises(ServingError) as caught:
        write_result()
    assert (int(caught.value.code), caught.value.message) == (case["result_code"], case["result_message"])
