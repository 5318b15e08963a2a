"""Greedy decoding in which a small model guesses ahead and a large one checks (Leviathan et al. 2023)."""

from typing import Any, NamedTuple

import tensorflow as tf

from keras_attn.decoding.decoder_state import state_shapes
from keras_attn.decoding.draft import go_on_after, propose
from keras_attn.decoding.greedy import Greedy
from keras_attn.decoding.independent import Hypotheses
from keras_attn.decoding.processing import Choices
from keras_attn.decoding.results import Decoded
from keras_attn.decoding.task import RelativeLength, make_task, token_id
from keras_attn.protocols import Decoder, ExtendableDecoder
from keras_attn.typing import Tensor


class _Search(NamedTuple):
    """The loop's variables; one turn of the loop is a round."""

    position: Any  # [], how many tokens are decided
    last: Any  # [B, 1], the last of them: not yet fed to either decoder
    hypotheses: Any  # `Hypotheses` with N = 1
    rounds: Any  # [B]
    alignments: Any  # [B, 1, t, S]; () where not asked for
    target_state: Any
    draft_state: Any


class _Verdict(NamedTuple):
    """Decision of a round's pass of the target."""

    count: Any  # [], how many places all rows keep
    tokens: Any  # [B, m], the target's own choice at each place
    log_probs: Any  # [B, m]


def speculative_greedy(
    target: ExtendableDecoder,
    draft: Decoder,
    source: Tensor,
    *,
    start_id: int | Tensor,
    end_id: int | Tensor,
    max_length: int | Tensor | RelativeLength,
    num_draft_tokens: int = 4,
    return_alignments: bool = False,
    pad_id: int = 0,
    return_rounds: bool = False,
) -> Decoded | tuple[Decoded, Tensor]:
    """Decodes greedily with `target`, in fewer passes of it: `draft` guesses, one pass checks n guesses.

    ```
    d_1, ..., d_n    greedily from the draft, one step each
    c_1, ..., c_n+1  c_i = argmax_v p_target(v | y, d_<i), all in one pass of the target
    y <- y, c_1, ..., c_k+1     with the largest k such that d_1 = c_1, ..., d_k = c_k
    ```

    The result is that of `decode(target, ..., Greedy())`, token for token, up to the rounding of a pass over
    several tokens, whatever the draft; a draft that guesses badly costs time alone. A round writes 1 to n + 1
    tokens.

    The rows of a batch go in lockstep, as many tokens a round as the row that agrees least, so that one
    position does for all; rows that have ended hold nobody back.

    It is for batch 1, and for targets so large that a pass over n + 1 tokens takes hardly longer than one
    over one token, next to which a step of the draft is cheap. A small Transformer on a processor is neither:
    there it is slower than greedy decoding. `tests/benchmarks/speculative_decoding.py` measures two models.

    Args:
        target: a `keras_attn.protocols.ExtendableDecoder`, e.g. a `TransformerSeq2Seq`.
        draft: a `keras_attn.protocols.Decoder` of any family with the same source and target ids.
        source: int32 ids `[B, S]`, padded with `pad_id`.
        start_id: the id that every hypothesis is fed first.
        end_id: the id that ends a hypothesis.
        max_length: largest number of tokens, the end token counted: an integer, a scalar tensor, a tensor
            `[B]`, or a `RelativeLength`.
        num_draft_tokens: n, how many tokens are guessed a round. Default 4.
        return_alignments: whether to return the target's attention weights.
        pad_id: the id that pads `source`.
        return_rounds: whether to return as well how many rounds each row took.

    Returns:
        `Decoded` with N = 1; with `return_rounds`, also int32 `[B]`: in how many passes of the target each
        row was written, so that `lengths / rounds` is the number of tokens a pass.

    Raises:
        TypeError: for a target without `extend` and `rewind`. One step a token is the least that it costs
            then, and the draft would come on top: it can only be slower than greedy decoding.
        ValueError: for `num_draft_tokens` below 1, or a draft whose vocabulary has another size.

    Example:

    >>> from keras_attn.decoding import speculative_greedy
    >>> from keras_attn.models import RecurrentSeq2Seq, TransformerSeq2Seq
    >>> sizes = {"num_encoder_layers": 1, "num_decoder_layers": 1, "embedding_dim": 8, "hidden_dim": 13}
    >>> target = TransformerSeq2Seq(11, 11, num_heads=2, **sizes)
    >>> draft = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded, rounds = speculative_greedy(
    ...     target, draft, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, return_rounds=True
    ... )
    >>> 1 <= int(rounds[0]) <= int(decoded.lengths[0, 0])
    True

    Reference: Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", ICML
    2023, algorithm 1 with temperature 0; Chen et al., "Accelerating Large Language Model Decoding with
    Speculative Sampling", 2023. Both speak of one sequence; the lockstep of a batch is this library's.
    """
    _check(target, num_draft_tokens)
    source = tf.convert_to_tensor(source)
    task = make_task(source, end_id, max_length, pad_id)
    longest = tf.reduce_max(task.limits)
    search, memories = _begin(target, draft, source, start_id, task, return_alignments)

    def goes_on(*variables):
        search = _Search(*variables)
        return (search.position < longest) & ~tf.reduce_all(_over(search, task))

    def advance(*variables):
        search = _Search(*variables)
        return _round(target, draft, memories, num_draft_tokens, search, task, longest)

    search = tf.while_loop(
        goes_on, advance, search, shape_invariants=_free_axes(search), parallel_iterations=1
    )
    search = _Search(*search)
    decoded = _decoded(search, task)
    return (decoded, search.rounds) if return_rounds else decoded


