"""The blocks of a packed Transformer: those of the model, in fewer and larger products."""

import math

import numpy as np
import tensorflow as tf

from keras_attn.export.packed_layers import PackedDense, PackedNorm, attend, join_heads, split_heads


class PackedResidual:
    """`x + f(norm(x))` with `norm_first`, `norm(x + f(x))` without; `x` stays float32.

    Args:
        residual: a built `ResidualConnection`.
    """

    def __init__(self, residual):
        layer = residual.normalization
        self.norm_first = residual.norm_first
        gain, offset = layer.gamma.numpy(), layer.beta.numpy()
        # Before a product, gain and offset become part of its weights.
        self.norm = PackedNorm(*((None, None) if self.norm_first else (gain, offset)), layer.epsilon)
        self.folded = (gain, offset) if self.norm_first else None

    def dense(self, layers, dtype, scales=None, columns=None):
        """One product in place of several dense layers that read the same normalised rows.

        Args:
            layers: built `keras.layers.Dense`, side by side in the result.
            dtype: of the product.
            scales: a factor for each of them; 1 when None.
            columns: the order of the columns of the result; as they are when None.
        """
        scales = scales or [1.0] * len(layers)
        pairs = list(zip(layers, scales, strict=True))
        kernel = np.concatenate([layer.kernel.numpy() * scale for layer, scale in pairs], axis=1)
        bias = np.concatenate([_bias(layer) * scale for layer, scale in pairs])
        if self.folded is not None:
            gain, offset = self.folded
            kernel, bias = kernel * gain[:, None], bias + offset @ kernel
        if columns is not None:
            kernel, bias = kernel[:, columns], bias[columns]
        return PackedDense(kernel, bias, dtype)

    def before(self, rows):
        """What enters the sublayer."""
        return self.norm(rows) if self.norm_first else rows

    def after(self, rows, outputs):
        """What leaves the connection; `rows` as they were before `before`."""
        total = tf.cast(outputs, tf.float32) + rows
        return total if self.norm_first else self.norm(total)


class PackedFeedForward:
    """The feed-forward layer with its residual connection.

    Args:
        residual: a built `ResidualConnection` around a `PositionwiseFeedForward`.
        dtype: of the products.
    """

    def __init__(self, residual, dtype):
        layer = residual.sublayer
        self.residual = PackedResidual(residual)
        self.activation = layer.activation
        self.hidden = self.residual.dense([layer.hidden], dtype)
        self.output = _plain(layer.output_projection, dtype)

    def __call__(self, rows, ranges=None):
        """`[R, D]` to `[R, D]`; `ranges` of `row_ranges`."""
        hidden = self.hidden(self.residual.before(rows), ranges, self.activation)
        return self.residual.after(rows, self.output(hidden, ranges))


class PackedSelfAttention:
    """Self-attention with its residual connection; query, key and value are one product.

    Args:
        residual: a built `ResidualConnection` around a `MultiHeadAttention`.
        dtype: of the products, and of the cache.
        rotary: the `PackedRotary` of its side, or None.
    """

    def __init__(self, residual, dtype, rotary=None):
        layer = residual.sublayer
        self.dtype, self.rotary = dtype, rotary
        self.num_heads, self.key_dim = layer.num_heads, layer.key_dim
        self.residual = PackedResidual(residual)
        projections = [layer.query_projection, layer.key_projection, layer.value_projection]
        scales = [1.0 / math.sqrt(self.key_dim), 1.0, 1.0]
        columns = None if rotary is None else rotary.columns(self.num_heads)
        self.projection = self.residual.dense(projections, dtype, scales, columns)
        self.output = _plain(layer.output_projection, dtype)

    def __call__(self, rows, mask, hidden, angles=None):
        """A whole sequence.

        Args:
            rows: `[B S, D]`.
            mask: `[B, S]`.
            hidden: what to add to the logits.
            angles: of the positions, where they are rotary.
        """
        queries, keys, values = self._heads(rows, tf.shape(mask)[1], None, angles)  # [B, H, S, E]
        context, _ = attend(queries, keys, keep_values(values, mask), hidden)
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
        return self.residual.after(rows, self.output(join_heads(context), ranges)), (keys, values)

    def _heads(self, rows, length, ranges, angles):
        """Queries, keys and values `[B, H, T, E]` of rows `[B T, D]`."""
        rows = self.projection(self.residual.before(rows), ranges)
        if self.rotary is not None:
            rows = self.rotary.turn(rows, length, angles)
        return split_heads(rows, length, 3, self.num_heads)


class PackedCrossAttention:
    """Attention to the memory with its residual connection.

    Args:
        residual: a built `ResidualConnection` around a `MultiHeadAttention`.
        dtype: of the products.
    """

    def __init__(self, residual, dtype):
        layer = residual.sublayer
        self.num_heads, self.key_dim = layer.num_heads, layer.key_dim
        self.residual = PackedResidual(residual)
        self.query = self.residual.dense([layer.query_projection], dtype, [1.0 / math.sqrt(self.key_dim)])
        memory = [layer.key_projection, layer.value_projection]
        kernel = np.concatenate([part.kernel.numpy() for part in memory], axis=1)
        self.memory = PackedDense(kernel, np.concatenate([_bias(part) for part in memory]), dtype)
        self.output = _plain(layer.output_projection, dtype)

    def prepare(self, rows, mask):
        """Keys `[B, H, E, S]`, as the product with the queries wants them, and values `[B, H, S, E]`."""
        keys, values = split_heads(self.memory(rows), tf.shape(mask)[1], 2, self.num_heads)
        keys = tf.transpose(keys, [0, 1, 3, 2])  # [B, H, E, S]
        return {"keys": keys, "values": keep_values(values, mask)}

    def step(self, rows, live, ranges, memory, hidden):
        """K queries a row, `[B K, D]`, to one memory; also the weights `[B, H, K, S]`."""
        queries = self.query(self.residual.before(rows), ranges)
        if live == 1:
            queries = tf.reshape(queries, [-1, self.num_heads, 1, self.key_dim])
        else:
            queries = tf.reshape(queries, [-1, live, self.num_heads, self.key_dim])
            queries = tf.transpose(queries, [0, 2, 1, 3])  # [B, H, K, E]
        context, weights = attend(queries, memory["keys"], memory["values"], hidden, transposed=True)
        return self.residual.after(rows, self.output(join_heads(context), ranges)), weights


def keep_values(values, mask):
    """Values `[B, H, S, E]`, 0 where the mask `[B, S]` is False."""
    return tf.where(mask[:, None, :, None], values, tf.zeros([], values.dtype))


def _plain(layer, dtype):
    return PackedDense(layer.kernel.numpy(), _bias(layer), dtype)


def _bias(layer):
    return np.zeros(layer.kernel.shape[1], "float32") if layer.bias is None else layer.bias.numpy()
