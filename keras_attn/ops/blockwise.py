"""Exact attention in memory that grows with T + S, not with T x S: one tile of weights after the other."""

from collections.abc import Mapping

from keras import ops

from keras_attn.ops.blockwise_blocks import Blocks
from keras_attn.ops.blockwise_tiles import NO_MAXIMUM, Tiles, after, put
from keras_attn.ops.heads import four_axes
from keras_attn.typing import Tensor


def blockwise_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    key_mask: Tensor = None,
    use_causal_mask: bool = False,
    attention_mask: Tensor = None,
    tables: Mapping[str, Tensor] | None = None,
    block_size: int = 512,
) -> Tensor:
    """Softmax attention whose weights exist for one tile at a time, forward and backward.

    With m the largest logit of a query so far, l the total of its exponentials and c their weighted sum of
    values, every block of keys makes of them

    ```
    m' = max(m, max_s logits[s])
    l' = l exp(m - m') + sum_s exp(logits[s] - m')
    c' = c exp(m - m') + sum_s exp(logits[s] - m') value[s]
    ```

    and `c / l` is the context after the last. The backward pass keeps `m + log l` of every query and computes
    the weights of each tile anew. With a causal mask, neither pass touches a tile that lies wholly in the
    future. The gradient is written out, and there is no second one.

    Args:
        query: `[B, H, T, E]`, scaled already.
        key: `[B, Hkv, S, E]`; Hkv divides H, and each head of keys serves H / Hkv heads of queries.
        value: `[B, Hkv, S, Ev]`.
        key_mask: boolean `[B, S]`, True = keep, or None.
        use_causal_mask: whether a query sees only the keys up to its own position, aligned to the end.
        attention_mask: boolean, broadcasts to `[B, T, S]` or, with four axes, to `[B, H, T, S]`; or None.
        tables: what relative positions add, by distance: a dictionary of tensors as for `DistanceTerms`.
        block_size: number of queries, and of keys, in a block.

    Returns:
        The context `[B, H, T, Ev]` in the dtype of `value`; zeros for a query that sees no key, or none whose
        logit is above -1e38.

    Reference: Rabe and Staats, "Self-attention Does Not Need O(n^2) Memory", 2021, section 3; Dao et al.,
    "FlashAttention", NeurIPS 2022, algorithms 1 and 4.
    """
    masked = key_mask is not None or attention_mask is not None
    num_queries, num_keys = ops.shape(query)[2], ops.shape(key)[2]
    blocks = Blocks(num_queries, num_keys, block_size, use_causal_mask, masked)
    # Masks enter as numbers, for a gradient of zeros: JAX wants every tensor among the arguments.
    masks = _masks(key_mask, attention_mask, num_queries, num_keys)
    names = [*masks, *(tables or {})]

    @ops.custom_gradient
    def attend(query, key, value, *others):
        others = dict(zip(names, others, strict=True))
        tiles = Tiles(blocks, query, key, value, others)
        context, log_total = _forward(tiles)

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            d_query, d_key, d_value, d_tables = _backward(tiles, context, log_total, upstream)
            rest = [ops.cast(d_tables[x], others[x].dtype) if x in d_tables else None for x in names]
            rest = [ops.zeros_like(others[x]) if d is None else d for x, d in zip(names, rest, strict=True)]
            return d_query, d_key, d_value, *rest

        return blocks.join_queries(context), gradient

    return attend(query, key, value, *masks.values(), *(tables or {}).values())


def _masks(key_mask, attention_mask, num_queries, num_keys):
    """Masks as numbers with four axes, by name."""
    masks = {}
    if key_mask is not None:
        masks["key_mask"] = ops.cast(key_mask, "float16")[:, None, None, :]
    if attention_mask is not None:
        mask = ops.cast(four_axes(attention_mask), "float16")
        rows = 1 if mask.shape[2] == 1 else num_queries
        masks["attention_mask"] = ops.broadcast_to(mask, (*ops.shape(mask)[:2], rows, num_keys))
    return masks


def _forward(tiles):
    """Blocks of the context `[N, B, H, rows, Ev]`, and logarithms of the totals `[N, B, H, rows, 1]`."""
    blocks, shape = tiles.blocks, ops.shape(tiles.queries)[:-1]
    width, dtype = tiles.values.shape[-1], tiles.values.dtype

    def row(i, state):
        contexts, log_totals = state
        i = after(i, log_totals)
        query = ops.take(tiles.queries, i, axis=0)
        plain, end = blocks.key_ranges(i)
        start = (
            ops.full((*shape[1:], 1), NO_MAXIMUM, dtype="float32"),
            ops.zeros((*shape[1:], 1), dtype="float32"),
            ops.zeros((*shape[1:], width), dtype="float32"),
        )
        done = ops.fori_loop(0, plain, lambda j, state: tiles.absorb(i, j, query, state, False), start)
        done = ops.fori_loop(plain, end, lambda j, state: tiles.absorb(i, j, query, state, True), done)
        maximum, total, context = done
        total = ops.maximum(total, 1e-30)  # a row with something to keep has at least exp(0) = 1
        context = ops.cast(context / total, dtype)
        return put(contexts, i, context), put(log_totals, i, maximum + ops.log(total))

    start = ops.zeros((*shape, width), dtype=dtype), ops.zeros((*shape, 1), dtype="float32")
    return ops.fori_loop(0, _of_rows(tiles.queries, blocks.query_blocks), row, start)


def _backward(tiles, contexts, log_totals, upstream):
    """Gradients of query, key, value and the tables."""
    blocks = tiles.blocks
    upstreams = blocks.split_queries(upstream)
    # sum_s weights[s] d_weights[s], the softmax's own part, is the same for all blocks of keys.
    shared = ops.sum(ops.cast(upstreams, "float32") * ops.cast(contexts, "float32"), axis=-1, keepdims=True)
    rows = upstreams, log_totals, shared

    def column(j, state):
        d_queries, d_keys, d_values, d_tables = state
        j = after(j, d_values)
        pair = ops.take(tiles.keys, j, axis=0), ops.take(tiles.values, j, axis=0)
        first, plain = blocks.query_ranges(j)
        state = (d_queries, *(ops.zeros(ops.shape(x), dtype="float32") for x in pair), d_tables)
        state = ops.fori_loop(first, plain, lambda i, s: tiles.retrace(i, j, pair, rows, s, True), state)
        state = ops.fori_loop(
            plain, blocks.query_blocks, lambda i, s: tiles.retrace(i, j, pair, rows, s, False), state
        )
        d_queries, d_key, d_value, d_tables = state
        return d_queries, put(d_keys, j, d_key), put(d_values, j, d_value), d_tables

    start = [ops.zeros(ops.shape(x), dtype="float32") for x in (tiles.queries, tiles.keys, tiles.values)]
    start = (*start, tiles.terms.no_gradients())
    d_queries, d_keys, d_values, d_tables = ops.fori_loop(
        0, _of_rows(tiles.queries, blocks.key_blocks), column, start
    )
    return (
        ops.cast(blocks.join_queries(d_queries), tiles.queries.dtype),
        ops.cast(blocks.join_keys(d_keys), tiles.keys.dtype),
        ops.cast(blocks.join_keys(d_values), tiles.values.dtype),
        tiles.terms.cut(d_tables),
    )


def _of_rows(queries, num_blocks):
    """The number of blocks, 0 for a batch without rows: TensorFlow scatters nothing into an empty tensor."""
    num_rows = ops.shape(queries)[1]
    return num_blocks * (min(num_rows, 1) if isinstance(num_rows, int) else ops.minimum(num_rows, 1))
