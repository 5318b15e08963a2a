"""Rotary positions in a packed Transformer: the queries and keys of all layers turn by the same angles."""

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
        """The order of the columns of [W_q, W_k, W_v]."""
        width = num_heads * len(self._order)
        of_heads = (np.arange(num_heads)[:, None] * len(self._order) + self._order).reshape(-1)
        return np.concatenate([of_heads, width + of_heads, 2 * width + np.arange(width)])

    def angles(self, positions):
        """Cosines and sines `[T, 3, 1, E]` for positions `[T]`; values stay as they are."""
        angles = tf.cast(positions, tf.float32)[:, None] * self._frequencies  # [T, E / 2]
        cosines, sines = tf.cos(angles), tf.sin(angles)
        cosines, sines = tf.concat([cosines, cosines], axis=-1), tf.concat([-sines, sines], axis=-1)
        cosines = tf.stack([cosines, cosines, tf.ones_like(cosines)], axis=1)
        sines = tf.stack([sines, sines, tf.zeros_like(sines)], axis=1)
        return cosines[:, :, None], sines[:, :, None]

    def turn(self, rows, length, angles):
        """Queries, keys and values `[B T, 3 H E]`, in their dtype.

        Args:
            rows: `[B T, 3 H E]`.
            length: T.
            angles: of `angles`, for T positions.
        """
        cosines, sines = angles
        width = 2 * self._half
        num_heads = rows.shape[-1] // (3 * width)
        wide = tf.reshape(tf.cast(rows, tf.float32), [-1, length, 3, num_heads, width])
        swapped = tf.concat([wide[..., self._half :], wide[..., : self._half]], axis=-1)
        turned = wide * cosines + swapped * sines
        return tf.cast(tf.reshape(turned, [-1, rows.shape[-1]]), rows.dtype)
