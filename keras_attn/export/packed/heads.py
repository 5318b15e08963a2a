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
