"""One JSON value (a scalar or nested lists) to one array, with the stock server's checks and texts."""

from __future__ import annotations

import base64
import binascii
import itertools
from typing import NamedTuple, NoReturn

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid
from keras_attn.serving.inference.signatures import TensorInfo
from keras_attn.serving.json.dump import dump_json
from keras_attn.serving.json.parser import encode_text
from keras_attn.serving.protos.data_types import numpy_type, types_pb2

_MAX_RANK = 64  # NumPy's; TensorFlow kernels stop far earlier


class _Kind(NamedTuple):
    """The JSON values that a type of tensor takes, and the array that they are read into."""

    types: frozenset[type]
    wide: type[np.generic]
    narrow: type[np.generic]
    limits: tuple[int, int] | None = None

    def takes(self, items: list) -> bool:
        """Returns whether all of some elements, at least one, fit."""
        if not self.types.issuperset(map(type, items)):
            return False
        return self.limits is None or self.limits[0] <= min(items) <= max(items) <= self.limits[1]


def _decimals(narrow: type[np.generic]) -> _Kind:
    return _Kind(frozenset({int, float}), np.float64, narrow)


def _integers(narrow: type[np.generic], limits: type[np.generic]) -> _Kind:
    wide = np.uint64 if narrow is np.uint64 else np.int64
    return _Kind(frozenset({int}), wide, narrow, (int(np.iinfo(limits).min), int(np.iinfo(limits).max)))


_KINDS = {
    types_pb2.DT_FLOAT: _decimals(np.float32),
    types_pb2.DT_DOUBLE: _decimals(np.float64),
    # The narrow types are read as int32 and wrap.
    types_pb2.DT_INT8: _integers(np.int8, np.int32),
    types_pb2.DT_UINT8: _integers(np.uint8, np.int32),
    types_pb2.DT_INT16: _integers(np.int16, np.int32),
    types_pb2.DT_INT32: _integers(np.int32, np.int32),
    types_pb2.DT_INT64: _integers(np.int64, np.int64),
    types_pb2.DT_UINT32: _integers(np.uint32, np.uint32),
    types_pb2.DT_UINT64: _integers(np.uint64, np.uint64),
    types_pb2.DT_BOOL: _Kind(frozenset({bool}), np.bool_, np.bool_),
    types_pb2.DT_STRING: _Kind(frozenset({str, dict}), np.object_, np.object_),
}


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
    shape = _dense_shape(value)
    items = _flatten(value, shape)
    array = None if items is None else _convert(items, info)
    if array is None:
        _raise_first_misfit(value, shape, info)
    if len(shape) > _MAX_RANK:
        raise invalid(f"Expecting a tensor of at most {_MAX_RANK} dimensions but got: {len(shape)}")
    return array.reshape(shape)


def _dense_shape(value: object) -> list[int]:
    """The shape that the first elements of nested lists suggest."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def _flatten(value: object, shape: list[int]) -> list | None:
    """The innermost elements in order, or None if the lists are not of that shape."""
    items = [value]
    for size in shape:
        if not all(type(item) is list and len(item) == size for item in items):
            return None
        items = list(itertools.chain.from_iterable(items))
    return items


def _convert(items: list, info: TensorInfo) -> np.ndarray | None:
    """Converts flat elements at once, or returns None if one of them does not fit."""
    if not items:
        return np.empty(0, dtype=numpy_type(info.dtype))
    kind = _KINDS.get(info.dtype)
    if kind is None or not kind.takes(items):
        return None
    if kind.wide is np.object_:
        items = [encode_text(item) if type(item) is str else to_bytes(item) for item in items]
    with np.errstate(over="ignore"):  # too large for a float is infinity
        return np.array(items, dtype=kind.wide).astype(kind.narrow, copy=False)


def _raise_first_misfit(value: object, shape: list[int], info: TensorInfo) -> NoReturn:
    """Walks the lists in order, without recursion, and raises at the first element that does not fit."""
    rank = len(shape)
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
    raise AssertionError(f"every element fits {info}")


def _check_element(item: object, info: TensorInfo) -> None:
    kind = _KINDS.get(info.dtype)
    if isinstance(item, dict):
        if info.dtype == types_pb2.DT_STRING:
            to_bytes(item)
            return
    elif kind is None:
        text = f"Conversion of JSON Value: {dump_json(item)} to type: {info.dtype_name}"
        raise ServingError(Code.UNIMPLEMENTED, text)
    elif kind.takes([item]):
        return
    raise invalid(
        f"JSON Value: {dump_json(item)} Type: {type_name(item)} is not of expected type: {info.dtype_name}"
    )


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
