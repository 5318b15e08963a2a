"""From a beam to the hypotheses that are returned."""

import tensorflow as tf

from keras_attn.decoding.results import Selected, count_to_end


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
