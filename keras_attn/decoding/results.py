"""Results of the decoding loop."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.typing import Tensor


class Selected(NamedTuple):
    """`Decoded`, with the way back to the alignments instead of these themselves.

    Attributes:
        tokens: int32 `[B, N, T]`.
        lengths: int32 `[B, N]`.
        log_probs: float32 `[B, N]`.
        scores: float32 `[B, N]`.
        finished: boolean `[B, N]`.
        slots: int32 `[B, N, T]`, the place of the hypothesis among the live ones at each step; None where
            hypotheses stay in their places.
    """

    tokens: Tensor
    lengths: Tensor
    log_probs: Tensor
    scores: Tensor
    finished: Tensor
    slots: Tensor


def count_to_end(tokens: Tensor, end_id: int | Tensor) -> Tensor:
    """Number of tokens up to and with the first end token; all where there is none.

    Args:
        tokens: int32 `[..., T]`.
        end_id: the end token.

    Returns:
        int32 `[...]`.
    """
    ends_before = tf.cumsum(tf.cast(tf.equal(tokens, end_id), tf.int32), axis=-1, exclusive=True)
    return tf.reduce_sum(tf.cast(tf.equal(ends_before, 0), tf.int32), axis=-1)


class Decoded(NamedTuple):
    """Whole hypotheses; N is the strategy's number of them, best first where the strategy ranks them.

    Attributes:
        tokens: int32 `[B, N, T]`, without the start token, with the end token, then 0.
        lengths: int32 `[B, N]`, the end token counted.
        log_probs: float32 `[B, N]`, the decoder's log-probabilities of the tokens up to and with the end
            token, summed.
        scores: float32 `[B, N]`, what hypotheses are ranked by: `log_probs` with the strategy's penalties.
        finished: boolean `[B, N]`, False where the largest length cut the hypothesis. A beam's unfinished
            ones stand after all its finished ones. Where fewer than N hypotheses exist at all, the rest have
            length 0 and score -inf.
        alignments: float32 `[B, N, T, S]`, 0 from the end on; or None where not asked for.
    """

    tokens: Tensor
    lengths: Tensor
    log_probs: Tensor
    scores: Tensor
    finished: Tensor
    alignments: Tensor