def _begin(target, draft, source, start_id, task, return_alignments):
    """The loop's variables before the first round, and the memories of target and draft."""
    (target_state, target_memory), (draft_state, draft_memory) = target.start(source), draft.start(source)
    search = _Search(
        position=tf.constant(0),
        last=tf.fill(tf.stack([task.batch, 1]), token_id(start_id)),
        hypotheses=Greedy().begin(task, tf.shape(source)[1]),
        rounds=tf.zeros([task.batch], tf.int32),
        alignments=tf.zeros([task.batch, 1, 0, tf.shape(source)[1]]) if return_alignments else (),
        target_state=target_state,
        draft_state=draft_state,
    )
    return search, (target_memory, draft_memory)


def _round(target, draft, memories, num_draft_tokens, search, task, longest):
    """The draft guesses, the target checks, and both go back to what is kept."""
    position, (target_memory, draft_memory) = search.position, memories
    proposals = propose(
        draft, search.last, position, search.draft_state, draft_memory, num_draft_tokens, longest - 1
    )
    # What no result has room for is not checked: the target is fed no position beyond the last.
    fed = tf.concat([search.last, proposals.tokens], axis=1)[:, : longest - position]  # [B, m]
    checked = target.extend(fed[:, None], position, search.target_state, target_memory)
    _check_vocabularies(checked.logits, proposals)
    verdict = _verdict(fed, checked.logits, search, task)
    return _kept(search, verdict, task, checked.alignment)._replace(
        target_state=target.rewind(checked.extended, verdict.count),
        draft_state=go_on_after(draft, proposals, verdict.count, position, draft_memory),
    )


def _over(search, task):
    """Which rows are written to their end, boolean `[B, 1]`."""
    over = search.hypotheses.finished
    return over | task.at_limit(search.position)[:, None] if task.has_row_limits else over


def _verdict(fed, logits, search, task):
    """The target's own choices, and how many of them every row that is not over can keep."""
    logits = tf.cast(logits[:, 0], tf.float32)
    logits.set_shape([None, None, None])  # a decoder need not know it
    tokens, log_probs = Greedy().choose(Choices(logits, logits))  # [B, m]
    guessed = tf.cast(tf.equal(fed[:, 1:], tokens[:, :-1]), tf.int32)
    # What is fed at a place is what the target would have fed itself, from the first one on.
    own = tf.math.cumprod(tf.pad(guessed, [[0, 0], [1, 0]], constant_values=1), axis=1)  # [B, m]
    stops = tf.cast(own, tf.bool) & _stops(tokens, search.position, task)
    over = _over(search, task)[:, 0] | tf.reduce_any(stops, axis=1)
    places = tf.shape(fed)[1]
    counts = tf.where(over, places, tf.reduce_sum(own, axis=1))  # [B]
    return _Verdict(tf.minimum(places, tf.reduce_min(counts)), tokens, log_probs)


