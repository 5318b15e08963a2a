"""The decoder's state in a loop: copied and dropped with its hypotheses, and growing."""

import tensorflow as tf


def reordered(decoder, state, parents):
    """The state in which hypothesis k goes on from hypothesis `parents[k]`.

    Args:
        decoder: a `keras_attn.protocols.Decoder`; one with a `reorder` of its own is asked, for all others
            every leaf is gathered.
        state: of `start` or of a step: leaves `[B, K, ...]`.
        parents: int32 `[B, K']`; another number than K only before the first step.

    Returns:
        The state, leaves `[B, K', ...]`.
    """
    own = getattr(decoder, "reorder", None)
    if own is not None:
        return own(state, parents)
    return tf.nest.map_structure(lambda leaf: tf.gather(leaf, parents, axis=1, batch_dims=1), state)


def spread(decoder, state, batch, count):
    """The state of `start`, which holds one hypothesis a row, for `count` equal ones.

    Args:
        decoder: a `keras_attn.protocols.Decoder`.
        state: what its `start` returned.
        batch: B, which a decoder without a state does not tell.
        count: an integer or a scalar tensor.

    Returns:
        The state, leaves `[B, count, ...]`.
    """
    if isinstance(count, int) and count == 1:
        return state
    return reordered(decoder, state, tf.zeros(tf.stack([batch, count]), tf.int32))


def state_shapes(state):
    """Shape invariants of a loop that carries a state: every size but the last of a leaf may change.

    Args:
        state: of `start` or of a step.

    Returns:
        A `tf.TensorShape` for each leaf, in the same structure.
    """
    return tf.nest.map_structure(
        lambda leaf: tf.TensorShape([None] * (leaf.shape.rank - 1) + [leaf.shape[-1]]), state
    )
