"""Plain Python as arrays of a model's types: what is taken, and what would lose something."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

from keras_attn.serving.client.arrays import only_input, to_array


def convert(value, dtype):
    return to_array("x", value, dtype and tf.dtypes.as_dtype(dtype).as_datatype_enum)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ([1, 2], "float32", np.float32([1, 2])),
        ([1, 2.5], "bfloat16", np.array([1, 2.5]).astype(tf.bfloat16.as_numpy_dtype)),
        ([[255]], "uint8", np.uint8([[255]])),
        ([2**64 - 1], "uint64", np.uint64([2**64 - 1])),
        ([True, False], "bool", np.array([True, False])),
        ([np.int64(3)], "int32", np.int32([3])),
        ([float("inf"), float("nan")], "float32", np.float32([np.inf, np.nan])),
        ([1, 2j], "complex64", np.complex64([1, 2j])),
        (3, "int64", np.int64(3)),
        ([[]], "int32", np.empty((1, 0), np.int32)),
        ([1.5], None, np.array([1.5])),
    ],
)
def test_what_fits(value, dtype, expected):
    array = convert(value, dtype)
    assert (array.dtype, array.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(array, expected)


def test_texts():
    assert convert([["é"], [b"\xff"]], "string").tolist() == [["é"], [b"\xff"]]
    assert convert("x", "string").shape == ()
    assert convert([], "string").dtype == object


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (
            [None],
            "string",
            r"Input 'x' takes text\. Expected str or bytes, .* Received: None of type",
        ),
        (["a", 1], "string", "Received: 1 of type int"),
        ([["a"], ["b", "c"]], "string", r"lists of the same length\. Received: \['a'\] of type list"),
        ([1, 3.7], "int32", "takes values of type int32, .* Received: 3.7 of type float"),
        ([3.0], "int64", "Received: 3.0 of type float"),
        ([None], "float32", "Received: None of type NoneType"),
        (["3"], "float32", "Received: '3' of type str"),
        ([3], "bool", "Received: 3 of type int"),
        ([1j], "float32", "Received: 1j of type complex"),
    ],
)
def test_values_of_another_kind(value, dtype, message):
    with pytest.raises(TypeError, match=message):
        convert(value, dtype)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        ([2**31], "int32", "from -2147483648 to 2147483647. Received: numbers from 2147483648 to 2147483648"),
        ([np.int64(-1)], "uint8", "type uint8, from 0 to 255"),
        ([1e39], "float32", "takes numbers of type float32"),
        ([[1], [2, 3]], "float32", "Input 'x' takes lists of the same length"),
    ],
)
def test_numbers_out_of_range_and_uneven_lists(value, dtype, message):
    with pytest.raises(ValueError, match=message):
        convert(value, dtype)


def test_the_only_input():
    definition = meta_graph_pb2.SignatureDef()
    definition.inputs["a"].name = "a:0"
    assert only_input(definition) == "a"
    definition.inputs["b"].name = "b:0"
    with pytest.raises(TypeError, match=r"the signature has 2: \['a', 'b'\]\. Expected a dict"):
        only_input(definition)
