"""What is settled while a search goes on: the tokens that every hypothesis which can still win has."""

import tensorflow as tf


def common_prefix(hypotheses, counts):
    """The tokens that some hypotheses of a row begin with, all of them.

    Args:
        hypotheses: int32 `[B, M, t]`.
        counts: boolean `[B, M]`, which of them are looked at; where none is, nothing is common.

    Returns:
        int32 `[B, t]`, 0 from the first difference on.
    """
    first = tf.argmax(tf.cast(counts, tf.int32), axis=1, output_type=tf.int32)  # [B]
    reference = tf.gather(hypotheses, first, batch_dims=1)  # [B, t]
    same = tf.equal(hypotheses, reference[:, None]) | ~counts[..., None]  # [B, M, t]
    agreed = tf.reduce_all(same, axis=1) & tf.reduce_any(counts, axis=1, keepdims=True)  # [B, t]
    return tf.where(tf.cast(tf.math.cumprod(tf.cast(agreed, tf.int32), axis=1), tf.bool), reference, 0)
