"""One JSON value (a scalar or nested lists) to one array, with the stock server's checks and texts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.signatures import TensorInfo
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.parser import encode_text
from keras_attn.serving.protos.data_types import numpy_type, types_pb2

_INT32 = (-(2**31), 2**31 - 1)
# Range a literal must lie in, and the array's type. The narrow types are read as int32 and wrap.
_INTEGERS = {
    types_pb2.DT_INT8: (*_INT32, np.int8),
    types_pb2.DT_UINT8: (*_INT32, np.uint8),
    types_pb2.DT_INT16: (*_INT32, np.int16),
    types_pb2.DT_INT32: (*_INT32, np.int32),
    types_pb2.DT_INT64: (-(2**63), 2**63 - 1, np.int64),
    types_pb2.DT_UINT32: (0, 2**32 - 1, np.uint32),
    types_pb2.DT_UINT64: (0, 2**64 - 1, np.uint64),
}
_DECIMALS = {types_pb2.DT_FLOAT: np.float32, types_pb2.DT_DOUBLE: np.float64}
_MAX_RANK = 64  # NumPy's; TensorFlow kernels stop far earlier


def is_base64(value: object) -> bool:
    """Tells whether a value stands for bytes: an object whose only member is `b64`, with a string."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def to_array(value: object, info: TensorInfo) -> np.ndarray:
    """Converts a scalar or nested lists.

    Args:
        value: parsed JSON.
        info: the input it is for.

    Returns:
        Array whose shape follows the first elements; a scalar gives rank 0.

    Raises:
        ServingError: an element has the wrong type, or the lists are not rectangular.
    """
    shape = dense_shape(value)
    items = flatten(value, shape)
    array = None if items is None else _convert(items, info)
    if array is None:
        items = _checked_items(value, shape, info)
        array = _convert(items, info)
    if len(shape) > _MAX_RANK:
        raise invalid(f"Expecting a tensor of at most {_MAX_RANK} dimensions but got: {len(shape)}")
    return array.reshape(shape)


def dense_shape(value: object) -> list[int]:
    """Returns the shape that the first elements of nested lists suggest."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def flatten(value: object, shape: list[int]) -> list | None:
    """Returns the innermost elements in order, or None if the lists are not of that shape."""
    items = [value]
    for size in shape:
        if not all(type(item) is list and len(item) == size for item in items):
            return None
        items = [inner for item in items for inner in item]
    return items


def _convert(items: list, info: TensorInfo) -> np.ndarray | None:
    """Converts flat elements at once, or returns None if one of them needs a closer look."""
    types = set(map(type, items))
    if info.dtype in _DECIMALS and types <= {int, float}:
        with np.errstate(over="ignore"):  # too large for a float is infinity
            return np.array(items, dtype=np.float64).astype(_DECIMALS[info.dtype])
    if info.dtype in _INTEGERS and types <= {int}:
        low, high, dtype = _INTEGERS[info.dtype]
        if not items or (min(items) >= low and max(items) <= high):
            wide = np.uint64 if dtype is np.uint64 else np.int64
            return np.array(items, dtype=wide).astype(dtype)
    if info.dtype == types_pb2.DT_BOOL and types <= {bool}:
        return np.array(items, dtype=np.bool_)
    if info.dtype == types_pb2.DT_STRING and types <= {str, dict}:
        array = np.empty(len(items), dtype=object)
        array[:] = [to_bytes(item) for item in items]
        return array
    if not items:
        return np.empty(0, dtype=numpy_type(info.dtype))
    return None


def _checked_items(value: object, shape: list[int], info: TensorInfo) -> list:
    """Walks the lists in order, without recursion, and raises at the first element that does not fit."""
    rank, items = len(shape), []
    todo = [(value, 0)]
    while todo:
        item, level = todo.pop()
        if isinstance(item, list):
            if level >= rank:
                raise invalid(f"Encountered list at unexpected level: {level} expected < {rank}")
            if len(item) != shape[level]:
                raise invalid(
                    f"Encountered list at unexpected size: {len(item)} at level: {level}"
                    f" expected size: {shape[level]}"
                )
            todo.extend((inner, level + 1) for inner in reversed(item))
            continue
        if level != rank:
            raise invalid(
                f"JSON Value: {dump_json(item)} found at incorrect level: {level + 1} in the JSON DOM."
                f" Expected at level: {rank}"
            )
        _check_element(item, info)
        items.append(item)
    return items


def _check_element(item: object, info: TensorInfo) -> None:
    fits = _element_check(info.dtype)
    if isinstance(item, dict):
        if info.dtype == types_pb2.DT_STRING:
            to_bytes(item)
            return
    elif fits is None:
        text = f"Conversion of JSON Value: {dump_json(item)} to type: {info.dtype_name}"
        raise ServingError(Code.UNIMPLEMENTED, text)
    elif fits(item):
        return
    raise invalid(
        f"JSON Value: {dump_json(item)} Type: {type_name(item)} is not of expected type: {info.dtype_name}"
    )


def _element_check(dtype: int) -> Callable[[object], bool] | None:
    if dtype in _DECIMALS:
        return lambda item: type(item) in (int, float)
    if dtype in _INTEGERS:
        low, high, _ = _INTEGERS[dtype]
        return lambda item: type(item) is int and low <= item <= high
    if dtype == types_pb2.DT_BOOL:
        return lambda item: type(item) is bool
    if dtype == types_pb2.DT_STRING:
        return lambda item: type(item) is str
    return None


def to_bytes(item: str | dict) -> bytes:
    """Returns the bytes that a string, or an object with the key `b64`, stands for.

    Raises:
        ServingError: an object of another form, or text that is no base64.
    """
    if isinstance(item, str):
        return encode_text(item)
    if not is_base64(item):
        raise invalid(f"JSON Value: {dump_json(item)} not formatted correctly for base64 data")
    text = b"".join(encode_text(item["b64"]).split()).rstrip(b"=")
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise invalid("Unable to base64 decode") from error


def type_name(item: object) -> str:
    """Returns the parser's name of a value's type: `Null`, `True`, `Number`, `Array` ..."""
    if item is None or isinstance(item, bool):
        return {None: "Null", True: "True", False: "False"}[item]
    names = {dict: "Object", list: "Array", str: "String"}
    return next((name for kind, name in names.items() if isinstance(item, kind)), "Number")
