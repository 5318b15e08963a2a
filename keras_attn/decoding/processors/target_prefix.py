"""Hypotheses that begin as they are told."""

import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.token_marks import check_ids
from keras_attn.typing import Tensor


class TargetPrefix:
    """Forces the first tokens of every row; what follows is the strategy's choice.

    The forced tokens count with the log-probabilities that the decoder gives them, so that scores stay those
    of the whole hypothesis. What other processors forbid is allowed where it is forced.

    Args:
        tokens: int32 `[B, P]`, padded with 0 behind, or a ragged tensor of ids; without the start token.
        lengths: int32 `[B]`, how many tokens of each row are forced; those that are not 0 when None.

    Raises:
        ValueError: for an id that the vocabulary does not have.

    Example:

    >>> from keras_attn.decoding import TargetPrefix, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> prefix = TargetPrefix([[6, 4], [9, 0]])
    >>> decoded = decode(
    ...     model, [[5, 7, 2], [3, 2, 0]], start_id=1, end_id=2, max_length=9, processors=[prefix]
    ... )
    >>> decoded.tokens[0, 0, :2].numpy().tolist(), int(decoded.tokens[1, 0, 0])
    ([6, 4], 9)

    As in fairseq; CTranslate2 and Joey NMT count forced tokens as certain.
    """

    def __init__(self, tokens: Tensor, lengths: Tensor | None = None) -> None:
        if isinstance(tokens, tf.RaggedTensor):
            lengths = tokens.row_lengths()
            tokens = tokens.to_tensor(0)
        self.tokens = tf.cast(tf.convert_to_tensor(tokens), tf.int32)
        check_ids("tokens", self.tokens, None)
        if lengths is None:
            lengths = tf.math.count_nonzero(self.tokens, axis=1)
        self.lengths = tf.cast(tf.convert_to_tensor(lengths), tf.int32)

    def force(self, forbidden: Tensor | None, partial: Partial) -> Tensor:
        """Boolean `[B, K or 1, V]`: all but the forced token while a row's prefix lasts."""
        check_ids("tokens", self.tokens, partial.vocabulary_size)
        # With a column of its own, there is something to look at also where no row has a prefix.
        tokens = tf.pad(self.tokens, [[0, 0], [0, 1]])  # [B, P + 1]
        token = tf.gather(tokens, tf.minimum(partial.position, tf.shape(tokens)[1] - 1), axis=1)  # [B]
        others = tf.not_equal(tf.range(partial.vocabulary_size), token[:, None, None])  # [B, 1, V]
        inside = (partial.position < self.lengths)[:, None, None]  # [B, 1, 1]
        return inside & others if forbidden is None else tf.where(inside, others, forbidden)
