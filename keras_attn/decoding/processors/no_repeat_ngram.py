"""No sequence of n tokens twice."""

from numbers import Integral

import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.task import per_row
from keras_attn.decoding.token_marks import marked_tokens
from keras_attn.typing import Tensor


class NoRepeatNgram:
    """Forbids a token that would complete n tokens which the hypothesis has written before.

    ```
    y_t is forbidden if (y_{t-n+1}, ..., y_t) = (y_{i-n+1}, ..., y_i) for an i < t
    ```

    Args:
        size: n, or int32 `[B]`; 1 forbids every repeated token, 0 forbids nothing.
        largest: the largest n where `size` is a tensor; larger ones count as 0. Default 4.

    Raises:
        ValueError: if `size` is a negative number.

    Example:

    >>> from keras_attn.decoding import NoRepeatNgram, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, processors=[NoRepeatNgram(1)]
    ... )
    >>> tokens = decoded.tokens[0, 0, : int(decoded.lengths[0, 0])].numpy().tolist()
    >>> len(tokens) == len(set(tokens))
    True

    Reference: Paulus, Xiong, Socher, "A Deep Reinforced Model for Abstractive Summarization", ICLR 2018,
    section 2.5.
    """

    def __init__(self, size: int | Tensor, *, largest: int = 4) -> None:
        if isinstance(size, Integral):
            if size < 0:
                raise ValueError(f"`size` is negative. Expected an n-gram's length, or 0. Received: {size}.")
            largest = int(size)
        self.size = size
        self.largest = largest

    def forbid(self, partial: Partial) -> Tensor:
        """Boolean `[B, K, V]`."""
        tokens = partial.tokens
        size = per_row(self.size, 3, tf.int32)  # [] or [B, 1, 1]
        # matches[i]: whether the tokens before place i are those before the place that is written now.
        matches = tf.fill(tf.shape(tokens), True)  # [B, K, t]
        forbidden = tf.zeros_like(matches)
        for n in range(1, self.largest + 1):
            forbidden |= matches & tf.equal(size, n)
            matches &= _equal_before(tokens, n)
        return marked_tokens(tokens, forbidden, partial.vocabulary_size)


def _equal_before(tokens, distance):
    """Boolean `[B, K, t]`: whether the token `distance` before each place is the last but `distance - 1`."""
    length = tf.shape(tokens)[2]
    # What stands before the beginning equals nothing, also where the hypothesis is shorter than that.
    before = tf.pad(tokens, [[0, 0], [0, 0], [distance, 0]], constant_values=-1)  # [B, K, t + distance]
    last = before[:, :, length : length + 1]  # [B, K, 1]
    return tf.equal(before[:, :, :length], last) & (last >= 0)
