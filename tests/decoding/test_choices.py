"""The normalizer of the log-probabilities, with and without forbidden tokens."""

import numpy as np
import tensorflow as tf

from keras_attn.decoding import Choices


def test_the_normalizer_is_that_of_all_tokens(rng):
    logits = rng.normal(0, 30, (3, 2, 7)).astype(np.float32)
    expected = np.logaddexp.reduce(logits, axis=-1)
    logits = tf.constant(logits)
    best = tf.reduce_max(logits, axis=-1)
    token = tf.argmax(logits, axis=-1, output_type=tf.int32)
    for known in ((best,), (best, token)):
        np.testing.assert_allclose(Choices(logits, logits).log_normalizer(*known), expected, rtol=1e-6)
    forbidden = tf.where(tf.range(7) < 5, float("-inf"), logits)
    best = tf.reduce_max(forbidden, axis=-1)  # may be far below the others
    token = tf.argmax(forbidden, axis=-1, output_type=tf.int32)
    for known in ((best,), (best, token)):
        np.testing.assert_allclose(Choices(forbidden, logits).log_normalizer(*known), expected, rtol=1e-6)
