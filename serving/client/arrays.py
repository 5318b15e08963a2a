"""The values of a client's user as arrays of a signature's types, and arrays as plain values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np

from keras_attn.serving.protos.data_types import numpy_type, types_pb2
from keras_attn.serving.protos.generated_messages import generated

meta_graph_pb2 = generated("tensorflow.core.protobuf.meta_graph_pb2")

# A value of one kind is accepted for an input of the same kind or of a later one.
_KINDS = (("bool",), ("int", "uint"), ("float", "bfloat"), ("complex",))


def only_input(definition: Any) -> str:
    """Returns the input that a value without a name is for.

    Args:
        definition: the signature as a server describes it: without the defaults of inputs, so that optional
            ones count.

    Raises:
        TypeError: there are several, or none.
    """
    names = sorted(definition.inputs)
    if len(names) != 1:
        raise TypeError(
            f"A value without a name is for the only input, but the signature has {len(names)}: {names}."
            " Expected a dict, input name -> value."
        )
    return names[0]


def to_array(name: str, value: object, dtype: int | None) -> np.ndarray:
    """Converts nested lists to the type of an input, without rounding and without conversion to text.

    Args:
        name: of the input, for error texts.
        value: the lists, or a value alone.
        dtype: `DataType` number; None for an input that the signature does not have, which is left to the
            server to refuse.

    Raises:
        TypeError: a value of another kind, such as a fraction where whole numbers are wanted.
        ValueError: a number is out of range, or the lists are of different lengths.
    """
    if dtype is None:
        return np.asarray(value)
    if dtype == types_pb2.DT_STRING:
        return _texts(name, value)
    return _numbers(name, value, numpy_type(dtype))


def to_lists(name: str, array: np.ndarray) -> object:
    """Converts an output to the values that its JSON has: numbers, text, and bytes under a name in `_bytes`.

    Args:
        name: of the output.
        array: of any rank; strings as an object array of bytes.
    """
    if array.dtype == object and not name.endswith("_bytes"):
        texts = [text.decode("utf-8", "surrogateescape") for text in array.flat]
        array = np.array([*texts, None], object)[:-1].reshape(array.shape)
    return array.tolist()


def _texts(name: str, value: object) -> np.ndarray:
    for item in _items(value):
        if not isinstance(item, (str, bytes)):
            raise TypeError(
                f"Input {name!r} takes text. Expected str or bytes, in lists of the same length."
                f" Received: {item!r} of type {type(item).__name__}."
            )
    return np.asarray(value, dtype=object)


def _numbers(name: str, value: object, wanted: np.dtype) -> np.ndarray:
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"Input {name!r} takes lists of the same length. Received: {error}") from error
    if not array.size:
        return array.astype(wanted)  # an empty list is of no type
    if not _is_taken(array, wanted):
        item = next((item for item in _items(value) if not _is_taken(np.asarray(item), wanted)), value)
        raise TypeError(
            f"Input {name!r} takes values of type {wanted.name}, and nothing is rounded or read from text."
            f" Received: {item!r} of type {type(item).__name__}."
        )
    with np.errstate(over="ignore"):  # looked for below
        cast = array.astype(wanted)
    if not _is_in_range(array, cast):
        limits = _limits(wanted)
        raise ValueError(
            f"Input {name!r} takes numbers of type {wanted.name}, from {limits.min} to {limits.max}."
            f" Received: numbers from {array.min()} to {array.max()}."
        )
    return cast


def _items(value: object) -> Iterator[object]:
    """The values within nested lists."""
    return iter(np.asarray(value, dtype=object).reshape(-1).tolist())


def _is_taken(array: np.ndarray, wanted: np.dtype) -> bool:
    kind, wanted_kind = _kind(array.dtype), _kind(wanted)
    return kind is not None and wanted_kind is not None and kind <= wanted_kind


def _kind(dtype: np.dtype) -> int | None:
    """The place of a type in `_KINDS`, by its name: NumPy takes most of the short types for none of these."""
    return next((number for number, kinds in enumerate(_KINDS) if dtype.name.startswith(kinds)), None)


def _limits(wanted: np.dtype) -> Any:
    is_whole = wanted.name.startswith(_KINDS[1])
    return ml_dtypes.iinfo(wanted) if is_whole else ml_dtypes.finfo(wanted)


def _is_in_range(array: np.ndarray, cast: np.ndarray) -> bool:
    if cast.dtype.kind in "iu":
        limits = np.iinfo(cast.dtype)
        return limits.min <= int(array.min()) and int(array.max()) <= limits.max
    return np.isinf(cast).sum() == np.isinf(array).sum()
