"""Local attention in memory that grows with T x window: every piece of a sequence sees its neighbours."""

from collections.abc import Callable

from keras import ops

from keras_attn.ops.heads import four_axes
from keras_attn.typing import Tensor


def windowed_attention(
    attend: Callable[..., Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    window: int,
    key_mask: Tensor = None,
    use_causal_mask: bool = False,
    attention_mask: Tensor = None,
) -> tuple[Tensor, Tensor]:
    """Attention of each query to the keys at most `window` positions before and after it.

    Both sequences, aligned at the end, are cut into C chunks of `window` positions. A chunk's queries and
    the keys of the chunks before, at and (unless causal) after it become a row of the batch, so that ordinary
    attention does the rest and the largest tensor is `[B C, H, window, 3 window]`.

    Args:
        attend: a function of query `[N, H, T, E]`, key and value `[N, Hkv, S, E]`, a boolean mask that
            broadcasts to `[N, H, T, S]`, and positions `[T]` and `[S]`, to the context `[N, H, T, Ev]`.
        query: `[B, H, T, E]`.
        key: `[B, Hkv, S, E]`.
        value: `[B, Hkv, S, Ev]`.
        window: how far a query sees, in positions; at least 1.
        key_mask: boolean `[B, S]`, True = keep, or None.
        use_causal_mask: whether a query sees nothing after its own position.
        attention_mask: boolean, broadcasts to `[B, T, S]` or, with four axes, to `[B, H, T, S]`; or None.

    Returns:
        The context `[B, H, T, Ev]`, and which queries see a key: boolean that broadcasts to `[B, H, T, 1]`.
    """
    batch, _, num_queries, _ = ops.shape(query)
    num_keys = ops.shape(key)[2]
    chunks = (_longer(num_queries, num_keys) + window - 1) // window
    neighbours = (-1, 0) if use_causal_mask else (-1, 0, 1)
    if key_mask is None:
        key_mask = ops.ones((batch, num_keys), dtype="bool")
    key_mask = ops.broadcast_to(ops.cast(key_mask, "float32"), (batch, num_keys))[:, None, :, None]
    key, value, key_mask = (_with_neighbours(x, chunks, window, neighbours) for x in (key, value, key_mask))
    query_positions = ops.arange(window)
    key_positions = ops.concatenate([ops.arange(window) + n * window for n in neighbours], axis=0)
    distance = ops.expand_dims(key_positions, 0) - ops.expand_dims(query_positions, 1)
    near = ops.abs(distance) <= window
    if use_causal_mask:
        near = ops.logical_and(near, distance <= 0)
    keep = ops.logical_and(near, ops.swapaxes(key_mask, -1, -2) > 0.5)  # [B C, 1, window, neighbours]
    if attention_mask is not None:
        mask = ops.cast(four_axes(attention_mask), "float32")
        mask = ops.broadcast_to(mask, (batch, mask.shape[1], num_queries, num_keys))
        keep = ops.logical_and(keep, _mask_of_chunks(mask, chunks, window, neighbours) > 0.5)
    query = _with_neighbours(query, chunks, window, (0,))
    context = attend(query, key, value, keep, query_positions, key_positions)
    seen = ops.cast(ops.any(keep, axis=-1, keepdims=True), "float32")
    return (
        _join(context, batch, chunks * window, num_queries),
        _join(seen, batch, chunks * window, num_queries) > 0.5,
    )


def _longer(num_queries, num_keys):
    if isinstance(num_queries, int) and isinstance(num_keys, int):
        return max(num_queries, num_keys)  # a number of chunks that stays known
    return ops.maximum(num_queries, num_keys)


def _with_neighbours(tensor, chunks, window, neighbours):
    """`[B, H, S, E]` to `[B C, H, len(neighbours) window, E]`: every chunk beside those around it."""
    batch, num_heads, length, width = ops.shape(tensor)
    # In front stands what aligns the ends; around it a chunk of zeros, neighbour of the first and the last.
    front = chunks * window - length + window
    tensor = ops.pad(tensor, ((0, 0), (0, 0), (front, window), (0, 0)))
    tensor = ops.reshape(tensor, (batch, num_heads, chunks + 2, window, width))
    pieces = [tensor[:, :, 1 + n : chunks + 1 + n] for n in neighbours]
    tensor = ops.swapaxes(ops.concatenate(pieces, axis=3), 1, 2)  # [B, C, H, .., E]
    return ops.reshape(tensor, (batch * chunks, num_heads, len(neighbours) * window, width))


def _mask_of_chunks(mask, chunks, window, neighbours):
    """Numbers `[B, H, T, S]` to `[B C, H, window, len(neighbours) window]`: what the chunks see of a mask."""
    batch, num_heads, num_queries, num_keys = ops.shape(mask)
    front = (chunks * window - num_queries, chunks * window - num_keys + window)
    mask = ops.pad(mask, ((0, 0), (0, 0), (front[0], 0), (front[1], window)))
    mask = ops.reshape(mask, (batch, num_heads, chunks, window, chunks + 2, window))
    pieces = [ops.diagonal(mask, 1 + n, axis1=2, axis2=4) for n in neighbours]  # [B, H, window, window, C]
    pieces = [ops.transpose(x, (0, 4, 1, 2, 3)) for x in pieces]
    mask = ops.concatenate(pieces, axis=-1)  # [B, C, H, window, ..]
    return ops.reshape(mask, (batch * chunks, num_heads, window, len(neighbours) * window))


def _join(context, batch, length, num_queries):
    """`[B C, H, window, E]` to `[B, H, T, E]`."""
    _, num_heads, window, width = ops.shape(context)
    context = ops.reshape(context, (batch, length // window, num_heads, window, width))
    context = ops.reshape(ops.swapaxes(context, 1, 2), (batch, num_heads, length, width))
    return context[:, :, length - num_queries :]
