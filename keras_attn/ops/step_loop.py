"""A differentiable loop over time steps that compiles on every backend."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_attn.ops.lengths import at_least
from keras_attn.typing import Tensor


def run_steps(
    advance: Callable[[list[Tensor], list[Tensor]], tuple[Any, Any]],
    state: Sequence[Tensor],
    sequences: Sequence[Tensor],
) -> list[Tensor]:
    """Goes along sequences, each step with the state that the one before left.

    ```
    state[t], outputs[t] = advance(state[t-1], [sequence[:, t] for each sequence])
    ```

    The loop is that of `keras.layers.RNN`, the only one of Keras that trains compiled on every backend.
    `keras.ops.scan` does not tell TensorFlow how often it will go round, and XLA cannot compile the gradient
    of such a loop; `keras.ops.while_loop` has no gradient on JAX.

    Args:
        advance: function of the state, a list, and a list of rows `[N, X]`; returns the new state and a list
            of outputs. It must not change a variable: random numbers, for one, are drawn before the loop.
        state: list of tensors `[N, ...]`, whose shapes and dtypes stay as they are.
        sequences: list of tensors `[N, T, X]`, floats or booleans.

    Returns:
        A list of outputs `[N, T, ...]`.
    """
    # One tensor, for Keras' loop asks its input for the number of steps.
    joined = sequences[0] if len(sequences) == 1 else ops.concatenate(sequences, axis=-1)  # [N, T, X + ...]
    num_steps = ops.shape(joined)[1]
    joined = at_least(joined, {1: 1})  # the loop takes the shapes of its outputs from the first step
    widths = [ops.shape(sequence)[-1] for sequence in sequences]

    def step(row, state):
        rows, start = [], 0
        for sequence, width in zip(sequences, widths, strict=True):
            part = ops.cast(row[:, start : start + width], sequence.dtype)
            # A part of a row of unknown width has no known width.
            rows.append(ops.reshape(part, (ops.shape(row)[0], width)))  # [N, X]
            start += width
        state, outputs = advance(list(state), rows)
        return list(outputs), list(state)

    # A name, for a numbered one would shift those of the user's own layers.
    loop = keras.layers.RNN(_Cell(step), return_sequences=True, name="steps")
    _, outputs, _ = loop.inner_loop(joined, list(state), mask=None)
    return [output[:, :num_steps] for output in outputs]


def rowwise(layer: keras.layers.Layer, tensor: Tensor) -> Tensor:
    """A layer that works on the last axis alone, on all places of a tensor as rows of one matrix.

    The same numbers as `layer(tensor)`. Within a loop over tensors of unknown size, XLA cannot compile what
    TensorFlow makes of the gradient of `keras.layers.Dense` on more than a matrix.

    Args:
        layer: the layer.
        tensor: `[..., X]`.

    Returns:
        `[..., Y]`.
    """
    rows = layer(ops.reshape(tensor, (-1, tensor.shape[-1])))
    return ops.reshape(rows, (*ops.shape(tensor)[:-1], rows.shape[-1]))


class _Cell:
    """As much of a cell as `keras.layers.RNN` asks for."""

    state_size = ()

    def __init__(self, step):
        self.call = step

    def __call__(self, row, state):
        return self.call(row, state)
