"""Several requests as one batch of arrays, and the batch's results as those of each request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from keras_attn.serving.errors import Code, ServingError, invalid

Feeds = Mapping[str, np.ndarray]
_MAX_RANK = 6


def merge(requests: Sequence[Feeds], pad: bool, num_filling: int) -> dict[str, np.ndarray]:
    """Puts requests behind each other.

    Args:
        requests: inputs by tensor name, with the same names, types and ranks.
        pad: fill up inner dimensions to the longest, with the first element of the request's own array.
        num_filling: rows to add at the end: the first row of the last request that has one, again and again.

    Returns:
        tensor name -> array of all rows.

    Raises:
        ServingError: inner shapes differ and `pad` is False, or an array cannot be filled up.
    """
    merged = {}
    for name in requests[0]:
        arrays = [request[name] for request in requests]
        if len({array.shape[1:] for array in arrays}) > 1:
            if not pad:
                raise ServingError(
                    Code.FAILED_PRECONDITION,
                    f"Tensors with name '{name}' from different tasks have different shapes and padding is"
                    " turned off. Set pad_variable_length_inputs to true, or ensure that all tensors with"
                    " the same name have equal dimensions starting with the first dim.",
                )
            shape = np.max([array.shape[1:] for array in arrays], axis=0)
            arrays = [_padded(array, shape) for array in arrays]
        filling = next((array[:1] for array in reversed(arrays) if len(array)), arrays[-1])
        arrays += [filling] * num_filling
        merged[name] = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]  # [sum of rows, ...]
    return merged


def _padded(array: np.ndarray, inner_shape: np.ndarray) -> np.ndarray:
    shape = (len(array), *inner_shape.tolist())
    if array.size == np.prod(shape):
        return array.reshape(shape)
    if array.ndim > _MAX_RANK:
        raise invalid(f"Only tensors with rank from 1 to {_MAX_RANK} can be padded.")
    if not array.size:
        raise invalid("Got empty tensor in batch of non-empty tensors.")
    result = np.full(shape, array.reshape(-1)[0], dtype=array.dtype)
    result[tuple(slice(size) for size in array.shape)] = array
    return result


def split(outputs: Sequence[np.ndarray], sizes: Sequence[int], num_filling: int) -> list[list[np.ndarray]]:
    """Takes the results of a batch apart.

    Args:
        outputs: arrays that the graph computed.
        sizes: rows of each request.
        num_filling: rows behind them that belong to none.

    Returns:
        The arrays of each request.

    Raises:
        ServingError: an output is no batch of so many rows.
    """
    total = sum(sizes) + num_filling
    for array in outputs:
        if array.ndim == 0:
            raise ServingError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(array) != total:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of"
                " the input tensors",
            )
    ends = np.cumsum(sizes).tolist()
    return [[array[end - size : end] for array in outputs] for size, end in zip(sizes, ends, strict=True)]


def join_parts(parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Puts the results of a request together that was run in parts.

    Args:
        parts: the arrays of each part.

    Returns:
        The arrays of the whole request.

    Raises:
        ServingError: inner shapes differ, as where each batch is padded to its longest row.
    """
    if len(parts) == 1:
        return list(parts[0])
    whole = []
    for arrays in zip(*parts, strict=True):
        shapes = sorted({array.shape[1:] for array in arrays})
        if len(shapes) > 1:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"The request was run in {len(parts)} parts, and their results do not go together. Expected"
                f" rows of one shape. Received: {', '.join(map(str, shapes))}. Send fewer rows, or set"
                " enable_large_batch_splitting to false and max_batch_size to as many rows as requests have.",
            )
        whole.append(np.concatenate(arrays))
    return whole
