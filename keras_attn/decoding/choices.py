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

    def log_normalizer(self, best, token=None):
        """The log-sum-exp of the free logits: what to take off a logit for its log-probability.

        ```
        log sum_v exp(logit_v) = logit_max - log softmax(logits)_max
        ```

        where the softmax, one fused operation, takes a third of the time of exp and sum. Its largest value is
        at least 1 / V, so that its logarithm is exact to rounding.

        Args:
            best: the largest of `logits`, `[B, K]`; it saves a pass over V where nothing is forbidden.
            token: where `best` is, int32 `[B, K]`, if known; it saves another.

        Returns:
            float32 `[B, K]`.
        """
        if self.logits is not self.free_logits:
            best, token = tf.reduce_max(self.free_logits, axis=-1), None
        shares = tf.nn.softmax(self.free_logits)
        largest = tf.reduce_max(shares, -1) if token is None else tf.gather(shares, token, batch_dims=2)
        return best - tf.math.log(largest)
