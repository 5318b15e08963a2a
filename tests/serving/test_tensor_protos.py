from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.serving.errors import ServingError
from keras_attn.serving.tensor_protos import from_proto, to_proto

DTYPES = ["float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32"]


@pytest.mark.parametrize("dtype", [*DTYPES, "int64", "uint64", "bool", "complex64", "complex128"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (0, 3)])
def test_round_trip_and_typed_fields(dtype, shape):
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    array = numbers.astype(tf.dtypes.as_dtype(dtype).as_numpy_dtype)
    proto = to_proto(array)
    assert not proto.tensor_content
    back = from_proto("x", proto)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    np.testing.assert_array_equal(from_proto("x", tf.make_tensor_proto(array)), array)


def test_strings():
    array = np.array([[b"a\xff", b""]], object)
    proto = to_proto(array)
    assert list(proto.string_val) == [b"a\xff", b""]
    np.testing.assert_array_equal(from_proto("x", proto), array)


def test_values_that_do_not_fit():
    proto = tf.make_tensor_proto([1.0, 2.0, 3.0])
    proto.tensor_shape.dim[0].size = 5
    with pytest.raises(ServingError, match="tensor parsing error: words"):
        from_proto("words", proto)


def test_a_few_bytes_cannot_stand_for_terabytes():
    proto = to_proto(np.array([7.0], np.float32))
    proto.tensor_shape.dim[0].size = 5
    assert from_proto("x", proto).tolist() == [7.0] * 5  # the last value repeats
    proto.tensor_shape.dim[0].size = 2**40
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: tensor parsing error: x"):
        from_proto("x", proto)
