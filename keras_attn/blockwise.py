"""Exact attention in memory that grows with T + S, not with T x S: one block of keys after the other."""

from keras import ops

from keras_attn.scores import grouped_dot_logits, grouped_weighted_sum

# As in `masked_softmax`: below any logit, yet finite, for a row without keys subtracts it from itself.
_MASKED_LOGIT = -3.4e38


def blockwise_attention(query, key, value, key_mask=None, use_causal_mask=False, bias=None, block_size=128):
    """Softmax attention whose weights exist for one block of keys at a time, forward and backward.

    With m the largest logit of a query so far, l the total of its exponentials and c their weighted sum of
    values, every block of keys makes of them

    ```
    m' = max(m, max_s logits[s])
    l' = l exp(m - m') + sum_s exp(logits[s] - m')
    c' = c exp(m - m') + sum_s exp(logits[s] - m') value[s]
    ```

    and `c / l` is the context after the last. The backward pass keeps `m + log l` of every query and computes
    the weights of each block anew. It is written out for query, key and value, and has no second derivative.

    Args:
        query: `[B, H, T, E]`, scaled already.
        key: `[B, Hkv, S, E]`; Hkv divides H, and each head of keys serves H / Hkv heads of queries.
        value: `[B, Hkv, S, Ev]`.
        key_mask: boolean `[B, S]`, True = keep, or None.
        use_causal_mask: whether a query sees only the keys up to its own position, aligned to the end.
        bias: a function of query positions `[T]` and key positions `[block_size]` to what is added to the
            logits, float32 that broadcasts to `[H, T, block_size]`, or to None; without weights of its own.
        block_size: number of keys in a block.

    Returns:
        The context `[B, H, T, Ev]` in the dtype of `value`; zeros for a query that sees no key.

    Reference: Rabe and Staats, "Self-attention Does Not Need O(n^2) Memory", 2021, section 3; Dao et al.,
    "FlashAttention", NeurIPS 2022, algorithms 1 and 4.
    """
    blocks = _Blocks(ops.shape(query)[2], ops.shape(key)[2], block_size, use_causal_mask, bias)
    if key_mask is None:
        key_mask = ops.ones((ops.shape(key)[0], ops.shape(key)[2]))

    # The mask enters as numbers, for a gradient of zeros: JAX wants every tensor among the arguments.
    @ops.custom_gradient
    def attend(query, key, value, key_mask):
        inputs = query, blocks.split(key), blocks.split(value), blocks.split_mask(key_mask)
        context, log_total = _forward(blocks, *inputs)

        def gradient(*arguments, upstream=None):
            upstream = arguments[0] if upstream is None else upstream
            d_query, d_keys, d_values = _backward(blocks, *inputs, context, log_total, upstream)
            return (
                ops.cast(d_query, query.dtype),
                ops.cast(blocks.join(d_keys), key.dtype),
                ops.cast(blocks.join(d_values), value.dtype),
                ops.zeros_like(key_mask),
            )

        return context, gradient

    return attend(query, key, value, ops.cast(key_mask, "float32"))


class _Blocks:
    """How S keys are cut into N blocks, and which of a block's logits count."""

    def __init__(self, num_queries, num_keys, size, use_causal_mask, bias):
        self.num_queries = num_queries
        self.num_keys = num_keys
        self.size = size
        self.count = (num_keys + size - 1) // size
        self.use_causal_mask = use_causal_mask
        self.bias = bias

    def split(self, tensor):
        """`[B, Hkv, S, E]` to `[B, Hkv, N, block, E]`, zeros after the end."""
        batch, num_heads, _, width = ops.shape(tensor)
        tensor = ops.pad(tensor, ((0, 0), (0, 0), (0, self.count * self.size - self.num_keys), (0, 0)))
        return ops.reshape(tensor, (batch, num_heads, self.count, self.size, width))

    def join(self, tensor):
        """What `split` did, undone."""
        batch, num_heads, _, _, width = ops.shape(tensor)
        tensor = ops.reshape(tensor, (batch, num_heads, self.count * self.size, width))
        return tensor[:, :, : self.num_keys]

    def split_mask(self, mask):
        """`[B, S]` of 0 and 1 to boolean `[B, 1, N, 1, block]`, False after the end."""
        mask = ops.pad(mask, ((0, 0), (0, self.count * self.size - self.num_keys)))
        return ops.reshape(mask > 0.5, (ops.shape(mask)[0], 1, self.count, 1, self.size))

    def logits(self, index, query, key, kept):
        """Logits of block `index` in float32, `[B, H, T, block]`, and which of them count."""
        logits = ops.cast(grouped_dot_logits(query, key), "float32")
        query_positions = ops.arange(self.num_queries) + (self.num_keys - self.num_queries)
        key_positions = ops.arange(self.size) + index * self.size
        bias = None if self.bias is None else self.bias(query_positions, key_positions)
        logits = logits if bias is None else logits + bias
        keep = ops.take(kept, index, axis=2)  # [B, 1, 1, block]
        if self.use_causal_mask:
            keep = ops.logical_and(keep, key_positions <= ops.expand_dims(query_positions, -1))
        return logits, keep