def _stops(tokens, position, task):
    """After which of the tokens `[B, m]`, the first of them at `position`, a row is over."""
    ends = tf.equal(tokens, task.end_id)
    if not task.has_row_limits:
        return ends
    lengths = position + 1 + tf.range(tf.shape(tokens)[1])
    return ends | (lengths >= task.limits[:, None])


def _kept(search, verdict, task, alignment):
    """The search with the tokens that all rows keep; 0 in rows that are over, from there on."""
    count = verdict.count
    tokens, log_probs = verdict.tokens[:, :count], verdict.log_probs[:, :count]
    stops = tf.cast(_stops(tokens, search.position, task), tf.int32)
    over = _over(search, task)  # [B, 1]
    counted = ~over & tf.equal(tf.cumsum(stops, axis=1, exclusive=True), 0)  # [B, count]
    ended = tf.reduce_any(counted & tf.equal(tokens, task.end_id), axis=1, keepdims=True)
    tokens = tf.where(counted, tokens, 0)
    before = search.hypotheses
    added = tf.reduce_sum(tf.where(counted, log_probs, 0.0), axis=1, keepdims=True)
    alignments = search.alignments
    if not isinstance(alignments, tuple):
        alignments = tf.concat([alignments, tf.cast(alignment[:, :, :count], tf.float32)], axis=2)
    return search._replace(
        position=search.position + count,
        last=tokens[:, -1][:, None],
        hypotheses=Hypotheses(
            tokens=tf.concat([before.tokens, tokens[:, None]], axis=2),
            log_probs=before.log_probs + added,
            finished=before.finished | ended,
        ),
        rounds=search.rounds + tf.cast(~over[:, 0], tf.int32),
        alignments=alignments,
    )


def _decoded(search, task):
    """The results, without the places that a last round wrote beyond every row's end."""
    selected = Greedy().select(search.hypotheses, task)
    length = tf.maximum(tf.reduce_max(selected.lengths), 0)  # of no row, the maximum is the least integer
    alignments = None
    if not isinstance(search.alignments, tuple):
        counts = tf.sequence_mask(selected.lengths, length)[..., None]  # [B, 1, T, 1]
        alignments = tf.where(counts, search.alignments[:, :, :length], 0.0)
    *results, _ = selected._replace(tokens=selected.tokens[:, :, :length])
    return Decoded(*results, alignments)


def _free_axes(search):
    """Shape invariants: batch and time axes may change."""
    return _Search(
        position=tf.TensorShape([]),
        last=tf.TensorShape([None, 1]),
        hypotheses=Hypotheses(
            tokens=tf.TensorShape([None, 1, None]),
            log_probs=tf.TensorShape([None, 1]),
            finished=tf.TensorShape([None, 1]),
        ),
        rounds=tf.TensorShape([None]),
        alignments=() if isinstance(search.alignments, tuple) else tf.TensorShape([None, 1, None, None]),
        target_state=state_shapes(search.target_state),
        draft_state=state_shapes(search.draft_state),
    )


def _check(target, num_draft_tokens):
    if not (hasattr(target, "extend") and hasattr(target, "rewind")):
        raise TypeError(
            "`target` cannot check several tokens in one pass. Expected a decoder with `extend` and "
            f"`rewind`, such as a TransformerSeq2Seq. Received: {type(target).__name__}. Use "
            "decode(target, ..., Greedy()): with a step for every token, a draft can only make it slower."
        )
    if not isinstance(num_draft_tokens, int) or num_draft_tokens < 1:
        raise ValueError(
            "`num_draft_tokens` must be a whole number of at least 1. "
            f"Received: num_draft_tokens={num_draft_tokens!r}."
        )


def _check_vocabularies(logits, proposals):
    sizes = logits.shape[-1], proposals.vocabulary_size
    if None not in sizes and sizes[0] != sizes[1]:
        raise ValueError(
            "`target` and `draft` write different tokens. Expected one vocabulary. Received: "
            f"{sizes[0]} ids of the target and {sizes[1]} of the draft. Train the draft with the tokenizers "
            "of the target."
        )
