"""Heads of a packed Transformer: packed in rows, with rotary positions if the model has them."""

import numpy as np
import tensorflow as tf


class PackedRotary:
    """Turns the heads of one side of a model, encoder or decoder.

    ```
    heads cos + swapped(heads) sin      swapped puts the second half of E first
    ```

    Pair i is i and i + E / 2 here, whatever it is in the model: a dot product does not change when queries
    and keys change the order of their numbers alike, so `columns` brings the weights into this order once.

    Args:
        positions: a `RotaryPositions`.
        key_dim: E.
    """

    def __init__(self, positions, key_dim):
        places = np.arange(key_dim)
        self._order = places if positions.layout == "half" else np.concatenate([places[::2], places[1::2]])
        self._half = key_dim // 2
        self._frequencies = np.float32(positions.base ** (-2 * places[: self._half] / key_dim))

    def columns(self, num_heads):
        """The order of the columns of W_q and of W_k."""
        return (np.arange(num_heads)[:, None] * len(self._order) + self._order).reshape(-1)

    def angles(self, positions):
        """Cosines and sines `[T, 1, E]` for positions `[T]`."""
        angles = tf.cast(positions, tf.float32)[:, None] * self._frequencies  # [T, E / 2]
        cosines, sines = tf.cos(angles), tf.sin(angles)
        cosines, sines = tf.concat([cosines, cosines], axis=-1), tf.concat([-sines, sines], axis=-1)
        return cosines[:, None], sines[:, None]

    def turn(self, queries, keys, length, angles):
        """Queries and keys, both `[B T, H E]`, in their dtype.

        Args:
            queries: `[B T, H E]`.
            keys: `[B T, H E]`.
            length: T.
            angles: of `angles`, for T positions.
        """
        cosines, sines = angles
        wide = tf.cast(tf.stack([queries, keys]), tf.float32)
        wide = tf.reshape(wide, [2, -1, length, queries.shape[-1] // (2 * self._half), 2 * self._half])
        swapped = tf.concat([wide[..., self._half :], wide[..., : self._half]], axis=-1)
        turned = tf.cast(wide * cosines + swapped * sines, queries.dtype)
        return tf.unstack(tf.reshape(turned, [2, -1, queries.shape[-1]]))


class PackedHeads:
    """Splits rows `[B T, H E]` into heads `[B, H, T, E]` and joins them, for one B and one T.

    Heads are looked up one by one, which takes half the time of a transposition by oneDNN (5 against 10 us
    for 8 texts of 4 hypotheses with 4 heads of 64), and where to find them is the same for all layers. With
    one position, nothing moves.

    Args:
        batch: B, a scalar tensor.
        length: T, positions or hypotheses of a text; an integer or a scalar tensor.
        num_heads: H.

    Attributes:
        length: T.
    """

    def __init__(self, batch, length, num_heads):
        self.length, self._num_heads = length, num_heads
        self._is_single = isinstance(length, int) and length == 1
        if not self._is_single:
            places = tf.range(batch * length * num_heads)
            self._split = tf.transpose(tf.reshape(places, [-1, length, num_heads]), [0, 2, 1])  # [B, H, T]
            self._joined = tf.transpose(tf.reshape(places, [-1, num_heads, length]), [0, 2, 1])  # [B, T, H]

    def split(self, rows):
        """`[B T, H E]` to `[B, H, T, E]`."""
        width = rows.shape[-1] // self._num_heads
        if self._is_single:
            return tf.reshape(rows, [-1, self._num_heads, 1, width])
        return tf.gather(tf.reshape(rows, [-1, width]), self._split)

    def split_transposed(self, rows):
        """`[B T, H E]` to `[B, H, E, T]`."""
        width = rows.shape[-1] // self._num_heads
        return tf.transpose(tf.reshape(rows, [-1, self.length, self._num_heads, width]), [0, 2, 3, 1])

    def join(self, context):
        """`[B, H, T, E]` to `[B T, H E]`."""
        width = context.shape[-1]
        if not self._is_single:
            context = tf.gather(tf.reshape(context, [-1, width]), self._joined)  # [B, T, H, E]
        return tf.reshape(context, [-1, self._num_heads * width])
