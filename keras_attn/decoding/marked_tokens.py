"""Lists of ids as marks on the vocabulary."""

import tensorflow as tf


def marked_tokens(ids, counts, vocabulary_size):
    """Which tokens are listed.

    Args:
        ids: int32 `[B, K, n]`.
        counts: boolean `[B, K, n]`, False where the id is not to be marked; or None: all are.
        vocabulary_size: V, an integer or a scalar tensor.

    Returns:
        Boolean `[B, K, V]`.
    """
    shape = tf.shape(ids)
    rows = shape[0] * shape[1]
    flat = tf.reshape(ids, [rows, shape[2]]) + tf.range(rows)[:, None] * vocabulary_size  # [B K, n]
    marks = tf.ones_like(flat) if counts is None else tf.cast(tf.reshape(counts, tf.shape(flat)), tf.int32)
    marked = tf.scatter_nd(
        tf.reshape(flat, [-1, 1]), tf.reshape(marks, [-1]), tf.reshape(rows * vocabulary_size, [1])
    )
    return tf.reshape(marked > 0, tf.stack([shape[0], shape[1], vocabulary_size]))
