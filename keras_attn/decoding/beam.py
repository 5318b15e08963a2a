"""The state of beam search: how hypotheses grow, end and are ranked."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.results import Selected, count_to_end

NOTHING = float("-inf")  # log-probability and score of a hypothesis that is not there


class Ended(NamedTuple):
    """The best N hypotheses that have ended, best first; score -inf where there are fewer."""

    histories: tuple  # of int32 [B, N, t]: tokens and, for alignments, slots
    log_probs: Any  # [B, N]
    scores: Any  # [B, N]


class Beam(NamedTuple):
    """State of the search in the loop."""

    histories: tuple  # of int32 [B, K, t]: tokens and, for alignments, slots of the live hypotheses
    log_probs: Any  # [B, K], best first
    coverage: Any  # [B, K, S], or () without a coverage penalty
    ended: Ended
    num_ended: Any  # [B], or () where they need not be counted
    done: Any  # [B]

    @property
    def tokens(self):
        """Tokens of the live hypotheses, `[B, K, t]`."""
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
    """The next live hypotheses; rows that have reached their own limit keep theirs.

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


def best_of(beam, live_scores, task):
    """The N best hypotheses of every row: those that have ended, then live ones.

    Args:
        beam: a `Beam`; what has ended is sorted in it.
        live_scores: float32 `[B, K]` of the live hypotheses, by the formula of those that have ended.
        task: the `Task`.

    Returns:
        `Selected`.
    """
    ended = beam.ended
    num_hypotheses = tf.shape(ended.scores)[1]
    live_scores, order = tf.math.top_k(live_scores, num_hypotheses)  # [B, N]
    num_ended = tf.reduce_sum(tf.cast(ended.scores > float("-inf"), tf.int32), axis=1)[:, None]  # [B, 1]
    rank = tf.range(num_hypotheses)[None]  # [1, N]
    finished = rank < num_ended  # [B, N]
    # What has ended stands at 0..N - 1 and what lives at N..2N - 1.
    places = tf.where(finished, rank, num_hypotheses + rank - num_ended)  # [B, N]

    def chosen(of_ended, of_live):
        return tf.gather(tf.concat([of_ended, of_live], axis=1), places, batch_dims=1)

    def live(leaf):
        return tf.gather(leaf, order, batch_dims=1)

    scores = chosen(ended.scores, live_scores)
    there = scores > float("-inf")
    histories = [
        tf.where(there[..., None], chosen(of_ended, live(of_live)), 0)
        for of_ended, of_live in zip(ended.histories, beam.histories, strict=True)
    ]
    lengths = tf.minimum(count_to_end(histories[0], task.end_id), tf.reshape(task.limits, [-1, 1]))
    return Selected(
        tokens=histories[0],
        lengths=tf.where(there, lengths, 0),
        log_probs=chosen(ended.log_probs, live(beam.log_probs)),
        scores=scores,
        finished=finished,
        slots=histories[1] if len(histories) > 1 else None,
    )


def common_prefix(hypotheses, counts):
    """The tokens that some hypotheses of a row begin with, all of them.

    Args:
        hypotheses: int32 `[B, M, t]`.
        counts: boolean `[B, M]`, which of them are looked at; where none is, nothing is common.

    Returns:
        int32 `[B, t]`, 0 from the first difference on.
    """
    first = tf.argmax(tf.cast(counts, tf.int32), axis=1, output_type=tf.int32)  # [B]
    reference = tf.gather(hypotheses, first, batch_dims=1)  # [B, t]
    same = tf.equal(hypotheses, reference[:, None]) | ~counts[..., None]  # [B, M, t]
    agreed = tf.reduce_all(same, axis=1) & tf.reduce_any(counts, axis=1, keepdims=True)  # [B, t]
    return tf.where(tf.cast(tf.math.cumprod(tf.cast(agreed, tf.int32), axis=1), tf.bool), reference, 0)
