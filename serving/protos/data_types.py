"""TensorFlow's types of tensors and their NumPy types, without the import of TensorFlow."""

from __future__ import annotations

from functools import cache

import ml_dtypes
import numpy as np

from keras_attn.serving.protos.generated_messages import generated

types_pb2 = generated("tensorflow.core.framework.types_pb2")

_BY_NUMBER = types_pb2.DESCRIPTOR.enum_types_by_name["DataType"].values_by_number
# Names of `DataType` that are none of NumPy's; the other types are called alike.
_NUMPY_NAMES = {"float": "float32", "double": "float64", "half": "float16", "bool": "bool_"}
_QUANTIZED = {
    "qint8": np.int8,
    "quint8": np.uint8,
    "qint16": np.int16,
    "quint16": np.uint16,
    "qint32": np.int32,
}
_REFERENCE = "_ref"


def dtype_name(dtype: int) -> str:
    """Returns TensorFlow's C++ name of a `DataType` number: `float`, `int32`, `string`, `half`.

    Raises:
        ValueError: there is no such number.
    """
    if dtype not in _BY_NUMBER:
        raise ValueError(f"{dtype} is no DataType.")
    return _BY_NUMBER[dtype].name.removeprefix("DT_").lower()


def shape_text(array: np.ndarray) -> str:
    """Spells a shape as TensorFlow does: `[2,3]`."""
    return "[" + ",".join(str(size) for size in array.shape) + "]"


@cache
def numpy_type(dtype: int) -> np.dtype:
    """Returns the NumPy type of a `DataType` number; that of strings is `object`.

    Raises:
        TypeError: there is no such number, or it is of what no array holds, such as a resource.
    """
    name = dtype_name(dtype).removesuffix(_REFERENCE) if dtype in _BY_NUMBER else ""
    if name == "string":
        return np.dtype(object)
    if name in _QUANTIZED:
        return np.dtype([(name, _QUANTIZED[name])])
    name = _NUMPY_NAMES.get(name, name)
    # Names such as `invalid` and `variant` are neither's.
    found = getattr(ml_dtypes, name, None) or getattr(np, name, None)
    if not isinstance(found, type):
        raise TypeError(f"DataType {dtype} has no NumPy type.")
    return np.dtype(found)


def data_type(array: np.ndarray) -> int:
    """Returns TensorFlow's `DataType` number of an array.

    Raises:
        TypeError: TensorFlow has no such type.
    """
    if array.dtype.kind in "OSUT":
        return types_pb2.DT_STRING
    try:
        return _numbers()[array.dtype.newbyteorder("=")]
    except KeyError:
        raise TypeError(
            f"TensorFlow has no type for arrays of {array.dtype}. Expected numbers, booleans or text."
        ) from None


@cache
def _numbers() -> dict[np.dtype, int]:
    found = {}
    for number, value in _BY_NUMBER.items():
        if not value.name.endswith(_REFERENCE.upper()):
            try:
                found[numpy_type(number)] = number
            except TypeError:  # of what no array holds
                continue
    return found
