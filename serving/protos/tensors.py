"""`TensorProto` to NumPy and back."""

from __future__ import annotations

import math

import numpy as np

from keras_attn.serving.errors import invalid
from keras_attn.serving.protos.data_types import data_type, numpy_type, types_pb2
from keras_attn.serving.protos.generated_messages import generated

tensor_pb2 = generated("tensorflow.core.framework.tensor_pb2")

# Which repeated field carries which type; the narrow integers share `int_val`.
_FIELDS = {
    types_pb2.DT_FLOAT: "float_val",
    types_pb2.DT_DOUBLE: "double_val",
    types_pb2.DT_INT8: "int_val",
    types_pb2.DT_INT16: "int_val",
    types_pb2.DT_INT32: "int_val",
    types_pb2.DT_UINT8: "int_val",
    types_pb2.DT_UINT16: "int_val",
    types_pb2.DT_INT64: "int64_val",
    types_pb2.DT_UINT32: "uint32_val",
    types_pb2.DT_UINT64: "uint64_val",
    types_pb2.DT_BOOL: "bool_val",
    types_pb2.DT_STRING: "string_val",
    types_pb2.DT_HALF: "half_val",
    types_pb2.DT_BFLOAT16: "half_val",
    types_pb2.DT_COMPLEX64: "scomplex_val",
    types_pb2.DT_COMPLEX128: "dcomplex_val",
}
# How those fields hold their values.
_IN_MESSAGES = {
    "float_val": np.float32,
    "double_val": np.float64,
    "int_val": np.int32,
    "int64_val": np.int64,
    "uint32_val": np.uint32,
    "uint64_val": np.uint64,
    "bool_val": np.bool_,
    "half_val": np.int32,
    "scomplex_val": np.float32,
    "dcomplex_val": np.float64,
}
_MOST_EXPANDED = 2**26


def from_proto(alias: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Reads a tensor message.

    Args:
        alias: name of the input, for the error text.
        proto: message with typed values or `tensor_content`.

    Returns:
        The array; strings are object arrays of bytes.

    Raises:
        ServingError: the values do not fit type and shape.
    """
    try:
        shape = _shape(proto)
        if proto.tensor_content and proto.dtype == types_pb2.DT_STRING:
            return _strings_in(proto.tensor_content, math.prod(shape)).reshape(shape)
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, numpy_type(proto.dtype)).copy().reshape(shape)
        return _expanded(_written(proto), math.prod(shape)).reshape(shape)
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def _shape(proto: tensor_pb2.TensorProto) -> list[int]:
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise ValueError(f"{shape} is no shape of a tensor")
    return shape


def _strings_in(content: bytes, num_elements: int) -> np.ndarray:
    """Reads strings as TensorFlow packs them: the length of each as a varint, then the bytes of all.

    Raises:
        ValueError: lengths are missing or do not add up to the bytes.
    """
    lengths, position = [], 0
    while len(lengths) < num_elements:
        length, position = _varint(content, position)
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError(f"{sum(lengths)} bytes of strings in {len(content) - position}")
    array = np.empty(num_elements, dtype=object)
    for row, length in enumerate(lengths):
        array[row] = content[position : position + length]
        position += length
    return array


def _varint(content: bytes, position: int) -> tuple[int, int]:
    """Reads seven bits a byte, the lowest first; returns the number and the position after it."""
    number = shift = 0
    while position < len(content) and shift < 35:
        byte = content[position]
        number |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return number, position
    raise ValueError("the length of a string is cut or has more than 32 bits")


def _written(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """Returns the values of a message as they stand there, as a flat array of the tensor's type."""
    field = _FIELDS[proto.dtype]
    values = getattr(proto, field)
    if field == "string_val":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    dtype = numpy_type(proto.dtype)
    array = np.fromiter(values, _IN_MESSAGES[field], len(values))
    if field == "half_val":  # the sixteen bits of each
        return array.astype(np.uint16).view(dtype)
    if field in ("scomplex_val", "dcomplex_val"):  # real, imaginary, real, imaginary ...
        return array[: len(array) // 2 * 2].view(dtype)
    return array.astype(dtype)  # the narrow whole numbers wrap


def _expanded(values: np.ndarray, num_elements: int) -> np.ndarray:
    """Repeats the last value, or zero where there is none; what is too much is left out.

    Raises:
        ValueError: far more are asked for than are written down: a few bytes could stand for terabytes.
    """
    missing = num_elements - len(values)
    if missing <= 0:
        return values[:num_elements]
    if num_elements > max(2 * len(values), _MOST_EXPANDED):
        raise ValueError(f"{num_elements} elements of {len(values)} values")
    filling = np.empty(missing, values.dtype)
    filling[:] = values[-1] if len(values) else b"" if values.dtype == object else 0
    return np.concatenate([values, filling])


def to_proto(array: np.ndarray, as_content: bool = False) -> tensor_pb2.TensorProto:
    """Writes an array with one entry a value in the type's own field, as the stock server replies.

    Args:
        array: any array that TensorFlow knows; strings are arrays of `str` or `bytes`.
        as_content: write numbers as one block of memory instead, which is shorter and faster.

    Returns:
        The message; every value is written, none is folded into "the last one repeats".

    Raises:
        TypeError: of a type that TensorFlow has not, or objects that are no text.
    """
    dtype = data_type(array)
    proto = tensor_pb2.TensorProto(dtype=dtype)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    # An unknown size and a scalar look alike without this: the message must be present in the reply.
    proto.tensor_shape.SetInParent()
    field = _FIELDS.get(dtype)
    if field is None or (as_content and dtype != types_pb2.DT_STRING):
        proto.tensor_content = array.tobytes()
        return proto
    getattr(proto, field).extend(_values(array, field))
    return proto


def _values(array: np.ndarray, field: str) -> list:
    flat = np.ascontiguousarray(array).reshape(-1)
    if field == "half_val":
        return flat.view(np.uint16).tolist()
    if field in ("scomplex_val", "dcomplex_val"):  # stored as real, imaginary, real, imaginary ...
        return flat.view(np.float32 if field == "scomplex_val" else np.float64).tolist()
    if field == "string_val":
        return [_encoded(value) for value in flat.tolist()]
    return flat.tolist()


def _encoded(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise TypeError(
        "Expected str or bytes in an array of objects, which stand for text."
        f" Received: {value!r} of type {type(value).__name__}. Give numbers in an array of their own type."
    )
