"""Tokens and sequences of tokens that are never written."""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from keras_attn.decoding.processing import Partial
from keras_attn.decoding.token_marks import check_ids, marked_tokens
from keras_attn.typing import Tensor


class SuppressedTokens:
    """Forbids ids everywhere.

    Args:
        ids: a list of ids or int32 `[n]` for all rows, or int32 `[B, n]` with a list for every row, filled up
            with -1.

    Raises:
        ValueError: if `ids` has another rank.

    Example:

    >>> from keras_attn.decoding import SuppressedTokens, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, processors=[SuppressedTokens([0, 3])]
    ... )
    >>> 3 in decoded.tokens.numpy()
    False
    """

    def __init__(self, ids: Tensor) -> None:
        self.ids = tf.cast(tf.convert_to_tensor(ids), tf.int32)
        if self.ids.shape.rank not in (1, 2):
            raise ValueError(
                "`ids` must be a list of ids, or one for every row. Expected shape [n] or [B, n]. "
                f"Received: {self.ids.shape}."
            )

    def forbid(self, partial: Partial) -> Tensor:
        """Boolean `[1, 1, V]` or `[B, 1, V]`."""
        vocabulary = tf.range(partial.vocabulary_size)[:, None]  # [V, 1]
        listed = tf.reduce_any(tf.equal(self.ids[..., None, :], vocabulary), axis=-1)  # [V] or [B, V]
        return listed[None, None] if self.ids.shape.rank == 1 else listed[:, None]


# What no token equals; in a sequence it stands for any token.
_ANY = -1
_NONE = -2


class BadWords:
    """Forbids the last token of a sequence right after the others.

    Args:
        sequences: a list of lists of ids, each of at least one id.

    Raises:
        ValueError: for no sequence, an empty one, or an id that the vocabulary does not have.

    Example:

    >>> from keras_attn.decoding import BadWords, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, processors=[BadWords([[7], [5, 9, 4]])]
    ... )
    >>> 7 in decoded.tokens.numpy()
    False

    All sequences are compared at once, so that a hundred cost little more than one.
    """

    def __init__(self, sequences: Iterable[Iterable[int]]) -> None:
        lists = [list(sequence) for sequence in sequences]
        if not lists or not all(lists):
            raise ValueError(
                "`sequences` must hold the ids of words. Expected at least one list, none of them empty. "
                f"Received: {lists}."
            )
        check_ids("sequences", np.concatenate([np.ravel(words) for words in lists]), None)
        self.longest = max(map(len, lists)) - 1
        firsts = [[_ANY] * (self.longest + 1 - len(words)) + words[:-1] for words in lists]
        self.firsts = np.array(firsts, np.int32).reshape(len(lists), self.longest)  # [W, n]
        self.lasts = np.array([words[-1] for words in lists], np.int32)  # [W]

    def forbid(self, partial: Partial) -> Tensor:
        """Boolean `[B, K, V]`."""
        check_ids("sequences", self.lasts, partial.vocabulary_size)
        tokens = partial.tokens
        shape = tf.shape(tokens)
        padded = tf.pad(tokens, [[0, 0], [0, 0], [self.longest, 0]], constant_values=_NONE)
        written = padded[:, :, shape[2] :]  # [B, K, n]
        equal = (self.firsts == _ANY) | tf.equal(written[:, :, None], self.firsts)  # [B, K, W, n]
        begun = tf.reduce_all(equal, axis=-1)  # [B, K, W]
        lasts = tf.broadcast_to(tf.constant(self.lasts), tf.shape(begun))
        return marked_tokens(lasts, begun, partial.vocabulary_size)
