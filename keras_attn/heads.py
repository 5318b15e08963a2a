"""Heads of attention: how they are cut, masked, and kept between the steps of a decoder."""

from keras import ops

from keras_attn.masks import combine_masks


def keep_of_heads(query, key, query_mask, value_mask, key_mask, attention_mask, use_causal_mask):
    """All masks in one that broadcasts to `[B, H, T, S]`, or None."""
    of_heads = attention_mask if attention_mask is not None and len(attention_mask.shape) == 4 else None
    attention_mask = attention_mask if of_heads is None else None
    keep = combine_masks(query, key, query_mask, value_mask, key_mask, attention_mask, use_causal_mask)
    keep = None if keep is None else ops.expand_dims(keep, -3)
    return both_masks(keep, of_heads)


def both_masks(mask, other):
    """What both masks keep; None keeps all."""
    masks = [ops.cast(x, "bool") for x in (mask, other) if x is not None]
    return ops.logical_and(*masks) if len(masks) == 2 else next(iter(masks), None)


def aligned_positions(num_queries, num_keys):
    """Where queries and keys stand in their sequence when both end together."""
    return ops.arange(num_queries) + (num_keys - num_queries), ops.arange(num_keys)


def split_heads(tensor, num_heads):
    """`[B, T, H E]` to `[B, H, T, E]`."""
    batch, length, width = ops.shape(tensor)
    return ops.swapaxes(ops.reshape(tensor, (batch, length, num_heads, width // num_heads)), 1, 2)


def append_step(cache, heads):
    """`[B, K, Hkv, t, E]` and `[B K, Hkv, 1, E]` to `[B, K, Hkv, t + 1, E]`."""
    batch, hypotheses, num_heads, _, width = ops.shape(cache)
    heads = ops.reshape(heads, (batch, hypotheses, num_heads, 1, width))
    return ops.concatenate([cache, heads], axis=3)


def merge_hypotheses(cache):
    """`[B, K, Hkv, t, E]` to `[B K, Hkv, t, E]`."""
    batch, hypotheses, *rest = ops.shape(cache)
    return ops.reshape(cache, (batch * hypotheses, *rest))
