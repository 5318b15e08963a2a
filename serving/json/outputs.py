"""Output arrays to the JSON body of a predict reply."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import numpy as np

from keras_attn.serving.errors import invalid
from keras_attn.serving.json.parser import decode_text, encode_text
from keras_attn.serving.json.text import Raw, decimal_texts, string_text, write_expanded, write_inline
from keras_attn.serving.protos.data_types import data_type, dtype_name


def write_predictions(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes a row-form reply, `{"predictions": [...]}`: one entry for each row of the batch.

    Args:
        outputs: output name -> array; all with the same first dimension.

    Returns:
        UTF-8 text, apart from string outputs that are no UTF-8, which go out as they are.

    Raises:
        ServingError: an output has no batch dimension or another batch size, or a type JSON has not.
    """
    batch_size = _batch_size(outputs)
    columns = {name: _nested(name, array) for name, array in outputs.items()}
    if not batch_size:
        return b'{\n    "predictions": []\n}'
    if len(columns) == 1:  # the values, one behind the other
        body = ", ".join(write_inline(row, 2) for row in next(iter(columns.values())))
    else:  # an object for each row, on lines of its own
        rows = ({name: column[row] for name, column in columns.items()} for row in range(batch_size))
        body = ",".join(f"\n        {write_inline(row, 2)}" for row in rows)
    return encode_text(f'{{\n    "predictions": [{body}\n    ]\n}}')


def write_outputs(outputs: Mapping[str, np.ndarray]) -> bytes:
    """Writes a column-form reply, `{"outputs": ...}`: the value of one output, or an object of several.

    Args:
        outputs: output name -> array of any rank.

    Returns:
        UTF-8 text, apart from string outputs that are no UTF-8, which go out as they are.

    Raises:
        ServingError: there are no outputs, or one has a type that JSON has not.
    """
    _check_not_empty(outputs)
    columns = {name: _nested(name, array) for name, array in outputs.items()}
    value = columns if len(columns) > 1 else next(iter(columns.values()))
    return encode_text(write_expanded({"outputs": value}))


def _check_not_empty(outputs: Mapping[str, np.ndarray]) -> None:
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    _check_not_empty(outputs)
    expected = None
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        expected = array.shape[0] if expected is None else expected
        if array.shape[0] != expected:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {expected}"
            )
    return expected


def _nested(name: str, array: np.ndarray) -> object:
    """Returns nested lists of `Raw` leaves in the shape of the array."""
    if array.size == 0:  # of whatever type: there is no value to write
        return np.empty(array.shape).tolist()
    leaves: list = _leaves(name, array)
    if array.ndim == 0:
        return leaves[0]
    for size in reversed(array.shape[1:]):
        leaves = [leaves[start : start + size] for start in range(0, len(leaves), size)]
    return leaves


def _leaves(name: str, array: np.ndarray) -> list:
    flat = array.reshape(-1)
    if array.dtype.kind == "O":
        if name.endswith("_bytes"):
            return [{"b64": string_text(base64.b64encode(value).decode())} for value in flat]
        return [string_text(decode_text(value)) for value in flat]
    if array.dtype in (np.float32, np.float64):
        return decimal_texts(flat)
    if array.dtype == np.bool_:
        return [Raw("true" if value else "false") for value in flat.tolist()]
    if array.dtype.kind in "iu" and array.dtype != np.uint16:
        return [Raw(value) for value in flat.tolist()]
    kind = dtype_name(data_type(array))
    raise invalid(f"Failed to write JSON value for tensor type: {kind}")
