"""Checks of the arguments of `decode` and of what a decoder returns, before the loop runs."""

import tensorflow as tf

from keras_attn.protocols import Step


def source_ids(source):
    """The source as int32 `[B, S]`.

    Raises:
        TypeError: for what is no whole number.
        ValueError: for another number of axes.
    """
    source = tf.convert_to_tensor(source)
    empty = 0 in source.shape.as_list() if source.shape.rank else False  # a list without numbers has no type
    if not source.dtype.is_integer and not empty:
        raise TypeError(f"`source` must hold ids. Expected int32 [B, S]. Received: {source.dtype.name}.")
    if source.shape.rank not in (None, 2):
        raise ValueError(
            f"`source` must have a row for every sequence. Expected [B, S]. Received: shape {source.shape}. "
            "Write [ids] for one of them."
        )
    return tf.cast(source, tf.int32)


def check_strategy(strategy):
    """Refuses what is no strategy.

    Raises:
        TypeError: such as for a class or its name.
    """
    if isinstance(strategy, type) or not hasattr(strategy, "num_live"):
        raise TypeError(
            "`strategy` must be an object that chooses tokens. Expected Greedy(), BeamSearch(4), Sampling() "
            f"or None. Received: {strategy!r}."
        )


def check_decoder(decoder):
    """Refuses what cannot be decoded step by step.

    Raises:
        TypeError: for a decoder without `start` or `step`.
    """
    for method in ("start", "step"):
        if not callable(getattr(decoder, method, None)):
            raise TypeError(
                f"`decoder` has no method `{method}`. Expected a keras_attn.protocols.Decoder, with "
                f"`start(source)` and `step(tokens, position, state, memory)`. Received: {decoder!r}."
            )


def check_state(decoder, state):
    """Refuses a state whose hypotheses could not be copied and dropped.

    Args:
        decoder: one with a `reorder` of its own may have a state of any layout.
        state: what its `start` returned.

    Raises:
        ValueError: for a leaf that is not `[B, 1, ...]`.
    """
    if hasattr(decoder, "reorder"):
        return
    for leaf in tf.nest.flatten(state):
        shape = getattr(leaf, "shape", None)
        if shape is None or len(shape) < 2 or shape[1] not in (1, None):
            received = repr(leaf) if shape is None else f"shape {tuple(shape)}"
            raise ValueError(
                "`start` must return a state of one hypothesis a row. Expected leaves [B, 1, ...]. "
                f"Received: {received}. Give a tensor [B, X] that axis by `tensor[:, None]`."
            )


def check_step(step, needs_alignment):
    """Refuses what is not the result of a step.

    Args:
        step: what `step` returned.
        needs_alignment: whether the attention weights are asked for.

    Raises:
        TypeError: for what is no `Step`.
        ValueError: for logits without the axis of the hypotheses, and for alignments that are asked for and
            not there.
    """
    if not all(hasattr(step, name) for name in Step._fields):
        raise TypeError(
            "`step` must return a keras_attn.protocols.Step(logits, state, alignment). "
            f"Received: {type(step)}."
        )
    if len(step.logits.shape) != 3:
        raise ValueError(
            f"`step` must return logits [B, K, V] of tokens [B, K]. Received: shape {step.logits.shape}."
        )
    if needs_alignment and step.alignment is None:
        raise ValueError(
            "The decoder gives no attention weights. Expected `Step.alignment` [B, K, S] for "
            "return_alignments=True and for a coverage penalty. Received: None."
        )
