"""A Keras RNN cell, or a stack of them, as a decoder needs it: K hypotheses a row, states in a flat list."""

import keras
from keras import ops


def check_cell(cell):
    """Refuses a cell that cannot go step by step.

    Raises:
        ValueError: for a cell with dropout.
    """
    for part in getattr(cell, "cells", [cell]):
        if getattr(part, "dropout", 0) or getattr(part, "recurrent_dropout", 0):
            # Keras' cells keep their dropout mask on the object, where one batch's would meet the next.
            raise ValueError(
                "`cell` must not have dropout of its own. Expected dropout=0 and recurrent_dropout=0. "
                f"Received: cell={part}. Put `keras.layers.Dropout` before or after the layer."
            )


def state_dims(cell):
    """Widths of all states of the cell, in the order of its `state_size` flattened."""
    return keras.tree.flatten(cell.state_size)


def hidden_dim(cell):
    """Width of the cell's output."""
    return getattr(cell, "output_size", None) or state_dims(cell)[0]


def zero_state(cell, batch_size):
    """The state that the cell begins with: a list of `[B, H]`."""
    return keras.tree.flatten(cell.get_initial_state(batch_size=batch_size))


def step_cell(cell, inputs, state, training=None):
    """One step of the cell, with hypotheses as rows of its batch.

    Args:
        cell: a built Keras RNN cell.
        inputs: `[B, K, D]`.
        state: list of `[B, K, H]`.
        training: passed on to the cell.

    Returns:
        The output `[B, K, H]` and the new state, a list.
    """
    beams = ops.shape(inputs)[1]
    state = [_merge_beams(part) for part in state]
    sizes = cell.state_size
    # A cell with one state wants a list too.
    nested = keras.tree.pack_sequence_as(sizes, state) if keras.tree.is_nested(sizes) else state
    hidden, nested = cell(_merge_beams(inputs), nested, training=training)
    return _split_beams(hidden, beams), [_split_beams(part, beams) for part in keras.tree.flatten(nested)]


def _merge_beams(tensor):
    """`[B, K, D]` to `[B K, D]`."""
    return ops.reshape(tensor, (-1, tensor.shape[-1]))


def _split_beams(tensor, beams):
    """`[B K, D]` to `[B, K, D]`."""
    return ops.reshape(tensor, (-1, beams, tensor.shape[-1]))
