"""The blocks of a packed Transformer: those of the model, in fewer and larger products."""

import math

import tensorflow as tf

from keras_attn.export.packed_layers import (
    PackedDense,
    attend,
    chain,
    join_heads,
    split_heads,
)
from keras_attn.export.packed_residual import PackedResidual, side_by_side


class PackedFeedForward:
    """The feed-forward layer with its residual connection.

    Args:
        residual: a built `ResidualConnection` around a `PositionwiseFeedForward`.
        entering: the `Affine` that its rows lack.
        products: the `Products` of the model.
    """

    def __init__(self, residual, entering, products):
        layer = residual.sublayer
        self.residual = PackedResidual(residual, entering, products)
        self.activation = layer.activation
        self.hidden = PackedDense(*self.residual.first(*side_by_side([layer.hidden])), products)
        self.output = PackedDense(*self.residual.last(layer.output_projection), products)

    def __call__(self, rows, ranges=None):
        """`[R, D]` to `[R, D]`; `ranges` of `row_ranges`."""
        products = (self.hidden, self.activation), (self.output, tf.identity)
        return self.residual.after(rows, chain(self.residual.before(rows), ranges, *products))


class PackedSelfAttention:
    """Self-attention with its residual connection; query, key and value are one product.

    Args:
        residual: a built `ResidualConnection` around a `MultiHeadAttention`.
        entering: the `Affine` that its rows lack.
        products: the `Products` of the model; the cache has their dtype.
        rotary: the `PackedRotary` of its side, or None.
    """

    def __init__(self, residual, entering, products, rotary=None):
        layer = residual.sublayer
        self.dtype, self.rotary = products.dtype, rotary
        self.num_heads, self.key_dim = layer.num_heads, layer.key_dim
        self.residual = PackedResidual(residual, entering, products)
        projections = [layer.query_projection, layer.key_projection, layer.value_projection]
        kernel, bias = side_by_side(projections, [1.0 / math.sqrt(self.key_dim), 1.0, 1.0])
        if rotary is not None:
            columns = rotary.columns(self.num_heads)
            kernel, bias = kernel[:, columns], bias[columns]
        self.projection = PackedDense(*self.residual.first(kernel, bias), products)
        self.output = PackedDense(*self.residual.last(layer.output_projection), products)

    def __call__(self, rows, length, hidden, angles=None):
        """A whole sequence.

        Args:
            rows: `[B S, D]`.
            length: S.
            hidden: what to add to the logits.
            angles: of the positions, where they are rotary.
        """
        queries, keys, values = self._heads(rows, length, None, angles)  # [B, H, S, E]
        context, _ = attend(queries, keys, values, hidden)
        return self.residual.after(rows, self.output(join_heads(context)))

    def empty_cache(self, batch):
        """Keys and values, `[B, H, 0, E]` both."""
        return (tf.zeros(tf.stack([batch, self.num_heads, 0, self.key_dim]), self.dtype),) * 2

    def step(self, rows, live, ranges, hidden, cache, angles=None):
        """One step of `[B K, D]` against a cache `[B, H, t K, E]` that all K hypotheses of a row share.

        Args:
            rows: `[B K, D]`.
            live: K.
            ranges: of `row_ranges`.
            hidden: what to add to the logits `[B, H, K, (t + 1) K]`, so that each hypothesis sees its own
                keys alone; None for K = 1.
            cache: keys and values of the step before.
            angles: of the position, where positions are rotary.
        """
        queries, *new = self._heads(rows, live, ranges, angles)  # [B, H, K, E]
        keys, values = (tf.concat(pair, axis=2) for pair in zip(cache, new, strict=True))
        context, _ = attend(queries, keys, values, hidden)  # [B, H, K, E]
        return self.residual.after(rows, _product(self.output, join_heads(context), ranges)), (keys, values)

    def _heads(self, rows, length, ranges, angles):
        """Queries, keys and values `[B, H, T, E]` of rows `[B T, D]`."""
        rows = _product(self.projection, self.residual.before(rows), ranges)
        if self.rotary is not None:
            rows = self.rotary.turn(rows, length, angles)
        return split_heads(rows, length, 3, self.num_heads)


class PackedCrossAttention:
    """Attention to the memory with its residual connection.

    Args:
        residual: a built `ResidualConnection` around a `MultiHeadAttention`.
        entering: the `Affine` that its rows lack.
        memory: the `Affine` that the encoder's rows lack.
        products: the `Products` of the model.
    """

    def __init__(self, residual, entering, memory, products):
        layer = residual.sublayer
        self.num_heads, self.key_dim = layer.num_heads, layer.key_dim
        self.residual = PackedResidual(residual, entering, products)
        scale = 1.0 / math.sqrt(self.key_dim)
        of_rows = side_by_side([layer.query_projection], [scale])
        self.query = PackedDense(*self.residual.first(*of_rows), products)
        of_memory = side_by_side([layer.key_projection, layer.value_projection])
        self.memory = PackedDense(*memory.folded(*of_memory), products)
        self.output = PackedDense(*self.residual.last(layer.output_projection), products)

    def prepare(self, rows, length):
        """What all steps share.

        Args:
            rows: of the encoder, `[B S, D]`.
            length: S.

        Returns:
            Keys `[B, H, E, S]`, as the product with the queries wants them, and values `[B, H, S, E]`.
        """
        keys, values = split_heads(self.memory(rows), length, 2, self.num_heads)
        return tf.transpose(keys, [0, 1, 3, 2]), values

    def step(self, rows, live, ranges, hidden, memory):
        """K queries a row to one memory.

        Args:
            rows: `[B K, D]`.
            live: K.
            ranges: of `row_ranges`.
            hidden: what to add to the logits, `[B, 1, 1, S]`.
            memory: of `prepare`.

        Returns:
            `[B K, D]` and the weights `[B, H, K, S]`.
        """
        queries = _product(self.query, self.residual.before(rows), ranges)
        if live == 1:
            queries = tf.reshape(queries, [-1, self.num_heads, 1, self.key_dim])
        else:
            queries = tf.reshape(queries, [-1, live, self.num_heads, self.key_dim])
            queries = tf.transpose(queries, [0, 2, 1, 3])  # [B, H, K, E]
        context, weights = attend(queries, *memory, hidden, transposed=True)
        return self.residual.after(rows, _product(self.output, join_heads(context), ranges)), weights


def _product(dense, rows, ranges):
    return chain(rows, ranges, (dense, tf.identity))
