"""Tokens that are never written."""

import tensorflow as tf


class SuppressedTokens:
    """Forbids ids everywhere.

    Args:
        ids: a list of ids or int32 `[n]` for all rows, or int32 `[B, n]` with a list for every row, filled up
            with -1.

    Raises:
        ValueError: if `ids` has another rank.

    Example:

    >>> from keras_attn.decoding import SuppressedTokens, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(model, [[5, 7, 2]], 1, 2, 9, processors=[SuppressedTokens([0, 3])])
    >>> 3 in decoded.tokens.numpy()
    False
    """

    def __init__(self, ids):
        self.ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
        if self.ids.shape.rank not in (1, 2):
            raise ValueError(
                "`ids` must be a list of ids, or one for every row. Expected shape [n] or [B, n]. "
                f"Received: {self.ids.shape}."
            )

    def forbid(self, partial):
        """Boolean `[1, 1, V]` or `[B, 1, V]`."""
        vocabulary = tf.range(partial.vocabulary_size)[:, None]  # [V, 1]
        listed = tf.reduce_any(tf.equal(self.ids[..., None, :], vocabulary), axis=-1)  # [V] or [B, V]
        return listed[None, None] if self.ids.shape.rank == 1 else listed[:, None]
