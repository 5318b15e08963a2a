"""One tile of attention: a block of queries against a block of keys, forward and backward."""

from keras import ops

from keras_attn.ops.blockwise_distances import DistanceTerms
from keras_attn.ops.scores import grouped_dot_logits, grouped_weighted_sum

# What a masked place has, and what a row without keys has as its maximum: so far apart that the exponential
# of their difference is exactly 0, and no masked place needs to be looked at again.
_MASKED_LOGIT, NO_MAXIMUM = -3.4e38, -1e38
_TABLES = ("bias", "key_vectors", "value_vectors")


class Tiles:
    """All that tiles are made of: blocks of queries, keys, values and masks, and the terms by distance.

    Args:
        blocks: the `Blocks`.
        query: `[B, H, T, E]`.
        key: `[B, Hkv, S, E]`.
        value: `[B, Hkv, S, Ev]`.
        others: a dictionary of masks, numbers that broadcast to `[B, H, T, S]`, and the tables of
            `DistanceTerms`.
    """

    def __init__(self, blocks, query, key, value, others):
        self.blocks = blocks
        self.queries = blocks.split_queries(query)
        self.keys, self.values = blocks.split_keys(key), blocks.split_keys(value)
        self.masks = [blocks.split_mask(mask) for name, mask in others.items() if name not in _TABLES]
        self.terms = DistanceTerms(blocks, {name: x for name, x in others.items() if name in _TABLES})

    def logits(self, i, j, query, key, masked):
        """Of tile (i, j) in float32, `[B, H, R, C]`; `masked`: whether some places do not count."""
        logits = ops.cast(grouped_dot_logits(query, key), "float32")
        term = self.terms.logits(i, j, query)
        logits = logits if term is None else logits + term
        return ops.where(self.blocks.keep(i, j, self.masks), logits, _MASKED_LOGIT) if masked else logits

    def absorb(self, i, j, query, state, masked):
        """Forward: maximum, total `[B, H, R, 1]` and context `[B, H, R, Ev]` after tile (i, j)."""
        maximum, total, context = state
        j = after(j, total)
        key, value = ops.take(self.keys, j, axis=0), ops.take(self.values, j, axis=0)
        logits = self.logits(i, j, query, key, masked)
        higher = ops.maximum(maximum, ops.max(logits, axis=-1, keepdims=True))
        weights = ops.exp(logits - higher)
        shrink = ops.exp(maximum - higher)
        total = total * shrink + ops.sum(weights, axis=-1, keepdims=True)
        weights = ops.cast(weights, value.dtype)
        part = ops.cast(grouped_weighted_sum(weights, value), "float32")
        extra = self.terms.context(i, j, weights)
        part = part if extra is None else part + extra
        return higher, total, context * shrink + part

    def retrace(self, i, j, pair, rows, state, masked):
        """Backward: the gradients after tile (i, j), whose weights are computed anew.

        Args:
            i: block of queries.
            j: block of keys.
            pair: block j of the keys and of the values.
            rows: blocks `[N, ...]` of the upstream gradient, of the logarithms of the totals, and of what the
                softmax subtracts.
            state: gradients of all queries, of block j of keys and of values, and of the tables.
            masked: whether some places do not count.
        """
        d_queries, d_key, d_value, d_tables = state
        i = after(i, d_key)
        query, upstream, log_total, shared = (ops.take(x, i, axis=0) for x in (self.queries, *rows))
        key, value = pair
        weights = ops.exp(self.logits(i, j, query, key, masked) - log_total)
        d_weights = ops.cast(grouped_dot_logits(upstream, value), "float32")
        extra = self.terms.d_weights(i, j, upstream)
        d_weights = d_weights if extra is None else d_weights + extra
        d_logits = ops.cast(weights * (d_weights - shared), query.dtype)
        weights = ops.cast(weights, upstream.dtype)
        d_query = ops.cast(grouped_weighted_sum(d_logits, key), "float32")
        extra = self.terms.d_query(i, j, d_logits)
        d_query = d_query if extra is None else d_query + extra
        return (
            put(d_queries, i, d_query, reduction="add"),
            d_key + _sum_over_queries(d_logits, query, key),
            d_value + _sum_over_queries(weights, upstream, value),
            self.terms.add_gradients(d_tables, i, j, query, upstream, weights, d_logits),
        )


def put(blocks, index, block, reduction=None):
    """`blocks` with `block` at `index`, or added to what is there."""
    return ops.scatter_update(blocks, ops.reshape(index, (1, 1)), ops.expand_dims(block, 0), reduction)


def _sum_over_queries(weights, rows, like):
    """`sum_t weights[h, t, s] rows[h, t]`, summed over the heads that share one of `like`.

    Weights `[B, H, R, C]` and rows `[B, H, R, E]` give float32 `[B, Hkv, C, E]`.
    """
    batch, num_heads, num_queries, width = ops.shape(rows)
    groups = (batch, like.shape[1], num_heads // like.shape[1] * num_queries)  # [B, Hkv, G R]
    weights = ops.reshape(weights, (*groups, ops.shape(weights)[-1]))
    total = ops.matmul(ops.swapaxes(weights, -1, -2), ops.reshape(rows, (*groups, width)))
    return ops.cast(total, "float32")


def after(index, tensor):
    """`index`, but only when `tensor` is there: TensorFlow would compute the logits of ten tiles at once."""
    number = ops.sum(tensor[(slice(0, 1),) * len(tensor.shape)])
    return index + ops.cast(number < number - 1.0, "int32")  # never true, whatever the number
