"""The one decoding loop: from start token to end token, in core TensorFlow ops."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.greedy import Greedy


class Decoded(NamedTuple):
    """What decoding returns; K is the strategy's number of hypotheses.

    Attributes:
        tokens: int32 `[B, K, T]`, without the start token, with the end token, then 0.
        lengths: int32 `[B, K]`, the end token counted.
        log_probs: float32 `[B, K]`, sum over the tokens up to and with the end token.
        finished: boolean `[B, K]`, False where `max_length` cut the hypothesis.
        alignments: float32 `[B, K, T, S]`, or None where not asked for.
    """

    tokens: Any
    lengths: Any
    log_probs: Any
    finished: Any
    alignments: Any


class _Search(NamedTuple):
    """The loop's variables. Time axes grow by one a step, so there is no capacity to choose."""

    position: Any  # []
    state: Any  # leaves [B, K, ...]
    last: Any  # [B, K]
    tokens: Any  # [B, K, t]
    log_probs: Any  # [B, K]
    finished: Any  # [B, K]
    alignments: Any  # [B, K, t, S], or [B, K, 0, S] where not asked for


def decode(decoder, source, start_id, end_id, max_length, strategy=None, return_alignments=False):
    """Decodes a batch of sources, step by step, until every hypothesis has ended.

    Nothing after a hypothesis' end token counts: its later tokens are 0 and its log-probability stays.

    Args:
        decoder: a `keras_attn.protocols.Decoder`.
        source: int32 ids `[B, S]`, padded with 0.
        start_id: the id that every hypothesis is fed first.
        end_id: the id that ends a hypothesis.
        max_length: largest number of tokens, the end token counted; an integer or a scalar tensor.
        strategy: chooses the tokens; `Greedy()` when None.
        return_alignments: whether to keep the attention weights of every step.

    Returns:
        `Decoded`.
    """
    strategy = strategy or Greedy()
    state, memory = decoder.start(source)
    search = _begin(state, tf.shape(source), start_id, strategy.num_hypotheses)

    def advance(*variables):
        search = _Search(*variables)
        step = decoder.step(search.last, search.position, search.state, memory)
        chosen = strategy.choose(tf.cast(step.logits, tf.float32))
        return _extend(search, step, *chosen, end_id, return_alignments)

    def unfinished(*variables):
        return tf.logical_not(tf.reduce_all(_Search(*variables).finished))

    search = _Search(
        *tf.while_loop(
            unfinished,
            advance,
            search,
            shape_invariants=_free_time_axes(search),
            maximum_iterations=max_length,
            parallel_iterations=1,
        )
    )
    lengths = _count_to_end(search.tokens, end_id)
    alignments = search.alignments if return_alignments else None
    return Decoded(search.tokens, lengths, search.log_probs, search.finished, alignments)


def _begin(state, source_shape, start_id, num_hypotheses):
    batch = source_shape[0]
    shape = tf.stack([batch, num_hypotheses])
    if num_hypotheses > 1:
        state = tf.nest.map_structure(lambda leaf: tf.repeat(leaf, num_hypotheses, axis=1), state)
    return _Search(
        position=tf.constant(0),
        state=state,
        last=tf.fill(shape, start_id),
        tokens=tf.zeros([batch, num_hypotheses, 0], tf.int32),
        log_probs=tf.zeros(shape),
        finished=tf.zeros(shape, tf.bool),
        alignments=tf.zeros(tf.stack([batch, num_hypotheses, 0, source_shape[1]])),
    )


def _extend(search, step, chosen, log_probs, end_id, keep_alignments):
    """Appends the chosen tokens to the hypotheses that have not ended."""
    chosen = tf.where(search.finished, 0, chosen)  # [B, K]
    alignments = search.alignments
    if keep_alignments:
        row = tf.where(search.finished[..., None], 0.0, step.alignment)  # [B, K, S]
        alignments = tf.concat([alignments, row[:, :, None]], axis=2)
    return _Search(
        position=search.position + 1,
        state=step.state,
        last=chosen,
        tokens=tf.concat([search.tokens, chosen[..., None]], axis=-1),
        log_probs=search.log_probs + tf.where(search.finished, 0.0, log_probs),
        finished=search.finished | tf.equal(chosen, end_id),
        alignments=alignments,
    )


def _count_to_end(tokens, end_id):
    """Number of tokens up to and with the first end token; all where there is none."""
    ends_before = tf.cumsum(tf.cast(tf.equal(tokens, end_id), tf.int32), axis=-1, exclusive=True)
    return tf.reduce_sum(tf.cast(tf.equal(ends_before, 0), tf.int32), axis=-1)


def _free_time_axes(search):
    """Shape invariants: every size but the last of a state's leaf may change."""

    def state_leaf(leaf):
        return tf.TensorShape([None] * (leaf.shape.rank - 1) + [leaf.shape[-1]])

    fixed = tf.nest.map_structure(lambda leaf: leaf.shape, search)
    beams = search.last.shape
    return fixed._replace(
        state=tf.nest.map_structure(state_leaf, search.state),
        tokens=beams.concatenate([None]),
        alignments=beams.concatenate([None, None]),
    )
