"""Checks of the sequences and masks that attention is called with, before anything is computed."""

import keras
import numpy as np

from keras_attn.checks.batches import check_batch
from keras_attn.typing import Shape, Tensor


def check_attention_inputs(
    query: Tensor,
    value: Tensor,
    key: Tensor = None,
    query_mask: Tensor = None,
    value_mask: Tensor = None,
    key_mask: Tensor = None,
    attention_mask: Tensor = None,
    with_heads: bool = False,
) -> None:
    """Refuses sequences and masks that do not go together, as far as their shapes are known.

    Broadcasting would find a meaning for some of them, and not the same one in every implementation.

    Args:
        query: `[B, T, Dq]`.
        value: `[B, S, Dv]`.
        key: `[B, S, Dk]`; `value` when None.
        query_mask: `[B, T]` or None.
        value_mask: `[B, S]` or None.
        key_mask: `[B, S]` or None.
        attention_mask: broadcasts to `[B, T, S]`, with four axes to `[B, H, T, S]`; or None.
        with_heads: whether an `attention_mask` may have four axes.

    Raises:
        ValueError: for another number of axes, for batches and lengths that differ, and for a mask of
            numbers to be added (0 and -inf) instead of one that says what to keep.
    """
    key = value if key is None else key
    check_sequences(query=query.shape, value=value.shape, key=key.shape)
    check_batch(("query", query), value=value, key=key)
    if _differ(key.shape[1], value.shape[1]):
        raise ValueError(
            f"`key` has another length than `value`. Expected {value.shape[1]}. "
            f"Received: shape {tuple(key.shape)}."
        )
    check_padding_mask("query_mask", query_mask, query)
    check_padding_mask("value_mask", value_mask, key)
    check_padding_mask("key_mask", key_mask, key)
    if attention_mask is not None:
        axes = "[batch, queries, keys]" + " or [batch, heads, queries, keys]" * with_heads
        _check_attention_mask(attention_mask, query.shape[1], key.shape[1], axes, 4 if with_heads else 3)


def check_memory(memory: Tensor, memory_mask: Tensor = None) -> None:
    """Refuses a memory and a mask that do not go together, as far as their shapes are known.

    Args:
        memory: `[B, S, M]`.
        memory_mask: `[B, S]` or None.

    Raises:
        ValueError: as of `check_attention_inputs`.
    """
    check_sequences(memory=memory.shape)
    check_padding_mask("memory_mask", memory_mask, memory)


def check_sequences(**shapes: Shape) -> None:
    """Refuses sequences without exactly three axes, for `build`, which comes first.

    Args:
        **shapes: by the name of the argument.

    Raises:
        ValueError: naming the first of them.
    """
    for name, shape in shapes.items():
        _check_axes(name, shape, "[batch, length, width]", (3,))


def check_padding_mask(name: str, mask: Tensor, sequence: Tensor) -> None:
    """Refuses a mask that does not fit its sequence, as far as their shapes are known.

    Args:
        name: of the argument.
        mask: `[B, S]`, `[1, S]` or None.
        sequence: `[B, S, D]`.

    Raises:
        ValueError: as of `check_attention_inputs`.
    """
    if mask is None:
        return
    shape: Shape = np.shape(mask) if isinstance(mask, list | tuple) else mask.shape
    _check_axes(name, shape, "[batch, length]", (2,))
    batch, length = shape
    rows = sequence.shape[0]
    if _differ(length, sequence.shape[1]) or (batch != 1 and _differ(batch, rows)):
        raise ValueError(
            f"`{name}` must have a value for each place of its sequence. Expected [{rows}, "
            f"{sequence.shape[1]}]. Received: shape {tuple(shape)}."
        )
    _check_numbers(name, mask)


def _check_attention_mask(mask, num_queries, num_keys, axes, most):
    shape = np.shape(mask) if isinstance(mask, list | tuple) else mask.shape
    _check_axes("attention_mask", shape, axes, range(most + 1))
    lengths = (num_queries, num_keys)[max(2 - len(shape), 0) :]
    sizes = zip(shape[-2:], lengths, strict=True)
    if any(size != 1 and _differ(size, length) for size, length in sizes):
        raise ValueError(
            f"`attention_mask` must broadcast to queries and keys. Expected [.., {num_queries}, {num_keys}]. "
            f"Received: shape {tuple(shape)}."
        )
    _check_numbers("attention_mask", mask)


def _check_axes(name, shape, expected, allowed):
    if len(shape) not in allowed:
        raise ValueError(
            f"`{name}` has {len(shape)} axes. Expected {expected}. Received: shape {tuple(shape)}."
        )


def _check_numbers(name, mask):
    """Refuses a mask of numbers below 0, one that is meant to be added to the logits."""
    numbers = _numbers(mask)
    if numbers is not None and np.any(numbers < 0):
        raise ValueError(
            f"`{name}` says what to keep: True or 1. Expected no numbers below 0. Received: {numbers.min()}. "
            "Of a mask that is to be added to the logits, pass `mask >= 0`."
        )


def _numbers(mask):
    """A float mask as an array; None for other types, and where only a graph will know the numbers."""
    if isinstance(mask, list | tuple):
        return np.asarray(mask)
    if isinstance(mask, keras.KerasTensor) or "float" not in keras.backend.standardize_dtype(mask.dtype):
        return None
    try:
        return np.asarray(keras.ops.convert_to_numpy(mask), "float32")  # NumPy does not know bfloat16
    # Each backend has its own error for a tensor that has no value yet.
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return None


def _differ(size, other):
    return size is not None and other is not None and size != other
