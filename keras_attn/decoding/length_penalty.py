"""Length penalties: what the log-probability of a hypothesis is divided by.

A sum of log-probabilities falls with every token, so that without a penalty short hypotheses win.
"""

import tensorflow as tf

from keras_attn.decoding.task import per_row


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

    def __init__(self, alpha=0.6):
        self.alpha = alpha

    def __call__(self, length, ended=True):
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

    def __init__(self, power=1.0, count_end=True):
        self.power = power
        self.count_end = count_end

    def __call__(self, length, ended=True):
        """The divisor of a hypothesis: see `GNMTLengthPenalty.__call__`."""
        counted = length if self.count_end or not ended else length - 1.0
        return tf.pow(tf.maximum(counted, 1.0), per_row(self.power, 2))
