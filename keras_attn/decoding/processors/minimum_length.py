"""No end before a length."""

import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.task import RelativeLength, per_row
from keras_attn.typing import Tensor


class MinimumLength:
    """Forbids the end token until the hypothesis would have the length with it.

    Args:
        length: smallest number of tokens, the end token counted as in `max_length`: a number, int32 `[B]`, or
            a `RelativeLength`. Where it is above `max_length`, hypotheses stay unfinished.

    Example:

    >>> from keras_attn.decoding import MinimumLength, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, processors=[MinimumLength(5)]
    ... )
    >>> bool(decoded.lengths[0, 0] >= 5)
    True

    fairseq and CTranslate2 do not count the end token: their minimum of 4 is 5 here.
    """

    def __init__(self, length: int | Tensor | RelativeLength) -> None:
        self.length = length

    def forbid(self, partial: Partial) -> Tensor:
        """Boolean `[B or 1, 1, V]`: the end token, in rows that are too short yet."""
        length = self.length
        if callable(length):
            length = length(partial.task.source_lengths())
        is_end = tf.equal(tf.range(partial.vocabulary_size), partial.task.end_id)  # [V]
        too_short = partial.position + 1 < per_row(length, 3, tf.int32)  # [] or [B, 1, 1]
        return tf.reshape(is_end, [1, 1, -1]) & too_short
