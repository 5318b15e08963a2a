"""Greedy choice: the most probable token at every step."""

import tensorflow as tf


class Greedy:
    """Takes the most probable token of every hypothesis, so K = 1."""

    num_hypotheses = 1

    def choose(self, logits):
        """The next tokens.

        Args:
            logits: float32 `[B, 1, V]`.

        Returns:
            int32 tokens `[B, 1]` and their float32 log-probabilities `[B, 1]`, in the full softmax.
        """
        tokens = tf.argmax(logits, axis=-1, output_type=tf.int32)
        # The best logit less the log-sum-exp of all: the whole log-softmax is not needed.
        return tokens, tf.reduce_max(logits, axis=-1) - tf.reduce_logsumexp(logits, axis=-1)
