"""The one decoding loop: from start token to end token, in core TensorFlow ops."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.checks import check_decoder, check_state, check_step, check_strategy, source_ids
from keras_attn.decoding.decoder_state import reordered, spread, state_shapes
from keras_attn.decoding.greedy import Greedy
from keras_attn.decoding.processing import checked_processors, choices_of
from keras_attn.decoding.results import Decoded
from keras_attn.decoding.task import RelativeLength, make_task, token_id
from keras_attn.protocols import Decoder, Processor, Strategy
from keras_attn.typing import Tensor


class _Search(NamedTuple):
    """The loop's variables. Time axes grow by one a step, so there is no capacity to choose."""

    position: Any  # []
    state: Any  # leaves [B, K, ...]
    last: Any  # [B, K], the tokens that the decoder is fed next
    hypotheses: Any  # the strategy's own
    alignments: Any  # [B, K, t, S], each step in the order of its live hypotheses; () where not asked for


def decode(
    decoder: Decoder,
    source: Tensor,
    *,
    start_id: int | Tensor,
    end_id: int | Tensor,
    max_length: int | Tensor | RelativeLength,
    strategy: Strategy | None = None,
    return_alignments: bool = False,
    processors: Iterable[Processor] = (),
    pad_id: int = 0,
    on_step: Callable[[Tensor], object] | None = None,
) -> Decoded:
    """Decodes a batch of sources, step by step, until every hypothesis has ended.

    Nothing after a hypothesis' end token counts. Runs eagerly and inside a `tf.function`, with any batch and
    any lengths, and holds nothing that TensorFlow Serving does not run.

    Args:
        decoder: a `keras_attn.protocols.Decoder`.
        source: integer ids `[B, S]`, padded with `pad_id`.
        start_id: the id that every hypothesis is fed first.
        end_id: the id that ends a hypothesis.
        max_length: largest number of tokens, the end token counted: an integer, a scalar tensor, a tensor
            `[B]`, or a `RelativeLength`. What has not ended by then is returned unfinished.
        strategy: chooses the tokens: `Greedy()` when None, `BeamSearch(...)` or `Sampling(...)`.
        return_alignments: whether to return the attention weights of every step.
        processors: what changes or restricts the choice: `RepetitionPenalty`, `MinimumLength`, `BadWords`,
            `NoRepeatNgram`, `SuppressedTokens`, `TargetPrefix`, or objects with a method as theirs.
        pad_id: the id that pads `source`.
        on_step: called in every step with what is settled: int32 `[B, t]`, the tokens that the best
            hypothesis of each row (the first one, where none is best) begins with for sure, then 0. In a
            graph it is traced into the loop; stateful ops of it run in every step. Not called for a strategy
            of your own that has no `settled`, as those here have.

    Returns:
        `Decoded`.

    Raises:
        TypeError: for a decoder, a strategy or a processor that is none, and for ids that are no integers.
        ValueError: for a source, a state or logits of another shape, and for alignments that the decoder does
            not give.

    Example:

    >>> from keras_attn.decoding import BeamSearch, decode
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(
    ...     model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, strategy=BeamSearch(4, num_hypotheses=3)
    ... )
    >>> decoded.tokens.shape[:2]  # decoded.tokens[:, 0] is the best of each row
    TensorShape([1, 3])
    """
    strategy = Greedy() if strategy is None else strategy
    check_strategy(strategy)
    processors = checked_processors(processors)
    source = source_ids(source)
    task = make_task(source, end_id, max_length, pad_id)
    search, memory = _begin(decoder, strategy, task, source, start_id, return_alignments)

    def advance(*variables):
        search = _Search(*variables)
        step = decoder.step(search.last, search.position, search.state, memory)
        check_step(step, return_alignments or getattr(strategy, "needs_alignments", False))
        search, parents = _advance(strategy, processors, task, search, step)
        if on_step is not None and hasattr(strategy, "settled"):
            on_step(strategy.settled(search.hypotheses, search.position - 1, task))
        if parents is not None:  # the last act of a step: nobody else touches the state
            search = search._replace(state=reordered(decoder, search.state, parents))
        return search

    longest = tf.reduce_max(task.limits)  # as `maximum_iterations`, the loop would count a second time
    search = tf.while_loop(
        lambda *variables: _goes_on(strategy, task, longest, _Search(*variables)),
        advance,
        search,
        shape_invariants=_free_axes(search),
        parallel_iterations=1,
    )
    return _decoded(strategy, task, _Search(*search))


def _begin(decoder, strategy, task, source, start_id, return_alignments):
    """The loop's first variables, and the decoder's memory."""
    check_decoder(decoder)
    state, memory = decoder.start(source)
    check_state(decoder, state)
    live, source_length = strategy.num_live, tf.shape(source)[1]
    search = _Search(
        position=tf.constant(0),
        state=spread(decoder, state, task.batch, live),
        last=tf.fill(tf.stack([task.batch, live]), token_id(start_id)),
        hypotheses=strategy.begin(task, source_length, return_alignments),
        alignments=tf.zeros([task.batch, live, 0, source_length]) if return_alignments else (),
    )
    return search, memory


def _goes_on(strategy, task, longest, search):
    is_done = strategy.is_done(search.hypotheses, search.position, task)
    return (search.position < longest) & ~is_done


def _advance(strategy, processors, task, search, step):
    """One step further, the state still in the order of the step, and the parents by which to change it."""
    logits = tf.cast(step.logits, tf.float32)
    logits.set_shape([None, strategy.num_live, None])  # a decoder need not know it
    choices = choices_of(processors, logits, search.hypotheses.tokens, search.position, task)
    hypotheses, tokens, parents = strategy.advance(
        search.hypotheses, choices, step.alignment, search.position, task
    )
    alignments = search.alignments
    if not isinstance(alignments, tuple):
        alignments = tf.concat([alignments, tf.cast(step.alignment, tf.float32)[:, :, None]], axis=2)
    return _Search(search.position + 1, step.state, tokens, hypotheses, alignments), parents


def _decoded(strategy, task, search):
    selected = strategy.select(search.hypotheses, task)
    *results, slots = selected
    if isinstance(search.alignments, tuple):
        return Decoded(*results, None)
    return Decoded(*results, _aligned(search.alignments, slots, selected.lengths))


def _aligned(alignments, slots, lengths):
    """The weights `[B, N, T, S]` of the returned hypotheses, 0 after their ends."""
    if slots is not None:
        by_step = tf.transpose(alignments, [0, 2, 1, 3])  # [B, T, K, S]
        by_step = tf.gather(by_step, tf.transpose(slots, [0, 2, 1]), batch_dims=2)  # [B, T, N, S]
        alignments = tf.transpose(by_step, [0, 2, 1, 3])  # [B, N, T, S]
    counts = tf.sequence_mask(lengths, tf.shape(alignments)[2])[..., None]  # [B, N, T, 1]
    return tf.where(counts, alignments, 0.0)


def _free_axes(search):
    """Shape invariants: batch and time axes may change."""

    def own_leaf(leaf):
        return (
            tf.TensorShape([None] * (leaf.shape.rank > 0)) + leaf.shape[1:2] + [None] * (leaf.shape.rank - 2)
        )

    own = tf.nest.map_structure(own_leaf, search._replace(state=()))
    return own._replace(state=state_shapes(search.state))
