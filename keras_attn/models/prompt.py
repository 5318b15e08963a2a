"""A source and a target as one sequence, in which all sources end at the same place.

Sources are padded, mostly at their end. Before a target, the padding would stand between both; so it moves
to the front, where a mask hides it, and every target begins at place S whatever the length of its source. A
row's absolute positions count from its first token: place less padding.
"""

import keras
from keras import ops

from keras_attn.layers.embedding.token_embedding import PAD_ID
from keras_attn.typing import Tensor


def align_right(source: Tensor) -> tuple[Tensor, Tensor]:
    """Moves the padding of every row to its front; the tokens keep their order.

    Args:
        source: int32 ids `[B, S]`, padded with 0 anywhere.

    Returns:
        int32 ids `[B, S]`, padded with 0 at the front, and the number of pads of every row, int32 `[B]`.
    """
    keep = ops.cast(ops.not_equal(source, PAD_ID), "int32")
    order = ops.argsort(keep * ops.shape(source)[1] + _places(source), axis=-1)  # [B, S], no key twice
    return ops.take_along_axis(source, order, axis=-1), ops.sum(1 - keep, axis=-1)


def align_left(weights: Tensor, pads: Tensor, source_mask: Tensor) -> Tensor:
    """Brings weights on the places of `align_right` back to those of the source as it was.

    Args:
        weights: `[B, K, P]`, P >= S.
        pads: int32 `[B]`, what `align_right` returned.
        source_mask: boolean `[B, S]`, which places of the source are no padding.

    Returns:
        `[B, K, S]`, 0 on padding.
    """
    batch, hypotheses, places = ops.shape(weights)
    rank = ops.cumsum(ops.cast(source_mask, "int32"), axis=-1) - 1  # of each token in its row
    place = ops.clip(rank + ops.expand_dims(pads, -1), 0, places - 1)  # [B, S]
    index = ops.expand_dims(place, 1)
    index = ops.broadcast_to(index, (batch, hypotheses, ops.shape(source_mask)[1]))
    moved = ops.take_along_axis(weights, index, axis=-1)  # [B, K, S]
    return ops.where(ops.expand_dims(source_mask, 1), moved, ops.zeros_like(moved))


def some_places(source: Tensor) -> Tensor:
    """Pads an empty source to one position: a maximum over none is undefined.

    Args:
        source: int32 ids `[B, S]`.

    Returns:
        int32 ids `[B, max(S, 1)]`.
    """
    length = ops.shape(source)[1]
    missing = max(1 - length, 0) if isinstance(length, int) else ops.maximum(1 - length, 0)
    return ops.pad(source, ((0, 0), (0, missing)), constant_values=PAD_ID)


def mask_and_positions(sequence: Tensor, pads: Tensor) -> tuple[Tensor, Tensor]:
    """Finds the tokens of `[B, L]` that are not padding at the front, and their absolute positions.

    Args:
        sequence: `[B, L]`, for its shape alone.
        pads: int32 `[B]`, how many places at the front of each row are padding.

    Returns:
        Boolean `[B, L]`, True = keep, and int32 `[B, L]`, 0 on padding.
    """
    position = _places(sequence) - ops.expand_dims(pads, -1)  # [B, L]
    return position >= 0, ops.maximum(position, 0)


@keras.saving.register_keras_serializable(package="keras_attn")
class PromptedSequence(keras.layers.Layer):
    """Source and target as one sequence, with its mask and positions; see the module.

    Call arguments:
        source: int32 ids `[B, S]`, padded with 0 anywhere.
        target: int32 ids `[B, T]`.

    Returns:
        int32 ids `[B, S + T]`, the boolean mask `[B, S + T]` that hides the padding of the source, and int32
        positions `[B, S + T]`.
    """

    def call(self, source, target):
        """See the class."""
        prompt, pads = align_right(source)
        sequence = ops.concatenate([prompt, target], axis=1)  # [B, S + T]
        return sequence, *mask_and_positions(sequence, pads)

    def compute_output_spec(self, source, target):
        """Shapes of the three."""
        lengths = source.shape[1], target.shape[1]
        shape = (source.shape[0], None if None in lengths else sum(lengths))
        return tuple(keras.KerasTensor(shape, dtype=dtype) for dtype in ("int32", "bool", "int32"))


@keras.saving.register_keras_serializable(package="keras_attn")
class AfterPrompt(keras.layers.Layer):
    """The places of a prompted sequence that belong to the target.

    Call arguments:
        hidden: `[B, S + T, D]`.
        source: `[B, S]`, for its shape alone.
        target: `[B, T]`, likewise.

    Returns:
        `[B, T, D]`.
    """

    def call(self, hidden, source, target):
        """See the class."""
        return hidden[:, ops.shape(source)[1] :]

    def compute_output_spec(self, hidden, source, target):
        """Shape of the target's places."""
        return keras.KerasTensor((hidden.shape[0], target.shape[1], hidden.shape[2]), dtype=hidden.dtype)


def _places(tensor):
    return ops.arange(ops.shape(tensor)[-1], dtype="int32")
