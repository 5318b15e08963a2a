"""Inputs that have one value for all rows of a request, made such as can be joined with those of others."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from keras_attn.serving.errors import invalid
from keras_attn.serving.inference.signatures import Signature


def rows_of(signature: Signature, inputs: Mapping[str, np.ndarray]) -> int | None:
    """Returns the number of rows that a request has.

    An input with a default may have one value for all rows, so that the others say how many there are.

    Args:
        signature: what is asked for.
        inputs: input name -> array, those that the request brings.

    Returns:
        The largest first dimension among them; None if they have none.
    """
    required = [array for name, array in inputs.items() if name not in signature.defaults]
    return max((len(array) for array in required or inputs.values() if array.ndim), default=None)


def with_value_each_row(signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fills in defaults, and repeats what is one value for all rows, as the graph does by itself.

    Args:
        signature: what is asked for.
        inputs: input name -> array, those that the request brings.

    Returns:
        input name -> array, all with the request's rows.

    Raises:
        ServingError: inputs that cannot be repeated differ in their rows.
    """
    values, rows = {**signature.defaults, **inputs}, rows_of(signature, inputs)
    if rows is not None:
        shared = [name for name, array in values.items() if _is_shared(signature, name, array)]
        values |= {name: np.repeat(values[name], rows, axis=0) for name in shared}
    num_rows(values)  # its error has the names that the caller knows
    return values


def num_rows(feeds: Mapping[str, np.ndarray]) -> int:
    """Returns the first dimension that all inputs of a request share.

    Raises:
        ServingError: an input has none, or they differ.
    """
    if not feeds:
        raise invalid("Batching Run() must have at least one input tensor")
    if any(array.ndim == 0 for array in feeds.values()):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    sizes = {name: len(array) for name, array in sorted(feeds.items())}
    if len(set(sizes.values())) > 1:
        received = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise invalid(
            "Batching Run() input tensors must have equal 0th-dimension size. Expected as many rows in every"
            f" input. Received: {received}. Give every input a value for each row."
        )
    return next(iter(sizes.values()))


def _is_shared(signature: Signature, name: str, array: np.ndarray) -> bool:
    """Tells whether an input is one value for all rows: left out, or given in the form of its default.

    Nothing wider is repeated: a small request could ask for any amount of memory.
    """
    default = signature.defaults.get(name)
    return default is not None and array.shape == default.shape and array.shape[:1] == (1,)
