"""The blocks of a packed Transformer: those of the model, in fewer operations."""

import functools
import math

import numpy as np
import tensorflow as tf

from keras_attn.export.packed.products import PackedDense, PackedProjections, attend, routed
from keras_attn.export.packed.residual import PackedResidual, weights_of


class PackedFeedForward:
    """The feed-forward layer with its residual connection.

    ```
    f(x W_1) W_2 = sum_p f(x W_1p) W_2p                 in parts of the hidden units
    ```

    Args:
        residual: a built `ResidualConnection` around a `PositionwiseFeedForward`.
        entering: the `Affine` that its rows lack.
        products: the `Products` of the model.
    """

    def __init__(self, residual, entering, products):
        layer = residual.sublayer
        self.residual = PackedResidual(residual, entering, products)
        self.activation = layer.activation
        kernel, bias = self.residual.first(*weights_of(layer.hidden))
        last_kernel, last_bias = self.residual.last(layer.output_projection)
        self.parts = []  # pairs of products
        for units in np.array_split(np.arange(len(bias)), -(-len(bias) // (products.widest or len(bias)))):
            hidden = PackedDense(kernel[:, units], bias[units], products)
            self.parts.append((hidden, PackedDense(last_kernel[units], last_bias, products)))
            last_bias = np.zeros_like(last_bias)  # it counts once

    def __call__(self, rows, ranges=None):
        """`[R, D]` to `[R, D]`; `ranges` of `row_ranges`."""
        outputs = routed(self.residual.before(rows), ranges, sum(self.parts, ()), self._outputs)
        return self.residual.after(rows, outputs)

    def _outputs(self, rows, is_laid_out):
        parts = [last(self.activation(hidden(rows, is_laid_out)), is_laid_out) for hidden, last in self.parts]
        return functools.reduce(tf.add, parts)


class PackedSelfAttention:
    """Self-attention with its residual connection.

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
        weights = [
            weights_of(layer.query_projection, 1.0 / math.sqrt(layer.key_dim)),
            weights_of(layer.key_projection),
            weights_of(layer.value_projection),
        ]
        if rotary is not None:
            columns = rotary.columns(self.num_heads)
            weights[:2] = [(kernel[:, columns], bias[columns]) for kernel, bias in weights[:2]]
        self.projections = PackedProjections([self.residual.first(*pair) for pair in weights], products)
        self.output = PackedDense(*self.residual.last(layer.output_projection), products)

    def __call__(self, rows, heads, hidden, angles=None):
        """A whole sequence.

        Args:
            rows: `[B S, D]`.
            heads: the `PackedHeads` of B texts of S positions.
            hidden: what to add to the logits.
            angles: of the positions, where they are rotary.
        """
        queries, keys, values = self._projected(rows, heads, None, angles)  # [B, H, S, E]
        context, _ = attend(queries, keys, values, hidden)
        return self.residual.after(rows, self.output(heads.join(context)))

    def empty_cache(self, batch):
        """Keys and values, `[B, H, 0, E]` both."""
        return (tf.zeros(tf.stack([batch, self.num_heads, 0, self.key_dim]), self.dtype),) * 2

    def step(self, rows, heads, ranges, hidden, cache, angles=None):
        """One step of `[B K, D]` against a cache `[B, H, t K, E]` that all K hypotheses of a row share.

        Args:
            rows: `[B K, D]`.
            heads: the `PackedHeads` of B texts of K hypotheses.
            ranges: of `row_ranges`.
            hidden: what to add to the logits `[B, H, K, (t + 1) K]`, so that each hypothesis sees its own
                keys alone; None for K = 1.
            cache: keys and values of the step before.
            angles: of the position, where positions are rotary.
        """
        queries, *new = self._projected(rows, heads, ranges, angles)  # [B, H, K, E]
        keys, values = (tf.concat(pair, axis=2) for pair in zip(cache, new, strict=True))
        context, _ = attend(queries, keys, values, hidden)  # [B, H, K, E]
        return self.residual.after(rows, _product(self.output, heads.join(context), ranges)), (keys, values)

    def _projected(self, rows, heads, ranges, angles):
        """Queries, keys and values `[B, H, T, E]` of rows `[B T, D]`."""
        queries, keys, values = self.projections(self.residual.before(rows), ranges)
        if self.rotary is not None:
            queries, keys = self.rotary.turn(queries, keys, heads.length, angles)
        return [heads.split(projected) for projected in (queries, keys, values)]


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
        self.residual = PackedResidual(residual, entering, products)
        of_rows = weights_of(layer.query_projection, 1.0 / math.sqrt(layer.key_dim))
        self.query = PackedDense(*self.residual.first(*of_rows), products)
        of_memory = [weights_of(layer.key_projection), weights_of(layer.value_projection)]
        self.memory = PackedProjections([memory.folded(*pair) for pair in of_memory], products)
        self.output = PackedDense(*self.residual.last(layer.output_projection), products)

    def prepare(self, rows, heads):
        """Projected memory, which all steps share.

        Args:
            rows: of the encoder, `[B S, D]`.
            heads: the `PackedHeads` of B texts of S positions.

        Returns:
            Keys `[B, H, E, S]`, as the product with the queries wants them, and values `[B, H, S, E]`.
        """
        keys, values = self.memory(rows)
        return heads.split_transposed(keys), heads.split(values)

    def step(self, rows, heads, ranges, hidden, memory):
        """K queries a row to one memory.

        Args:
            rows: `[B K, D]`.
            heads: the `PackedHeads` of B texts of K hypotheses.
            ranges: of `row_ranges`.
            hidden: what to add to the logits, `[B, 1, 1, S]`.
            memory: of `prepare`.

        Returns:
            `[B K, D]` and the weights `[B, H, K, S]`.
        """
        queries = heads.split(_product(self.query, self.residual.before(rows), ranges))  # [B, H, K, E]
        context, weights = attend(queries, *memory, hidden, transposed=True)
        return self.residual.after(rows, _product(self.output, heads.join(context), ranges)), weights


def _product(dense, rows, ranges):
    return routed(rows, ranges, [dense], dense)
