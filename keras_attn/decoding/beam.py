"""What beam search carries from step to step."""

from typing import Any, NamedTuple

import tensorflow as tf

NOTHING = float("-inf")  # log-probability and score of a hypothesis that is not there


class Ended(NamedTuple):
    """The best N hypotheses that have ended, best first; score -inf where there are fewer."""

    histories: tuple  # of int32 [B, N, t]: tokens and, for alignments, slots
    log_probs: Any  # [B, N]
    scores: Any  # [B, N]


class Beam(NamedTuple):
    """What the loop carries."""

    histories: tuple  # of int32 [B, K, t]: tokens and, for alignments, slots of the live hypotheses
    log_probs: Any  # [B, K], best first
    coverage: Any  # [B, K, S], or () without a coverage penalty
    ended: Ended
    num_ended: Any  # [B], or () where they need not be counted
    done: Any  # [B]

    @property
    def tokens(self):
        """What the live hypotheses have written, `[B, K, t]`."""
        return self.histories[0]


def grown(histories, columns, chosen):
    """The chosen histories, each with a column behind.

    Args:
        histories: int32 tensors `[B, m, t]`.
        columns: as many int32 tensors `[B, n]`, or more: the rest is left out.
        chosen: int32 `[B, n]`, places among the m.

    Returns:
        int32 tensors `[B, n, t + 1]`.
    """
    return tuple(
        tf.concat([tf.gather(history, chosen, batch_dims=1), column[..., None]], axis=-1)
        for history, column in zip(histories, columns, strict=False)
    )


def held(over, beam, log_probs, tokens, parents, coverage):
    """What is to follow the live hypotheses, save in rows that have reached their own limit: these stay.

    Args:
        over: boolean `[B, 1]`, whether the row has reached its limit.
        beam: the `Beam` so far.
        log_probs: float32 `[B, K]`, of what follows.
        tokens: int32 `[B, K]`, likewise.
        parents: int32 `[B, K]`, likewise.
        coverage: float32 `[B, K, S]` or (), likewise.

    Returns:
        The last four, as they were in rows that are over: their tokens 0 and everyone the parent of itself.
    """
    slots = tf.range(tf.shape(parents)[1])[None]
    return (
        tf.where(over, beam.log_probs, log_probs),
        tf.where(over, 0, tokens),
        tf.where(over, slots, parents),
        () if isinstance(coverage, tuple) else tf.where(over[..., None], beam.coverage, coverage),
    )
