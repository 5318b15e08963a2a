"""Makes what has been written less probable."""

import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.task import per_row
from keras_attn.decoding.token_marks import marked_tokens
from keras_attn.typing import Tensor


class RepetitionPenalty:
    """Lowers the logits of the tokens that a hypothesis has written already.

    ```
    logit_v = logit_v / penalty   if positive, else   logit_v * penalty,   for every v written before
    ```

    It changes the distribution: log-probabilities are those of the changed one.

    Args:
        penalty: above 1 discourages repetition, 1 does nothing; a number or float `[B]`. The paper's is 1.2.

    Raises:
        ValueError: if `penalty` is a number that is not positive.

    Example:

    >>> from keras_attn.decoding import RepetitionPenalty, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, processors=[RepetitionPenalty(1.2)]
    ... )
    >>> decoded.tokens.shape[:2]
    TensorShape([1, 1])

    The paper divides only, which makes a token with a negative logit more probable; every library since does
    as here.

    Reference: Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation",
    2019, section 4.1.
    """

    def __init__(self, penalty: float | Tensor) -> None:
        if isinstance(penalty, int | float) and penalty <= 0:
            raise ValueError(f"`penalty` must be positive. Expected e.g. 1.2. Received: {penalty}.")
        self.penalty = penalty

    def adjust(self, logits: Tensor, partial: Partial) -> Tensor:
        """Logits `[B, K, V]` to logits `[B, K, V]`."""
        penalty = per_row(self.penalty, 3)
        written = marked_tokens(partial.tokens, None, partial.vocabulary_size)
        lower = tf.where(logits > 0, logits / penalty, logits * penalty)
        return tf.where(written, lower, logits)
