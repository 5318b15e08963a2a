"""Coverage penalty: what a hypothesis loses for source places that it did not look at."""

import tensorflow as tf

# A place that was never looked at would cost an infinity, and hypotheses could no longer be told apart.
_LEAST = 1e-9


def coverage_penalty(coverage, source_mask):
    """How little of the source was attended to.

    ```
    cp = sum_s log(min(sum_t a_ts, 1))   over the source places s that are no pads
    ```

    Args:
        coverage: float32 `[B, K, S]`, the attention weights `a_ts` of each source place, summed over t.
        source_mask: boolean `[B, S]`, True = not a pad.

    Returns:
        float32 `[B, K]`, at most 0. A place with less than 1e-9 counts as 1e-9.

    Example:

    >>> import tensorflow as tf
    >>> from keras_attn.decoding import coverage_penalty
    >>> penalty = coverage_penalty(tf.constant([[[0.5, 2.0, 0.0]]]), tf.constant([[True, True, False]]))
    >>> round(float(penalty[0, 0]), 4)
    -0.6931

    Reference: Wu et al., "Google's Neural Machine Translation System: Bridging the Gap between Human and
    Machine Translation", 2016, section 7.
    """
    logs = tf.math.log(tf.clip_by_value(coverage, _LEAST, 1.0))
    return tf.reduce_sum(tf.where(source_mask[:, None], logs, 0.0), axis=-1)
