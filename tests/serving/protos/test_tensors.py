from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from keras_attn.serving.errors import ServingError
from keras_attn.serving.protos.tensors import from_proto, to_proto

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


@pytest.mark.parametrize(
    "texts", [[b"abc", b"", b"x" * 100], [b"y" * 300], [], ["세계".encode(), b"\xff"], [b""], [b"z" * 70_000]]
)
def test_strings_in_one_block_are_read_as_tensorflow_reads_them(texts):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING)
    proto.tensor_shape.dim.add(size=len(texts))
    for text in texts:
        length = len(text)
        while length >= 0x80:
            proto.tensor_content += bytes([length & 0x7F | 0x80])
            length >>= 7
        proto.tensor_content += bytes([length])
    proto.tensor_content += b"".join(texts)
    assert tf.io.parse_tensor(proto.SerializeToString(), tf.string).numpy().tolist() == texts
    assert from_proto("x", proto).tolist() == texts


@pytest.mark.parametrize("dtype", [*DTYPES, "int64", "uint64", "bool", "complex64", "complex128"])
def test_numbers_in_one_block(dtype):
    array = np.arange(6).reshape(2, 3).astype(tf.dtypes.as_dtype(dtype).as_numpy_dtype)
    proto = to_proto(array, as_content=True)
    assert proto.tensor_content
    np.testing.assert_array_equal(from_proto("x", proto), array)


@pytest.mark.parametrize("value", [None, 1, 2.5, [b"a"]])
def test_what_is_no_text_is_not_made_into_one(value):
    array = np.empty(2, object)
    array[:] = ["a", value]
    with pytest.raises(TypeError, match=r"Expected str or bytes in an array of objects, .* Received: "):
        to_proto(array)


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


def typed(kind, size, **values):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DataType.Value(f"DT_{kind}"), **values)
    proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("proto", "expected"),
    [
        (typed("FLOAT", 2, float_val=[1, 2, 3]), [1.0, 2.0]),  # what is too much is left out
        (typed("FLOAT", 2), [0.0, 0.0]),
        (typed("STRING", 3, string_val=[b"a", b"b"]), [b"a", b"b", b"b"]),
        (typed("STRING", 2), [b"", b""]),
        (typed("INT8", 2, int_val=[300, -1]), [44, -1]),  # narrow whole numbers wrap
        (typed("UINT8", 1, int_val=[-1]), [255]),
        (typed("HALF", 1, half_val=[0x3E00]), [1.5]),
        (typed("COMPLEX64", 1, scomplex_val=[1, 2]), [1 + 2j]),
        (typed("FLOAT", 0, float_val=[1]), []),
    ],
)
def test_values_are_repeated_left_out_and_wrapped(proto, expected):
    assert from_proto("x", proto).tolist() == expected


@pytest.mark.parametrize(
    "proto",
    [
        typed("FLOAT", -1, float_val=[1]),
        typed("INVALID", 1, float_val=[1]),
        typed("FLOAT", 2, tensor_content=b"1234"),
        typed("STRING", 2, tensor_content=b"\x01"),
        typed("STRING", 1, tensor_content=b"\x02a"),
        typed("STRING", 1, tensor_content=b"\x01ab"),
        typed("STRING", 1, tensor_content=b"\xff\xff\xff\xff\xff\xff\x01a"),
        tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, tensor_shape={"unknown_rank": True}, float_val=[1]),
    ],
)
def test_messages_that_are_no_tensor(proto):
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: tensor parsing error: x"):
        from_proto("x", proto)
