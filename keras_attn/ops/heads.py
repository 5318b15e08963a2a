"""Heads of attention: how they are cut, masked, and kept between the steps of a decoder."""

from typing import NamedTuple

from keras import ops

from keras_attn.ops.masks import combine_masks
from keras_attn.typing import Tensor


class Masks(NamedTuple):
    """The masks of one call of an attention. True = keep, None = keep all.

    Attributes:
        query: boolean `[B, T]`.
        key: boolean `[B, S]`, the masks of the keys and of the values in one.
        attention: boolean, broadcasts to `[B, T, S]` or, with four axes, to `[B, H, T, S]`.
        causal: whether a query sees only the keys up to its own position, aligned to the end.
    """

    query: Tensor = None
    key: Tensor = None
    attention: Tensor = None
    causal: bool = False


def keep_of_heads(query: Tensor, key: Tensor, masks: Masks) -> Tensor:
    """Joins all masks into one with four axes.

    Args:
        query: `[B, T, ...]`, for its shape.
        key: `[B, S, ...]`, for its shape.
        masks: those of the call.

    Returns:
        Boolean that broadcasts to `[B, H, T, S]`; None where nothing is masked.
    """
    keep = combine_masks(query, key, query_mask=masks.query, key_mask=masks.key, use_causal_mask=masks.causal)
    return both_masks(four_axes(keep), four_axes(masks.attention))


def four_axes(mask: Tensor) -> Tensor:
    """A mask that broadcasts to `[B, T, S]`, or with four axes to `[B, H, T, S]`, with four; or None."""
    if mask is None:
        return None
    mask = ops.convert_to_tensor(mask)
    if len(mask.shape) == 4:
        return mask
    while len(mask.shape) < 3:
        mask = ops.expand_dims(mask, 0)
    return ops.expand_dims(mask, 1)


def both_masks(mask: Tensor, other: Tensor) -> Tensor:
    """Joins two masks: the result keeps what both keep. None keeps all."""
    masks = [ops.cast(x, "bool") for x in (mask, other) if x is not None]
    return ops.logical_and(*masks) if len(masks) == 2 else next(iter(masks), None)


def aligned_positions(num_queries: Tensor, num_keys: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the positions of T queries and S keys whose sequences end together."""
    return ops.arange(num_queries) + (num_keys - num_queries), ops.arange(num_keys)


def split_heads(tensor: Tensor, num_heads: int) -> Tensor:
    """Splits `[B, T, H E]` into heads `[B, H, T, E]`."""
    batch, length, width = ops.shape(tensor)
    return ops.swapaxes(ops.reshape(tensor, (batch, length, num_heads, width // num_heads)), 1, 2)


def merge_hypotheses(cache: Tensor) -> Tensor:
    """`[B, K, Hkv, t, E]` to `[B K, Hkv, t, E]`."""
    batch, hypotheses, *rest = ops.shape(cache)
    return ops.reshape(cache, (batch * hypotheses, *rest))


def zero_unseen(tensor: Tensor, seen: Tensor) -> Tensor:
    """`tensor` with zeros where `seen`, which broadcasts to it, is False; None changes nothing."""
    return tensor if seen is None else ops.where(seen, tensor, ops.zeros((), tensor.dtype))
