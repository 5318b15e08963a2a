"""TensorFlow's types, known without TensorFlow: held against what TensorFlow says of each."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from keras_attn.serving.protos.data_types import data_type, dtype_name, numpy_type


def tensorflows_type(number):
    """TensorFlow's own answer; None where it has no NumPy type."""
    try:
        return np.dtype(tf.dtypes.as_dtype(number).as_numpy_dtype)
    except (TypeError, KeyError):
        return None


NUMBERS = types_pb2.DataType.values()
WITH_ARRAYS = [number for number in NUMBERS if tensorflows_type(number) is not None]


def test_most_types_have_arrays():
    assert len(WITH_ARRAYS) > 40


@pytest.mark.parametrize("number", WITH_ARRAYS)
def test_numpy_types(number):
    assert numpy_type(number) == tensorflows_type(number)
    assert dtype_name(number) == types_pb2.DataType.Name(number).removeprefix("DT_").lower()
    if not dtype_name(number).endswith("_ref"):
        assert data_type(np.zeros(1, numpy_type(number))) == number


@pytest.mark.parametrize("number", [*(n for n in NUMBERS if n not in WITH_ARRAYS), 999])
def test_what_no_array_holds(number):
    with pytest.raises(TypeError, match="has no NumPy type"):
        numpy_type(number)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([b"a"]), np.array(["a"], object)])
def test_text(array):
    assert data_type(array) == types_pb2.DT_STRING


def test_another_byte_order_is_the_same_type():
    assert data_type(np.zeros(1, ">i4")) == types_pb2.DT_INT32


def test_what_tensorflow_does_not_have():
    with pytest.raises(TypeError, match="TensorFlow has no type for arrays of datetime64"):
        data_type(np.zeros(1, "M8[s]"))
    with pytest.raises(ValueError, match="999 is no DataType"):
        dtype_name(999)