def _forward(blocks, query, keys, values, kept):
    """The context, and the logarithm of each query's total `[B, H, T, 1]`."""
    rows = ops.shape(query)[:3]

    def absorb(index, state):
        maximum, total, context = state
        index = _after(index, total)
        value = ops.take(values, index, axis=2)
        logits, keep = blocks.logits(index, query, ops.take(keys, index, axis=2), kept)
        logits = ops.where(keep, logits, _MASKED_LOGIT)
        higher = ops.maximum(maximum, ops.max(logits, axis=-1, keepdims=True))
        weights = ops.where(keep, ops.exp(logits - higher), 0.0)
        shrink = ops.exp(maximum - higher)
        total = total * shrink + ops.sum(weights, axis=-1, keepdims=True)
        context = context * shrink + ops.cast(grouped_weighted_sum(weights, value), "float32")
        return higher, total, context

    start = (
        ops.full((*rows, 1), _MASKED_LOGIT, dtype="float32"),
        ops.zeros((*rows, 1), dtype="float32"),
        ops.zeros((*rows, values.shape[-1]), dtype="float32"),
    )
    maximum, total, context = ops.fori_loop(0, blocks.count, absorb, start)
    total = ops.maximum(total, 1e-30)  # a row with something to keep has at least exp(0) = 1
    return ops.cast(context / total, values.dtype), maximum + ops.log(total)


def _backward(blocks, query, keys, values, kept, context, log_total, upstream):
    """Gradients of query, blocks of keys and blocks of values, in float32."""
    # sum_s weights[s] d_weights[s], the softmax's own part, is the same for all blocks.
    shared = ops.sum(ops.cast(upstream * context, "float32"), axis=-1, keepdims=True)  # [B, H, T, 1]

    def absorb(index, state):
        d_query, d_keys, d_values = state
        index = _after(index, d_query)
        key, value = (ops.take(x, index, axis=2) for x in (keys, values))
        logits, keep = blocks.logits(index, query, key, kept)
        weights = ops.where(keep, ops.exp(logits - log_total), 0.0)
        d_weights = ops.cast(grouped_dot_logits(upstream, value), "float32")
        d_logits = ops.cast(weights * (d_weights - shared), query.dtype)
        d_query = d_query + ops.cast(grouped_weighted_sum(d_logits, key), "float32")
        # Written with `where` instead of a slice update, which becomes an op that TF Serving refuses.
        here = ops.reshape(ops.equal(ops.arange(blocks.count), index), (-1, 1, 1))
        d_keys = ops.where(here, _sum_over_queries(d_logits, query, key), d_keys)
        d_values = ops.where(here, _sum_over_queries(weights, upstream, value), d_values)
        return d_query, d_keys, d_values

    start = tuple(ops.zeros(ops.shape(x), dtype="float32") for x in (query, keys, values))
    return ops.fori_loop(0, blocks.count, absorb, start)


def _sum_over_queries(weights, rows, like):
    """`sum_t weights[h, t, s] rows[h, t]`, summed over the heads that share one of `like`.

    Weights `[B, H, T, block]` and rows `[B, H, T, E]` give float32 `[B, Hkv, 1, block, E]`.
    """
    batch, num_heads, num_queries, width = ops.shape(rows)
    groups = (batch, like.shape[1], num_heads // like.shape[1] * num_queries)  # [B, Hkv, G T]
    weights = ops.reshape(ops.cast(weights, rows.dtype), (*groups, ops.shape(weights)[-1]))
    total = ops.matmul(ops.swapaxes(weights, -1, -2), ops.reshape(rows, (*groups, width)))
    return ops.expand_dims(ops.cast(total, "float32"), 2)


def _after(index, tensor):
    """`index`, but only when `tensor` is there: TensorFlow would compute the logits of ten blocks at once."""
    number = ops.sum(tensor[:1, :1, :1, :1])
    return index + ops.cast(number < number - 1.0, "int32")  # never true, whatever the number
