"""Penalties of a hypothesis for its length and for source positions without attention."""

import tensorflow as tf

from keras_attn.decoding.task import per_row
from keras_attn.typing import Tensor

# A place that was never looked at would cost an infinity, and hypotheses could no longer be told apart.
_LEAST = 1e-9


def coverage_penalty(coverage: Tensor, source_mask: Tensor) -> Tensor:
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


class GNMTLengthPenalty:
    """Google's length penalty.

    ```
    penalty(L) = ((5 + L) / 6)^alpha,   L = number of tokens, the end token counted
    ```

    Args:
        alpha: 0 is no penalty, more prefers longer hypotheses; a number or float `[B]`. Default 0.6.

    Example:

    >>> from keras_attn.decoding import GNMTLengthPenalty
    >>> float(GNMTLengthPenalty(1.0)(7.0))
    2.0

    OpenNMT and Joey NMT count as here; TensorFlow Addons counted one token too few or too many.

    Reference: Wu et al., "Google's Neural Machine Translation System: Bridging the Gap between Human and
    Machine Translation", 2016, section 7.
    """

    def __init__(self, alpha: float | Tensor = 0.6) -> None:
        self.alpha = alpha

    @property
    def strength(self) -> float:
        """`alpha`."""
        return self.alpha

    def with_strength(self, strength: float | Tensor) -> "GNMTLengthPenalty":
        """The same penalty with another `alpha`, a number or float `[B]`."""
        return GNMTLengthPenalty(strength)

    def __call__(self, length: Tensor, ended: bool = True) -> Tensor:
        """The divisor of a hypothesis.

        Args:
            length: its number of tokens, float, `[]` or `[B, 1]`.
            ended: whether its last token is the end token.

        Returns:
            float32 `[]` or `[B, 1]`.
        """
        return tf.pow((5.0 + length) / 6.0, per_row(self.alpha, 2))


class PowerLengthPenalty:
    """A power of the length; with power 1 the score is the mean log-probability of a token.

    ```
    penalty(L) = L^power
    ```

    Args:
        power: a number or float `[B]`. Default 1.
        count_end: whether L counts the end token, as in fairseq and in CTranslate2 4.8. A hypothesis of
            nothing but its end token has L = 1 either way.

    Example:

    >>> from keras_attn.decoding import PowerLengthPenalty
    >>> float(PowerLengthPenalty(2.0)(5.0)), float(PowerLengthPenalty(2.0, count_end=False)(5.0))
    (25.0, 16.0)

    Reference: Jean et al., "Montreal Neural Machine Translation Systems for WMT'15", 2015 (power 1); Ott et
    al., "fairseq: A Fast, Extensible Toolkit for Sequence Modeling", 2019.
    """

    def __init__(self, power: float | Tensor = 1.0, *, count_end: bool = True) -> None:
        self.power = power
        self.count_end = count_end

    @property
    def strength(self) -> float:
        """`power`."""
        return self.power

    def with_strength(self, strength: float | Tensor) -> "PowerLengthPenalty":
        """The same penalty with another `power`, a number or float `[B]`."""
        return PowerLengthPenalty(strength, count_end=self.count_end)

    def __call__(self, length: Tensor, ended: bool = True) -> Tensor:
        """The divisor of a hypothesis: see `GNMTLengthPenalty.__call__`."""
        counted = length if self.count_end or not ended else length - 1.0
        return tf.pow(tf.maximum(counted, 1.0), per_row(self.power, 2))
