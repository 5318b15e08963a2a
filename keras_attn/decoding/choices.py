"""The tokens that a strategy may choose from, and what each costs."""

from typing import Any, NamedTuple

import tensorflow as tf


class Choices(NamedTuple):
    """Logits of one step.

    Attributes:
        logits: float32 `[B, K, V]`, -inf where a token is forbidden.
        free_logits: the same before anything was forbidden; the very same tensor where nothing is.
    """

    logits: Any
    free_logits: Any

    def log_normalizer(self, best):
        """The log-sum-exp of the free logits: what to take off a logit for its log-probability.

        The whole log-softmax is never made: strategies need it at a few tokens alone.

        Args:
            best: the largest of `logits`, `[B, K]`; it saves a pass over V where nothing is forbidden.

        Returns:
            float32 `[B, K]`.
        """
        if self.logits is not self.free_logits:
            best = tf.reduce_max(self.free_logits, axis=-1)
        exponentials = tf.exp(self.free_logits - best[..., None])
        return best + tf.math.log(tf.reduce_sum(exponentials, axis=-1))
