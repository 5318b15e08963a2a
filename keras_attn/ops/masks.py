"""Attention masks: one boolean routine for all layers. True = keep."""

from keras import ops

from keras_attn.typing import Tensor


def combine_masks(
    query: Tensor,
    key: Tensor,
    *,
    query_mask: Tensor = None,
    value_mask: Tensor = None,
    key_mask: Tensor = None,
    attention_mask: Tensor = None,
    use_causal_mask: bool = False,
) -> Tensor:
    """Joins every kind of mask into one that says which key each query may look at.

    `keep[b, t, s] = query_mask[b, t] & value_mask[b, s] & key_mask[b, s] & attention_mask[b, t, s]
    & (s <= t + S - T)`, each factor only where given. The causal factor is aligned to the end, so that one
    query against a cache of S keys sees all of them.

    Args:
        query: `[B, T, ...]`, for its shape alone.
        key: `[B, S, ...]`, for its shape alone.
        query_mask: `[B, T]` or None.
        value_mask: `[B, S]` or None.
        key_mask: `[B, S]` or None.
        attention_mask: anything that broadcasts to `[B, T, S]`, or None.
        use_causal_mask: whether a query sees only the keys up to its own position.

    Returns:
        A boolean tensor that broadcasts to `[B, T, S]`, or None when nothing is masked.
    """
    factors = []
    if query_mask is not None:
        factors.append(ops.expand_dims(ops.cast(query_mask, "bool"), -1))  # [B, T, 1]
    for mask in (value_mask, key_mask):
        if mask is not None:
            factors.append(ops.expand_dims(ops.cast(mask, "bool"), -2))  # [B, 1, S]
    if attention_mask is not None:
        factors.append(ops.cast(attention_mask, "bool"))
    if use_causal_mask:
        factors.append(causal_mask(ops.shape(query)[1], ops.shape(key)[1]))
    keep = None
    for factor in factors:
        keep = factor if keep is None else ops.logical_and(keep, factor)
    return keep


def causal_mask(num_queries: Tensor, num_keys: Tensor) -> Tensor:
    """Which of S keys each of T queries may look at: `s <= t + S - T`, aligned to the end.

    Args:
        num_queries: T, an integer or a scalar tensor.
        num_keys: S, likewise.

    Returns:
        Boolean `[1, T, S]`.
    """
    query_position = ops.expand_dims(ops.arange(num_queries), -1) + (num_keys - num_queries)
    key_position = ops.expand_dims(ops.arange(num_keys), 0)
    return ops.expand_dims(ops.less_equal(key_position, query_position), 0)


def seen_queries(keep: Tensor) -> Tensor:
    """Which queries see a key at all.

    Args:
        keep: boolean `[B, H, T, S]`, or what broadcasts to it; None keeps all.

    Returns:
        Boolean `[B, H, T, 1]`, or what broadcasts to it; None where all do.
    """
    return None if keep is None else ops.any(keep, axis=-1, keepdims=True)


def seen_under_padding(
    num_queries: Tensor,
    num_keys: Tensor,
    *,
    query_mask: Tensor = None,
    key_mask: Tensor = None,
    use_causal_mask: bool = False,
) -> Tensor:
    """`seen_queries` of the masks that need no `[T, S]` tensor: in memory that grows with T + S.

    Args:
        num_queries: T, an integer or a scalar tensor.
        num_keys: S, likewise.
        query_mask: `[B, T]` or None.
        key_mask: `[B, S]` or None.
        use_causal_mask: whether a query sees only the keys up to its own position, aligned to the end.

    Returns:
        Boolean `[B, 1, T, 1]`, or what broadcasts to it; None where all queries see a key.
    """
    factors = []
    if query_mask is not None:
        factors.append(ops.cast(query_mask, "bool"))
    first = 0
    if key_mask is not None:
        # A key more that is not seen: neither maximum nor `argmax` exists for a memory of no keys.
        key_mask = ops.pad(ops.cast(key_mask, "int32"), ((0, 0), (0, 1)))
        factors.append(ops.max(key_mask, axis=-1, keepdims=True, initial=0) > 0)  # [B, 1]
        first = ops.cast(ops.argmax(key_mask, axis=-1, keepdims=True), "int32")  # [B, 1]
    all_late = isinstance(num_queries, int) and isinstance(num_keys, int) and num_queries <= num_keys
    if use_causal_mask and not (key_mask is None and all_late):
        positions = ops.arange(num_queries) + (num_keys - num_queries)
        factors.append(ops.expand_dims(positions, 0) >= first)  # [B, T]
    seen = None
    for factor in factors:
        seen = factor if seen is None else ops.logical_and(seen, factor)
    return None if seen is None else seen[:, None, :, None]
