"""A Keras RNN cell, or a stack of them, as a decoder needs it: K hypotheses a row, states in a flat list."""

import keras
from keras import ops

from keras_attn.typing import Nested, Tensor


def check_cell(cell: keras.layers.Layer) -> None:
    """Refuses a cell that cannot go step by step.

    Raises:
        ValueError: for what is no cell, such as a whole layer, and for a cell with dropout.
    """
    if isinstance(cell, keras.layers.RNN | type) or not hasattr(cell, "state_size"):
        raise ValueError(
            "`cell` must be a Keras RNN cell. Expected e.g. keras.layers.GRUCell(128), or a "
            f"keras.layers.StackedRNNCells of several. Received: cell={cell!r}."
        )
    for part in getattr(cell, "cells", [cell]):
        if getattr(part, "dropout", 0) or getattr(part, "recurrent_dropout", 0):
            # Keras' cells keep their dropout mask on the object, where one batch's would meet the next.
            raise ValueError(
                "`cell` must not have dropout of its own. Expected dropout=0 and recurrent_dropout=0. "
                f"Received: cell={part}. Put `keras.layers.Dropout` before or after the layer."
            )


def check_cell_dropout(cell: keras.layers.Layer, rate: float) -> None:
    """Refuses dropout between the cells of what is no stack of cells.

    Raises:
        ValueError: for a single cell with a rate.
    """
    if rate and not hasattr(cell, "cells"):
        raise ValueError(
            "`cell_dropout` acts between the cells of a stack. Expected a cell=keras.layers.StackedRNNCells. "
            f"Received: cell={cell} with cell_dropout={rate}. Put `keras.layers.Dropout` around the layer."
        )


def state_dims(cell: keras.layers.Layer) -> list[int]:
    """Widths of all states of the cell, in the order of its `state_size` flattened."""
    return keras.tree.flatten(cell.state_size)


def hidden_dim(cell: keras.layers.Layer) -> int:
    """Width of the cell's output."""
    return getattr(cell, "output_size", None) or state_dims(cell)[0]


def zero_state(cell: keras.layers.Layer, batch_size: Tensor, dtype: str) -> list[Tensor]:
    """The state that the cell begins with, zeros where it does not say: a list of `[B, H]`."""
    if hasattr(cell, "get_initial_state"):
        return keras.tree.flatten(cell.get_initial_state(batch_size=batch_size))
    return [ops.zeros((batch_size, width), dtype) for width in state_dims(cell)]


def check_state(cell: keras.layers.Layer, state: Nested) -> None:
    """Refuses a state that is not the cell's.

    Args:
        cell: a Keras RNN cell.
        state: tensors `[B, H]`, one a state of the cell, in any nesting.

    Raises:
        ValueError: for another number of states, axes or widths.
    """
    expected, shapes = state_dims(cell), [tuple(part.shape) for part in keras.tree.flatten(state)]
    fits = [
        len(shape) == 2 and shape[1] in (None, width) for shape, width in zip(shapes, expected, strict=False)
    ]
    if len(shapes) != len(expected) or not all(fits):
        raise ValueError(
            f"`initial_state` must hold the states of the cell. Expected {len(expected)} of them: "
            f"{', '.join(f'[batch, {width}]' for width in expected)}. Received: shapes {shapes}. Of a "
            "bidirectional encoder, join or project the states of both directions first."
        )


def step_cell(
    cell: keras.layers.Layer,
    inputs: Tensor,
    state: Nested,
    training: bool | None = None,
    masks: Nested = None,
) -> tuple[Tensor, list[Tensor]]:
    """One step of the cell, with hypotheses as rows of its batch.

    Args:
        cell: a built Keras RNN cell.
        inputs: `[B, K, D]`.
        state: list of `[B, K, H]`.
        training: passed on to the cell.
        masks: `[B, K, X]`, what the outputs of the cells of a stack are multiplied by on their way up, those
            of the lowest cell first, none for the highest; None multiplies nothing.

    Returns:
        The output `[B, K, H]` and the new state, a list.
    """
    beams = ops.shape(inputs)[1]
    state, inputs = [_merge_beams(part) for part in state], _merge_beams(inputs)
    if masks is None:
        hidden, state = _one_cell(cell, inputs, state, training)
    else:
        hidden, state = _masked_stack(cell.cells, inputs, state, training, _merge_beams(masks))
    return _split_beams(hidden, beams), [_split_beams(part, beams) for part in state]


def _one_cell(cell, inputs, state, training):
    """The output of a cell for `[N, D]` and the new state, a list."""
    sizes = cell.state_size
    # A cell with one state wants a list too.
    nested = keras.tree.pack_sequence_as(sizes, state) if keras.tree.is_nested(sizes) else state
    outputs, nested = cell(inputs, nested, training=training)
    return outputs, keras.tree.flatten(nested)


def _masked_stack(cells, inputs, state, training, masks):
    """As `_one_cell` of a stack, with masks `[N, X]` between its cells."""
    outputs, after = inputs, []
    for depth, cell in enumerate(cells):
        if depth:
            width = outputs.shape[-1]
            outputs, masks = outputs * ops.cast(masks[:, :width], outputs.dtype), masks[:, width:]
        count = len(state_dims(cell))
        outputs, own = _one_cell(cell, outputs, state[:count], training)
        state, after = state[count:], [*after, *own]
    return outputs, after


def _merge_beams(tensor):
    """`[B, K, D]` to `[B K, D]`."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _split_beams(tensor, beams):
    """`[B K, D]` to `[B, K, D]`."""
    return ops.reshape(tensor, (-1, beams, tensor.shape[-1]))
