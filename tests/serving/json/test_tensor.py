from __future__ import annotations

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.inference.signatures import TensorInfo
from keras_attn.serving.json.tensor import to_array


def info(name):
    return TensorInfo("x:0", types_pb2.DataType.Value(f"DT_{name}"))


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("FLOAT", [1, 2.5, 1e39], np.array([1, 2.5, np.inf], np.float32)),
        ("DOUBLE", 0.1, np.array(0.1)),
        ("INT8", [300, -1], np.array([44, -1], np.int8)),
        ("INT32", [[1, 2, 3]], np.array([[1, 2, 3]], np.int32)),
        ("INT64", [2**63 - 1], np.array([2**63 - 1])),
        ("UINT64", [2**64 - 1], np.array([2**64 - 1], np.uint64)),
        ("BOOL", [True, False], np.array([True, False])),
        ("STRING", ["é", {"b64": "/w"}, {"b64": " aGk= "}], np.array(["é".encode(), b"\xff", b"hi"], object)),
        ("INT32", [], np.array([], np.int32)),
        ("INT32", [[], []], np.empty((2, 0), np.int32)),
        ("STRING", [], np.array([], object)),
    ],
)
def test_values_and_types(dtype, value, expected):
    array = to_array(value, info(dtype))
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("FLOAT", [1, True], "JSON Value: true Type: True is not of expected type: float"),
        ("INT32", [1.0], "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ("UINT32", [-1], "JSON Value: -1 Type: Number is not of expected type: uint32"),
        ("BOOL", [0], "JSON Value: 0 Type: Number is not of expected type: bool"),
        ("STRING", [1], "JSON Value: 1 Type: Number is not of expected type: string"),
        ("FLOAT", {"b64": "aGk="}, "Type: Object is not of expected type: float"),
        ("STRING", [{"b64": "a-_="}], "Unable to base64 decode"),
        ("STRING", [{"b64": 1}], "not formatted correctly for base64 data"),
        ("INT32", [[1, 2], [3]], "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ("INT32", [1, [2]], "Encountered list at unexpected level: 1 expected < 1"),
        ("INT32", [[1], 2], "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ("HALF", [1.5], "Conversion of JSON Value: 1.5 to type: half"),
    ],
)
def test_errors(dtype, value, message):
    with pytest.raises(ServingError) as caught:
        to_array(value, info(dtype))
    assert message in caught.value.message
    assert caught.value.code is (Code.UNIMPLEMENTED if dtype == "HALF" else Code.INVALID_ARGUMENT)


def test_too_deep_lists_are_refused():
    value = 1
    for _ in range(1009):
        value = [value]
    with pytest.raises(ServingError, match="at most 64 dimensions but got: 1009"):
        to_array(value, info("INT32"))
