"""Lists of ids as marks on the vocabulary."""

import numpy as np
import tensorflow as tf


def check_ids(name, ids, vocabulary_size):
    """Raises a ValueError for ids that no vocabulary has; in a graph, of what is known when it is traced.

    Args:
        name: what to call them in the error.
        ids: an array or a tensor.
        vocabulary_size: V, an integer or a scalar tensor; None where it is not known yet.
    """
    known = ids if isinstance(ids, np.ndarray) else tf.get_static_value(ids)
    size = None if vocabulary_size is None else tf.get_static_value(vocabulary_size)
    if known is None or not np.size(known):
        return
    if np.min(known) < 0 or (size is not None and np.max(known) >= size):
        most = "" if size is None else f" and below {size}, the size of the vocabulary"
        raise ValueError(
            f"`{name}` holds what is no id. Expected at least 0{most}. Received: {np.ravel(known).tolist()}."
        )


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
