"""Forced scoring: the log-probability that a decoder gives to tokens which are there already."""

from typing import NamedTuple

import tensorflow as tf

from keras_attn.decoding.decoder_state import spread, state_shapes
from keras_attn.decoding.results import count_to_end
from keras_attn.decoding.task import token_id
from keras_attn.protocols import Decoder
from keras_attn.typing import Tensor

METHODS = ("steps", "full")


class Scored(NamedTuple):
    """Result of `score`. N is an axis of hypotheses, or absent, as in `target`.

    Attributes:
        token_log_probs: float32 `[B, N, T]`, 0 after the end.
        log_probs: float32 `[B, N]`, their sums.
        lengths: int32 `[B, N]`, the end token counted.
    """

    token_log_probs: Tensor
    log_probs: Tensor
    lengths: Tensor


def score(
    decoder: Decoder,
    source: Tensor,
    target: Tensor,
    *,
    start_id: int | Tensor,
    end_id: int | Tensor,
    lengths: Tensor | None = None,
    method: str = "steps",
) -> Scored:
    """The log-probabilities of given targets.

    ```
    token_log_probs[t] = log p(y_t | y_<t, x)
    ```

    What `decode` returns as `log_probs` is what this gives for its `tokens`, unless a `RepetitionPenalty`
    changed the distribution.

    Args:
        decoder: a `keras_attn.protocols.Decoder`.
        source: int32 ids `[B, S]`, padded with 0.
        target: int32 ids `[B, T]`, or `[B, N, T]` for N targets of every source; without the start token,
            with the end token, then 0: as `Decoded.tokens`.
        start_id: the id that the decoder is fed first.
        end_id: the id that ends a target.
        lengths: int32 `[B]` or `[B, N]`, how many tokens count. When None, those up to and with the first end
            token, or the last id that is not 0 where there is no end.
        method: `"steps"` feeds one token after the other, with the N targets of a source as N hypotheses;
            `"full"` calls the decoder, a Keras model of `{"source", "target"}`, once, with every source
            repeated N times: faster, and larger in memory.

    Returns:
        `Scored`.

    Raises:
        ValueError: for an unknown `method`, a `target` of another rank, and `"full"` with a decoder that
            cannot be called.

    Example:

    >>> from keras_attn.decoding import Greedy, decode, score
    >>> from keras_attn.models import RecurrentSeq2Seq
    >>> model = RecurrentSeq2Seq(11, 11, embedding_dim=4, units=5, attention_units=3)
    >>> decoded = decode(model, [[5, 7, 2]], start_id=1, end_id=2, max_length=9, strategy=Greedy())
    >>> scored = score(model, [[5, 7, 2]], decoded.tokens, start_id=1, end_id=2, lengths=decoded.lengths)
    >>> bool(abs(scored.log_probs - decoded.log_probs)[0, 0] < 1e-3)
    True
    """
    source = tf.convert_to_tensor(source)
    target = tf.cast(tf.convert_to_tensor(target), tf.int32)
    _check(decoder, target, method)
    hypotheses = target if target.shape.rank == 3 else target[:, None]  # [B, N, T]
    compute = _by_steps if method == "steps" else _in_full
    log_probs = compute(decoder, source, hypotheses, token_id(start_id))  # [B, N, T]
    if lengths is None:
        lengths = _lengths(hypotheses, token_id(end_id))
    lengths = tf.reshape(tf.cast(lengths, tf.int32), tf.shape(hypotheses)[:2])
    log_probs = tf.where(tf.sequence_mask(lengths, tf.shape(hypotheses)[2]), log_probs, 0.0)
    scored = Scored(log_probs, tf.reduce_sum(log_probs, axis=-1), lengths)
    return scored if target.shape.rank == 3 else Scored(*(leaf[:, 0] for leaf in scored))


def _by_steps(decoder, source, target, start_id):
    state, memory = decoder.start(source)
    count = target.shape[1] or tf.shape(target)[1]
    state = spread(decoder, state, tf.shape(target)[0], count)
    fed = tf.fill(tf.shape(target)[:2], start_id)  # [B, N]
    log_probs = tf.zeros(tf.stack([tf.shape(target)[0], count, 0]))
    variables = (tf.constant(0), state, fed, log_probs)

    def advance(position, state, fed, log_probs):
        step = decoder.step(fed, position, state, memory)
        tokens = tf.gather(target, position, axis=2)  # [B, N]
        column = _of_tokens(step.logits, tokens)[..., None]
        return position + 1, step.state, tokens, tf.concat([log_probs, column], axis=2)

    free = (
        tf.TensorShape([]),
        state_shapes(state),
        fed.shape,
        tf.TensorShape([None, target.shape[1], None]),
    )
    length = tf.shape(target)[2]
    return tf.while_loop(
        lambda position, *rest: position < length, advance, variables, free, parallel_iterations=1
    )[-1]


def _in_full(decoder, source, target, start_id):
    shape = tf.shape(target)
    flat = tf.reshape(target, tf.stack([shape[0] * shape[1], shape[2]]))  # [B N, T]
    fed = tf.pad(flat[:, :-1], [[0, 0], [1, 0]], constant_values=start_id)
    logits = decoder({"source": tf.repeat(source, shape[1], axis=0), "target": fed})  # [B N, T, V]
    return tf.reshape(_of_tokens(logits, flat), shape)


def _of_tokens(logits, tokens):
    """Log-probabilities `[..]` of the tokens `[..]` in the softmax of `[.., V]`."""
    logits = tf.cast(logits, tf.float32)
    chosen = tf.gather(logits, tokens, batch_dims=tokens.shape.rank)
    return chosen - tf.reduce_logsumexp(logits, axis=-1)


def _lengths(target, end_id):
    """Up to and with the end token, or the last token that is not 0 where there is no end."""
    places = tf.range(tf.shape(target)[2]) + 1
    used = tf.reduce_max(tf.where(tf.not_equal(target, 0), places, 0), axis=-1)
    used = tf.maximum(used, 0)  # of no place, the maximum is the least integer
    has_end = tf.reduce_any(tf.equal(target, end_id), axis=-1)
    return tf.where(has_end, count_to_end(target, end_id), used)


def _check(decoder, target, method):
    if method not in METHODS:
        raise ValueError(f"`method` is unknown. Expected one of {METHODS}. Received: {method!r}.")
    if target.shape.rank not in (2, 3):
        raise ValueError(
            f"`target` must hold ids. Expected shape [B, T] or [B, N, T]. Received: {target.shape}."
        )
    if method == "full" and not callable(decoder):
        raise ValueError(
            "`decoder` cannot be called, so that there is no full pass. Expected a Keras model of "
            f"{{'source', 'target'}}. Received: {decoder!r}. Use method='steps'."
        )
